// Cancelling many tasks by few calls: 10,000 ids, or a page of what the filter finds. No DOM.

import { cancelTasks, type CancelRequest } from "@ui/api/actions";
import { TASK_STATES } from "@ui/api/types";
import type { Progress } from "@ui/views/tasks/bulk";
import type { Filter } from "@ui/views/tasks/filter";

/** Ids of one call: a limit of the cluster. */
const MOST_IDS = 10_000;
/** Pages that are counted before the question is asked. */
const COUNTED_PAGES = 10;
const FINISHED = ["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"].map((name) => `TASK_STATE_${name}`);

/** The calls for some ids. */
export function ofIds(ids: readonly string[]): CancelRequest[] {
  const parts: CancelRequest[] = [];
  for (let start = 0; start < ids.length; start += MOST_IDS) {
    parts.push({ ids: ids.slice(start, start + MOST_IDS) });
  }
  return parts;
}

/** The call for a filter; none when it lets only finished tasks through. */
export function ofFilter({ queue, states, text }: Filter): CancelRequest[] {
  const unfinished = (states.length ? states : TASK_STATES).filter((state) => !FINISHED.includes(state));
  return unfinished.length ? [{ queue, states: unfinished, text }] : [];
}

export interface Count {
  waiting: number;
  running: number;
  /** There are more: counting ended. */
  more: boolean;
}

/** How many tasks would be cancelled. */
export async function countMany(requests: readonly CancelRequest[]): Promise<Count> {
  const count: Count = { waiting: 0, running: 0, more: false };
  for (const request of requests) {
    let pageToken = "";
    for (let page = 0; page < COUNTED_PAGES; page += 1) {
      const answer = await cancelTasks({ ...request, pageToken, validateOnly: true });
      count.waiting += answer.cancelled ?? 0;
      count.running += answer.stopping ?? 0;
      pageToken = answer.nextPageToken ?? "";
      if (!pageToken) break;
    }
    count.more ||= pageToken !== "";
  }
  return count;
}

/** Cancel them, page by page, until done or stopped. */
export async function cancelMany(
  requests: readonly CancelRequest[],
  onProgress: (progress: Progress) => void,
  stop: AbortSignal,
): Promise<Progress> {
  const progress: Progress = { done: 0, skipped: 0, failed: 0, message: "" };
  for (const request of requests) {
    let pageToken = "";
    do {
      if (stop.aborted) return progress;
      const answer = await cancelTasks({ ...request, pageToken });
      progress.done += (answer.cancelled ?? 0) + (answer.stopping ?? 0);
      progress.skipped += (answer.finished ?? 0) + (answer.notFound ?? 0);
      onProgress({ ...progress });
      pageToken = answer.nextPageToken ?? "";
    } while (pageToken);
  }
  return progress;
}
