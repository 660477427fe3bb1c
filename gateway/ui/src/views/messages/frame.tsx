// What the lists and the pages of message queues and exchanges share.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { listVirtualHosts } from "@ui/api/messages";
import { token } from "@ui/api/token";
import { usePolled, type Polled } from "@ui/lib/poll";
import { go } from "@ui/lib/router";
import { Button, Empty, Failure, Loading } from "@ui/parts/basics";
import { Icon } from "@ui/parts/icons";
import { Segments } from "@ui/parts/segments";
import { addressOf, DEFAULT_HOST } from "@ui/views/messages/names";

export const EVERY_MS = 2_000;
const HOSTS_EVERY_MS = 30_000;
const PAGE = 100;
/** What the API answers at most on one page. */
const MOST = 1_000;
const KINDS = [
  { value: "queues", label: "Message queues" },
  { value: "exchanges", label: "Exchanges" },
] as const;
type Kind = (typeof KINDS)[number]["value"];

interface Page<T> {
  items: T[] | undefined;
  token: string | undefined;
}

interface Read<T> extends Page<T> {
  /** When it was read, by the page's own clock, in milliseconds. */
  at: number;
}

export interface Listed<T> extends Polled<Read<T>> {
  items: T[] | undefined;
  /** There are more than are shown. */
  more: boolean;
  /** Show more of them; undefined when there are no more, or too many. */
  grow: (() => void) | undefined;
}

/** The first of a list by name, read again and again: 100, and 100 more each time, at most 1,000. */
export function useListed<T>(
  read: (pageSize: number, signal: AbortSignal) => Promise<Page<T>>,
  of: string,
): Listed<T> {
  const most = useRef(PAGE);
  const polled = usePolled(
    async (signal): Promise<Read<T>> => {
      const page = await read(most.current, signal);
      return { ...page, at: performance.now() };
    },
    EVERY_MS,
    `${token.value} ${of}`,
  );
  const more = Boolean(polled.value?.token);
  const grow = () => {
    most.current += PAGE;
    polled.refresh();
  };
  return {
    ...polled,
    items: polled.value && (polled.value.items ?? []),
    more,
    grow: more && most.current < MOST ? grow : undefined,
  };
}

/** The choice of a virtual host, where there are several. */
export function HostChoice({ host, onChoose }: { host: string; onChoose: (host: string) => void }) {
  const { value } = usePolled(
    (signal) => listVirtualHosts({ pageSize: MOST }, { signal }),
    HOSTS_EVERY_MS,
    token.value,
  );
  const hosts = (value?.virtualHosts ?? []).map(({ name }) => name);
  if (hosts.length < 2 && host === DEFAULT_HOST) return null;
  return (
    <label class="row tight">
      <span class="muted">Virtual host</span>
      <select class="host" value={host} onChange={(event) => onChoose(event.currentTarget.value)}>
        {[...new Set([...hosts, host])].map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

/** The two lists, and the choice of a virtual host where there are several. */
export function Choices({ kind, host, children }: { kind: Kind; host: string; children?: ComponentChildren }) {
  return (
    <div class="row">
      <Segments label="Show" options={KINDS} value={kind} onChange={(chosen) => go(addressOf(host, chosen))} />
      <HostChoice host={host} onChoose={(chosen) => go(addressOf(chosen, kind))} />
      {children}
    </div>
  );
}

interface FoundProps<T> {
  list: Listed<T>;
  host: string;
  kind: Kind;
  text: string;
  found: number;
}

/** Below a list that does not show all: more of them, or the one with the name that was typed. */
export function More<T>({ list, host, kind, text, found }: FoundProps<T>) {
  if (!list.more) return null;
  return (
    <div class="row">
      {list.grow && <Button onClick={list.grow}>Show more</Button>}
      {text && !found && <a href={addressOf(host, kind, text)}>{`Open “${text}”`}</a>}
      {!list.grow && <span class="muted">The first 1,000 by name are shown. To open another one, type its name.</span>}
    </div>
  );
}

export function BackLink({ kind, host }: { kind: Kind; host: string }) {
  return (
    <a class="back" href={addressOf(host, kind)}>
      <Icon name="back" />
      {kind === "queues" ? "Message queues" : "Exchanges"}
    </a>
  );
}

interface NotShownProps extends Pick<Polled<unknown>, "gone" | "failure"> {
  kind: Kind;
  host: string;
  name: string;
}

/** In place of a page: there is no such thing, it cannot be read, or not yet. */
export function NotShown({ kind, host, name, gone, failure }: NotShownProps) {
  return (
    <div class="view">
      <BackLink kind={kind} host={host} />
      {gone ? (
        <Empty icon="search" title={`There is no such ${kind === "queues" ? "message queue" : "exchange"}`}>
          <p>
            It was deleted, or never created: <span class="mono">{name}</span>
          </p>
        </Empty>
      ) : failure ? (
        <Failure message={failure} />
      ) : (
        <Loading rows={6} />
      )}
    </div>
  );
}

/** Above a list: it cannot be read, or not yet. */
export function ListHead<T>({ list, host }: { list: Listed<T>; host: string }) {
  const { items, failure, gone } = list;
  return (
    <>
      {failure && <Failure message={failure} />}
      {gone && <Failure message={`There is no virtual host “${host}”.`} />}
      {!items && !failure && !gone && <Loading />}
    </>
  );
}

/** Label and value; nothing where there are none. */
export function Pairs({ rows }: { rows: readonly (readonly [string, ComponentChildren])[] }) {
  if (!rows.length) return null;
  return (
    <dl class="facts">
      {rows.flatMap(([label, value], at) => [
        <dt key={`${label}${at}`}>{label}</dt>,
        <dd key={`${label}${at} value`}>{value}</dd>,
      ])}
    </dl>
  );
}

/** The text that a list is filtered by. */
export function useFilter(label: string): [string, ComponentChildren] {
  const [text, setText] = useState("");
  const field = (
    <input
      type="search"
      class="filter"
      data-search
      aria-label={label}
      placeholder="Name"
      value={text}
      onInput={(event) => setText(event.currentTarget.value)}
    />
  );
  return [text.trim(), field];
}

/** The answer before this one, for rates. */
export function useBefore<T>(value: T | undefined): T | undefined {
  const held = useRef<{ last?: T; before?: T }>({});
  useEffect(() => {
    if (value === undefined || held.current.last === value) return;
    held.current = { last: value, before: held.current.last };
  }, [value]);
  return held.current.last === value ? held.current.before : held.current.last;
}
