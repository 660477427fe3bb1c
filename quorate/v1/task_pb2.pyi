import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from quorate.v1 import message_pb2 as _message_pb2
from quorate.v1 import placement_pb2 as _placement_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_SCHEDULED: _ClassVar[TaskState]
    TASK_STATE_BLOCKED: _ClassVar[TaskState]
    TASK_STATE_PENDING: _ClassVar[TaskState]
    TASK_STATE_PAUSED: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_SUCCEEDED: _ClassVar[TaskState]
    TASK_STATE_FAILED: _ClassVar[TaskState]
    TASK_STATE_CANCELLED: _ClassVar[TaskState]
    TASK_STATE_EXPIRED: _ClassVar[TaskState]

class TaskView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_VIEW_UNSPECIFIED: _ClassVar[TaskView]
    TASK_VIEW_BASIC: _ClassVar[TaskView]
    TASK_VIEW_FULL: _ClassVar[TaskView]

class UniqueConflict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNIQUE_CONFLICT_UNSPECIFIED: _ClassVar[UniqueConflict]
    UNIQUE_CONFLICT_RETURN_EXISTING: _ClassVar[UniqueConflict]
    UNIQUE_CONFLICT_REJECT: _ClassVar[UniqueConflict]
    UNIQUE_CONFLICT_REPLACE: _ClassVar[UniqueConflict]

class ScheduleCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCHEDULE_CAUSE_UNSPECIFIED: _ClassVar[ScheduleCause]
    SCHEDULE_CAUSE_TICK: _ClassVar[ScheduleCause]
    SCHEDULE_CAUSE_BACKFILL: _ClassVar[ScheduleCause]
    SCHEDULE_CAUSE_BY_HAND: _ClassVar[ScheduleCause]

class TaskSignal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_SIGNAL_UNSPECIFIED: _ClassVar[TaskSignal]
    TASK_SIGNAL_HUP: _ClassVar[TaskSignal]
    TASK_SIGNAL_INT: _ClassVar[TaskSignal]
    TASK_SIGNAL_QUIT: _ClassVar[TaskSignal]
    TASK_SIGNAL_KILL: _ClassVar[TaskSignal]
    TASK_SIGNAL_USR1: _ClassVar[TaskSignal]
    TASK_SIGNAL_USR2: _ClassVar[TaskSignal]
    TASK_SIGNAL_TERM: _ClassVar[TaskSignal]
    TASK_SIGNAL_WINCH: _ClassVar[TaskSignal]
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_SCHEDULED: TaskState
TASK_STATE_BLOCKED: TaskState
TASK_STATE_PENDING: TaskState
TASK_STATE_PAUSED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_SUCCEEDED: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_CANCELLED: TaskState
TASK_STATE_EXPIRED: TaskState
TASK_VIEW_UNSPECIFIED: TaskView
TASK_VIEW_BASIC: TaskView
TASK_VIEW_FULL: TaskView
UNIQUE_CONFLICT_UNSPECIFIED: UniqueConflict
UNIQUE_CONFLICT_RETURN_EXISTING: UniqueConflict
UNIQUE_CONFLICT_REJECT: UniqueConflict
UNIQUE_CONFLICT_REPLACE: UniqueConflict
SCHEDULE_CAUSE_UNSPECIFIED: ScheduleCause
SCHEDULE_CAUSE_TICK: ScheduleCause
SCHEDULE_CAUSE_BACKFILL: ScheduleCause
SCHEDULE_CAUSE_BY_HAND: ScheduleCause
TASK_SIGNAL_UNSPECIFIED: TaskSignal
TASK_SIGNAL_HUP: TaskSignal
TASK_SIGNAL_INT: TaskSignal
TASK_SIGNAL_QUIT: TaskSignal
TASK_SIGNAL_KILL: TaskSignal
TASK_SIGNAL_USR1: TaskSignal
TASK_SIGNAL_USR2: TaskSignal
TASK_SIGNAL_TERM: TaskSignal
TASK_SIGNAL_WINCH: TaskSignal

class CommandWork(_message.Message):
    __slots__ = ("argv", "env", "cwd", "stdin", "secrets")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: SecretRef
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[SecretRef, _Mapping]] = ...) -> None: ...
    ARGV_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    argv: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.ScalarMap[str, str]
    cwd: str
    stdin: bytes
    secrets: _containers.MessageMap[str, SecretRef]
    def __init__(self, argv: _Optional[_Iterable[str]] = ..., env: _Optional[_Mapping[str, str]] = ..., cwd: _Optional[str] = ..., stdin: _Optional[bytes] = ..., secrets: _Optional[_Mapping[str, SecretRef]] = ...) -> None: ...

class SecretRef(_message.Message):
    __slots__ = ("env", "file")
    ENV_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    env: str
    file: str
    def __init__(self, env: _Optional[str] = ..., file: _Optional[str] = ...) -> None: ...

class PythonWork(_message.Message):
    __slots__ = ("entrypoint", "json", "pickle", "secrets")
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: SecretRef
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[SecretRef, _Mapping]] = ...) -> None: ...
    ENTRYPOINT_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    PICKLE_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    entrypoint: str
    json: str
    pickle: bytes
    secrets: _containers.MessageMap[str, SecretRef]
    def __init__(self, entrypoint: _Optional[str] = ..., json: _Optional[str] = ..., pickle: _Optional[bytes] = ..., secrets: _Optional[_Mapping[str, SecretRef]] = ...) -> None: ...

class ServiceWork(_message.Message):
    __slots__ = ("service", "generation", "command", "health", "drain_grace", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    DRAIN_GRACE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    service: str
    generation: int
    command: CommandWork
    health: HealthCheck
    drain_grace: _duration_pb2.Duration
    labels: _containers.ScalarMap[str, str]
    def __init__(self, service: _Optional[str] = ..., generation: _Optional[int] = ..., command: _Optional[_Union[CommandWork, _Mapping]] = ..., health: _Optional[_Union[HealthCheck, _Mapping]] = ..., drain_grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class HealthCheck(_message.Message):
    __slots__ = ("http_path", "tcp", "grpc_service", "interval", "timeout", "healthy_after", "unhealthy_after", "start_grace")
    HTTP_PATH_FIELD_NUMBER: _ClassVar[int]
    TCP_FIELD_NUMBER: _ClassVar[int]
    GRPC_SERVICE_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_AFTER_FIELD_NUMBER: _ClassVar[int]
    UNHEALTHY_AFTER_FIELD_NUMBER: _ClassVar[int]
    START_GRACE_FIELD_NUMBER: _ClassVar[int]
    http_path: str
    tcp: bool
    grpc_service: str
    interval: _duration_pb2.Duration
    timeout: _duration_pb2.Duration
    healthy_after: int
    unhealthy_after: int
    start_grace: _duration_pb2.Duration
    def __init__(self, http_path: _Optional[str] = ..., tcp: _Optional[bool] = ..., grpc_service: _Optional[str] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., healthy_after: _Optional[int] = ..., unhealthy_after: _Optional[int] = ..., start_grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RetryPolicy(_message.Message):
    __slots__ = ("max_attempts", "initial_backoff", "max_backoff", "multiplier", "jitter", "fatal_errors", "crash_limit")
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    MAX_BACKOFF_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    FATAL_ERRORS_FIELD_NUMBER: _ClassVar[int]
    CRASH_LIMIT_FIELD_NUMBER: _ClassVar[int]
    max_attempts: int
    initial_backoff: _duration_pb2.Duration
    max_backoff: _duration_pb2.Duration
    multiplier: float
    jitter: float
    fatal_errors: _containers.RepeatedScalarFieldContainer[str]
    crash_limit: int
    def __init__(self, max_attempts: _Optional[int] = ..., initial_backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_backoff: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., multiplier: _Optional[float] = ..., jitter: _Optional[float] = ..., fatal_errors: _Optional[_Iterable[str]] = ..., crash_limit: _Optional[int] = ...) -> None: ...

class Resources(_message.Message):
    __slots__ = ("cpu", "memory", "counters")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CPU_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    cpu: float
    memory: int
    counters: _containers.ScalarMap[str, int]
    def __init__(self, cpu: _Optional[float] = ..., memory: _Optional[int] = ..., counters: _Optional[_Mapping[str, int]] = ...) -> None: ...

class BlobRef(_message.Message):
    __slots__ = ("sha256", "upload", "size")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    upload: str
    size: int
    def __init__(self, sha256: _Optional[str] = ..., upload: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class UniqueKey(_message.Message):
    __slots__ = ("key", "on_conflict", "window")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    key: str
    on_conflict: UniqueConflict
    window: _duration_pb2.Duration
    def __init__(self, key: _Optional[str] = ..., on_conflict: _Optional[_Union[UniqueConflict, str]] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Hook(_message.Message):
    __slots__ = ("argv", "entrypoint", "timeout")
    ARGV_FIELD_NUMBER: _ClassVar[int]
    ENTRYPOINT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    argv: _containers.RepeatedScalarFieldContainer[str]
    entrypoint: str
    timeout: _duration_pb2.Duration
    def __init__(self, argv: _Optional[_Iterable[str]] = ..., entrypoint: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Hooks(_message.Message):
    __slots__ = ("setup", "cleanup")
    SETUP_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    setup: Hook
    cleanup: Hook
    def __init__(self, setup: _Optional[_Union[Hook, _Mapping]] = ..., cleanup: _Optional[_Union[Hook, _Mapping]] = ...) -> None: ...

class HookResult(_message.Message):
    __slots__ = ("error", "duration")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    error: str
    duration: _duration_pb2.Duration
    def __init__(self, error: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class HookResults(_message.Message):
    __slots__ = ("setup", "cleanup")
    SETUP_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    setup: HookResult
    cleanup: HookResult
    def __init__(self, setup: _Optional[_Union[HookResult, _Mapping]] = ..., cleanup: _Optional[_Union[HookResult, _Mapping]] = ...) -> None: ...

class TaskSpec(_message.Message):
    __slots__ = ("command", "python", "service", "name", "labels", "priority", "retry", "timeout", "not_before", "resources", "affinity_key", "trace_context", "start_deadline", "limit_key", "limits", "fairness_key", "ordering_key", "unique", "schedule", "payload_blob", "hooks", "placement", "message")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_KEY_FIELD_NUMBER: _ClassVar[int]
    TRACE_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    START_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_KEY_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    FAIRNESS_KEY_FIELD_NUMBER: _ClassVar[int]
    ORDERING_KEY_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BLOB_FIELD_NUMBER: _ClassVar[int]
    HOOKS_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    command: CommandWork
    python: PythonWork
    service: ServiceWork
    name: str
    labels: _containers.ScalarMap[str, str]
    priority: int
    retry: RetryPolicy
    timeout: _duration_pb2.Duration
    not_before: _timestamp_pb2.Timestamp
    resources: Resources
    affinity_key: str
    trace_context: str
    start_deadline: _duration_pb2.Duration
    limit_key: str
    limits: _containers.RepeatedScalarFieldContainer[str]
    fairness_key: str
    ordering_key: str
    unique: UniqueKey
    schedule: ScheduledRun
    payload_blob: BlobRef
    hooks: Hooks
    placement: _placement_pb2.PlacementRules
    message: _message_pb2.Message
    def __init__(self, command: _Optional[_Union[CommandWork, _Mapping]] = ..., python: _Optional[_Union[PythonWork, _Mapping]] = ..., service: _Optional[_Union[ServiceWork, _Mapping]] = ..., name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., priority: _Optional[int] = ..., retry: _Optional[_Union[RetryPolicy, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., affinity_key: _Optional[str] = ..., trace_context: _Optional[str] = ..., start_deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., limit_key: _Optional[str] = ..., limits: _Optional[_Iterable[str]] = ..., fairness_key: _Optional[str] = ..., ordering_key: _Optional[str] = ..., unique: _Optional[_Union[UniqueKey, _Mapping]] = ..., schedule: _Optional[_Union[ScheduledRun, _Mapping]] = ..., payload_blob: _Optional[_Union[BlobRef, _Mapping]] = ..., hooks: _Optional[_Union[Hooks, _Mapping]] = ..., placement: _Optional[_Union[_placement_pb2.PlacementRules, _Mapping]] = ..., message: _Optional[_Union[_message_pb2.Message, _Mapping]] = ...) -> None: ...

class ScheduledRun(_message.Message):
    __slots__ = ("name", "tick_time", "cause")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TICK_TIME_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    name: str
    tick_time: _timestamp_pb2.Timestamp
    cause: ScheduleCause
    def __init__(self, name: _Optional[str] = ..., tick_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cause: _Optional[_Union[ScheduleCause, str]] = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("json", "pickle", "exit_code", "blob")
    JSON_FIELD_NUMBER: _ClassVar[int]
    PICKLE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    json: str
    pickle: bytes
    exit_code: int
    blob: BlobRef
    def __init__(self, json: _Optional[str] = ..., pickle: _Optional[bytes] = ..., exit_code: _Optional[int] = ..., blob: _Optional[_Union[BlobRef, _Mapping]] = ...) -> None: ...

class TaskError(_message.Message):
    __slots__ = ("type", "message", "traceback", "code", "pickle", "base_types")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    PICKLE_FIELD_NUMBER: _ClassVar[int]
    BASE_TYPES_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    traceback: str
    code: int
    pickle: bytes
    base_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., traceback: _Optional[str] = ..., code: _Optional[int] = ..., pickle: _Optional[bytes] = ..., base_types: _Optional[_Iterable[str]] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("number", "node", "instance", "assign_time", "start_time", "finish_time", "error", "hooks")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HOOKS_FIELD_NUMBER: _ClassVar[int]
    number: int
    node: str
    instance: str
    assign_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    error: TaskError
    hooks: HookResults
    def __init__(self, number: _Optional[int] = ..., node: _Optional[str] = ..., instance: _Optional[str] = ..., assign_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[_Union[TaskError, _Mapping]] = ..., hooks: _Optional[_Union[HookResults, _Mapping]] = ...) -> None: ...

class TaskPause(_message.Message):
    __slots__ = ("paused_by", "reason", "pause_time")
    PAUSED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PAUSE_TIME_FIELD_NUMBER: _ClassVar[int]
    paused_by: str
    reason: str
    pause_time: _timestamp_pb2.Timestamp
    def __init__(self, paused_by: _Optional[str] = ..., reason: _Optional[str] = ..., pause_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TaskProgress(_message.Message):
    __slots__ = ("fraction", "text", "update_time")
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    fraction: float
    text: str
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, fraction: _Optional[float] = ..., text: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "queue", "spec", "state", "attempt", "failures", "crashes", "create_time", "schedule_time", "finish_time", "result", "error", "attempts", "cancel_requested", "created_by", "pending_reason", "limited_by", "pause", "progress", "job_id", "graph_task", "suspended", "snoozes", "expire_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    CRASHES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    PENDING_REASON_FIELD_NUMBER: _ClassVar[int]
    LIMITED_BY_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    GRAPH_TASK_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    SNOOZES_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    queue: str
    spec: TaskSpec
    state: TaskState
    attempt: int
    failures: int
    crashes: int
    create_time: _timestamp_pb2.Timestamp
    schedule_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    result: TaskResult
    error: TaskError
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    cancel_requested: bool
    created_by: str
    pending_reason: str
    limited_by: str
    pause: TaskPause
    progress: TaskProgress
    job_id: str
    graph_task: str
    suspended: bool
    snoozes: int
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., queue: _Optional[str] = ..., spec: _Optional[_Union[TaskSpec, _Mapping]] = ..., state: _Optional[_Union[TaskState, str]] = ..., attempt: _Optional[int] = ..., failures: _Optional[int] = ..., crashes: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., schedule_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., result: _Optional[_Union[TaskResult, _Mapping]] = ..., error: _Optional[_Union[TaskError, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., cancel_requested: _Optional[bool] = ..., created_by: _Optional[str] = ..., pending_reason: _Optional[str] = ..., limited_by: _Optional[str] = ..., pause: _Optional[_Union[TaskPause, _Mapping]] = ..., progress: _Optional[_Union[TaskProgress, _Mapping]] = ..., job_id: _Optional[str] = ..., graph_task: _Optional[str] = ..., suspended: _Optional[bool] = ..., snoozes: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
