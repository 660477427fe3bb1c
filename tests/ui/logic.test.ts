import type { Task } from "@ui/api/types";
import { merged } from "@ui/api/store";
import { problemOf } from "@ui/app/banner";
import { ansi } from "@ui/lib/ansi";
import { shownState } from "@ui/lib/format";
import { pretty } from "@ui/lib/json";
import { href, parseRoute } from "@ui/lib/router";
import { Meter, Series } from "@ui/lib/series";
import { between, type Figures } from "@ui/views/services/traffic";
import { LogLines } from "@ui/views/task/log-lines";
import { spans } from "@ui/views/task/spans";
import { bulk } from "@ui/views/tasks/bulk";
import { ofIds } from "@ui/views/tasks/cancel-many";
import { filterHref, readFilter } from "@ui/views/tasks/filter";
import { Problem } from "@ui/api/rest";

test("an address is read back as it was made", () => {
  const route = parseRoute(href("tasks", "a/b c", { q: "x&y", state: undefined }));
  expect([route.view, route.rest, route.query.get("q"), route.query.has("state")]).toEqual([
    "tasks", "a/b c", "x&y", false,
  ]);
  expect(parseRoute("#/%zz/%zz").rest).toBe("%zz");
  const filter = { queue: "mail", states: ["TASK_STATE_FAILED" as const], text: "a b" };
  expect(readFilter(parseRoute(filterHref(filter)).query)).toEqual(filter);
});

test("a newer version keeps the spec, a removed one goes", () => {
  const old = new Map([["1", { id: "1", spec: "s", state: "A" }], ["2", { id: "2" }]]) as never;
  const items = merged(old, [{ id: "1", state: "B" }, { name: "q" }], ["2"]);
  expect([...items]).toEqual([["1", { id: "1", spec: "s", state: "B" }], ["q", { name: "q" }]]);
});

test("the banner says what is wrong and nothing otherwise", () => {
  expect(problemOf(undefined, true)).toBe("");
  expect(problemOf(true, true)).toBe("");
  expect(problemOf(true, false)).toContain("Leader lost");
  expect(problemOf(false, false)).toContain("Connection lost");
});

test("columns stay as long as the times, for fifteen minutes", () => {
  const series = new Series();
  for (let at = 0; at < 2_000; at += 1) series.add(at, at < 1_500 ? { a: at } : { a: at, b: 1 });
  expect(series.times.length).toBe(901);
  expect(series.column("a").length).toBe(901);
  expect(series.column("b").length).toBe(901);
  expect(series.column("b")[0]).toBeNull();
  expect(series.column("new")).toHaveLength(901);
  const again = Series.from(JSON.stringify(series), 2_010);
  expect(again.column("a").at(-1)).toBeNull();
  expect(Series.from(JSON.stringify(series), 9_999).times).toEqual([]);
  expect(Series.from("{", 0).times).toEqual([]);
});

test("a meter tells the change per second, also of a counter that begins anew", () => {
  const meter = new Meter(5);
  expect(meter.add(0, 100)).toBe(0);
  for (let at = 1; at <= 10; at += 1) meter.add(at, 100 + at * 20);
  expect(meter.rate(10)).toBe(20);
  expect(meter.add(11, 5)).toBe(0);
  expect(meter.add(12, 15)).toBe(10);
});

test("terminal colours become classes, other sequences nothing", () => {
  expect(ansi("plain")).toEqual([{ text: "plain", style: "" }]);
  expect(ansi("\x1b[1;31mred\x1b[0m \x1b[38;5;200mx\x1b[2K\x1b]0;title\x07y")).toEqual([
    { text: "red", style: "a-bold a-red" },
    { text: " ", style: "" },
    { text: "x", style: "" },
    { text: "y", style: "" },
  ]);
  expect(ansi("10 %\r50 %\r100 %\r")).toEqual([{ text: "100 %", style: "" }]);
  expect(ansi("<script>alert(1)</script>\x00")[0]!.text).toBe("<script>alert(1)</script>");
});

test("pieces of two streams become lines; a piece that comes again is left out", () => {
  const log = new LogLines();
  log.add("stdout", "one\ntw", 0);
  log.add("stderr", "oops\n", 0);
  log.add("stdout", "o\n", 6);
  log.add("stdout", "o\n", 6);
  expect(log.all.map((line) => `${line.stream} ${line.text}`)).toEqual([
    "stdout one", "stdout two", "stderr oops",
  ]);
  log.add("stdout", "x\n".repeat(5_000), 8);
  expect(log.all.length).toBe(3_000);
  expect(log.dropped).toBe(2_003);
});

test("a line has the time at which its beginning was written", () => {
  const log = new LogLines();
  log.add("stdout", "one\ntw", 0, "2026-01-31T12:00:00Z");
  log.add("stderr", "oops\n", 0, "2026-01-31T12:00:01Z");
  log.add("stdout", "o\nthree\n", 6, "2026-01-31T12:00:02Z");
  log.add("stdout", "of an agent of old\n", 14);
  expect(log.all.map((line) => `${line.text} ${line.time.slice(17, 19)}`)).toEqual([
    "one 00", "two 00", "oops 01", "three 02", "of an agent of old ",
  ]);
});

test("a task whose attempt has not started is shown as assigned, not as running", () => {
  const task: Task = { id: "1", queue: "q", state: "TASK_STATE_RUNNING", createTime: "", attempts: [{ number: 1 }] };
  expect(shownState(task)).toBe("assigned");
  expect(shownState({ ...task, attempts: [{ number: 1, startTime: "2026-01-31T12:00:00Z" }] })).toBe("running");
  expect(shownState({ ...task, state: "TASK_STATE_PENDING" })).toBe("pending");
});

test("attempts are bars on one axis, with the wait before each", () => {
  const at = (second: number) => new Date(second * 1000).toISOString();
  const task: Task = {
    id: "1", queue: "q", state: "TASK_STATE_SUCCEEDED", createTime: at(100), finishTime: at(110),
    attempts: [
      { number: 1, node: "a", assignTime: at(101), startTime: at(102), finishTime: at(104), error: { type: "E", message: "m" } },
      { number: 2, node: "b", assignTime: at(106), startTime: at(106), finishTime: at(110) },
    ],
  };
  const { from, to, rows } = spans(task, Number.NaN);
  expect([from, to]).toEqual([100_000, 110_000]);
  expect(rows.map((row) => [row.number, row.where, row.length, row.error])).toEqual([
    [0, "", undefined, ""], [1, "a", 2_000, "E: m"], [2, "b", 4_000, ""],
  ]);
  expect(rows[0]!.stretches).toMatchObject([{ from: 100_000, to: 101_000, tone: "pending" }]);
  expect(rows[2]!.stretches.at(-1)).toMatchObject({ tone: "succeeded", to: 110_000 });
});

test("figures between two looks at counters", () => {
  const bounds = [0.01, 0.1];
  const figures = (requests: number, buckets: number[]): Figures => ({
    services: [{
      name: "web", in_flight: 2, requests, status_5xx: 0,
      instances: [{ id: "i", in_flight: 2, requests, ejected: false, passing: null, latency: { bounds, buckets } }],
    }],
  });
  const found = between({ at: 0, figures: figures(100, [100, 0, 0]) }, { at: 10, figures: figures(300, [200, 100, 0]) });
  const web = found.get("web")!;
  expect([web.rate, web.errors, web.inFlight]).toEqual([20, 0, 2]);
  expect(web.p50).toBeCloseTo(10);
  expect(web.p99).toBeGreaterThan(10);
  expect(web.instances.get("i")!.rate).toBe(20);
  // A gateway that was started again counts from nothing.
  const anew = between({ at: 0, figures: figures(300, [300, 0, 0]) }, { at: 10, figures: figures(50, [50, 0, 0]) });
  expect(anew.get("web")!.rate).toBe(5);
});

test("an action on many goes on after failures and counts what does not apply", async () => {
  async function* ids() {
    for (let number = 0; number < 100; number += 1) yield String(number);
  }
  const act = async (id: string) => {
    if (Number(id) % 10 === 0) throw new Problem({ code: "FAILED_PRECONDITION", detail: "finished" });
    if (id === "55") throw new Error("No leader.");
  };
  const end = await bulk(ids(), act, () => {}, new AbortController().signal);
  expect(end).toEqual({ done: 89, skipped: 10, failed: 1, message: "No leader." });
});

test("ids are cancelled by calls of 10,000", () => {
  expect(ofIds(Array.from({ length: 10_001 }, String)).map(({ ids }) => ids!.length)).toEqual([10_000, 1]);
});

test("JSON is indented without changing a digit of it", () => {
  expect(pretty("5.0")).toBe("5.0");
  expect(pretty('{"a":9223372036854775807,"b":[]}')).toBe('{"a": 9223372036854775807, "b": []}');
  const long = { text: 'a "quoted" {brace}, [x]: y', list: [1, [], {}, [2, { deep: true }]], more: "z".repeat(40) };
  expect(pretty(JSON.stringify(long))).toBe(JSON.stringify(long, null, 2));
  expect(pretty("not json")).toBe("not json");
});
