from quorate.internal.v1 import records_pb2 as _records_pb2
from quorate.v1 import job_pb2 as _job_pb2
from quorate.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobRecord(_message.Message):
    __slots__ = ("spec", "state", "create_time", "start_time", "finish_time", "created_by", "count", "open", "loading", "ending", "reason", "round", "append_time", "template_bytes", "item_bytes", "has_items", "graph_tasks", "created_tasks", "parent", "level", "member", "blocked", "skipped", "reopening")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    LOADING_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    APPEND_TIME_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ITEM_BYTES_FIELD_NUMBER: _ClassVar[int]
    HAS_ITEMS_FIELD_NUMBER: _ClassVar[int]
    GRAPH_TASKS_FIELD_NUMBER: _ClassVar[int]
    CREATED_TASKS_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    REOPENING_FIELD_NUMBER: _ClassVar[int]
    spec: bytes
    state: _job_pb2.JobState
    create_time: float
    start_time: float
    finish_time: float
    created_by: str
    count: int
    open: bool
    loading: bool
    ending: _job_pb2.JobState
    reason: str
    round: int
    append_time: float
    template_bytes: int
    item_bytes: int
    has_items: bool
    graph_tasks: int
    created_tasks: int
    parent: str
    level: int
    member: _records_pb2.MemberRecord
    blocked: bool
    skipped: bool
    reopening: int
    def __init__(self, spec: _Optional[bytes] = ..., state: _Optional[_Union[_job_pb2.JobState, str]] = ..., create_time: _Optional[float] = ..., start_time: _Optional[float] = ..., finish_time: _Optional[float] = ..., created_by: _Optional[str] = ..., count: _Optional[int] = ..., open: _Optional[bool] = ..., loading: _Optional[bool] = ..., ending: _Optional[_Union[_job_pb2.JobState, str]] = ..., reason: _Optional[str] = ..., round: _Optional[int] = ..., append_time: _Optional[float] = ..., template_bytes: _Optional[int] = ..., item_bytes: _Optional[int] = ..., has_items: _Optional[bool] = ..., graph_tasks: _Optional[int] = ..., created_tasks: _Optional[int] = ..., parent: _Optional[str] = ..., level: _Optional[int] = ..., member: _Optional[_Union[_records_pb2.MemberRecord, _Mapping]] = ..., blocked: _Optional[bool] = ..., skipped: _Optional[bool] = ..., reopening: _Optional[int] = ...) -> None: ...

class JobTemplateRecord(_message.Message):
    __slots__ = ("template", "reduce")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    REDUCE_FIELD_NUMBER: _ClassVar[int]
    template: bytes
    reduce: bytes
    def __init__(self, template: _Optional[bytes] = ..., reduce: _Optional[bytes] = ...) -> None: ...

class JobBlockRecord(_message.Message):
    __slots__ = ("round", "succeeded", "failed", "all_succeeded", "failures", "earlier", "crashes", "waits", "run_seconds", "run_count", "stored_bytes", "cancelled", "reopening")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    ALL_SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    CRASHES_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    RUN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    REOPENING_FIELD_NUMBER: _ClassVar[int]
    round: int
    succeeded: bytes
    failed: bytes
    all_succeeded: bool
    failures: bytes
    earlier: bytes
    crashes: _containers.RepeatedCompositeFieldContainer[JobCrash]
    waits: _containers.RepeatedCompositeFieldContainer[JobWait]
    run_seconds: float
    run_count: int
    stored_bytes: int
    cancelled: bytes
    reopening: int
    def __init__(self, round: _Optional[int] = ..., succeeded: _Optional[bytes] = ..., failed: _Optional[bytes] = ..., all_succeeded: _Optional[bool] = ..., failures: _Optional[bytes] = ..., earlier: _Optional[bytes] = ..., crashes: _Optional[_Iterable[_Union[JobCrash, _Mapping]]] = ..., waits: _Optional[_Iterable[_Union[JobWait, _Mapping]]] = ..., run_seconds: _Optional[float] = ..., run_count: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., cancelled: _Optional[bytes] = ..., reopening: _Optional[int] = ...) -> None: ...

class JobCrash(_message.Message):
    __slots__ = ("place", "nodes")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    place: int
    nodes: int
    def __init__(self, place: _Optional[int] = ..., nodes: _Optional[int] = ...) -> None: ...

class JobWait(_message.Message):
    __slots__ = ("due", "subtasks")
    DUE_FIELD_NUMBER: _ClassVar[int]
    SUBTASKS_FIELD_NUMBER: _ClassVar[int]
    due: int
    subtasks: bytes
    def __init__(self, due: _Optional[int] = ..., subtasks: _Optional[bytes] = ...) -> None: ...

class ChunkRecord(_message.Message):
    __slots__ = ("left", "queue", "node", "instance", "attempt", "assign_time", "start_time", "charged", "share_charged", "cancelled")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    CHARGED_FIELD_NUMBER: _ClassVar[int]
    SHARE_CHARGED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    left: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    queue: str
    node: str
    instance: str
    attempt: int
    assign_time: float
    start_time: float
    charged: int
    share_charged: float
    cancelled: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    def __init__(self, left: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ..., queue: _Optional[str] = ..., node: _Optional[str] = ..., instance: _Optional[str] = ..., attempt: _Optional[int] = ..., assign_time: _Optional[float] = ..., start_time: _Optional[float] = ..., charged: _Optional[int] = ..., share_charged: _Optional[float] = ..., cancelled: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ...) -> None: ...

class JobItemsRecord(_message.Message):
    __slots__ = ("items", "appender")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    APPENDER_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedScalarFieldContainer[bytes]
    appender: str
    def __init__(self, items: _Optional[_Iterable[bytes]] = ..., appender: _Optional[str] = ...) -> None: ...

class JobResultsRecord(_message.Message):
    __slots__ = ("runs", "node", "chunk", "positions", "origins")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[_job_pb2.ResultRun]
    node: str
    chunk: str
    positions: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    origins: _containers.RepeatedCompositeFieldContainer[JobOrigin]
    def __init__(self, runs: _Optional[_Iterable[_Union[_job_pb2.ResultRun, _Mapping]]] = ..., node: _Optional[str] = ..., chunk: _Optional[str] = ..., positions: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ..., origins: _Optional[_Iterable[_Union[JobOrigin, _Mapping]]] = ...) -> None: ...

class JobOrigin(_message.Message):
    __slots__ = ("node", "chunk", "positions")
    NODE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    node: str
    chunk: str
    positions: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    def __init__(self, node: _Optional[str] = ..., chunk: _Optional[str] = ..., positions: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ...) -> None: ...

class JobErrorsRecord(_message.Message):
    __slots__ = ("failures", "node", "chunk")
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    failures: _containers.RepeatedCompositeFieldContainer[JobFailure]
    node: str
    chunk: str
    def __init__(self, failures: _Optional[_Iterable[_Union[JobFailure, _Mapping]]] = ..., node: _Optional[str] = ..., chunk: _Optional[str] = ...) -> None: ...

class JobFailure(_message.Message):
    __slots__ = ("positions", "error")
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedScalarFieldContainer[int]
    error: _task_pb2.TaskError
    def __init__(self, positions: _Optional[_Iterable[int]] = ..., error: _Optional[_Union[_task_pb2.TaskError, _Mapping]] = ...) -> None: ...
