import type { Job } from "@ui/api/jobs";
import { asFresh, withFresh } from "@ui/views/jobs/fresh";

const job = (id: string, state = "ACTIVE", changes: Partial<Job> = {}): Job => ({
  id,
  queue: "default",
  state: `JOB_STATE_${state}`,
  ...changes,
});
const ids = (jobs: Job[]) => jobs.map((one) => one.id);
const fresh = (...jobs: Job[]) => new Map(jobs.map((one) => [one.id, one]));

test("a list stays as it was read until something is known", () => {
  expect(ids(withFresh([job("2"), job("1")], undefined, ""))).toEqual(["2", "1"]);
});

test("jobs that came are first, those that changed are new, those that were deleted are gone", () => {
  const now = fresh(job("3"), job("2", "FAILED"));
  const shown = withFresh([job("2"), job("1")], now, "");
  expect(ids(shown)).toEqual(["3", "2"]);
  expect(shown[1]?.state).toBe("JOB_STATE_FAILED");
});

test("jobs that are older than the newest hundred stay", () => {
  const newest = Array.from({ length: 100 }, (_, place) => job(String(200 + place)));
  const shown = withFresh([job("205"), job("100")], fresh(...newest), "");
  expect(ids(shown)).toHaveLength(101);
  expect(ids(shown).at(-1)).toBe("100");
});

test("a list by state has what is in it now", () => {
  const now = fresh(job("3", "FAILED"), job("2", "SUCCEEDED"), job("1"));
  expect(ids(withFresh([job("2"), job("1")], now, "active"))).toEqual(["1"]);
  expect(ids(withFresh([], now, "failed"))).toEqual(["3"]);
});

test("a job keeps what it runs, and nothing else of an older version", () => {
  const read = job("1", "FAILED", {
    finishTime: "2026-01-01T00:00:00Z",
    spec: { template: { command: { argv: ["true"] }, priority: 1 } },
  });
  const now = fresh(job("1", "ACTIVE", { spec: { template: { priority: 5 } } }));
  const shown = asFresh(read, now);
  expect(shown.finishTime).toBeUndefined();
  expect(shown.spec?.template?.command?.argv).toEqual(["true"]);
  expect(shown.spec?.template?.priority).toBe(5);
  expect(asFresh(read, undefined)).toBe(read);
});

test("a job keeps its result until it ends again", () => {
  const read = job("1", "SUCCEEDED", { finishTime: "2026-01-01T00:00:00Z", result: { json: "45" } });
  const same = fresh(job("1", "SUCCEEDED", { finishTime: "2026-01-01T00:00:00Z" }));
  expect(asFresh(read, same).result).toEqual({ json: "45" });
  const later = fresh(job("1", "SUCCEEDED", { finishTime: "2026-01-02T00:00:00Z" }));
  expect(asFresh(read, later).result).toBeUndefined();
});
