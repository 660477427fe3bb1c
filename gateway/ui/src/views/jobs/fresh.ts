// Newer versions of jobs, as live updates bring them, for a list or a page that was read before.

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

/** A job as it is now; what it runs is in the version that was read, and never changes. */
export function asFresh(job: Job, fresh: Fresh): Job {
  const now = fresh?.get(job.id);
  if (!now) return job;
  const { command, python } = job.spec?.template ?? {};
  return { ...now, spec: { ...now.spec, template: { ...now.spec?.template, command, python } } };
}
