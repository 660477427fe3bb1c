// When a schedule fires and what it is to do, in words; and a form as a schedule. Pure.

import type { Schedule, ScheduleSpec } from "@ui/api/types";
import { clock, durationMs, minute, num, plain, plural, span } from "@ui/lib/format";
import { hookOf } from "@ui/lib/hooks";
import { href } from "@ui/lib/router";
import { joinWords, splitWords, Unreadable } from "@ui/lib/words";
import { rulesOf, timingOf } from "@ui/views/schedules/rules";

export const OVERLAPS = [
  { value: "OVERLAP_POLICY_SKIP", label: "Leave the tick out" },
  { value: "OVERLAP_POLICY_QUEUE_ONE", label: "One tick waits" },
  { value: "OVERLAP_POLICY_QUEUE_ALL", label: "All ticks wait" },
  { value: "OVERLAP_POLICY_CANCEL_RUNNING", label: "Cancel the run" },
  { value: "OVERLAP_POLICY_ALLOW", label: "Runs overlap" },
] as const;

export const stateOf = ({ state }: Schedule): string => plain(state, "SCHEDULE_STATE_");

/** "30 2 * * * Europe/Berlin", "every 5 min", "at 2026-12-31 ..." */
export function timing(spec: ScheduleSpec | undefined): string {
  if (spec?.cron) return `${spec.cron} ${spec.timeZone || "UTC"}`;
  if (spec?.interval) return `every ${span(durationMs(spec.interval.every))}`;
  if (spec?.at) return `at ${clock(spec.at)}`;
  return "–";
}

/** Where a run is shown: it is a task or a job. */
export const hrefOf = ({ task, job }: { task?: string; job?: string }): string =>
  job ? href("jobs", job) : href("tasks", task ?? "");

/** What a run does, in a line. */
export function workOf(spec: ScheduleSpec | undefined): string {
  if (spec?.job) {
    const { template, count, items, graph } = spec.job;
    if (graph) return `a graph of ${plural(graph.tasks?.length ?? 0, "task")}`;
    return `${plural(items?.length || num(count), "subtask")} of ${workOf({ task: template })}`;
  }
  const { command, python } = spec?.task ?? {};
  if (command) return joinWords(command.argv ?? []);
  return python?.entrypoint || spec?.task?.name || "a pickled function";
}

/** "up to 100 ticks of the last 1 h" */
export function catchUp(spec: ScheduleSpec | undefined): string {
  const window = spec?.catchUpWindow ? durationMs(spec.catchUpWindow) : 3_600_000;
  return `up to ${spec?.catchUpCount || 100} ticks of the last ${span(window)}`;
}

/** Ranges without ticks: "2026-12-24 00:00 to 2026-12-27 00:00; 8 h from 0 9 * * 1-5" */
export const blackouts = (spec: ScheduleSpec): string =>
  (spec.blackouts ?? [])
    .map((one) =>
      one.cron
        ? `${span(durationMs(one.duration))} from ${one.cron}`
        : `${minute(one.startTime)} to ${minute(one.endTime)}`,
    )
    .join("; ");

/** What differs from the usual when clocks change; empty: nothing. */
export const clockChanges = ({ dstGap, dstFold }: ScheduleSpec): string =>
  [
    dstGap === "DST_GAP_POLICY_SKIP" && "skipped ticks do not run",
    dstFold === "DST_FOLD_POLICY_BOTH" && "ticks that come twice run twice",
  ]
    .filter(Boolean)
    .join(", ");

/** The form as a schedule. Throws Unreadable with a sentence. */
export function scheduleOf(read: (name: string) => string): { name: string; spec: ScheduleSpec } {
  const argv = splitWords(read("command"), "Command");
  if (!argv.length) throw new Unreadable("type the program that is to run.", "Command");
  const setup = hookOf(read("setup"), "Set-up");
  const cleanup = hookOf(read("cleanup"), "Clean-up");
  const hooks = { ...(setup && { setup }), ...(cleanup && { cleanup }) };
  const spec = {
    ...timingOf(read),
    task: { command: { argv }, ...(setup || cleanup ? { hooks } : {}) },
    queue: read("queue"),
    ...rulesOf(read),
  };
  return { name: read("name"), spec };
}
