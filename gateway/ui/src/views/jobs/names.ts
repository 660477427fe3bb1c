// Short texts about a job, and what can be done with it. Pure.

import type { Job, JobCounts, JobReduceLevel } from "@ui/api/jobs";
import { count, instant, num, plain, rate, shortId, span } from "@ui/lib/format";
import { workName } from "@ui/views/task/names";

export type GraphState = keyof JobCounts;
export type SubtaskState = Exclude<GraphState, "blocked" | "skipped">;

/** Finished ones first: the order of bars and legends. */
export const STATES: readonly SubtaskState[] = [
  "succeeded",
  "failed",
  "cancelled",
  "running",
  "pending",
];
/** Those of the tasks of a graph, in the same order. */
export const GRAPH_STATES: readonly GraphState[] = [
  "succeeded",
  "failed",
  "cancelled",
  "skipped",
  "running",
  "pending",
  "blocked",
];
const FINAL = new Set(["JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"]);

/** Its name, or what it runs, or its id. */
export function jobName({ id, spec }: Job): string {
  return spec?.name || spec?.template?.name || workName(spec?.template) || shortId(id);
}

export const isGraph = ({ spec }: Job): boolean => spec?.graph !== undefined;
/** What its parts are called. */
export const partOf = (job: Job): string => (isGraph(job) ? "task" : "subtask");

/** A job, or a level of its reduces. */
type Counted = Job | JobReduceLevel;

export const isFinal = (job: Counted): boolean => FINAL.has(job.state);
/** One that is part of another is controlled by that. */
export const canCancel = (job: Job): boolean => !isFinal(job) && !job.cancelRequested && !job.parent;
export const canDelete = (job: Job): boolean => isFinal(job) && !job.parent;
export const canPause = (job: Job): boolean => canCancel(job) && job.state === "JOB_STATE_ACTIVE";
export const canResume = (job: Job): boolean => canCancel(job) && job.state === "JOB_STATE_PAUSED";
/** Items may be appended to it. */
export const canClose = (job: Job): boolean => canCancel(job) && Boolean(job.open);
export const canRetry = (job: Job): boolean =>
  isFinal(job) && !job.parent && (unsuccessful(job) || reduceFailed(job));

const unsuccessful = ({ counts }: Counted): boolean => num(counts?.failed) + num(counts?.cancelled) > 0;

/** Of a job with a reduce: all subtasks may have succeeded. */
const reduceFailed = (job: Job): boolean => !!job.spec?.reduce && job.state !== "JOB_STATE_SUCCEEDED";

/** Whether a subtask or a reduce has failed. */
export const hasFailed = (job: Job): boolean =>
  [job, ...(job.reduce?.started ?? [])].some(({ counts }) => num(counts?.failed) > 0);

/** "reducing, level 2 of 3"; empty before, and at the end */
export function phaseOf(job: Job): string {
  const { level = 0, levels = 0 } = job.reduce ?? {};
  if (!level || isFinal(job)) return "";
  return levels > 1 ? `reducing, level ${level} of ${levels}` : "reducing";
}

/** JSON as it is; of a pickle, which only Python reads, that it is one. */
export function resultText({ result }: Job): string {
  return result?.pickle ? "a pickle: read it with client.job(id).result()" : (result?.json ?? "null");
}

/** "active", "cancelling", "active, open" */
export function stateName(job: Job): string {
  if (job.cancelRequested && !isFinal(job)) return "cancelling";
  const name = plain(job.state, "JOB_STATE_");
  const phase = phaseOf(job);
  if (phase) return `${name}, ${phase}`;
  return job.open && !isFinal(job) ? `${name}, open` : name;
}

/** The tone of its badge: those of tasks. */
export function toneOf(job: Counted): string {
  if ("cancelRequested" in job && job.cancelRequested && !isFinal(job)) return "cancelled";
  const name = plain(job.state, "JOB_STATE_");
  return name === "active" ? "running" : name;
}

export function finished({ counts }: Counted): number {
  const { succeeded, failed, cancelled, skipped } = counts ?? {};
  return num(succeeded) + num(failed) + num(cancelled) + num(skipped);
}

/** Its subtasks or tasks, and those that they have added. */
export function total(job: Counted): number {
  const { running, pending, blocked } = job.counts ?? {};
  return Math.max(num(job.count), finished(job) + num(running) + num(pending) + num(blocked));
}

/** 0 to 1; a job without subtasks is done when it is finished. */
export function share(job: Counted): number {
  const all = total(job);
  return all ? finished(job) / all : isFinal(job) ? 1 : 0;
}

/** "812 of 1,000", "812 of 1,000+" while more may follow */
export function doneText(job: Counted): string {
  const more = "open" in job && job.open && !isFinal(job) ? "+" : "";
  return `${count(finished(job))} of ${count(total(job))}${more}`;
}

/** Milliseconds from its first subtask (of a graph: its creation) to its end, or until now; else NaN. */
export function ranFor(job: Job, now: number): number {
  const start = instant(job.startTime ?? (isGraph(job) ? job.createTime : undefined));
  const end = instant(job.finishTime);
  return Math.max(0, (Number.isNaN(end) ? now : end) - start);
}

/** "120/s", "120/s, about 12 s left"; empty before anything has finished. */
export function speedText(job: Job, now: number): string {
  const seconds = ranFor(job, now) / 1000;
  const done = finished(job);
  if (!(seconds > 0) || !done) return "";
  const speed = done / seconds;
  const text = `${rate(speed)}/s`;
  if (job.state !== "JOB_STATE_ACTIVE" || job.open) return text;
  return `${text}, about ${span(((total(job) - done) / speed) * 1000)} left`;
}

/** "1,000, indexes 1 to 1000", "500, indexes 0 to 998, every 2nd" */
export function subtasksText(job: Job): string {
  const all = num(job.count);
  if (!all) return "none";
  const first = num(job.spec?.firstIndex);
  const step = num(job.spec?.indexStep) || 1;
  const every = step > 1 ? `, every ${step}` : "";
  return `${count(all)}, indexes ${first} to ${first + step * (all - 1)}${every}`;
}
