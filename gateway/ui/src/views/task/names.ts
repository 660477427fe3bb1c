// Short texts about a task. Pure.

import type { Attempt, Task, TaskSpec } from "@ui/api/types";
import { instant, shortId } from "@ui/lib/format";

/** Its name, or what it runs, or its id. */
export function taskName(task: Task): string {
  const { spec } = task;
  return spec?.name || workName(spec) || shortId(task.id);
}

function workName(spec: TaskSpec | undefined): string {
  const program = spec?.command?.argv?.[0]?.split("/").at(-1);
  return program || spec?.python?.entrypoint || spec?.service?.service || "";
}

const FINAL = new Set([
  "TASK_STATE_SUCCEEDED",
  "TASK_STATE_FAILED",
  "TASK_STATE_CANCELLED",
  "TASK_STATE_EXPIRED",
]);
const RETRYABLE = new Set(["TASK_STATE_FAILED", "TASK_STATE_CANCELLED"]);

export const isFinal = (task: Task): boolean => FINAL.has(task.state);
export const canRetry = (task: Task): boolean => RETRYABLE.has(task.state);
export const canCancel = (task: Task): boolean => !isFinal(task) && !task.cancelRequested;

export const lastAttempt = (task: Task): Attempt | undefined => task.attempts?.at(-1);

/** Milliseconds that the last attempt ran, until now if it does; NaN when it never started. */
export function ranFor(task: Task, now: number): number {
  const attempt = lastAttempt(task);
  const start = instant(attempt?.startTime);
  if (Number.isNaN(start)) return Number.NaN;
  const end = instant(attempt?.finishTime ?? task.finishTime);
  if (!Number.isNaN(end)) return end - start;
  return task.state === "TASK_STATE_RUNNING" ? Math.max(0, now - start) : Number.NaN;
}
