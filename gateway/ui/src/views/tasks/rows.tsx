// The rows in sight of a list that may have a million. Arrow keys move, Enter opens, x selects.

import type { Signal } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { now } from "@ui/api/store";
import type { Task } from "@ui/api/types";
import { clock, count, isSnoozed, shortId, span } from "@ui/lib/format";
import { go, href } from "@ui/lib/router";
import { reveal, slice } from "@ui/lib/virtual";
import { Ago, Button, TaskBadge } from "@ui/parts/basics";
import { expiresIn, lastAttempt, progressText, ranFor, snoozeText, taskName } from "@ui/views/task/names";
import type { Pager } from "@ui/views/tasks/pager";

const ROW = 36;
const CARD = 64;
// Rows asked for beyond those in sight.
const AHEAD = 120;
const NARROW = "(max-width: 760px)";

interface RowsProps {
  pager: Pager;
  selected: ReadonlySet<string>;
  onSelect: (ids: ReadonlySet<string>) => void;
  atTop: { current: boolean };
  onRestart: () => void;
}

export function Rows({ pager, selected, onSelect, atTop, onRestart }: RowsProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ scrollTop: 0, height: 600 });
  const [active, setActive] = useState("");
  const rowHeight = useNarrow() ? CARD : ROW;
  // One placeholder behind the last row says that there is more.
  const rows = pager.length + (pager.done ? 0 : 1);
  const shown = slice({ rows, rowHeight, ...view });

  useLayoutEffect(() => {
    const element = scroller.current!;
    const measure = () => {
      atTop.current = element.scrollTop < ROW;
      setView({ scrollTop: element.scrollTop, height: element.clientHeight });
    };
    const resized = new ResizeObserver(measure);
    resized.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      resized.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  useEffect(() => {
    scroller.current!.scrollTop = 0;
    setActive("");
  }, [pager]);
  useEffect(() => {
    if (!pager.failure) void pager.want(shown.start, shown.end + AHEAD);
  }, [pager, shown.start, shown.end, pager.length, pager.loading]);

  const move = (by: number) => {
    const known = pager.rowOf(active, shown.start, shown.end);
    const next = Math.max(0, Math.min(pager.length - 1, known < 0 ? shown.top : known + by));
    setActive(pager.at(next)?.id ?? "");
    scroller.current!.scrollTop = reveal({ rows, rowHeight, ...view }, next);
  };
  const toggle = (id: string) => {
    const next = new Set(selected);
    if (!next.delete(id)) next.add(id);
    onSelect(next);
  };
  const onKey = (event: TargetedKeyboardEvent<HTMLElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps: Record<string, number> = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 };
    const step = steps[event.key];
    if (step) move(step);
    else if (event.key === "Enter" && active && event.target === event.currentTarget) {
      go(href("tasks", active));
    } else if ((event.key === "x" || event.key === " ") && active) toggle(active);
    else if (event.key === "Escape") onSelect(new Set());
    else return;
    event.preventDefault();
  };
  // Also without the focus in the list: it is what the view is about.
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if (!["j", "k", "ArrowDown", "ArrowUp"].includes(event.key)) return;
      if (document.activeElement !== document.body) return;
      scroller.current?.focus();
      move(0);
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  });

  const known = pager.known();
  const all = known.length > 0 && known.every((id) => selected.has(id));
  const drawn = [];
  for (let row = shown.start; row < shown.end; row += 1) {
    const task = row < pager.length ? pager.at(row) : undefined;
    drawn.push(
      task ? (
        <Row
          key={task.id}
          task={task}
          row={row}
          active={task.id === active}
          selected={selected.has(task.id)}
          onToggle={toggle}
        />
      ) : (
        <div key={`row ${row}`} class="task-row blank" aria-hidden="true">
          {row >= pager.length && pager.length > 0 && "Reading on…"}
        </div>
      ),
    );
  }
  return (
    <div class="task-list" role="grid" aria-label="Tasks" aria-rowcount={pager.done ? rows + 1 : -1}>
      <div class="task-head" role="rowgroup">
        <div class="task-row head" role="row" aria-rowindex={1}>
          <span role="columnheader">
            <input
              type="checkbox"
              aria-label={`Select ${count(known.length)} tasks`}
              checked={all}
              onChange={() => onSelect(new Set(all ? [] : known))}
            />
          </span>
          {COLUMNS.map((name) => (
            <span role="columnheader" key={name} class={`c-${name.toLowerCase()}`}>
              {name}
            </span>
          ))}
        </div>
      </div>
      {pager.waiting > 0 && (
        <div class="waiting">
          <Button kind="primary" onClick={onRestart}>
            {count(pager.waiting)} new · show
          </Button>
        </div>
      )}
      <div
        ref={scroller}
        class="task-scroll"
        tabIndex={0}
        role="rowgroup"
        aria-label="Rows"
        aria-busy={pager.loading}
        onKeyDown={onKey}
      >
        <div class="task-content" style={{ height: `${shown.total}px` }}>
          <div style={{ transform: `translateY(${shown.offset}px)` }}>{drawn}</div>
        </div>
      </div>
    </div>
  );
}

const COLUMNS = ["State", "Name", "Queue", "Id", "Node", "Attempt", "Created", "Ran"];

interface RowProps {
  task: Task;
  row: number;
  active: boolean;
  selected: boolean;
  onToggle: (id: string) => void;
}

function Row({ task, row, active, selected, onToggle }: RowProps) {
  const attempt = lastAttempt(task);
  return (
    <div
      class={active ? "task-row active" : "task-row"}
      role="row"
      aria-rowindex={row + 2}
      aria-selected={selected}
      data-id={task.id}
    >
      <span role="gridcell">
        <input
          type="checkbox"
          tabIndex={-1}
          aria-label={`Select ${taskName(task)}`}
          checked={selected}
          onChange={() => onToggle(task.id)}
        />
      </span>
      <span role="gridcell" class="c-state">
        <TaskBadge task={task} />
      </span>
      <span role="gridcell" class="c-name">
        <a href={href("tasks", task.id)} tabIndex={-1}>
          {taskName(task)}
        </a>
        {task.error && task.state === "TASK_STATE_FAILED" && (
          <small title={task.error.message}>
            {task.error.type}: {task.error.message}
          </small>
        )}
        {isSnoozed(task) && (
          <small title={snoozeText(task)}>
            until {clock(task.scheduleTime)}; {snoozeText(task)}
          </small>
        )}
        <Expires task={task} />
        {task.progress && task.state === "TASK_STATE_RUNNING" && (
          <small class="progress" title={progressText(task)}>
            {progressText(task)}
          </small>
        )}
      </span>
      <span role="gridcell" class="c-queue">
        {task.queue}
      </span>
      <span role="gridcell" class="c-id mono" title={task.id}>
        {shortId(task.id)}
      </span>
      <span role="gridcell" class="c-node">
        {attempt?.node ?? ""}
      </span>
      <span role="gridcell" class="c-attempt number">
        {task.attempt ? attemptText(task) : ""}
      </span>
      <span role="gridcell" class="c-created">
        <Ago time={task.createTime} />
      </span>
      <span role="gridcell" class="c-ran number">
        <Ran task={task} clock={now} />
      </span>
    </div>
  );
}

/** Short: numbers go on after a manual retry, and are of no maximum then (`attemptOf` says more). */
function attemptText(task: Task): string {
  const most = task.spec?.retry?.maxAttempts ?? 1;
  const attempt = task.attempt ?? 0;
  return most > 1 && attempt <= most ? `${attempt} of ${most}` : String(attempt);
}

function Expires({ task }: { task: Task }) {
  const left = task.expireTime ? expiresIn(task, now.value) : Number.NaN;
  return Number.isNaN(left) ? null : <small class="error-line">expires in {span(Math.floor(left / 1000) * 1000)}</small>;
}

function Ran({ task, clock }: { task: Task; clock: Signal<number> }) {
  const running = task.state === "TASK_STATE_RUNNING";
  const ms = ranFor(task, running ? clock.value : 0);
  return <>{Number.isNaN(ms) ? "" : span(running ? Math.floor(ms / 1000) * 1000 : ms)}</>;
}

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const list = matchMedia(NARROW);
    const read = () => setNarrow(list.matches);
    list.addEventListener("change", read);
    return () => list.removeEventListener("change", read);
  }, []);
  return narrow;
}
