// Changing many tasks that wait by few calls: 10,000 ids, or a page of what the filter finds. No DOM.

import { updateTasks, type UpdateRequest } from "@ui/api/actions";
import type { TaskSpec } from "@ui/api/types";
import { count, plural } from "@ui/lib/format";
import { limitChange } from "@ui/lib/limit-change";
import { placingChange, placingForm } from "@ui/lib/placing";
import { duration, pairs, Unreadable } from "@ui/lib/words";
import { readPlacing } from "@ui/views/task/placing-fields";
import type { Progress } from "@ui/views/tasks/bulk";
import { ofIds } from "@ui/views/tasks/cancel-many";
import type { Filter } from "@ui/views/tasks/filter";

/** States of tasks that can be changed. */
const WAITING = ["PENDING", "SCHEDULED", "PAUSED"].map((name) => `TASK_STATE_${name}`);

/** What becomes of each task. `mask`: paths below the task, taken over, and cleared where they are unset. */
export interface Change {
  task: { spec?: TaskSpec; queue?: string };
  updateMask: string;
}

/** The form as a change; empty fields leave tasks as they are. Throws Unreadable with a sentence. */
export function changeOf(read: (name: string) => string, now = Date.now()): Change {
  const spec: TaskSpec = {};
  const paths: string[] = [];
  const priority = read("priority").trim();
  if (priority) {
    spec.priority = Number(priority);
    paths.push("spec.priority");
  }
  const labels = pairs(read("labels"), "Labels");
  if (Object.keys(labels).length || read("clear")) {
    spec.labels = labels;
    paths.push("spec.labels");
  }
  const delay = duration(read("delay"), "Start in");
  if (delay) spec.notBefore = new Date(now + Number.parseFloat(delay) * 1000).toISOString();
  if (delay || read("now")) paths.push("spec.notBefore");
  const timeout = duration(read("timeout"), "Timeout");
  if (timeout) {
    spec.timeout = timeout;
    paths.push("spec.timeout");
  }
  const deadline = duration(read("startDeadline"), "Must start within");
  if (deadline) {
    spec.startDeadline = deadline;
    paths.push("spec.startDeadline");
  }
  const placing = placingChange(placingForm(), readPlacing(read));
  if (read("anyNode")) {
    if (placing.paths.length) throw new Unreadable("Placement: give rules, or remove all of them.");
    paths.push("spec.placement");
  } else if (placing.paths.length) {
    spec.placement = placing.rules;
    paths.push(...placing.paths.map((path) => `spec.${path}`));
  }
  const limited = limitChange({}, read);
  Object.assign(spec, limited.spec);
  paths.push(...limited.paths);
  const queue = read("queue");
  if (queue) paths.push("queue");
  if (!paths.length) throw new Unreadable("Nothing is to be changed: fill in a field.");
  return { task: { spec, ...(queue ? { queue } : {}) }, updateMask: paths.join(",") };
}

/** The calls for some ids, or for a filter: none where it lets no waiting task through. */
export function requestsOf(ids: readonly string[] | undefined, { queue, states, text }: Filter): UpdateRequest[] {
  if (ids) return ofIds(ids);
  const waiting = states.length ? WAITING.filter((one) => (states as string[]).includes(one)) : WAITING;
  return waiting.length ? [{ queue, states: waiting, text }] : [];
}

export interface Counts {
  updated: number;
  /** Assigned, running or finished. */
  notWaiting: number;
  /** Of no such state, a replica, or what the change is not for; or gone. */
  others: number;
  /** The other queue does not accept them. */
  refused: number;
}

/** Change them, or count what would be changed, page by page, until done or stopped. */
export async function updateMany(
  requests: readonly UpdateRequest[],
  change: Change,
  validateOnly: boolean,
  onProgress: (progress: Progress) => void,
  stop: AbortSignal,
): Promise<Counts> {
  const sum: Counts = { updated: 0, notWaiting: 0, others: 0, refused: 0 };
  for (const request of requests) {
    let pageToken = "";
    do {
      if (stop.aborted) return sum;
      const answer = await updateTasks({ ...request, ...change, validateOnly, pageToken });
      sum.updated += answer.updated ?? 0;
      sum.notWaiting += answer.notWaiting ?? 0;
      sum.others += (answer.skipped ?? 0) + (answer.notFound ?? 0);
      sum.refused += answer.refused ?? 0;
      const skipped = sum.notWaiting + sum.others;
      onProgress({ done: sum.updated, skipped, failed: sum.refused, message: "" });
      pageToken = answer.nextPageToken ?? "";
    } while (pageToken);
  }
  return sum;
}

/** "3 tasks will be changed. 1 does not wait and stays as it is." */
export function preview({ updated, notWaiting, others, refused }: Counts): string {
  const parts = [`${plural(updated, "task")} will be changed.`];
  const stay = (number: number, why: string) => {
    if (number) parts.push(`${count(number)} ${why}`);
  };
  stay(notWaiting, notWaiting === 1 ? "does not wait: it stays as it is." : "do not wait: they stay as they are.");
  stay(others, "cannot be changed in this way.");
  stay(refused, "would be refused by the other queue.");
  return parts.join(" ");
}
