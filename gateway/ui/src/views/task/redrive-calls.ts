// The calls with which a task runs again with another spec, also in another queue.

import { cancelTask, retryTask, updateTask } from "@ui/api/actions";
import type { Task, TaskSpec } from "@ui/api/types";

/** So long a task that is about to be moved does not start: its move takes one call. */
const HELD_MS = 3_600_000;

/**
 * A task that runs again with another spec. To another queue it goes in two steps: it is retried so that it does not
 * start yet, then moved.
 */
export class Redrive {
  /** Retried, and not moved: until then it does not start. Empty: it is not held. */
  heldUntil = "";

  constructor(private readonly task: Pick<Task, "id" | "queue">) {}

  /** May be called again after it failed, also with something else. Throws as the calls do. */
  async run(spec: TaskSpec, queue: string, now = Date.now()): Promise<void> {
    const { id } = this.task;
    if (this.heldUntil) await cancelTask(id);
    this.heldUntil = "";
    if (queue === this.task.queue) {
      await retryTask(id, spec);
      return;
    }
    const until = new Date(now + HELD_MS).toISOString();
    await retryTask(id, { ...spec, notBefore: until });
    this.heldUntil = until;
    const { notBefore } = spec;
    await updateTask(id, notBefore ? { notBefore } : {}, ["spec.notBefore"], queue);
    this.heldUntil = "";
  }
}
