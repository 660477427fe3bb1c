// One action on all tasks that a filter finds, however many: one request, and how far it is. No DOM.

import { changeAll, type WholeRequest, type WholeTotals, type WholeVerb } from "@ui/api/actions";
import { TASK_STATES, type TaskState } from "@ui/api/types";
import type { Progress } from "@ui/views/tasks/bulk";
import type { Filter } from "@ui/views/tasks/filter";

const DEAD: readonly TaskState[] = ["TASK_STATE_FAILED", "TASK_STATE_CANCELLED", "TASK_STATE_EXPIRED"];
const FINISHED: readonly TaskState[] = ["TASK_STATE_SUCCEEDED", ...DEAD];

const APPLIES: Record<WholeVerb, (state: TaskState) => boolean> = {
  cancel: (state) => !FINISHED.includes(state),
  retry: (state) => DEAD.includes(state),
  delete: (state) => FINISHED.includes(state),
};

/** What to ask for; undefined when the filter finds nothing that the action applies to. */
export function requestOf(verb: WholeVerb, { queue, states, text }: Filter): WholeRequest | undefined {
  const meant = (states.length ? states : TASK_STATES).filter(APPLIES[verb]);
  return meant.length ? { queue, states: meant, text } : undefined;
}

/** How many of them wait or are finished, and how many run. */
export interface Count {
  tasks: number;
  running: number;
}

/** How many tasks are meant, without doing anything. */
export async function countAll(
  verb: WholeVerb,
  request: WholeRequest | undefined,
  stop = new AbortController().signal,
): Promise<Count> {
  let last: WholeTotals = {};
  if (request) for await (last of changeAll(verb, { ...request, validateOnly: true }, stop));
  return { tasks: done(last), running: Number(last.stopping ?? 0) };
}

/** Do it, until it is done or stopped. */
export async function actOnAll(
  verb: WholeVerb,
  request: WholeRequest | undefined,
  onProgress: (progress: Progress) => void,
  stop: AbortSignal,
): Promise<Progress> {
  let progress: Progress = { done: 0, skipped: 0, failed: 0, message: "" };
  if (!request) return progress;
  for await (const totals of changeAll(verb, request, stop)) {
    const refused = Number(totals.overQuota ?? 0);
    progress = {
      done: done(totals),
      skipped: Number(totals.skipped ?? 0),
      failed: refused,
      message: refused ? "a quota or the limit of unfinished tasks is reached" : "",
    };
    onProgress(progress);
  }
  return progress;
}

const done = ({ cancelled, stopping, retried, deleted }: WholeTotals): number =>
  [cancelled, stopping, retried, deleted].reduce<number>((sum, one) => sum + Number(one ?? 0), 0);
