"""Kinds of records that later versions brought: what a scheduler says that it understands.

See `scheduler.api.candidates`.
"""

from __future__ import annotations

# A task's spec is written again while it is live: older standbys would go on with the old one.
TASK_UPDATE = "task-update"
# A job's spec is written again: older standbys would go on with the old one.
JOB_UPDATE = "job-update"
# A queue is paused until an instant, or accepts no new tasks: older leaders would not know either.
QUEUE_PAUSE = "queue-pause"
# A task is PAUSED: older leaders would not resume it.
TASK_PAUSE = "task-pause"
# A RUNNING task that is suspended.
TASK_SUSPEND = "task-suspend"
# Of tasks with hooks: an older scheduler would give them to nodes that leave the hooks out.
TASK_HOOKS = "task-hooks"
# A task has a start deadline: older leaders would let it wait for ever.
START_DEADLINE = "start-deadline"
# Ordering and unique keys of tasks.
TASK_KEYS = "task-keys"
# Tasks with placement rules, nodes with taints, queues with later strategies.
PLACEMENT = "placement"
# Pauses of tasks that match.
PAUSE = "pause"
# Tasks that belong to jobs: older leaders would start what is BLOCKED never, and finish jobs early.
GRAPH = "graph"
# Unique keys with a window, that replace, or of a batch.
UNIQUE_WINDOW = "unique-window"
# Levels of reduces: jobs that are part of another one.
REDUCE = "reduce"
# Arrays that are tasks of a graph: jobs that wait for others.
GRAPH_ARRAY = "graph-array"
# Start deadlines of tasks that wait for others: older leaders would let them expire at once.
GRAPH_DEADLINE = "graph-deadline"
# Unique keys of tasks of graphs: older leaders would retry them beside others that have the keys.
GRAPH_KEYS = "graph-keys"
# Schedules whose runs are graphs: older leaders would create empty arrays.
SCHEDULED_GRAPH = "scheduled-graph"
# Subtasks that are cancelled or retried by themselves: an older scheduler would run those that a
# retry leaves out.
SUBTASK_CHANGE = "subtask-change"
# A task goes to another queue: older standbys would take it for cancelled and new.
TASK_MOVE = "task-move"
# Limits and fairness keys of jobs: older leaders would let their subtasks pass every limit.
JOB_LIMITS = "job-limits"
# Services that choose nodes: older leaders would start their replicas anywhere.
SERVICE_PLACEMENT = "service-placement"
# Exchanges, message queues and their messages: older leaders would not know of them.
BROKER = "broker"
# Message templates of task queues, and bindings to them: older leaders would create no tasks.
MESSAGE_TASKS = "message-tasks"
# Their placeholders: older leaders would leave them as they stand.
MESSAGE_PLACEHOLDERS = "message-placeholders"
# Named offsets of streams.
STREAM_OFFSETS = "stream-offsets"
# Policies of message queues and exchanges.
POLICIES = "message-policies"
# The kinds of records that this version reads and writes beyond those of version 0.1: for
# `scheduler.api.candidates`. Whoever adds a kind of record adds it here.
RECORD_KINDS: tuple[str, ...] = (
    "blob",
    "limit-group",
    "schedule",
    "job",
    JOB_UPDATE,
    TASK_UPDATE,
    START_DEADLINE,
    TASK_KEYS,
    UNIQUE_WINDOW,
    TASK_MOVE,
    QUEUE_PAUSE,
    TASK_PAUSE,
    PLACEMENT,
    PAUSE,
    GRAPH,
    TASK_SUSPEND,
    TASK_HOOKS,
    REDUCE,
    GRAPH_ARRAY,
    SUBTASK_CHANGE,
    SCHEDULED_GRAPH,
    GRAPH_DEADLINE,
    GRAPH_KEYS,
    JOB_LIMITS,
    SERVICE_PLACEMENT,
    BROKER,
    MESSAGE_TASKS,
    MESSAGE_PLACEHOLDERS,
    STREAM_OFFSETS,
    POLICIES,
)
