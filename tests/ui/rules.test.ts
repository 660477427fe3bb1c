import { fieldTime, instantText, readInstant } from "@ui/lib/instants";
import { usualStart } from "@ui/views/schedules/backfill";
import { readBlackouts, ruleChange, rulesOf, ruleTexts, timingOf } from "@ui/views/schedules/rules";
import { clockChanges } from "@ui/views/schedules/when";

const form = (fields: Record<string, string>) => (name: string) => fields[name] ?? "";
const local = (...parts: [number, number, number, number?, number?, number?]) => new Date(...parts).toISOString();

test.each([
  ["2026-12-24", local(2026, 11, 24)],
  ["2026-12-24 18:00", local(2026, 11, 24, 18)],
  ["2026-12-24T18:00:30", local(2026, 11, 24, 18, 0, 30)],
  ["2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00.000Z"],
])("%s is an instant of this browser", (text, instant) => {
  expect(readInstant(text, "x")).toBe(instant);
  expect(readInstant(instantText(instant), "x")).toBe(instant);
});

test.each(["", "tomorrow", "2026-02-31", "2026-13-01", "2026-12-24 25:00", "2026-12-24 18:60", "24.12.2026"])(
  "%s is no date",
  (text) => {
    expect(() => readInstant(text, "To")).toThrow("To: ");
  },
);

test("a field for times is to the minute", () => {
  expect(fieldTime(new Date(2026, 0, 2, 3, 4, 59).getTime())).toBe("2026-01-02T03:04");
});

test("blackouts are two dates, or a cron expression and a length", () => {
  const range = { startTime: local(2026, 11, 24, 18), endTime: local(2026, 11, 27) };
  const text = "2026-12-24 18:00 to 2026-12-27\n\n0 */4 * * 1-5/8h\n2026-12-24 18:00/2026-12-27";
  const blackouts = readBlackouts(text);
  expect(blackouts).toEqual([range, { cron: "0 */4 * * 1-5", duration: "28800s" }, range]);
  expect(readBlackouts(ruleTexts({ blackouts }).blackouts!)).toEqual(blackouts);
});

test.each([
  ["noon", "is neither two dates"],
  ["2026-12-24/soon", "is not a date"],
  ["2026-12-24/2026-12-24", "ends before it begins"],
  ["@daily/soon", "is not a duration"],
  ["@daily/32d", "more than 31 d"],
  ["@daily/1h\n".repeat(17), "these are 17; a schedule has at most 16"],
])("the blackout %s is refused", (text, words) => {
  expect(() => readBlackouts(text)).toThrow(words);
});

test("a form has the defaults of a schedule, and says them", () => {
  const texts = ruleTexts({ cron: "@daily" });
  expect(texts).toMatchObject({ dstGap: "DST_GAP_POLICY_RUN_AFTER", dstFold: "DST_FOLD_POLICY_FIRST" });
  expect(rulesOf(form(texts))).toEqual({
    overlap: "OVERLAP_POLICY_SKIP",
    dstGap: "DST_GAP_POLICY_RUN_AFTER",
    dstFold: "DST_FOLD_POLICY_FIRST",
  });
});

test("only what differs is changed", () => {
  const spec = {
    interval: { every: "300s", anchor: "2026-01-01T00:00:00Z" },
    blackouts: [{ cron: "@daily", duration: "3600s" }],
    jitter: "60s",
    pauseOnFailure: true,
    dstGap: "DST_GAP_POLICY_SKIP",
  };
  const same = ruleTexts(spec);
  expect(ruleChange(spec, form(same))).toEqual({ spec: {}, paths: [] });
  const cleared = { ...same, blackouts: "", jitter: "", pauseOnFailure: "", dstGap: "DST_GAP_POLICY_RUN_AFTER" };
  expect(ruleChange(spec, form(cleared))).toEqual({
    spec: { dstGap: "DST_GAP_POLICY_RUN_AFTER" },
    paths: ["jitter", "blackouts", "dstGap", "pauseOnFailure"],
  });
  expect(ruleChange(spec, form({ ...same, every: "", cron: "@daily", zone: "UTC" }))).toEqual({
    spec: { cron: "@daily", timeZone: "UTC" },
    paths: ["cron", "timeZone"],
  });
  // The time zone of an interval means nothing.
  expect(ruleChange(spec, form({ ...same, zone: "UTC" })).paths).toEqual([]);
});

test("a schedule that fires once keeps its instant", () => {
  const spec = { at: "2026-12-31T00:00:00Z" };
  const texts = { ...ruleTexts(spec), overlap: "OVERLAP_POLICY_ALLOW" };
  expect(ruleChange(spec, form(texts))).toEqual({ spec: { overlap: "OVERLAP_POLICY_ALLOW" }, paths: ["overlap"] });
});

test("intervals have bounds", () => {
  expect(() => timingOf(form({ every: "0.5s" }))).toThrow("less than 1 s");
  expect(() => timingOf(form({ every: "367d" }))).toThrow("more than 366 d");
});

test("what differs from the usual when clocks change is said", () => {
  expect(clockChanges({})).toBe("");
  expect(clockChanges({ dstGap: "DST_GAP_POLICY_SKIP", dstFold: "DST_FOLD_POLICY_BOTH" })).toBe(
    "skipped ticks do not run, ticks that come twice run twice",
  );
});

test("a backfill begins with what was missed, or with the last few ticks", () => {
  const now = Date.parse("2026-06-10T12:00:00Z");
  const hours = (count: number) => new Date(now + count * 3_600_000).toISOString();
  expect(usualStart({ name: "s", nextTicks: [hours(1), hours(2)] }, now)).toBe(Date.parse(hours(-3)));
  const lastMisses = [{ firstTime: hours(-5) }, { firstTime: hours(-9) }];
  expect(usualStart({ name: "s", lastMisses }, now)).toBe(Date.parse(hours(-9)));
  expect(usualStart({ name: "s", spec: { interval: { every: "1s" } } }, now)).toBe(now - 60_000);
  expect(usualStart({ name: "s", spec: { at: hours(-1) } }, now)).toBe(Date.parse(hours(-72)));
});
