// Parts of a log: which are asked for, and what they become.

import { around, beginOf, earlier, first, search } from "@ui/views/task/log-parts";
import { LogLines } from "@ui/views/task/log-lines";

/** Answers requests one after the other with JSON, a line each. */
function answering(...answers: object[][]): URL[] {
  const asked: URL[] = [];
  vi.stubGlobal("fetch", async (url: URL) => {
    asked.push(url);
    return new Response(answers[asked.length - 1]!.map((one) => `${JSON.stringify(one)}\n`).join(""));
  });
  return asked;
}

afterEach(() => vi.unstubAllGlobals());
const signal = new AbortController().signal;
const chunk = (stream: string, offset: number, text: string) => ({
  chunk: { stream: `LOG_STREAM_${stream}`, offset: String(offset), data: btoa(text) },
});
const extent = (stdout: object, stderr: object) => ({ extent: { stdout, stderr } });
const texts = (lines: LogLines) => lines.all.map(({ text }) => text);

test("what is before is counted over both streams, unless nobody counted", () => {
  const found = { stdout: { begin: "9", linesBefore: "3", dropped: "5" }, stderr: { linesBefore: "2" } };
  expect(beginOf(found)).toEqual({ stdout: 9, stderr: 0, linesBefore: 5, dropped: 5 });
  expect(beginOf({ ...found, stderr: { linesBefore: "-1" } }).linesBefore).toBe(-1);
  expect(beginOf({})).toEqual({ stdout: 0, stderr: 0, linesBefore: 0, dropped: 0 });
});

test("earlier lines end where what is shown begins, and only streams that have some are asked for", async () => {
  const asked = answering([
    extent({ begin: "4", linesBefore: "1" }, { begin: "4611686018427387904", linesBefore: "7" }),
    chunk("STDOUT", 4, "two\n"),
  ]);
  const shown = { stdout: 8, stderr: 0, linesBefore: 2, dropped: 0 };
  const found = await earlier("t", 1, shown, signal);
  expect(Object.fromEntries(asked[0]!.searchParams)).toEqual({
    attempt: "1", tailLines: "1000", stdoutUntil: "8", stderrFrom: "4611686018427387904", withExtent: "true",
  });
  expect(found.begin).toEqual({ stdout: 4, stderr: 0, linesBefore: 1, dropped: 0 });
  expect(texts(found.lines)).toEqual(["two"]);
});

test("a character that lies across two pieces is one", async () => {
  const [a, b] = ["\xc3", "\xa9\n"];
  answering([chunk("STDOUT", 0, a!), chunk("STDERR", 0, "x\n"), chunk("STDOUT", 1, b!)]);
  expect(texts((await first("t", 1, signal)).lines).sort()).toEqual(["x", "é"]);
});

test("around a match are lines of its stream before and behind it", async () => {
  const asked = answering(
    [extent({}, { begin: "6", linesBefore: "2" }), chunk("STDERR", 6, "hit\nlast\n")],
    [extent({}, { begin: "3", linesBefore: "1" }), chunk("STDERR", 3, "b\n")],
  );
  const found = await around("t", 2, { stream: "LOG_STREAM_STDERR", offset: "6" }, signal);
  expect(texts(found.lines)).toEqual(["b", "hit", "last"]);
  expect(new Set(found.lines.all.map(({ number }) => number)).size).toBe(3);
  expect(found.begin).toMatchObject({ stdout: 0, stderr: 3, linesBefore: 1 });
  expect(asked[0]!.searchParams.get("stderrFrom")).toBe("6");
  expect(asked[1]!.searchParams.get("stderrUntil")).toBe("6");
});

test("a search goes on until all was looked at", async () => {
  const line = (offset: number) => ({ stream: "LOG_STREAM_STDOUT", offset: String(offset), line: btoa("x") });
  const asked = answering(
    [{ matches: [line(5)], stdoutNext: "64", stderrNext: "0" }],
    [{ stdoutNext: "90", stderrNext: "10", complete: true }],
  );
  const seen = [];
  for await (const found of search("t", 1, "x", signal)) seen.push(found);
  expect(seen.map(({ looked, complete, matches }) => [looked, complete, matches.length])).toEqual([
    [64, false, 1], [100, true, 1],
  ]);
  expect(asked[1]!.searchParams.get("stdoutFrom")).toBe("64");
});

test("earlier lines come before those that are here; too many cut the end off", () => {
  const log = new LogLines();
  log.add("stdout", "c\n", 4);
  const before = new LogLines();
  before.add("stdout", "a\nb\n", 0);
  log.prepend(before);
  expect(texts(log)).toEqual(["a", "b", "c"]);
  expect(log.cut).toBe(false);
  const many = new LogLines();
  many.add("stdout", "x\n".repeat(3_000), 0);
  log.prepend(many);
  expect(log.all.length).toBe(3_000);
  expect(log.cut).toBe(true);
});
