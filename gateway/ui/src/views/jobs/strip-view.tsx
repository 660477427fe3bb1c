// The heat strip of a job: which of its subtasks are done, failed or under way, by index.

import { listRanges, type Job, type SubtaskRange } from "@ui/api/jobs";
import { count, num } from "@ui/lib/format";
import { usePolled } from "@ui/lib/poll";
import { isFinal, STATES } from "@ui/views/jobs/names";
import { cellsOf, cellText, lookOf } from "@ui/views/jobs/strip";

const EVERY_MS = 2_000;
const PAGE = 1000;
// Beyond this many changes of state along the indexes the rest stays blank.
const MOST_PAGES = 10;

export function Strip({ job }: { job: Job }) {
  const { value } = usePolled(
    (signal) => readRanges(job.id, signal),
    EVERY_MS,
    // Once more when it is finished, or run again; what was shown stays meanwhile.
    `${job.id}`,
  );
  const all = num(job.count);
  if (!all) return null;
  const axis = {
    count: all,
    firstIndex: num(job.spec?.firstIndex),
    indexStep: num(job.spec?.indexStep) || 1,
  };
  const cells = cellsOf(value?.ranges ?? [], axis);
  return (
    <div class="heat">
      <div class="cells" role="img" aria-label={`Subtasks by index: ${countsText(job)}`}>
        {cells.map((cell) => {
          const { tone, share, failed } = lookOf(cell);
          const percent = (part: number) => `${Math.round(part * 100)}%`;
          return (
            <i
              key={cell.first}
              class={`tone-${tone} ${failed ? "has-failed" : ""}`}
              style={{ "--share": percent(share), "--failed": percent(failed) }}
              title={cellText(cell)}
            />
          );
        })}
      </div>
      <div class="ends number">
        <span>{axis.firstIndex}</span>
        <span>{axis.firstIndex + axis.indexStep * (all - 1)}</span>
      </div>
      {value?.cut && (
        <p class="muted">The states change too often along the indexes: the rest is not drawn.</p>
      )}
    </div>
  );
}

function countsText(job: Job): string {
  const words = STATES.filter((state) => num(job.counts?.[state])).map(
    (state) => `${count(job.counts?.[state])} ${state}`,
  );
  return words.join(", ") || (isFinal(job) ? "none" : "nothing yet");
}

async function readRanges(
  id: string,
  signal: AbortSignal,
): Promise<{ ranges: SubtaskRange[]; cut: boolean }> {
  const ranges: SubtaskRange[] = [];
  let pageToken: string | undefined;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer = await listRanges(id, { pageSize: PAGE, pageToken }, { signal });
    ranges.push(...(answer.ranges ?? []));
    pageToken = answer.nextPageToken;
    if (!pageToken) return { ranges, cut: false };
  }
  return { ranges, cut: true };
}
