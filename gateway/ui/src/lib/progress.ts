// What running tasks say of themselves. Pure.

import type { Task } from "@ui/api/types";

/** Versions of a task come without progress: as long as its attempt runs, what it said last holds. */
export function withProgress<T extends Partial<Task>>(now: T, before: Partial<Task> | undefined): T {
  const goes = now.state === "TASK_STATE_RUNNING" && now.attempt === before?.attempt;
  return goes && before?.progress && !now.progress ? { ...now, progress: before.progress } : now;
}
