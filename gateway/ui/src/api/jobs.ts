// Jobs: the messages that the views read, and one function for each RPC they use.

import { call, get, newKey, post, Problem, remove, segment, type Options } from "@ui/api/rest";
import type { Int64, TaskError, TaskSpec } from "@ui/api/types";

export interface JobSpec {
  template?: TaskSpec;
  count?: Int64;
  /** Of a job to create; in base64. */
  items?: string[];
  open?: boolean;
  closeAfterIdle?: string;
  firstIndex?: Int64;
  indexStep?: Int64;
  maxParallel?: Int64;
  maxFailures?: Int64;
  maxFailureShare?: number;
  name?: string;
  labels?: Record<string, string>;
  /** Set, and empty, of a graph. */
  graph?: object;
  reduce?: { template?: TaskSpec; fanIn?: Int64 };
}

export interface JobCounts {
  pending?: Int64;
  running?: Int64;
  succeeded?: Int64;
  failed?: Int64;
  cancelled?: Int64;
  /** Of graphs, and of arrays in graphs. */
  blocked?: Int64;
  skipped?: Int64;
}

/** Reduces that run as one array: a job of its own, which is part of another one. */
export interface JobReduceLevel {
  id: string;
  count?: Int64;
  state: string;
  counts?: JobCounts;
}

export interface Job {
  id: string;
  queue: string;
  spec?: JobSpec;
  state: string;
  counts?: JobCounts;
  count?: Int64;
  open?: boolean;
  createTime?: string;
  startTime?: string;
  finishTime?: string;
  cancelRequested?: boolean;
  reason?: string;
  averageDuration?: string;
  createdBy?: string;
  round?: number;
  reduce?: { level?: number; levels?: number; started?: JobReduceLevel[] };
  /** What the last reduce gave. */
  result?: { json?: string; pickle?: string };
  /** The job that it is part of; of an array in a graph, its name there. */
  parent?: string;
  graphTask?: string;
}

/** Neighbours in the same state; indexes, both included. */
export interface SubtaskRange {
  state: string;
  firstIndex?: Int64;
  lastIndex?: Int64;
  count?: Int64;
}

/** What became of one. */
export interface Subtask {
  id: string;
  index?: Int64;
  state: string;
  attempt?: number;
  result?: { json?: string; pickle?: string; exitCode?: number };
  error?: TaskError;
  node?: string;
}

export interface JobErrorGroup {
  type?: string;
  message?: string;
  count?: Int64;
  firstIndex?: Int64;
  lastIndex?: Int64;
  example?: TaskError;
  exampleIndex?: Int64;
}

/** A task of a graph; others are meant by their place among the nodes. */
export interface GraphNode {
  name: string;
  /** Of an array `jobId` instead, with its subtasks. */
  taskId?: string;
  jobId?: string;
  counts?: JobCounts;
  count?: Int64;
  state: string;
  skipped?: boolean;
  dependsOn?: GraphEdge[];
  inputs?: { parameter: string; node?: number }[];
  node?: string;
  /** Its failure does not fail the job. */
  cleanup?: boolean;
}

export interface GraphEdge {
  node?: number;
  condition?: string;
  cleanup?: boolean;
}

const path = (id: string) => `v1/jobs/${segment(id)}`;

export const listJobs = (
  filter: { states?: readonly string[]; queue?: string; pageSize: number; pageToken?: string },
  options?: Options,
) => get<{ jobs?: Job[]; nextPageToken?: string }>("v1/jobs", { ...options, query: filter });

export const getJob = (id: string, options?: Options) => get<{ job: Job }>(path(id), options);
export const getJobGraph = (id: string, options?: Options) =>
  get<{ nodes?: GraphNode[]; job?: Job }>(`${path(id)}/graph`, options);
export const listJobErrors = (id: string, options?: Options) =>
  get<{ groups?: JobErrorGroup[]; others?: Int64 }>(`${path(id)}/errors`, options);
export const listRanges = (
  id: string,
  page: { pageSize: number; pageToken?: string },
  options?: Options,
) =>
  get<{ ranges?: SubtaskRange[]; nextPageToken?: string }>(`${path(id)}/subtasks`, {
    ...options,
    query: page,
  });

export const listSubtasks = (
  id: string,
  page: { states?: readonly string[]; firstPosition?: number; pageSize: number; pageToken?: string },
  options?: Options,
) =>
  get<{ subtasks?: Subtask[]; nextPageToken?: string }>(`${path(id)}/subtasks`, {
    ...options,
    query: { ...page, details: "true" },
  });

export const createJob = (queue: string, spec: JobSpec) =>
  post<{ job: Job }>(`v1/queues/${segment(queue)}/jobs`, { spec });
/** `first`: how many items the job has. Where others append meanwhile, the items go behind theirs. */
export async function appendItems(id: string, first: number, items: readonly string[]): Promise<void> {
  const appender = newKey();
  let rest = items;
  for (;;) {
    try {
      await post(`${path(id)}:appendItems`, { firstPosition: first, items: rest, appender });
      return;
    } catch (error) {
      if (!(error instanceof Problem) || error.reason !== "JOB_ITEMS_DIFFER") throw error;
      // Another one has appended something each time, so this ends.
      const { known, count } = error.details.metadata ?? {};
      rest = rest.slice(Number(known));
      first = Number(count);
    }
  }
}
export const closeJob = (id: string) => post(`${path(id)}:close`);
export const cancelJob = (id: string) => post(`${path(id)}:cancel`);
export const pauseJob = (id: string) => post(`${path(id)}:pause`);
export const resumeJob = (id: string) => post(`${path(id)}:resume`);
export const retryJob = (id: string) => post(`${path(id)}:retry`);
/** `paths` are taken over from `spec`, and cleared where it leaves them out. */
export const updateJob = (id: string, spec: JobSpec, paths: readonly string[]) =>
  call<{ job: Job }>("PATCH", path(id), {
    query: { updateMask: paths.join(",") },
    body: { spec },
  });
export const deleteJob = (id: string) => remove(path(id));
