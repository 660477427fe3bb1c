// When a schedule fires, and what becomes of its ticks, as forms have it. Pure.

import type { ScheduleSpec } from "@ui/api/types";
import { instantText, readInstant } from "@ui/lib/instants";
import { DAY, duration, durationText, Unreadable } from "@ui/lib/words";

type Read = (name: string) => string;
type Blackout = NonNullable<ScheduleSpec["blackouts"]>[number];

export const MOST_BLACKOUTS = 16;
const MOST_BLACKOUT = 31 * DAY;
const MOST_INTERVAL = 366 * DAY;
const BLACKOUTS = "No ticks during";

export const GAPS = [
  { value: "DST_GAP_POLICY_RUN_AFTER", label: "Runs right after the gap" },
  { value: "DST_GAP_POLICY_SKIP", label: "Does not run" },
] as const;
export const FOLDS = [
  { value: "DST_FOLD_POLICY_FIRST", label: "Runs the first time" },
  { value: "DST_FOLD_POLICY_BOTH", label: "Runs both times" },
] as const;

/** Fields of a form and of a spec that are alike, by their names. */
const CHOICES = ["overlap", "dstGap", "dstFold"] as const;

/** The fields of a form that say when. Throws Unreadable with a sentence. */
export function timingOf(read: Read): ScheduleSpec {
  const cron = read("cron");
  const every = duration(read("every"), "Every", { least: 1, most: MOST_INTERVAL });
  if (cron && every) throw new Unreadable("type a cron expression or an interval, not both.", "Every");
  if (!cron && !every) throw new Unreadable("type a cron expression or an interval.", "Cron");
  if (cron) return { cron, timeZone: read("zone") };
  return { interval: { every: every! } };
}

/** The fields of a form about what becomes of ticks. Throws Unreadable. */
export function rulesOf(read: Read): ScheduleSpec {
  const rules: ScheduleSpec = {};
  const jitter = duration(read("jitter"), "Jitter", { most: DAY });
  if (jitter) rules.jitter = jitter;
  const blackouts = readBlackouts(read("blackouts"));
  if (blackouts.length) rules.blackouts = blackouts;
  for (const name of CHOICES) if (read(name)) rules[name] = read(name);
  if (read("pauseOnFailure")) rules.pauseOnFailure = true;
  return rules;
}

/** A schedule as the fields of a form. */
export const ruleTexts = (spec: ScheduleSpec): Record<string, string> => ({
  cron: spec.cron ?? "",
  zone: spec.timeZone ?? "",
  every: durationText(spec.interval?.every),
  jitter: durationText(spec.jitter),
  blackouts: (spec.blackouts ?? []).map(blackoutText).join("\n"),
  overlap: spec.overlap || "OVERLAP_POLICY_SKIP",
  dstGap: spec.dstGap || GAPS[0].value,
  dstFold: spec.dstFold || FOLDS[0].value,
  pauseOnFailure: spec.pauseOnFailure ? "yes" : "",
});

/**
 * What differs from `before`, and the paths of it in the spec: what is not there is cleared. What is left as it
 * was is not read: the anchor of an interval, and seconds that a form does not show, stay. Throws Unreadable.
 */
export function ruleChange(before: ScheduleSpec, read: Read): { spec: ScheduleSpec; paths: string[] } {
  const texts = ruleTexts(before);
  const differs = (name: string) => read(name) !== texts[name];
  const spec: ScheduleSpec = {};
  const paths: string[] = [];
  if (differs("cron") || differs("every") || (read("cron") && differs("zone"))) {
    Object.assign(spec, timingOf(read));
    paths.push(...Object.keys(spec));
  }
  const rules = rulesOf((name) => (differs(name) ? read(name) : ""));
  for (const name of ["jitter", "blackouts", ...CHOICES, "pauseOnFailure"] as const) {
    if (differs(name)) paths.push(name);
  }
  return { spec: { ...spec, ...rules }, paths };
}

/** Times without ticks, one on each line. Throws Unreadable. */
export function readBlackouts(text: string): Blackout[] {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (lines.length > MOST_BLACKOUTS) {
    throw new Unreadable(`these are ${lines.length}; a schedule has at most ${MOST_BLACKOUTS}.`, BLACKOUTS);
  }
  return lines.map(blackoutOf);
}

/** "2026-12-24/2026-12-27", "2026-12-24 18:00 to 2026-12-27", or "0 9 * * 1-5/8h". Throws Unreadable. */
function blackoutOf(line: string): Blackout {
  // A cron expression has slashes of its own: what follows the last one is the length.
  const found = /^(.+?)\s+to\s+(.+)$/i.exec(line) ?? /^(.+)\/([^/]+)$/.exec(line);
  if (!found) {
    throw new Unreadable(`“${line}” is neither two dates, such as 2026-12-24/2026-12-27, nor CRON/SPAN.`, BLACKOUTS);
  }
  const [, begin = "", end = ""] = found;
  if (!/^\d{4}-/.test(begin)) {
    return { cron: begin.trim(), duration: duration(end, BLACKOUTS, { most: MOST_BLACKOUT })! };
  }
  const startTime = readInstant(begin, BLACKOUTS);
  const endTime = readInstant(end, BLACKOUTS);
  if (startTime >= endTime) throw new Unreadable(`“${line}” ends before it begins.`, BLACKOUTS);
  return { startTime, endTime };
}

const blackoutText = ({ cron, startTime, endTime, duration: length }: Blackout): string =>
  cron ? `${cron}/${durationText(length).replaceAll(" ", "")}` : `${instantText(startTime)} to ${instantText(endTime)}`;
