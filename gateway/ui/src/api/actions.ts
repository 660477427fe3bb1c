// What the views can do to the cluster: one function for each RPC they use.

import { call, get, post, remove, segment, type Options, type Query } from "@ui/api/rest";
import { read, stream } from "@ui/api/stream";
import type {
  AuditEntry,
  Backfill,
  Caller,
  DeadLetterGroup,
  Explanation,
  Int64,
  Limit,
  LogExtent,
  LogMatch,
  Pause,
  Queue,
  Quota,
  Schedule,
  ScheduleSpec,
  Service,
  Taint,
  Task,
  TaskSpec,
} from "@ui/api/types";

export interface TaskPage {
  tasks?: Task[];
  nextPageToken?: string;
}

export const listTasks = (
  filter: {
    queue?: string;
    states?: readonly string[];
    text?: string;
    errorGroup?: string;
    pageSize: number;
    pageToken?: string;
  },
  options?: Options,
) => get<TaskPage>("v1/tasks", { ...options, query: filter });

export const getTask = (id: string, options?: Options) =>
  get<{ task: Task }>(`v1/tasks/${segment(id)}`, {
    ...options,
    query: { view: "TASK_VIEW_FULL" },
  });
/** The spec as it is on record: to be sent back. */
export const getSpec = async (id: string, options?: Options): Promise<TaskSpec> => {
  const { task } = await getTask(id, { ...options, raw: true });
  return task.spec ?? {};
};
export const createTask = (queue: string, spec: TaskSpec) =>
  post<{ task: Task }>(`v1/queues/${segment(queue)}/tasks`, { spec });
export const cancelTask = (id: string) => post(`v1/tasks/${segment(id)}:cancel`);

export interface CancelRequest {
  ids?: readonly string[];
  queue?: string;
  states?: readonly string[];
  text?: string;
}

export interface CancelCounts {
  cancelled?: number;
  stopping?: number;
  finished?: number;
  notFound?: number;
}

export const cancelTasks = (request: CancelRequest) => post<CancelCounts>("v1/tasks:cancel", request);

export interface WholeTotals {
  cancelled?: Int64;
  stopping?: Int64;
  retried?: Int64;
  deleted?: Int64;
  skipped?: Int64;
  overQuota?: Int64;
  complete?: boolean;
}
export type WholeVerb = "cancel" | "retry" | "delete";
export type WholeRequest = BulkFilter & { text?: string; validateOnly?: boolean; maxRate?: number };

/** All tasks that a filter finds, by one request: the totals so far, again and again. */
export const changeAll = (verb: WholeVerb, request: WholeRequest, signal: AbortSignal) =>
  stream<WholeTotals>(`v1/tasks:${verb}All`, request, signal);

export type UpdateRequest = CancelRequest;

/** `updateMask` names what is taken over of `task`, and cleared where it has nothing. */
export const updateTasks = (
  request: UpdateRequest & {
    task: { spec?: TaskSpec; queue?: string };
    updateMask: string;
    pageToken?: string;
    validateOnly?: boolean;
  },
) =>
  post<{
    updated?: number;
    notWaiting?: number;
    skipped?: number;
    notFound?: number;
    refused?: number;
    nextPageToken?: string;
  }>("v1/tasks:update", request);

export interface BulkFilter {
  queue?: string;
  states?: readonly string[];
  errorGroup?: string;
}
export const listDeadLetters = (
  filter: { queue: string; pageSize: number; pageToken?: string },
  options?: Options,
) =>
  get<{ groups?: DeadLetterGroup[]; nextPageToken?: string; total?: Int64 }>("v1/deadLetters", {
    ...options,
    query: filter,
  });
export const pauseTask = (id: string) => post(`v1/tasks/${segment(id)}:pause`);
export const resumeTask = (id: string) => post(`v1/tasks/${segment(id)}:resume`);
export const sendSignal = (id: string, signal: string) =>
  post(`v1/tasks/${segment(id)}:signal`, { signal: `TASK_SIGNAL_${signal}` });
export const explainTask = (id: string, options?: Options) =>
  get<{ explanation: Explanation }>(`v1/tasks/${segment(id)}:explain`, options);
/** `paths` name what is taken over of the spec, and cleared where it has nothing. */
export const updateTask = (id: string, spec: TaskSpec, paths: readonly string[], queue = "") =>
  call<{ task: Task }>("PATCH", `v1/tasks/${segment(id)}`, {
    query: { updateMask: [...paths, ...(queue ? ["queue"] : [])].join(",") },
    body: queue ? { spec, queue } : { spec },
  });
/** With `spec` in place of its own. */
export const retryTask = (id: string, spec?: TaskSpec) =>
  post(`v1/tasks/${segment(id)}:retry`, spec ? { spec } : {});
export const deleteTask = (id: string) => remove(`v1/tasks/${segment(id)}`);

export const createQueue = (queue: Partial<Queue>) => post("v1/queues", { queue });
/** `fields` are taken over from `queue`, and cleared where it leaves them out. */
export const updateQueue = (queue: Partial<Queue> & { name: string }, fields: readonly string[]) =>
  call("PATCH", `v1/queues/${segment(queue.name)}`, {
    query: { updateMask: fields.join(",") },
    body: queue,
  });
export const pauseQueue = (
  name: string,
  pause: { reason?: string; until?: string; scope?: string } = {},
) => post(`v1/queues/${segment(name)}:pause`, pause);
export const resumeQueue = (name: string) => post(`v1/queues/${segment(name)}:resume`);
/** What a message becomes in a queue; no template: nothing. */
export const getMessageTemplate = (queue: string, options?: Options) =>
  get<{ template?: TaskSpec }>(`v1/queues/${segment(queue)}/messageTemplate`, options);
export const deleteQueue = (name: string) => remove(`v1/queues/${segment(name)}`);

export const cordonNode = (name: string) => post(`v1/nodes/${segment(name)}:cordon`);
export const dismissNode = (name: string) => post(`v1/nodes/${segment(name)}:dismiss`);
export const uncordonNode = (name: string) => post(`v1/nodes/${segment(name)}:uncordon`);
export const drainNode = (name: string, grace: string | undefined) =>
  post(`v1/nodes/${segment(name)}:drain`, grace ? { grace } : {});

export const taintNode = (name: string, taint: Taint) =>
  post(`v1/nodes/${segment(name)}:taint`, { taint });
export const untaintNode = (name: string, { key, value = "" }: Taint) =>
  post(`v1/nodes/${segment(name)}:untaint`, { key, value });

export const listPauses = (page: { pageSize: number; pageToken?: string }, options?: Options) =>
  get<{ pauses?: Pause[]; nextPageToken?: string }>("v1/pauses", { ...options, query: page });
export const createPause = (pause: Pause) => post("v1/pauses", { pause });
export const deletePause = ({ name, queue }: Pause) =>
  call("DELETE", `v1/pauses/${segment(name)}`, { query: { queue } });

export const createService = (service: Partial<Service>) =>
  post<{ service: Service }>("v1/services", { service });
export const scaleService = (name: string, replicas: number) =>
  call<{ service: Service }>("PATCH", `v1/services/${segment(name)}`, {
    query: { updateMask: "spec.replicas" },
    body: { spec: { replicas } },
  });
export const deleteService = (name: string) => remove(`v1/services/${segment(name)}`);

export const listSchedules = (page: { pageSize: number; pageToken?: string }, options?: Options) =>
  get<{ schedules?: Schedule[]; nextPageToken?: string }>("v1/schedules", { ...options, query: page });
export const getSchedule = (name: string, options?: Options) =>
  get<{ schedule: Schedule }>(`v1/schedules/${segment(name)}`, options);
export const createSchedule = (schedule: { name: string; spec: ScheduleSpec }) =>
  post<{ schedule: Schedule }>("v1/schedules", { schedule });
/** `paths` name what is taken over of the spec, and cleared where it has nothing. */
export const updateSchedule = (name: string, spec: ScheduleSpec, paths: readonly string[]) =>
  call<{ schedule: Schedule }>("PATCH", `v1/schedules/${segment(name)}`, {
    query: { updateMask: paths.map((path) => `spec.${path}`).join(",") },
    body: { spec },
  });
export const pauseSchedule = (name: string, pause: { reason?: string; until?: string }) =>
  post<{ schedule: Schedule }>(`v1/schedules/${segment(name)}:pause`, pause);
export const resumeSchedule = (name: string) => post(`v1/schedules/${segment(name)}:resume`);
export const runSchedule = (name: string) =>
  post<{ task?: string }>(`v1/schedules/${segment(name)}:run`);
/** The ticks that a backfill would run. */
export const previewBackfill = (name: string, backfill: Backfill, options?: Options) =>
  get<{ ticks?: string[] }>(`v1/schedules/${segment(name)}:previewBackfill`, {
    ...options,
    query: Object.fromEntries(
      Object.entries(backfill).map(([field, value]) => [`backfill.${field}`, value as string]),
    ),
  });
export const runBackfill = (name: string, backfill: Backfill) =>
  post<{ ticks?: number }>(`v1/schedules/${segment(name)}:run`, { backfill });
export const deleteSchedule = (name: string) => remove(`v1/schedules/${segment(name)}`);

export const listQuotas = (page: { pageSize: number; pageToken?: string }, options?: Options) =>
  get<{ quotas?: Quota[]; nextPageToken?: string }>("v1/quotas", { ...options, query: page });
/** As a whole: a limit that is left out is the default again. */
export const setQuota = (quota: Quota) => post<{ quota: Quota }>("v1/quotas", { quota });

export const listLimits = (page: { pageSize: number; pageToken?: string }, options?: Options) =>
  get<{ limits?: Limit[]; nextPageToken?: string }>("v1/limits", { ...options, query: page });
export const createLimit = (limit: Limit) => post("v1/limits", { limit });
export const updateLimit = (limit: Limit) =>
  call("PATCH", `v1/limits/${segment(limit.name)}`, {
    query: { updateMask: "maxRunning,rate" },
    body: limit,
  });
export const deleteLimit = (name: string) => remove(`v1/limits/${segment(name)}`);

export const getCaller = (options?: Options) => get<{ caller?: Caller }>("v1/cluster", options);

export const listAuditEntries = (
  filter: { resourceType: string; pageSize: number; pageToken?: string },
  options?: Options,
) =>
  get<{ entries?: AuditEntry[]; nextPageToken?: string }>("v1/audit", {
    ...options,
    query: filter,
  });

export interface LogAnswer {
  extent?: LogExtent;
  chunk?: { stream: string; offset?: Int64; data?: string; time?: string };
}

/** Parts of a log; see StreamTaskLogsRequest. */
export const readLog = (id: string, query: Query, signal: AbortSignal) =>
  read<LogAnswer>(`v1/tasks/${segment(id)}/logs`, query, signal);

export const searchLog = (id: string, query: Query, signal: AbortSignal) =>
  get<{
    matches?: LogMatch[];
    stdoutNext?: Int64;
    stderrNext?: Int64;
    complete?: boolean;
  }>(`v1/tasks/${segment(id)}/logs:search`, { query, signal });
