import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from quorate.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_ACTIVE: _ClassVar[JobState]
    JOB_STATE_PAUSED: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]

class SubtaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBTASK_STATE_UNSPECIFIED: _ClassVar[SubtaskState]
    SUBTASK_STATE_PENDING: _ClassVar[SubtaskState]
    SUBTASK_STATE_RUNNING: _ClassVar[SubtaskState]
    SUBTASK_STATE_SUCCEEDED: _ClassVar[SubtaskState]
    SUBTASK_STATE_FAILED: _ClassVar[SubtaskState]
    SUBTASK_STATE_CANCELLED: _ClassVar[SubtaskState]

class DependencyCondition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEPENDENCY_CONDITION_UNSPECIFIED: _ClassVar[DependencyCondition]
    DEPENDENCY_CONDITION_ON_SUCCESS: _ClassVar[DependencyCondition]
    DEPENDENCY_CONDITION_ON_FAILURE: _ClassVar[DependencyCondition]
    DEPENDENCY_CONDITION_ALWAYS: _ClassVar[DependencyCondition]
    DEPENDENCY_CONDITION_EACH: _ClassVar[DependencyCondition]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_ACTIVE: JobState
JOB_STATE_PAUSED: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
SUBTASK_STATE_UNSPECIFIED: SubtaskState
SUBTASK_STATE_PENDING: SubtaskState
SUBTASK_STATE_RUNNING: SubtaskState
SUBTASK_STATE_SUCCEEDED: SubtaskState
SUBTASK_STATE_FAILED: SubtaskState
SUBTASK_STATE_CANCELLED: SubtaskState
DEPENDENCY_CONDITION_UNSPECIFIED: DependencyCondition
DEPENDENCY_CONDITION_ON_SUCCESS: DependencyCondition
DEPENDENCY_CONDITION_ON_FAILURE: DependencyCondition
DEPENDENCY_CONDITION_ALWAYS: DependencyCondition
DEPENDENCY_CONDITION_EACH: DependencyCondition

class IndexRange(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("template", "count", "items", "open", "close_after_idle", "first_index", "index_step", "max_parallel", "max_failures", "max_failure_share", "name", "labels", "reduce", "graph")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    CLOSE_AFTER_IDLE_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    INDEX_STEP_FIELD_NUMBER: _ClassVar[int]
    MAX_PARALLEL_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILURES_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILURE_SHARE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REDUCE_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    template: _task_pb2.TaskSpec
    count: int
    items: _containers.RepeatedScalarFieldContainer[bytes]
    open: bool
    close_after_idle: _duration_pb2.Duration
    first_index: int
    index_step: int
    max_parallel: int
    max_failures: int
    max_failure_share: float
    name: str
    labels: _containers.ScalarMap[str, str]
    reduce: JobReduce
    graph: JobGraph
    def __init__(self, template: _Optional[_Union[_task_pb2.TaskSpec, _Mapping]] = ..., count: _Optional[int] = ..., items: _Optional[_Iterable[bytes]] = ..., open: _Optional[bool] = ..., close_after_idle: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., first_index: _Optional[int] = ..., index_step: _Optional[int] = ..., max_parallel: _Optional[int] = ..., max_failures: _Optional[int] = ..., max_failure_share: _Optional[float] = ..., name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., reduce: _Optional[_Union[JobReduce, _Mapping]] = ..., graph: _Optional[_Union[JobGraph, _Mapping]] = ...) -> None: ...

class JobReduce(_message.Message):
    __slots__ = ("template", "fan_in")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    FAN_IN_FIELD_NUMBER: _ClassVar[int]
    template: _task_pb2.TaskSpec
    fan_in: int
    def __init__(self, template: _Optional[_Union[_task_pb2.TaskSpec, _Mapping]] = ..., fan_in: _Optional[int] = ...) -> None: ...

class JobReducePhase(_message.Message):
    __slots__ = ("level", "levels", "started")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    level: int
    levels: int
    started: _containers.RepeatedCompositeFieldContainer[JobReduceLevel]
    def __init__(self, level: _Optional[int] = ..., levels: _Optional[int] = ..., started: _Optional[_Iterable[_Union[JobReduceLevel, _Mapping]]] = ...) -> None: ...

class JobReduceLevel(_message.Message):
    __slots__ = ("id", "count", "state", "counts")
    ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    count: int
    state: JobState
    counts: JobCounts
    def __init__(self, id: _Optional[str] = ..., count: _Optional[int] = ..., state: _Optional[_Union[JobState, str]] = ..., counts: _Optional[_Union[JobCounts, _Mapping]] = ...) -> None: ...

class JobGraph(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[GraphTask]
    def __init__(self, tasks: _Optional[_Iterable[_Union[GraphTask, _Mapping]]] = ...) -> None: ...

class GraphTask(_message.Message):
    __slots__ = ("name", "task", "depends_on", "inputs", "array")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    name: str
    task: _task_pb2.TaskSpec
    depends_on: _containers.RepeatedCompositeFieldContainer[Dependency]
    inputs: _containers.ScalarMap[str, str]
    array: GraphArray
    def __init__(self, name: _Optional[str] = ..., task: _Optional[_Union[_task_pb2.TaskSpec, _Mapping]] = ..., depends_on: _Optional[_Iterable[_Union[Dependency, _Mapping]]] = ..., inputs: _Optional[_Mapping[str, str]] = ..., array: _Optional[_Union[GraphArray, _Mapping]] = ...) -> None: ...

class GraphArray(_message.Message):
    __slots__ = ("count", "items", "first_index", "index_step", "max_parallel", "max_failures", "max_failure_share")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    INDEX_STEP_FIELD_NUMBER: _ClassVar[int]
    MAX_PARALLEL_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILURES_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILURE_SHARE_FIELD_NUMBER: _ClassVar[int]
    count: int
    items: _containers.RepeatedScalarFieldContainer[bytes]
    first_index: int
    index_step: int
    max_parallel: int
    max_failures: int
    max_failure_share: float
    def __init__(self, count: _Optional[int] = ..., items: _Optional[_Iterable[bytes]] = ..., first_index: _Optional[int] = ..., index_step: _Optional[int] = ..., max_parallel: _Optional[int] = ..., max_failures: _Optional[int] = ..., max_failure_share: _Optional[float] = ...) -> None: ...

class Dependency(_message.Message):
    __slots__ = ("task", "condition", "cleanup")
    TASK_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    task: str
    condition: DependencyCondition
    cleanup: bool
    def __init__(self, task: _Optional[str] = ..., condition: _Optional[_Union[DependencyCondition, str]] = ..., cleanup: _Optional[bool] = ...) -> None: ...

class GraphNode(_message.Message):
    __slots__ = ("name", "task_id", "state", "skipped", "depends_on", "inputs", "node", "cleanup", "job_id", "counts", "count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    task_id: str
    state: _task_pb2.TaskState
    skipped: bool
    depends_on: _containers.RepeatedCompositeFieldContainer[GraphEdge]
    inputs: _containers.RepeatedCompositeFieldContainer[GraphInput]
    node: str
    cleanup: bool
    job_id: str
    counts: JobCounts
    count: int
    def __init__(self, name: _Optional[str] = ..., task_id: _Optional[str] = ..., state: _Optional[_Union[_task_pb2.TaskState, str]] = ..., skipped: _Optional[bool] = ..., depends_on: _Optional[_Iterable[_Union[GraphEdge, _Mapping]]] = ..., inputs: _Optional[_Iterable[_Union[GraphInput, _Mapping]]] = ..., node: _Optional[str] = ..., cleanup: _Optional[bool] = ..., job_id: _Optional[str] = ..., counts: _Optional[_Union[JobCounts, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...

class GraphEdge(_message.Message):
    __slots__ = ("node", "condition", "cleanup")
    NODE_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    node: int
    condition: DependencyCondition
    cleanup: bool
    def __init__(self, node: _Optional[int] = ..., condition: _Optional[_Union[DependencyCondition, str]] = ..., cleanup: _Optional[bool] = ...) -> None: ...

class GraphInput(_message.Message):
    __slots__ = ("parameter", "node")
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    parameter: str
    node: int
    def __init__(self, parameter: _Optional[str] = ..., node: _Optional[int] = ...) -> None: ...

class JobCounts(_message.Message):
    __slots__ = ("pending", "running", "succeeded", "failed", "cancelled", "blocked", "skipped")
    PENDING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    pending: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    blocked: int
    skipped: int
    def __init__(self, pending: _Optional[int] = ..., running: _Optional[int] = ..., succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., blocked: _Optional[int] = ..., skipped: _Optional[int] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "queue", "spec", "state", "counts", "count", "open", "create_time", "start_time", "finish_time", "cancel_requested", "reason", "average_duration", "created_by", "round", "reduce", "result", "parent", "graph_task", "skipped")
    ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_DURATION_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    REDUCE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    GRAPH_TASK_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    id: str
    queue: str
    spec: JobSpec
    state: JobState
    counts: JobCounts
    count: int
    open: bool
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    cancel_requested: bool
    reason: str
    average_duration: _duration_pb2.Duration
    created_by: str
    round: int
    reduce: JobReducePhase
    result: _task_pb2.TaskResult
    parent: str
    graph_task: str
    skipped: bool
    def __init__(self, id: _Optional[str] = ..., queue: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., counts: _Optional[_Union[JobCounts, _Mapping]] = ..., count: _Optional[int] = ..., open: _Optional[bool] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cancel_requested: _Optional[bool] = ..., reason: _Optional[str] = ..., average_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., created_by: _Optional[str] = ..., round: _Optional[int] = ..., reduce: _Optional[_Union[JobReducePhase, _Mapping]] = ..., result: _Optional[_Union[_task_pb2.TaskResult, _Mapping]] = ..., parent: _Optional[str] = ..., graph_task: _Optional[str] = ..., skipped: _Optional[bool] = ...) -> None: ...

class Subtask(_message.Message):
    __slots__ = ("id", "index", "state", "attempt", "result", "error", "node", "item")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    state: SubtaskState
    attempt: int
    result: _task_pb2.TaskResult
    error: _task_pb2.TaskError
    node: str
    item: bytes
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., state: _Optional[_Union[SubtaskState, str]] = ..., attempt: _Optional[int] = ..., result: _Optional[_Union[_task_pb2.TaskResult, _Mapping]] = ..., error: _Optional[_Union[_task_pb2.TaskError, _Mapping]] = ..., node: _Optional[str] = ..., item: _Optional[bytes] = ...) -> None: ...

class SubtaskRange(_message.Message):
    __slots__ = ("state", "first_index", "last_index", "count")
    STATE_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    state: SubtaskState
    first_index: int
    last_index: int
    count: int
    def __init__(self, state: _Optional[_Union[SubtaskState, str]] = ..., first_index: _Optional[int] = ..., last_index: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class ResultRun(_message.Message):
    __slots__ = ("first", "kind", "values")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ResultRun.Kind]
        KIND_JSON: _ClassVar[ResultRun.Kind]
        KIND_PICKLE: _ClassVar[ResultRun.Kind]
    KIND_UNSPECIFIED: ResultRun.Kind
    KIND_JSON: ResultRun.Kind
    KIND_PICKLE: ResultRun.Kind
    FIRST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    first: int
    kind: ResultRun.Kind
    values: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, first: _Optional[int] = ..., kind: _Optional[_Union[ResultRun.Kind, str]] = ..., values: _Optional[_Iterable[bytes]] = ...) -> None: ...

class JobErrorGroup(_message.Message):
    __slots__ = ("type", "message", "count", "first_index", "last_index", "example", "example_index")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_INDEX_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    count: int
    first_index: int
    last_index: int
    example: _task_pb2.TaskError
    example_index: int
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., count: _Optional[int] = ..., first_index: _Optional[int] = ..., last_index: _Optional[int] = ..., example: _Optional[_Union[_task_pb2.TaskError, _Mapping]] = ..., example_index: _Optional[int] = ...) -> None: ...
