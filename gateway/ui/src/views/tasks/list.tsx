// The list of tasks: filters above, rows below, actions for those that are selected.

import { useEffect, useRef, useState } from "preact/hooks";
import { useMay } from "@ui/api/caller";
import { useQueues } from "@ui/api/store";
import type { Queue, TaskState } from "@ui/api/types";
import { count, num, plain } from "@ui/lib/format";
import { go, href, replace, route } from "@ui/lib/router";
import { Button, Empty, Failure } from "@ui/parts/basics";
import { Icon } from "@ui/parts/icons";
import { BulkBar } from "@ui/views/tasks/bulk-bar";
import { filterHref, readFilter, SHOWN_STATES, type Filter } from "@ui/views/tasks/filter";
import { Rows } from "@ui/views/tasks/rows";
import { SubmitDialog } from "@ui/views/tasks/submit";
import { usePager } from "@ui/views/tasks/use-pager";

const TYPING_MS = 50;
const NONE: ReadonlySet<string> = new Set();

export function TaskList({ query }: { query: URLSearchParams }) {
  const filter = readFilter(query);
  const [version, setVersion] = useState(0);
  const [selected, setSelected] = useState(NONE);
  const [submitting, setSubmitting] = useState(query.has("submit"));
  const atTop = useRef(true);
  const pager = usePager(filter, version, atTop);
  const queues = useQueues().value;
  const may = useMay();
  useEffect(() => setSelected(NONE), [pager]);
  const total = knownTotal(queues, filter);
  // The filter as it is when this is called: a typed text comes late.
  const change = (next: Partial<Filter>) =>
    replace(filterHref({ ...readFilter(route.peek().query), ...next }));
  const restart = () => {
    atTop.current = true;
    setVersion(version + 1);
  };
  const submit = may("tasks.submit") && (
    <Button kind="primary" icon="plus" onClick={() => setSubmitting(true)}>
      Submit task
    </Button>
  );
  const filtered = Boolean(filter.queue || filter.states.length || filter.text);
  return (
    <div class="view tall">
      <div class="title">
        <h1>Tasks</h1>
        <span class="muted" data-testid="total">
          {filter.text
            ? found(pager.length, pager.done, total)
            : total !== undefined && `${count(total)} on record`}
        </span>
        <span class="push" data-create>
          {submit}
        </span>
      </div>
      <div class="filters">
        <SearchBox text={filter.text} onChange={(text) => change({ text })} />
        <QueueSelect
          queues={queues}
          value={filter.queue}
          onChange={(queue) => change({ queue })}
        />
        <StateChips chosen={filter.states} onChange={(states) => change({ states })} />
      </div>
      <BulkBar
        selected={selected}
        filter={filter}
        may={may}
        taskOf={(id) => pager.find(id)}
        onClear={() => setSelected(NONE)}
      />
      {pager.failure && (
        <Failure message={pager.failure}>
          <Button onClick={restart}>Try again</Button>
        </Failure>
      )}
      {pager.done && pager.length === 0 ? (
        filtered ? (
          <Empty icon="search" title="No task matches">
            {filter.text && <p>Names, labels, ids and errors have none with all of these words.</p>}
            <Button onClick={() => change({ queue: "", states: [], text: "" })}>
              Clear the filter
            </Button>
          </Empty>
        ) : (
          <Empty icon="tasks" title="No tasks yet">
            <p>
              Submit one here, or from a terminal: <code>quorate submit -- echo hello</code>
            </p>
            {submit}
          </Empty>
        )
      ) : (
        <Rows
          pager={pager}
          selected={selected}
          onSelect={setSelected}
          atTop={atTop}
          onRestart={restart}
        />
      )}
      {submitting && (
        <SubmitDialog
          queues={[...(queues?.keys() ?? ["default"])]}
          queue={filter.queue}
          onClose={() => {
            setSubmitting(false);
            if (query.has("submit")) replace(filterHref(filter));
          }}
          onSubmitted={(id) => {
            if (filter.text) go(href("tasks", id));
          }}
        />
      )}
    </div>
  );
}

/** `12 found in 100,000`; `100+` while there may be more. */
function found(rows: number, all: boolean, total: number | undefined): string {
  const what = `${count(rows)}${all ? "" : "+"} found`;
  return total === undefined ? what : `${what} in ${count(total)}`;
}

/** Tasks that the filter lets through, as far as the queues' counters say. */
function knownTotal(
  queues: ReadonlyMap<string, Queue> | undefined,
  { queue, states }: Filter,
): number | undefined {
  if (!queues) return undefined;
  const names = (states.length ? states : SHOWN_STATES).map((state) => plain(state, "TASK_STATE_"));
  let total = 0;
  for (const one of queues.values()) {
    if (queue && one.name !== queue) continue;
    const counts = (one.counts ?? {}) as Record<string, string>;
    for (const name of names) total += num(counts[name]);
  }
  return total;
}

function SearchBox({ text, onChange }: { text: string; onChange: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  const timer = useRef<number | undefined>(undefined);
  useEffect(() => setTyped(text), [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <div class="search">
      <Icon name="search" />
      <input
        type="search"
        data-search
        aria-label="Search tasks"
        placeholder="Name, label, id or error"
        value={typed}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          const value = event.currentTarget.value;
          setTyped(value);
          clearTimeout(timer.current);
          timer.current = window.setTimeout(() => onChange(value.trim()), TYPING_MS);
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  );
}

function QueueSelect(props: {
  queues: ReadonlyMap<string, Queue> | undefined;
  value: string;
  onChange: (queue: string) => void;
}) {
  const names = [...(props.queues?.keys() ?? [])].sort();
  if (props.value && !names.includes(props.value)) names.push(props.value);
  return (
    <select
      aria-label="Queue"
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value)}
    >
      <option value="">All queues</option>
      {names.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

function StateChips(props: { chosen: TaskState[]; onChange: (states: TaskState[]) => void }) {
  const { chosen, onChange } = props;
  return (
    <div class="chips" role="group" aria-label="States">
      {SHOWN_STATES.map((state) => {
        const on = chosen.includes(state);
        const name = plain(state, "TASK_STATE_");
        return (
          <button
            key={state}
            type="button"
            class={`chip tone-${name}`}
            aria-pressed={on}
            onClick={() =>
              onChange(on ? chosen.filter((one) => one !== state) : [...chosen, state])
            }
          >
            <i class="dot" />
            {name}
          </button>
        );
      })}
    </div>
  );
}
