// Cancelling many tasks that were chosen one by one: by few calls of 10,000 ids. No DOM.

import { cancelTasks, type CancelRequest } from "@ui/api/actions";
import type { Progress } from "@ui/views/tasks/bulk";

/** Ids of one call: a limit of the cluster. */
const MOST_IDS = 10_000;

/** The calls for some ids. */
export function ofIds(ids: readonly string[]): CancelRequest[] {
  const parts: CancelRequest[] = [];
  for (let start = 0; start < ids.length; start += MOST_IDS) {
    parts.push({ ids: ids.slice(start, start + MOST_IDS) });
  }
  return parts;
}

/** Cancel them, call by call, until done or stopped. */
export async function cancelMany(
  requests: readonly CancelRequest[],
  onProgress: (progress: Progress) => void,
  stop: AbortSignal,
): Promise<Progress> {
  const progress: Progress = { done: 0, skipped: 0, failed: 0, message: "" };
  for (const request of requests) {
    if (stop.aborted) return progress;
    const answer = await cancelTasks(request);
    progress.done += (answer.cancelled ?? 0) + (answer.stopping ?? 0);
    progress.skipped += (answer.finished ?? 0) + (answer.notFound ?? 0);
    onProgress({ ...progress });
  }
  return progress;
}
