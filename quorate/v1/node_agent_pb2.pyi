import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from quorate.v1 import job_pb2 as _job_pb2
from quorate.v1 import node_pb2 as _node_pb2
from quorate.v1 import permission_pb2 as _permission_pb2
from quorate.v1 import queue_pb2 as _queue_pb2
from quorate.v1 import scheduler_pb2 as _scheduler_pb2
from quorate.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionRequest(_message.Message):
    __slots__ = ("epoch", "hello", "assign", "cancel", "acknowledge", "drain", "leaving", "recall", "acknowledge_reports", "forget_jobs", "signals", "suspend", "results", "cancel_subtasks")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    FORGET_JOBS_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    SUSPEND_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_SUBTASKS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    hello: Hello
    assign: _containers.RepeatedCompositeFieldContainer[Assignment]
    cancel: _containers.RepeatedCompositeFieldContainer[AttemptRef]
    acknowledge: _containers.RepeatedCompositeFieldContainer[AttemptRef]
    drain: DrainOrder
    leaving: bool
    recall: _containers.RepeatedCompositeFieldContainer[AttemptRef]
    acknowledge_reports: _containers.RepeatedCompositeFieldContainer[ChunkReportRef]
    forget_jobs: _containers.RepeatedScalarFieldContainer[str]
    signals: _containers.RepeatedCompositeFieldContainer[SignalOrder]
    suspend: _containers.RepeatedCompositeFieldContainer[SuspendOrder]
    results: _containers.RepeatedCompositeFieldContainer[ResultsPage]
    cancel_subtasks: _containers.RepeatedCompositeFieldContainer[SubtasksRef]
    def __init__(self, epoch: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., assign: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ..., cancel: _Optional[_Iterable[_Union[AttemptRef, _Mapping]]] = ..., acknowledge: _Optional[_Iterable[_Union[AttemptRef, _Mapping]]] = ..., drain: _Optional[_Union[DrainOrder, _Mapping]] = ..., leaving: _Optional[bool] = ..., recall: _Optional[_Iterable[_Union[AttemptRef, _Mapping]]] = ..., acknowledge_reports: _Optional[_Iterable[_Union[ChunkReportRef, _Mapping]]] = ..., forget_jobs: _Optional[_Iterable[str]] = ..., signals: _Optional[_Iterable[_Union[SignalOrder, _Mapping]]] = ..., suspend: _Optional[_Iterable[_Union[SuspendOrder, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[ResultsPage, _Mapping]]] = ..., cancel_subtasks: _Optional[_Iterable[_Union[SubtasksRef, _Mapping]]] = ...) -> None: ...

class SubtasksRef(_message.Message):
    __slots__ = ("task_id", "attempt", "ranges")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    ranges: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., ranges: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ...) -> None: ...

class ResultsPage(_message.Message):
    __slots__ = ("task_id", "attempt", "number", "first_position", "next_position", "runs", "error")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FIRST_POSITION_FIELD_NUMBER: _ClassVar[int]
    NEXT_POSITION_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    number: int
    first_position: int
    next_position: int
    runs: _containers.RepeatedCompositeFieldContainer[_job_pb2.ResultRun]
    error: str
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., number: _Optional[int] = ..., first_position: _Optional[int] = ..., next_position: _Optional[int] = ..., runs: _Optional[_Iterable[_Union[_job_pb2.ResultRun, _Mapping]]] = ..., error: _Optional[str] = ...) -> None: ...

class ReadResults(_message.Message):
    __slots__ = ("task_id", "attempt", "number", "first_position")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FIRST_POSITION_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    number: int
    first_position: int
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., number: _Optional[int] = ..., first_position: _Optional[int] = ...) -> None: ...

class SignalOrder(_message.Message):
    __slots__ = ("task_id", "attempt", "signal")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    signal: _task_pb2.TaskSignal
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., signal: _Optional[_Union[_task_pb2.TaskSignal, str]] = ...) -> None: ...

class SuspendOrder(_message.Message):
    __slots__ = ("task_id", "attempt", "suspended")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    suspended: bool
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., suspended: _Optional[bool] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("instance", "leader", "leaving", "proof")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    instance: str
    leader: str
    leaving: bool
    proof: bytes
    def __init__(self, instance: _Optional[str] = ..., leader: _Optional[str] = ..., leaving: _Optional[bool] = ..., proof: _Optional[bytes] = ...) -> None: ...

class DrainOrder(_message.Message):
    __slots__ = ("draining", "grace")
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    draining: bool
    grace: _duration_pb2.Duration
    def __init__(self, draining: _Optional[bool] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AttemptRef(_message.Message):
    __slots__ = ("task_id", "attempt")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("task_id", "attempt", "queue", "spec", "disconnect", "chunk", "reduce")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    REDUCE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    queue: str
    spec: bytes
    disconnect: _queue_pb2.DisconnectPolicy
    chunk: Chunk
    reduce: ReduceInput
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., queue: _Optional[str] = ..., spec: _Optional[bytes] = ..., disconnect: _Optional[_Union[_queue_pb2.DisconnectPolicy, str]] = ..., chunk: _Optional[_Union[Chunk, _Mapping]] = ..., reduce: _Optional[_Union[ReduceInput, _Mapping]] = ...) -> None: ...

class ReduceInput(_message.Message):
    __slots__ = ("job_id", "count", "fan_in", "programs")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FAN_IN_FIELD_NUMBER: _ClassVar[int]
    PROGRAMS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    count: int
    fan_in: int
    programs: bool
    def __init__(self, job_id: _Optional[str] = ..., count: _Optional[int] = ..., fan_in: _Optional[int] = ..., programs: _Optional[bool] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("job_id", "ranges", "items", "first_index", "index_step", "count", "expected_seconds")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    INDEX_STEP_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    ranges: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    items: _containers.RepeatedScalarFieldContainer[bytes]
    first_index: int
    index_step: int
    count: int
    expected_seconds: float
    def __init__(self, job_id: _Optional[str] = ..., ranges: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ..., items: _Optional[_Iterable[bytes]] = ..., first_index: _Optional[int] = ..., index_step: _Optional[int] = ..., count: _Optional[int] = ..., expected_seconds: _Optional[float] = ...) -> None: ...

class ChunkReportRef(_message.Message):
    __slots__ = ("task_id", "attempt", "number")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    number: int
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., number: _Optional[int] = ...) -> None: ...

class ChunkReport(_message.Message):
    __slots__ = ("task_id", "attempt", "number", "succeeded", "failed", "results", "returned", "seconds")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    number: int
    succeeded: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    failed: _containers.RepeatedCompositeFieldContainer[SubtaskFailure]
    results: _containers.RepeatedCompositeFieldContainer[_job_pb2.ResultRun]
    returned: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    seconds: float
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., number: _Optional[int] = ..., succeeded: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ..., failed: _Optional[_Iterable[_Union[SubtaskFailure, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[_job_pb2.ResultRun, _Mapping]]] = ..., returned: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ..., seconds: _Optional[float] = ...) -> None: ...

class SubtaskFailure(_message.Message):
    __slots__ = ("position", "error", "finish_time")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    position: int
    error: _task_pb2.TaskError
    finish_time: _timestamp_pb2.Timestamp
    def __init__(self, position: _Optional[int] = ..., error: _Optional[_Union[_task_pb2.TaskError, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("instance", "inventory", "started", "finished", "returned", "stats", "credit", "time", "chunk_reports", "progress", "read_results")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    CHUNK_REPORTS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    READ_RESULTS_FIELD_NUMBER: _ClassVar[int]
    instance: str
    inventory: Inventory
    started: _containers.RepeatedCompositeFieldContainer[AttemptStarted]
    finished: _containers.RepeatedCompositeFieldContainer[AttemptFinished]
    returned: _containers.RepeatedCompositeFieldContainer[AttemptRef]
    stats: _node_pb2.NodeStats
    credit: int
    time: _timestamp_pb2.Timestamp
    chunk_reports: _containers.RepeatedCompositeFieldContainer[ChunkReport]
    progress: _containers.RepeatedCompositeFieldContainer[AttemptProgress]
    read_results: _containers.RepeatedCompositeFieldContainer[ReadResults]
    def __init__(self, instance: _Optional[str] = ..., inventory: _Optional[_Union[Inventory, _Mapping]] = ..., started: _Optional[_Iterable[_Union[AttemptStarted, _Mapping]]] = ..., finished: _Optional[_Iterable[_Union[AttemptFinished, _Mapping]]] = ..., returned: _Optional[_Iterable[_Union[AttemptRef, _Mapping]]] = ..., stats: _Optional[_Union[_node_pb2.NodeStats, _Mapping]] = ..., credit: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., chunk_reports: _Optional[_Iterable[_Union[ChunkReport, _Mapping]]] = ..., progress: _Optional[_Iterable[_Union[AttemptProgress, _Mapping]]] = ..., read_results: _Optional[_Iterable[_Union[ReadResults, _Mapping]]] = ...) -> None: ...

class Inventory(_message.Message):
    __slots__ = ("running", "waiting", "finished", "chunks", "progress", "suspended")
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    running: _containers.RepeatedCompositeFieldContainer[AttemptStarted]
    waiting: _containers.RepeatedCompositeFieldContainer[AttemptRef]
    finished: _containers.RepeatedCompositeFieldContainer[AttemptRef]
    chunks: _containers.RepeatedCompositeFieldContainer[ChunkProgress]
    progress: _containers.RepeatedCompositeFieldContainer[AttemptProgress]
    suspended: _containers.RepeatedCompositeFieldContainer[AttemptRef]
    def __init__(self, running: _Optional[_Iterable[_Union[AttemptStarted, _Mapping]]] = ..., waiting: _Optional[_Iterable[_Union[AttemptRef, _Mapping]]] = ..., finished: _Optional[_Iterable[_Union[AttemptRef, _Mapping]]] = ..., chunks: _Optional[_Iterable[_Union[ChunkProgress, _Mapping]]] = ..., progress: _Optional[_Iterable[_Union[AttemptProgress, _Mapping]]] = ..., suspended: _Optional[_Iterable[_Union[AttemptRef, _Mapping]]] = ...) -> None: ...

class ChunkProgress(_message.Message):
    __slots__ = ("task_id", "attempt", "left")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    left: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., left: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ...) -> None: ...

class AttemptProgress(_message.Message):
    __slots__ = ("task_id", "attempt", "fraction", "text", "age")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    fraction: float
    text: str
    age: float
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., fraction: _Optional[float] = ..., text: _Optional[str] = ..., age: _Optional[float] = ...) -> None: ...

class AttemptStarted(_message.Message):
    __slots__ = ("task_id", "attempt", "start_time")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AttemptFinished(_message.Message):
    __slots__ = ("task_id", "attempt", "start_time", "finish_time", "result", "error", "handed_back", "snooze", "hooks")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HANDED_BACK_FIELD_NUMBER: _ClassVar[int]
    SNOOZE_FIELD_NUMBER: _ClassVar[int]
    HOOKS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    start_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    result: _task_pb2.TaskResult
    error: _task_pb2.TaskError
    handed_back: bool
    snooze: _duration_pb2.Duration
    hooks: _task_pb2.HookResults
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., result: _Optional[_Union[_task_pb2.TaskResult, _Mapping]] = ..., error: _Optional[_Union[_task_pb2.TaskError, _Mapping]] = ..., handed_back: _Optional[bool] = ..., snooze: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., hooks: _Optional[_Union[_task_pb2.HookResults, _Mapping]] = ...) -> None: ...

class ReadLogsRequest(_message.Message):
    __slots__ = ("task_id", "attempt", "follow", "offset", "tail_lines", "stdout_from", "stderr_from", "stdout_until", "stderr_until", "head_lines", "with_extent")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FROM_FIELD_NUMBER: _ClassVar[int]
    STDERR_FROM_FIELD_NUMBER: _ClassVar[int]
    STDOUT_UNTIL_FIELD_NUMBER: _ClassVar[int]
    STDERR_UNTIL_FIELD_NUMBER: _ClassVar[int]
    HEAD_LINES_FIELD_NUMBER: _ClassVar[int]
    WITH_EXTENT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    follow: bool
    offset: int
    tail_lines: int
    stdout_from: int
    stderr_from: int
    stdout_until: int
    stderr_until: int
    head_lines: int
    with_extent: bool
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., follow: _Optional[bool] = ..., offset: _Optional[int] = ..., tail_lines: _Optional[int] = ..., stdout_from: _Optional[int] = ..., stderr_from: _Optional[int] = ..., stdout_until: _Optional[int] = ..., stderr_until: _Optional[int] = ..., head_lines: _Optional[int] = ..., with_extent: _Optional[bool] = ...) -> None: ...

class ReadLogsResponse(_message.Message):
    __slots__ = ("chunk", "extent")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    EXTENT_FIELD_NUMBER: _ClassVar[int]
    chunk: _scheduler_pb2.LogChunk
    extent: _scheduler_pb2.LogExtent
    def __init__(self, chunk: _Optional[_Union[_scheduler_pb2.LogChunk, _Mapping]] = ..., extent: _Optional[_Union[_scheduler_pb2.LogExtent, _Mapping]] = ...) -> None: ...

class SearchLogsRequest(_message.Message):
    __slots__ = ("task_id", "attempt", "text", "stdout_from", "stderr_from", "max_matches")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FROM_FIELD_NUMBER: _ClassVar[int]
    STDERR_FROM_FIELD_NUMBER: _ClassVar[int]
    MAX_MATCHES_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    text: str
    stdout_from: int
    stderr_from: int
    max_matches: int
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., text: _Optional[str] = ..., stdout_from: _Optional[int] = ..., stderr_from: _Optional[int] = ..., max_matches: _Optional[int] = ...) -> None: ...

class SearchLogsResponse(_message.Message):
    __slots__ = ("matches", "stdout_next", "stderr_next", "complete")
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    STDOUT_NEXT_FIELD_NUMBER: _ClassVar[int]
    STDERR_NEXT_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    matches: _containers.RepeatedCompositeFieldContainer[_scheduler_pb2.LogMatch]
    stdout_next: int
    stderr_next: int
    complete: bool
    def __init__(self, matches: _Optional[_Iterable[_Union[_scheduler_pb2.LogMatch, _Mapping]]] = ..., stdout_next: _Optional[int] = ..., stderr_next: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...
