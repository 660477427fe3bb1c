import { Unreadable } from "@ui/lib/words";
import { timingOf } from "@ui/views/schedules/rules";
import { blackouts, catchUp, hrefOf, scheduleOf, stateOf, timing, workOf } from "@ui/views/schedules/when";

const reader =
  (fields: Record<string, string>) =>
  (name: string): string =>
    fields[name] ?? "";

test.each([
  [{ cron: "30 2 * * *", timeZone: "Europe/Berlin" }, "30 2 * * * Europe/Berlin"],
  [{ cron: "@daily" }, "@daily UTC"],
  [{ interval: { every: "300s" } }, "every 5 min"],
  [undefined, "–"],
])("%j fires %s", (spec, text) => {
  expect(timing(spec)).toBe(text);
});

test("what a run does is a line", () => {
  expect(workOf({ task: { command: { argv: ["echo", "hello world"] } } })).toBe("echo 'hello world'");
  expect(workOf({ task: { python: { entrypoint: "jobs:sync" } } })).toBe("jobs:sync");
  expect(workOf({ task: {} })).toBe("a pickled function");
  const template = { command: { argv: ["true"] } };
  expect(workOf({ job: { template, count: "1000" } })).toBe("1,000 subtasks of true");
  expect(workOf({ job: { graph: { tasks: [{}, {}] } } })).toBe("a graph of 2 tasks");
});

test("a run is a task or a job", () => {
  expect(hrefOf({ task: "t" })).toBe("#/tasks/t");
  expect(hrefOf({ job: "j" })).toBe("#/jobs/j");
});

test("the catch-up is said with its defaults", () => {
  expect(catchUp({})).toBe("up to 100 ticks of the last 1 h");
  expect(catchUp({ catchUpCount: 3, catchUpWindow: "60s" })).toBe("up to 3 ticks of the last 1 min");
  expect(stateOf({ name: "x", state: "SCHEDULE_STATE_PAUSED" })).toBe("paused");
});

test("ranges without ticks are said", () => {
  const range = { startTime: "2026-12-24T00:00:00Z", endTime: "2026-12-27T12:30:00Z" };
  const again = { cron: "0 9 * * 1-5", duration: "28800s" };
  expect(blackouts({ blackouts: [range, again] })).toMatch(
    /^2026-12-2[345] \d\d:00 to 2026-12-2[678] \d\d:\d0; 8 h from 0 9 \* \* 1-5$/,
  );
  expect(blackouts({})).toBe("");
});

test("a form is a schedule", () => {
  const fields = {
    name: "nightly",
    command: "echo 'a b'",
    cron: "@daily",
    zone: "UTC",
    queue: "default",
    overlap: "OVERLAP_POLICY_SKIP",
    jitter: "10m",
    pauseOnFailure: "yes",
  };
  expect(scheduleOf(reader(fields))).toEqual({
    name: "nightly",
    spec: {
      cron: "@daily",
      timeZone: "UTC",
      task: { command: { argv: ["echo", "a b"] } },
      queue: "default",
      overlap: "OVERLAP_POLICY_SKIP",
      jitter: "600s",
      pauseOnFailure: true,
    },
  });
});

test("a run has hooks", () => {
  const fields = { name: "n", command: "true", setup: "make ready", cleanup: "m:f", every: "5m" };
  expect(scheduleOf(reader(fields)).spec.task).toEqual({
    command: { argv: ["true"] },
    hooks: { setup: { argv: ["make", "ready"] }, cleanup: { entrypoint: "m:f" } },
  });
});

test.each([{}, { cron: "@daily", every: "5m" }, { every: "often" }])("%j does not say when", (fields) => {
  expect(() => timingOf(reader(fields as Record<string, string>))).toThrow(Unreadable);
});
