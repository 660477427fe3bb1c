// The heat strip: a million subtasks as a few hundred cells, each with what became of its share of
// them. Pure.

import type { SubtaskRange } from "@ui/api/jobs";
import { count, num, plain } from "@ui/lib/format";
import { STATES, type SubtaskState } from "@ui/views/jobs/names";

export interface Cell {
  /** Indexes, both included. */
  first: number;
  last: number;
  /** Subtasks by state; what is in no range is not known. */
  counts: Record<SubtaskState, number>;
}

export interface Axis {
  count: number;
  firstIndex: number;
  indexStep: number;
}

export const MOST_CELLS = 200;

/** At most `most` cells of equal size; ranges are in the order of their indexes. */
export function cellsOf(ranges: readonly SubtaskRange[], axis: Axis, most = MOST_CELLS): Cell[] {
  const { count: all, firstIndex, indexStep } = axis;
  const number = Math.min(all, most);
  const border = (at: number) => Math.floor((at * all) / number);
  const indexOf = (position: number) => firstIndex + indexStep * position;
  const cells = Array.from({ length: number }, (_, at): Cell => ({
    first: indexOf(border(at)),
    last: indexOf(border(at + 1) - 1),
    counts: { succeeded: 0, failed: 0, cancelled: 0, running: 0, pending: 0 },
  }));
  for (const range of ranges) {
    const state = plain(range.state, "SUBTASK_STATE_") as SubtaskState;
    const begin = Math.max(0, (num(range.firstIndex) - firstIndex) / indexStep);
    const end = Math.min(all, (num(range.lastIndex) - firstIndex) / indexStep + 1);
    let at = Math.floor((begin * number) / all);
    while (at > 0 && border(at) > begin) at -= 1;
    for (; at < number && border(at) < end; at += 1) {
      const inside = Math.min(end, border(at + 1)) - Math.max(begin, border(at));
      if (inside > 0 && state in cells[at]!.counts) cells[at]!.counts[state] += inside;
    }
  }
  return cells;
}

export interface Look {
  /** The state that most of the cell is in, but for failures. */
  tone: SubtaskState | "unknown";
  /** How much of the cell has it, 0 to 1. */
  share: number;
  /** Height of the failures in it, 0 to 1: one among thousands is seen, and does not hide the rest. */
  failed: number;
}

const LEAST_FAILED = 0.2;

export function lookOf({ counts }: Cell): Look {
  const all = STATES.reduce((sum, state) => sum + counts[state], 0);
  if (!all) return { tone: "unknown", share: 0, failed: 0 };
  const failed = counts.failed ? Math.max(LEAST_FAILED, counts.failed / all) : 0;
  const done = counts.succeeded + counts.failed + counts.cancelled;
  const look = (tone: SubtaskState, share: number) => ({ tone, share, failed });
  if (counts.cancelled > counts.succeeded) return look("cancelled", done / all);
  if (counts.running && done < all / 2) return look("running", 1);
  if (done) return look("succeeded", Math.max(0.2, done / all));
  return counts.running ? look("running", 1) : look("pending", 0.25);
}

/** "1 to 500: 480 succeeded, 20 pending" */
export function cellText({ first, last, counts }: Cell): string {
  const words = STATES.filter((state) => counts[state]).map((state) => `${count(counts[state])} ${state}`);
  const where = first === last ? `${first}` : `${first} to ${last}`;
  return `${where}: ${words.join(", ") || "not known"}`;
}
