// A task's times as stretches on one axis. Pure.

import type { Attempt, Task } from "@ui/api/types";
import { instant, plain, span } from "@ui/lib/format";

export interface Stretch {
  from: number;
  to: number;
  /** A state's name: its colour. */
  tone: string;
  text: string;
}

export interface Line {
  /** Of the attempt; 0 for the time before the first one. */
  number: number;
  where: string;
  stretches: Stretch[];
  /** Milliseconds that it ran; undefined when it never started. */
  length: number | undefined;
  error: string;
}

export interface Spans {
  /** Milliseconds since 1970. */
  from: number;
  to: number;
  rows: Line[];
}

/** `now`: NaN for a finished task. */
export function spans(task: Task, now: number): Spans {
  const attempts = task.attempts ?? [];
  const from = instant(task.createTime);
  const ends = [instant(task.finishTime), now]
    .concat(attempts.flatMap((one) => [instant(one.finishTime), instant(one.startTime)]))
    .filter((at) => !Number.isNaN(at));
  const to = Math.max(from + 1, ...ends);
  const first = attempts[0];
  const assigned = first?.number === 1 ? instant(first.assignTime ?? first.startTime) : to;
  const scheduled = instant(task.spec?.notBefore);
  const rows: Line[] = [
    { number: 0, where: "", length: undefined, error: "", stretches: waiting(from, assigned, scheduled) },
  ];
  attempts.forEach((attempt, at) => {
    const given = instant(attempt.assignTime);
    const start = instant(attempt.startTime);
    const last = at === attempts.length - 1;
    const finish = instant(attempt.finishTime ?? (last ? task.finishTime : undefined));
    const end = Number.isNaN(finish) ? to : finish;
    const stretches: Stretch[] = [];
    const begun = Number.isNaN(start) ? end : start;
    if (!Number.isNaN(given)) {
      stretches.push(stretch(given, begun, "assigned", "assigned, not started"));
    }
    if (!Number.isNaN(start)) stretches.push(stretch(start, end, toneOf(task, attempt, last), "ran"));
    rows.push({
      number: attempt.number ?? at + 1,
      where: attempt.node ?? "",
      stretches,
      length: Number.isNaN(start) ? undefined : end - start,
      error: [attempt.error && `${attempt.error.type}: ${attempt.error.message}`, cleanUpOf(attempt)]
        .filter(Boolean)
        .join("; "),
    });
  });
  return { from, to, rows };
}

/** A set-up that failed is the error of its attempt; of a clean-up nothing else is said. */
const cleanUpOf = ({ hooks }: Attempt): string =>
  hooks?.cleanup?.error ? `clean-up failed: ${hooks.cleanup.error}` : "";

function toneOf(task: Task, attempt: Attempt, last: boolean) {
  if (attempt.error) return attempt.error.type === "SNOOZED" ? "scheduled" : "failed";
  return last ? plain(task.state, "TASK_STATE_") : "failed";
}

function waiting(from: number, to: number, scheduled: number): Stretch[] {
  const held = Number.isNaN(scheduled) ? from : Math.min(Math.max(from, scheduled), to);
  const found: Stretch[] = [];
  if (held > from) found.push(stretch(from, held, "scheduled", "scheduled"));
  found.push(stretch(held, to, "pending", "pending"));
  return found;
}

const stretch = (from: number, to: number, tone: string, what: string): Stretch => ({
  from,
  to: Math.max(from, to),
  tone,
  text: `${what} ${span(Math.max(0, to - from))}`,
});
