import { ago, bytes, clock, count, plain, plural, rate, short, shortId, span } from "@ui/lib/format";

test.each([
  [0, "0 ms"],
  [0.25, "0.25 ms"],
  [12.4, "12 ms"],
  [999.6, "1000 ms"],
  [1_234, "1.2 s"],
  [59_940, "59.9 s"],
  [59_960, "1 min"],
  [200_000, "3 min 20 s"],
  [7_500_000, "2 h 5 min"],
  [90_000_000, "1 d 1 h"],
  [-5, "0 ms"],
  [Number.NaN, "–"],
])("a span of %d ms is %s", (ms, text) => {
  expect(span(ms)).toBe(text);
});

test("numbers are short where there is little room", () => {
  expect([0.5, 1, 12.34, 999, 12_345, 1_500_000, 2e9].map(short)).toEqual([
    "0.5", "1", "12.3", "999", "12.3k", "1.5M", "2G",
  ]);
  expect(count("1234567")).toBe("1,234,567");
  expect(count(undefined)).toBe("0");
  expect([rate(0), rate(0.001), rate(17.46)]).toEqual(["0", "<0.01", "17.5"]);
});

test("sizes and words", () => {
  expect([bytes(0), bytes("1536"), bytes(2 ** 31)]).toEqual(["0 B", "1.5 KiB", "2 GiB"]);
  expect(plural(1, "task")).toBe("1 task");
  expect(plural(2000, "task")).toBe("2,000 tasks");
  expect(plain("PLACEMENT_STRATEGY_ROUND_ROBIN", "PLACEMENT_STRATEGY_")).toBe("round robin");
  expect(shortId("01a1fbfbecb170008a8360d296d12cf6")).toBe("…96d12cf6");
});

test("ages have one unit, and also lie ahead", () => {
  const now = Date.parse("2026-01-01T12:00:00Z");
  const at = (seconds: number) => ago(new Date(now - seconds * 1000).toISOString(), now);
  expect([at(0.4), at(59), at(61), at(7300), at(200_000), at(-90)]).toEqual([
    "just now", "59 s ago", "1 min ago", "2 h ago", "2 d ago", "in 1 min",
  ]);
  expect(ago(undefined, now)).toBe("–");
  expect(clock("not a time")).toBe("–");
});
