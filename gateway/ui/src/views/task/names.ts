// Short texts about a task. Pure.

import type { Attempt, HookResult, Task, TaskSpec } from "@ui/api/types";
import { durationMs, instant, isSnoozed, plural, shortId, span } from "@ui/lib/format";

/** Its name, or what it runs, or its id. */
export function taskName(task: Task): string {
  const { spec } = task;
  return spec?.name || workName(spec) || shortId(task.id);
}

/** What a task runs, in a word. */
export function workName(spec: TaskSpec | undefined): string {
  const program = spec?.command?.argv?.[0]?.split("/").at(-1);
  return program || spec?.python?.entrypoint || spec?.service?.service || "";
}

const FINAL = new Set([
  "TASK_STATE_SUCCEEDED",
  "TASK_STATE_FAILED",
  "TASK_STATE_CANCELLED",
  "TASK_STATE_EXPIRED",
]);
const RETRYABLE = new Set(["TASK_STATE_FAILED", "TASK_STATE_CANCELLED", "TASK_STATE_EXPIRED"]);

export const isFinal = (task: Task): boolean => FINAL.has(task.state);
/** A task of a graph that was skipped is decided anew with its job. */
export const canRetry = (task: Task): boolean =>
  RETRYABLE.has(task.state) && task.error?.type !== "SKIPPED";
/** The tasks of a job are deleted with it. */
export const canDelete = (task: Task): boolean => isFinal(task) && !task.jobId;
export const canCancel = (task: Task): boolean => !isFinal(task) && !task.cancelRequested;

export const lastAttempt = (task: Task): Attempt | undefined => task.attempts?.at(-1);

/**
 * "2 of 3". Numbers go on after a manual retry, whose tries are counted anew; what a node took with
 * it or returned is no try either: "4 (try 1 of 3)". A replica is tried for ever: "4".
 */
export function attemptOf(task: Task): string {
  const { attempt = 0, failures = 0, spec } = task;
  if (spec?.service) return String(attempt);
  const most = spec?.retry?.maxAttempts || 1;
  const last = lastAttempt(task);
  const tries = Math.min(most, failures + (last && !last.error ? 1 : 0));
  return tries === attempt ? `${attempt} of ${most}` : `${attempt} (try ${tries} of ${most})`;
}

/** "3 times; not packed yet": how often a task put itself off, and why it waits now; empty: never. */
export function snoozeText(task: Task): string {
  const { snoozes = 0 } = task;
  if (!snoozes) return "";
  const times = plural(snoozes, "time");
  const why = isSnoozed(task) ? lastAttempt(task)?.error?.message : "";
  return why ? `${times}; ${why}` : times;
}

// Of a list: a deadline that is farther away is not said.
const SOON_MS = 300_000;

/** Milliseconds until a task expires unless it starts; NaN: it has no deadline, or a far one. */
export function expiresIn({ expireTime }: Task, now: number): number {
  const left = instant(expireTime) - now;
  return left < SOON_MS ? Math.max(0, left) : Number.NaN;
}

/** "set-up ok in 20 ms, clean-up failed: exited with code 9"; empty when none ran. */
export function hooksText({ hooks }: Attempt): string {
  const said = (name: string, end: HookResult | undefined) => {
    if (!end) return "";
    return `${name} ${end.error ? `failed: ${end.error}` : `ok in ${span(durationMs(end.duration))}`}`;
  };
  return [said("set-up", hooks?.setup), said("clean-up", hooks?.cleanup)].filter(Boolean).join(", ");
}

/** "40 % epoch 4 of 10"; empty when the task says nothing. */
export function progressText({ progress }: Task): string {
  const { fraction, text = "" } = progress ?? {};
  const share = fraction === undefined ? "" : `${Math.round(fraction * 100)} %`;
  return [share, text].filter(Boolean).join(" ");
}

/** Milliseconds that the last attempt ran, until now if it does; NaN when it never started. */
export function ranFor(task: Task, now: number): number {
  const attempt = lastAttempt(task);
  const start = instant(attempt?.startTime);
  if (Number.isNaN(start)) return Number.NaN;
  const end = instant(attempt?.finishTime ?? task.finishTime);
  if (!Number.isNaN(end)) return end - start;
  return task.state === "TASK_STATE_RUNNING" ? Math.max(0, now - start) : Number.NaN;
}
