import type { Job, SubtaskRange } from "@ui/api/jobs";
import {
  canCancel,
  canPause,
  canResume,
  canDelete,
  canRetry,
  hasFailed,
  phaseOf,
  resultText,
  doneText,
  jobName,
  share,
  speedText,
  stateName,
  subtasksText,
  toneOf,
} from "@ui/views/jobs/names";
import { cellsOf, cellText, lookOf } from "@ui/views/jobs/strip";

const job = (changes: Partial<Job> = {}): Job => ({
  id: "0199aabbccddeeff0011223344556677",
  queue: "default",
  state: "JOB_STATE_ACTIVE",
  count: "1000",
  counts: { pending: "880", running: "20", succeeded: "90", failed: "10" },
  ...changes,
});
const range = (state: string, first: number, last: number, count = last - first + 1): SubtaskRange => ({
  state: `SUBTASK_STATE_${state}`,
  firstIndex: String(first),
  lastIndex: String(last),
  count: String(count),
});

test("a job is called by its name, or by what it runs", () => {
  expect(jobName(job())).toBe("…44556677");
  expect(jobName(job({ spec: { template: { command: { argv: ["/bin/gzip", "{}"] } } } }))).toBe("gzip");
  expect(jobName(job({ spec: { name: "nightly", template: { name: "gzip" } } }))).toBe("nightly");
});

test("what is done, how fast, and how long it takes", () => {
  expect(doneText(job())).toBe("100 of 1,000");
  expect(doneText(job({ open: true }))).toBe("100 of 1,000+");
  expect(share(job())).toBe(0.1);
  expect(share(job({ count: undefined, counts: {} }))).toBe(0);
  expect(share(job({ state: "JOB_STATE_SUCCEEDED", count: undefined, counts: {} }))).toBe(1);
  const started = job({ startTime: "2026-01-01T00:00:00Z" });
  const later = Date.parse("2026-01-01T00:00:10Z");
  expect(speedText(started, later)).toBe("10/s, about 1 min 30 s left");
  expect(speedText({ ...started, open: true }, later)).toBe("10/s");
  expect(speedText({ ...started, state: "JOB_STATE_PAUSED" }, later)).toBe("10/s");
  expect(speedText(job(), later)).toBe("");
  const over = { ...started, state: "JOB_STATE_FAILED", finishTime: "2026-01-01T00:00:05Z" };
  expect(speedText(over, later)).toBe("20/s");
});

test("indexes begin and step as they were asked for", () => {
  expect(subtasksText(job())).toBe("1,000, indexes 0 to 999");
  expect(subtasksText(job({ spec: { firstIndex: "1", indexStep: "3" } }))).toBe(
    "1,000, indexes 1 to 2998, every 3",
  );
  expect(subtasksText(job({ count: "0" }))).toBe("none");
});

test("what can be done depends on the state", () => {
  const may = (one: Job) => [canCancel, canPause, canResume, canRetry].map((can) => can(one));
  expect(may(job())).toEqual([true, true, false, false]);
  expect(may(job({ state: "JOB_STATE_PAUSED" }))).toEqual([true, false, true, false]);
  expect(may(job({ cancelRequested: true }))).toEqual([false, false, false, false]);
  expect(may(job({ state: "JOB_STATE_FAILED" }))).toEqual([false, false, false, true]);
  expect(may(job({ state: "JOB_STATE_SUCCEEDED", counts: { succeeded: 3 } }))).toEqual(
    Array(4).fill(false),
  );
  expect([stateName(job({ cancelRequested: true })), toneOf(job())]).toEqual(["cancelling", "running"]);
  expect(stateName(job({ open: true }))).toBe("active, open");
});

test("a few subtasks have a cell each", () => {
  const cells = cellsOf(
    [range("SUCCEEDED", 1, 3, 2), range("FAILED", 5, 5), range("PENDING", 7, 7)],
    { count: 4, firstIndex: 1, indexStep: 2 },
  );
  expect(cells.map((cell) => [cell.first, cell.last, lookOf(cell).tone, lookOf(cell).failed])).toEqual([
    [1, 1, "succeeded", 0],
    [3, 3, "succeeded", 0],
    [5, 5, "succeeded", 1],
    [7, 7, "pending", 0],
  ]);
  expect(cellText(cells[2]!)).toBe("5: 1 failed");
});

test("a million subtasks have two hundred cells that lose nothing", () => {
  const ranges = [
    range("SUCCEEDED", 0, 299_999),
    range("FAILED", 300_000, 300_000),
    range("SUCCEEDED", 300_001, 499_999),
    range("RUNNING", 500_000, 500_999),
    range("PENDING", 501_000, 999_998),
  ];
  const cells = cellsOf(ranges, { count: 999_999, firstIndex: 0, indexStep: 1 });
  expect(cells).toHaveLength(200);
  expect(cells.at(-1)!.last).toBe(999_998);
  const sum = (state: keyof (typeof cells)[0]["counts"]) =>
    cells.reduce((total, cell) => total + cell.counts[state], 0);
  expect([sum("succeeded"), sum("failed"), sum("running"), sum("pending")]).toEqual([
    499_999, 1, 1000, 498_999,
  ]);
  // One failure of five thousand is seen, and does not look like five thousand.
  expect(cells.map((cell) => lookOf(cell).failed).filter(Boolean)).toEqual([0.2]);
  expect(cells.every((cell) => cell.last - cell.first >= 4998)).toBe(true);
});

test("what is not known stays blank", () => {
  const cells = cellsOf([range("PENDING", 0, 4)], { count: 10, firstIndex: 0, indexStep: 1 }, 2);
  expect(cells.map((cell) => lookOf(cell).tone)).toEqual(["pending", "unknown"]);
  expect(cellText(cells[1]!)).toBe("5 to 9: not known");
});

test("the phase of a reduce is in its state, and its failure can be retried", () => {
  const reduce = { template: {}, fanIn: "10" };
  const level = { id: "l", count: "3", state: "JOB_STATE_ACTIVE", counts: { succeeded: "1" } };
  const counts = { succeeded: "1000" };
  const live = job({ counts, spec: { reduce }, reduce: { level: 2, levels: 3, started: [level] } });
  expect(stateName(live)).toBe("active, reducing, level 2 of 3");
  expect(stateName({ ...live, reduce: { level: 1, levels: 1 } })).toBe("active, reducing");
  expect([doneText(level), share(level), toneOf(level)]).toEqual(["1 of 3", 1 / 3, "running"]);
  expect(hasFailed(live)).toBe(false);
  const bad = { ...level, state: "JOB_STATE_FAILED", counts: { failed: "1" } };
  const failed = { ...live, state: "JOB_STATE_FAILED", reduce: { level: 1, levels: 1, started: [bad] } };
  expect([phaseOf(failed), hasFailed(failed), canRetry(failed)]).toEqual(["", true, true]);
  const part = { ...failed, spec: {}, parent: "p" };
  expect([canRetry(part), canCancel({ ...part, state: "JOB_STATE_ACTIVE" }), canDelete(part)]).toEqual([
    false,
    false,
    false,
  ]);
  expect(resultText({ ...live, result: { json: "7" } })).toBe("7");
  expect(resultText(live)).toBe("null");
  expect(resultText({ ...live, result: { pickle: "gA==" } })).toContain("a pickle");
});
