// Newer versions of jobs, as live updates bring them, for a list or a page that was read before.

import { useRef } from "preact/hooks";
import type { Job } from "@ui/api/jobs";

/** The topic has the newest ones: as many as the gateway says in its limits. */
const NEWEST = 100;

type Fresh = ReadonlyMap<string, Job> | undefined;

/**
 * A list, newest first, as it is now.
 *
 * Jobs that came are added, jobs that were deleted or are in another state than `state` are left out.
 */
export function withFresh(items: readonly Job[], fresh: Fresh, state: string): Job[] {
  if (!fresh) return [...items];
  const wanted = state && `JOB_STATE_${state.toUpperCase()}`;
  const known = new Set(items.map((job) => job.id));
  const ids = [...fresh.keys()].sort();
  // All from here on are in `fresh`.
  const oldest = ids.length < NEWEST ? "" : ids[0]!;
  const came = [...fresh.values()].filter((job) => !known.has(job.id));
  return [...came, ...items]
    .filter((job) => fresh.has(job.id) || job.id < oldest)
    .map((job) => fresh.get(job.id) ?? job)
    .filter((job) => !wanted || job.state === wanted)
    .sort((one, other) => (one.id < other.id ? 1 : -1));
}

/**
 * A job as it is now. What it runs never changes, and what it came to does not until it ends again: live
 * updates leave both out, the version that was read has them.
 */
export function asFresh(job: Job, fresh: Fresh): Job {
  const now = fresh?.get(job.id);
  if (!now) return job;
  const { command, python } = job.spec?.template ?? {};
  const template = { ...now.spec?.template, command, python };
  const ended = job.result && job.finishTime === now.finishTime ? { result: job.result } : {};
  return { ...now, ...ended, spec: { ...now.spec, template } };
}

/**
 * What was read, or what live updates made of it since: whichever came last. After an action the view
 * reads anew, perhaps before live updates know of it.
 *
 * `partly`: a part of `read` was there before, as the first pages of a list are.
 */
export function useFresh<T>(
  read: T | undefined,
  fresh: Fresh,
  merge: (shown: T) => T,
  partly = false,
): T | undefined {
  const last = useRef<{ read?: T | undefined; fresh?: Fresh; shown?: T | undefined }>({}).current;
  if (read !== last.read) {
    last.shown = read && partly ? merge(read) : read;
  } else if (fresh !== last.fresh) {
    last.shown = last.shown && merge(last.shown);
  }
  last.read = read;
  last.fresh = fresh;
  return last.shown;
}
