// One action on many tasks: a few calls at a time, with progress, until done or stopped. No DOM.

import { Problem } from "@ui/api/rest";

export interface Progress {
  done: number;
  /** Tasks that the action does not apply to: finished meanwhile, already gone. */
  skipped: number;
  failed: number;
  /** Of the first failure. */
  message: string;
}

const AT_ONCE = 8;
const NOT_APPLICABLE = new Set(["FAILED_PRECONDITION", "NOT_FOUND"]);

export async function bulk(
  ids: AsyncIterable<string>,
  act: (id: string) => Promise<unknown>,
  onProgress: (progress: Progress) => void,
  stop: AbortSignal,
): Promise<Progress> {
  const progress: Progress = { done: 0, skipped: 0, failed: 0, message: "" };
  const iterator = ids[Symbol.asyncIterator]();
  const work = async () => {
    while (!stop.aborted) {
      const next = await iterator.next();
      if (next.done) return;
      try {
        await act(next.value);
        progress.done += 1;
      } catch (error) {
        if (error instanceof Problem && NOT_APPLICABLE.has(error.details.code ?? "")) {
          progress.skipped += 1;
        } else {
          progress.failed += 1;
          progress.message ||= (error as Error).message;
        }
      }
      onProgress({ ...progress });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return progress;
}
