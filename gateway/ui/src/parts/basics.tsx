// Small pieces that every view uses.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { now } from "@ui/api/store";
import type { Task } from "@ui/api/types";
import { ago, clock, count, shownState } from "@ui/lib/format";
import { Icon, type IconName } from "@ui/parts/icons";

/** A state as a coloured dot and a word: never by colour alone. */
export function Badge({ tone, children }: { tone: string; children: ComponentChildren }) {
  return (
    <span class={`badge tone-${tone}`}>
      <i class="dot" />
      {children}
    </span>
  );
}

export function TaskBadge({ task }: { task: Task }) {
  const name = shownState(task);
  const cancelling = task.cancelRequested && task.state === "TASK_STATE_RUNNING";
  return <Badge tone={cancelling ? "cancelled" : name}>{cancelling ? "cancelling" : name}</Badge>;
}

interface ButtonProps {
  onClick?: () => void;
  icon?: IconName;
  kind?: "primary" | "danger" | "quiet";
  title?: string;
  /** Its name, where its words alone do not say of what it is; it begins with them. */
  label?: string;
  disabled?: boolean;
  busy?: boolean;
  type?: "button" | "submit";
  pressed?: boolean;
  children?: ComponentChildren;
}

/** Without children it shows the icon only, and `title` is its name. */
export function Button(props: ButtonProps) {
  const { icon, kind, title, disabled, busy, type = "button", pressed, children } = props;
  const only = children === undefined;
  return (
    <button
      type={type}
      class={`button ${kind ?? ""} ${only ? "only" : ""}`}
      title={title}
      aria-label={only ? title : props.label}
      aria-pressed={pressed}
      aria-busy={busy}
      disabled={disabled || busy}
      onClick={props.onClick}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** An age that grows by itself; the exact time as its tooltip. */
export function Ago({ time }: { time?: string }) {
  return (
    <time dateTime={time} title={clock(time)}>
      {ago(time, now.value)}
    </time>
  );
}

export function Copy({ text, what }: { text: string; what: string }) {
  const [done, setDone] = useState(false);
  const timer = useRef<number | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    await copyText(text);
    setDone(true);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setDone(false), 1200);
  };
  return (
    <Button
      kind="quiet"
      icon={done ? "check" : "copy"}
      title={done ? "Copied" : `Copy ${what}`}
      onClick={() => void copy()}
    />
  );
}

async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Pages on plain http have no clipboard interface.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** What a list shows instead of nothing: what it would show, and what to do next. */
interface EmptyProps {
  icon: IconName;
  title: string;
  /** It is the page's only heading. */
  page?: boolean;
  children?: ComponentChildren;
}

export function Empty(props: EmptyProps) {
  const Title = props.page ? "h1" : "h3";
  return (
    <div class="empty">
      <Icon name={props.icon} size={28} />
      <Title>{props.title}</Title>
      <div>{props.children}</div>
    </div>
  );
}

export function Failure({ message, children }: { message: string; children?: ComponentChildren }) {
  return (
    <div class="failure" role="alert">
      <Icon name="warning" />
      <span>{message}</span>
      {children}
    </div>
  );
}

interface BarProps {
  share: number;
  text: string;
  label: string;
  /** Being full is nothing to worry about. */
  calm?: boolean;
}

/** A share from 0 to 1 as a bar with its text beside it. */
export function Bar({ share, text, label, calm }: BarProps) {
  const part = Math.min(1, Math.max(0, share || 0));
  const tone = calm ? "" : part > 0.9 ? "high" : part > 0.75 ? "warm" : "";
  return (
    <div class="bar">
      <div
        class={`track ${tone}`}
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(part * 100)}
        aria-valuetext={text}
      >
        <div style={{ transform: `scaleX(${part})` }} />
      </div>
      <span class="number">{text}</span>
    </div>
  );
}

/** A number in a cell; zero steps back. */
export function Count({ value, tone }: { value?: string | number; tone?: string }) {
  const text = count(value);
  return <span class={text === "0" ? "number zero" : `number ${tone ?? ""}`}>{text}</span>;
}

export function Labels({ labels }: { labels?: Record<string, string> }) {
  const entries = Object.entries(labels ?? {});
  if (!entries.length) return null;
  return (
    <span class="labels">
      {entries.map(([key, value]) => (
        <span class="label" key={key} title={`${key}=${value}`}>
          {key}
          <b>{value}</b>
        </span>
      ))}
    </span>
  );
}

/** A pane with a heading. */
export function Panel(props: {
  title: ComponentChildren;
  aside?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}) {
  return (
    <section class={`panel ${props.class ?? ""}`}>
      <header>
        <h2>{props.title}</h2>
        {props.aside}
      </header>
      {props.children}
    </section>
  );
}

export function Loading({ rows = 3 }: { rows?: number }) {
  return (
    <div class="loading" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, at) => (
        <div key={at} />
      ))}
    </div>
  );
}
