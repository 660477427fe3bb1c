// The messages of protos/quorate/v1 that the views read, in protobuf's JSON: camelCase, int64 as
// strings, unset fields left out.

export type Int64 = string | number;

export const TASK_STATES = [
  "TASK_STATE_SCHEDULED",
  "TASK_STATE_BLOCKED",
  "TASK_STATE_PENDING",
  "TASK_STATE_PAUSED",
  "TASK_STATE_RUNNING",
  "TASK_STATE_SUCCEEDED",
  "TASK_STATE_FAILED",
  "TASK_STATE_CANCELLED",
  "TASK_STATE_EXPIRED",
] as const;
export type TaskState = (typeof TASK_STATES)[number];

export interface CommandWork {
  argv?: string[];
  env?: Record<string, string>;
  cwd?: string;
  stdin?: string;
}

export interface PythonWork {
  entrypoint?: string;
  json?: string;
  pickle?: string;
}

export interface ServiceWork {
  service?: string;
  generation?: Int64;
  command?: CommandWork;
}

export interface TaskSpec {
  command?: CommandWork;
  python?: PythonWork;
  service?: ServiceWork;
  name?: string;
  labels?: Record<string, string>;
  /** Of the runs of a schedule. */
  schedule?: { name?: string; tickTime?: string; cause?: string };
  priority?: number;
  retry?: {
    maxAttempts?: number;
    initialBackoff?: string;
    maxBackoff?: string;
    multiplier?: number;
    jitter?: number;
    fatalErrors?: string[];
    crashLimit?: number;
  };
  timeout?: string;
  notBefore?: string;
  startDeadline?: string;
  resources?: Resources;
  affinityKey?: string;
  limitKey?: string;
  orderingKey?: string;
  unique?: { key?: string; onConflict?: string; window?: string };
  /** Large arguments, or standard input, in the blob store. */
  payloadBlob?: BlobRef;
  fairnessKey?: string;
  limits?: string[];
  placement?: PlacementRules;
  hooks?: { setup?: Hook; cleanup?: Hook };
}

/** A program, or a function by its name. */
export interface Hook {
  argv?: string[];
  entrypoint?: string;
  timeout?: string;
}

/** `error`: why it failed; without one it succeeded. */
export interface HookResult {
  error?: string;
  duration?: string;
}

export interface PlacementRules {
  nodes?: { label: string; operator?: string; values?: string[]; preferred?: boolean }[];
  tolerations?: Taint[];
  near?: TaskRule[];
  apart?: TaskRule[];
  distinct?: string[];
  strategy?: string;
  spread?: string;
}

export interface TaskRule {
  label: string;
  value?: string;
  preferred?: boolean;
}

/** Of a toleration: without a value any. */
export interface Taint {
  key: string;
  value?: string;
}

/** Holds for all tasks that match. */
export interface Pause {
  name: string;
  queue?: string;
  labels?: Record<string, string>;
  fairnessKey?: string;
  scope?: string;
  reason?: string;
  until?: string;
  pausedBy?: string;
  pauseTime?: string;
}

export interface Resources {
  cpu?: number;
  memory?: Int64;
  counters?: Record<string, Int64>;
}

export interface TaskError {
  type?: string;
  message?: string;
  traceback?: string;
  code?: number;
}

export interface Attempt {
  number?: number;
  node?: string;
  instance?: string;
  assignTime?: string;
  startTime?: string;
  finishTime?: string;
  error?: TaskError;
  /** How its hooks ended. */
  hooks?: { setup?: HookResult; cleanup?: HookResult };
}

export interface Task {
  id: string;
  queue: string;
  spec?: TaskSpec;
  state: TaskState;
  attempt?: number;
  failures?: number;
  crashes?: number;
  createTime?: string;
  scheduleTime?: string;
  finishTime?: string;
  result?: { json?: string; pickle?: string; exitCode?: number; blob?: BlobRef };
  error?: TaskError;
  attempts?: Attempt[];
  cancelRequested?: boolean;
  createdBy?: string;
  /** Why it cannot start as things are. */
  pendingReason?: string;
  limitedBy?: string;
  progress?: TaskProgress;
  /** It runs, and its processes are stopped. */
  suspended?: boolean;
  pause?: { pausedBy?: string; reason?: string; pauseTime?: string };
  /** Of a task of a graph: its job, and its name there. */
  jobId?: string;
  graphTask?: string;
  /** How often it asked to run again later. */
  snoozes?: number;
  /** When it expires unless it starts. */
  expireTime?: string;
}

/** What a running attempt says of itself. */
export interface TaskProgress {
  fraction?: number;
  text?: string;
  updateTime?: string;
}

/** How the gateway sends it, between versions of its task. */
export interface ProgressItem {
  id: string;
  attempt: number;
  progress: TaskProgress;
}

export interface Explanation {
  sentence?: string;
  reasons?: { reason: string; sentence?: string; until?: string; pausedBy?: string; holders?: string[] }[];
  nodes?: { node: string; filter: string; sentence?: string }[];
  nodesTotal?: number;
  /** What the nodes answer; empty where they say nothing that the reasons do not. */
  nodesQuestion?: string;
  place?: { sentence?: string };
}

export interface DeadLetterGroup {
  id: string;
  queue: string;
  errorType?: string;
  errorMessage?: string;
  count?: Int64;
  firstTime?: string;
  lastTime?: string;
  exampleTask?: string;
  exampleName?: string;
  /** Errors of many kinds. */
  mixed?: boolean;
}

export interface Queue {
  name: string;
  placement?: string;
  retention?: { age?: string; count?: Int64 };
  disconnect?: string;
  paused?: boolean;
  pause?: { scope?: string; pausedBy?: string; reason?: string; pauseTime?: string; until?: string };
  createTime?: string;
  counts?: {
    scheduled?: Int64;
    pending?: Int64;
    running?: Int64;
    succeeded?: Int64;
    failed?: Int64;
    cancelled?: Int64;
    expired?: Int64;
    paused?: Int64;
    blocked?: Int64;
    finishedTotal?: Int64;
  };
  oldestPendingTime?: string;
  maxRunning?: Int64;
  rate?: RateLimit;
  maxRunningPerKey?: Int64;
  ratePerKey?: RateLimit;
  maxLength?: Int64;
  lengthPolicy?: string;
  weights?: Record<string, number>;
  aging?: string;
  share?: number;
  spreadLabel?: string;
  filters?: string[];
  score?: string;
  /** It has a message template. */
  takesMessages?: boolean;
  events?: { exchange?: string; virtualHost?: string };
}

export interface RateLimit {
  count: Int64;
  period?: string;
  burst?: Int64;
}

export interface Limit {
  name: string;
  maxRunning?: Int64;
  rate?: RateLimit;
  createTime?: string;
  running?: Int64;
  liveTasks?: Int64;
}

export interface Node {
  name: string;
  instance?: string;
  address?: string;
  state?: string;
  slots?: number;
  capacity?: Resources;
  labels?: Record<string, string>;
  stats?: {
    cpu?: number;
    memoryUsed?: Int64;
    memoryTotal?: Int64;
    diskUsed?: Int64;
    diskTotal?: Int64;
    load1?: number;
    diskError?: string;
    yielded?: number;
  };
  assigned?: number;
  running?: number;
  registerTime?: string;
  version?: string;
  leavingSince?: string;
  /** What its agent last reported that none may. */
  fault?: string;
  /** By operators, and of its agent. */
  taints?: Taint[];
  agentTaints?: Taint[];
  /** Of a lost one: nothing else of it is live. */
  loss?: NodeLoss;
}

export interface NodeLoss {
  time?: string;
  why?: string;
  attempts?: number;
  someAttempts?: { task?: string; job?: string; queue?: string; attempt?: number }[];
}

/** Something that an operator has to know; `kind` and `name` say where to look. */
export interface Problem {
  code: string;
  severity?: string;
  sentence?: string;
  kind?: string;
  name?: string;
  since?: string;
}

export interface Cluster {
  problems?: Problem[];
  /** Unset: the leader is of a version that does not look. */
  problemsTime?: string;
  name?: string;
  epoch?: Int64;
  sequence?: Int64;
  leaderSince?: string;
  schedulers?: { name?: string; instance?: string; address?: string; leader?: boolean }[];
  etcd?: { version?: string; dbSize?: Int64; dbQuota?: Int64; members?: number };
  nodes?: number;
  queues?: number;
  liveTasks?: Int64;
  retainedTasks?: Int64;
  version?: string;
}

export interface Percentiles {
  p50?: number;
  p90?: number;
  p99?: number;
}

/** The `cluster` topic's one item, once a second. */
export interface Pulse {
  cluster?: Cluster;
  rates?: { submitted?: number; started?: number; finished?: number; failed?: number };
  latency?: { queueMs?: Percentiles; runMs?: Percentiles };
  queues?: { name: string; pending?: Int64; running?: Int64 }[];
  time?: string;
}

export interface Instance {
  service?: string;
  id: string;
  address?: string;
  state?: string;
  node?: string;
  weight?: number;
  labels?: Record<string, string>;
  generation?: Int64;
  startTime?: string;
}

export interface Service {
  name: string;
  spec?: {
    command?: CommandWork;
    replicas?: number;
    resources?: Resources;
    health?: { httpPath?: string; tcp?: boolean; grpcService?: string };
    proxy?: { balancing?: string; hosts?: string[] };
    labels?: Record<string, string>;
    drainGrace?: string;
    placement?: PlacementRules;
  };
  generation?: Int64;
  etag?: string;
  createTime?: string;
  instances?: Instance[];
  ready?: number;
  updated?: number;
  /** Why replicas cannot start as things are. Not in live items. */
  pendingReason?: string;
}

/** A large value, in the blob store. */
export interface BlobRef {
  sha256?: string;
  upload?: string;
  size?: Int64;
}

/** -1 is unlimited, 0 refuses everything. */
export interface QuotaLimits {
  liveTasks?: Int64;
  storedBytes?: Int64;
  blobBytes?: Int64;
  requestsPerSecond?: Int64;
  openWatches?: Int64;
  openWaits?: Int64;
  openStreams?: Int64;
}

/** Of a caller or of a queue. */
export interface ScheduleSpec {
  cron?: string;
  interval?: { every?: string; anchor?: string };
  at?: string;
  timeZone?: string;
  queue?: string;
  task?: TaskSpec;
  job?: { template?: TaskSpec; count?: Int64; items?: string[]; graph?: { tasks?: object[] } };
  overlap?: string;
  catchUpWindow?: string;
  catchUpCount?: number;
  jitter?: string;
  blackouts?: { startTime?: string; endTime?: string; cron?: string; duration?: string }[];
  startTime?: string;
  endTime?: string;
  maxRuns?: Int64;
  pauseOnFailure?: boolean;
  dstGap?: string;
  dstFold?: string;
}

/** Ticks of the past that are to run. */
export interface Backfill {
  startTime?: string;
  endTime?: string;
  overlap?: string;
}

export interface Schedule {
  name: string;
  spec?: ScheduleSpec;
  state?: string;
  pauseReason?: string;
  pausedBy?: string;
  pauseUntil?: string;
  createTime?: string;
  createdBy?: string;
  nextTicks?: string[];
  lastRuns?: { task?: string; job?: string; tickTime?: string; cause?: string; state?: string }[];
  lastMisses?: {
    firstTime?: string;
    lastTime?: string;
    ticks?: Int64;
    reason?: string;
    detail?: string;
  }[];
  runs?: Int64;
  missedTicks?: Int64;
  liveRuns?: number;
  waitingTicks?: string[];
  remainingRuns?: Int64;
  blockedReason?: string;
  /** What is left of it. */
  backfill?: Backfill;
}

export interface Quota {
  caller?: string;
  queue?: string;
  /** What an admin set. */
  limits?: QuotaLimits;
  /** The limits that hold. */
  inForce?: QuotaLimits;
  usage?: QuotaLimits;
}

/** Who looks at this page. */
export interface Caller {
  name?: string;
  permissions?: string[];
  /** Names of queues and services that it is bound to; none: bound to nothing. */
  patterns?: string[];
}

export interface AuditChange {
  field: string;
  before?: string;
  after?: string;
}

export interface AuditEntry {
  id: string;
  time?: string;
  caller?: string;
  role?: string;
  credential?: string;
  peer?: string;
  method?: string;
  resourceType?: string;
  resourceName?: string;
  changes?: AuditChange[];
}

/** How much of a stream there is, and where what is shown begins. */
export interface LogStreamExtent {
  size?: Int64;
  begin?: Int64;
  end?: Int64;
  /** -1: not counted. */
  linesBefore?: Int64;
  dropped?: Int64;
}

export interface LogExtent {
  stdout?: LogStreamExtent;
  stderr?: LogStreamExtent;
  node?: string;
  attempt?: number;
}

export interface LogMatch {
  stream: string;
  offset?: Int64;
  at?: Int64;
  /** Bytes in base64. */
  line?: string;
  time?: string;
}
