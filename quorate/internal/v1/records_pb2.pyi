from quorate.v1 import limit_pb2 as _limit_pb2
from quorate.v1 import placement_pb2 as _placement_pb2
from quorate.v1 import queue_pb2 as _queue_pb2
from quorate.v1 import quota_pb2 as _quota_pb2
from quorate.v1 import schedule_pb2 as _schedule_pb2
from quorate.v1 import service_pb2 as _service_pb2
from quorate.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HeadRecord(_message.Message):
    __slots__ = ("epoch", "sequence")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    sequence: int
    def __init__(self, epoch: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class CandidateRecord(_message.Message):
    __slots__ = ("name", "instance", "address", "version", "session_key", "record_kinds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_KEY_FIELD_NUMBER: _ClassVar[int]
    RECORD_KINDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    instance: str
    address: str
    version: str
    session_key: bytes
    record_kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., instance: _Optional[str] = ..., address: _Optional[str] = ..., version: _Optional[str] = ..., session_key: _Optional[bytes] = ..., record_kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class NodeRecord(_message.Message):
    __slots__ = ("name", "instance", "address", "slots", "capacity", "labels", "register_time", "version", "takes_chunks", "taints", "takes_signals", "takes_hooks", "takes_reduces", "ends_subtasks", "takes_messages", "announces_end", "ending")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REGISTER_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TAKES_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    TAINTS_FIELD_NUMBER: _ClassVar[int]
    TAKES_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    TAKES_HOOKS_FIELD_NUMBER: _ClassVar[int]
    TAKES_REDUCES_FIELD_NUMBER: _ClassVar[int]
    ENDS_SUBTASKS_FIELD_NUMBER: _ClassVar[int]
    TAKES_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCES_END_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    name: str
    instance: str
    address: str
    slots: int
    capacity: _task_pb2.Resources
    labels: _containers.ScalarMap[str, str]
    register_time: float
    version: str
    takes_chunks: bool
    taints: _containers.RepeatedCompositeFieldContainer[_placement_pb2.Taint]
    takes_signals: bool
    takes_hooks: bool
    takes_reduces: bool
    ends_subtasks: bool
    takes_messages: bool
    announces_end: bool
    ending: bool
    def __init__(self, name: _Optional[str] = ..., instance: _Optional[str] = ..., address: _Optional[str] = ..., slots: _Optional[int] = ..., capacity: _Optional[_Union[_task_pb2.Resources, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., register_time: _Optional[float] = ..., version: _Optional[str] = ..., takes_chunks: _Optional[bool] = ..., taints: _Optional[_Iterable[_Union[_placement_pb2.Taint, _Mapping]]] = ..., takes_signals: _Optional[bool] = ..., takes_hooks: _Optional[bool] = ..., takes_reduces: _Optional[bool] = ..., ends_subtasks: _Optional[bool] = ..., takes_messages: _Optional[bool] = ..., announces_end: _Optional[bool] = ..., ending: _Optional[bool] = ...) -> None: ...

class LostNodeRecord(_message.Message):
    __slots__ = ("instance", "address", "slots", "capacity", "labels", "register_time", "version", "lost_time", "why", "attempts", "tasks")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REGISTER_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LOST_TIME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    instance: str
    address: str
    slots: int
    capacity: _task_pb2.Resources
    labels: _containers.ScalarMap[str, str]
    register_time: float
    version: str
    lost_time: float
    why: str
    attempts: int
    tasks: _containers.RepeatedCompositeFieldContainer[LostAttemptRecord]
    def __init__(self, instance: _Optional[str] = ..., address: _Optional[str] = ..., slots: _Optional[int] = ..., capacity: _Optional[_Union[_task_pb2.Resources, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., register_time: _Optional[float] = ..., version: _Optional[str] = ..., lost_time: _Optional[float] = ..., why: _Optional[str] = ..., attempts: _Optional[int] = ..., tasks: _Optional[_Iterable[_Union[LostAttemptRecord, _Mapping]]] = ...) -> None: ...

class LostAttemptRecord(_message.Message):
    __slots__ = ("id", "queue", "attempt", "job")
    ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    id: str
    queue: str
    attempt: int
    job: bool
    def __init__(self, id: _Optional[str] = ..., queue: _Optional[str] = ..., attempt: _Optional[int] = ..., job: _Optional[bool] = ...) -> None: ...

class NodeControlRecord(_message.Message):
    __slots__ = ("cordoned", "draining", "drain_grace", "taints")
    CORDONED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    DRAIN_GRACE_FIELD_NUMBER: _ClassVar[int]
    TAINTS_FIELD_NUMBER: _ClassVar[int]
    cordoned: bool
    draining: bool
    drain_grace: float
    taints: _containers.RepeatedCompositeFieldContainer[_placement_pb2.Taint]
    def __init__(self, cordoned: _Optional[bool] = ..., draining: _Optional[bool] = ..., drain_grace: _Optional[float] = ..., taints: _Optional[_Iterable[_Union[_placement_pb2.Taint, _Mapping]]] = ...) -> None: ...

class LeavingRecord(_message.Message):
    __slots__ = ("instance", "mark_time")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    MARK_TIME_FIELD_NUMBER: _ClassVar[int]
    instance: str
    mark_time: float
    def __init__(self, instance: _Optional[str] = ..., mark_time: _Optional[float] = ...) -> None: ...

class QueueRecord(_message.Message):
    __slots__ = ("name", "placement", "retention_age", "retention_count", "disconnect", "paused", "create_time", "max_running", "rate", "max_running_per_key", "rate_per_key", "max_length", "length_policy", "weights", "aging", "pause", "spread_label", "filters", "score", "share", "message_template", "events_exchange", "events_virtual_host")
    class WeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    RETENTION_AGE_FIELD_NUMBER: _ClassVar[int]
    RETENTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_PER_KEY_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_KEY_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    LENGTH_POLICY_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    AGING_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    SPREAD_LABEL_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    name: str
    placement: _queue_pb2.PlacementStrategy
    retention_age: float
    retention_count: int
    disconnect: _queue_pb2.DisconnectPolicy
    paused: bool
    create_time: float
    max_running: int
    rate: RateRecord
    max_running_per_key: int
    rate_per_key: RateRecord
    max_length: int
    length_policy: _limit_pb2.LengthPolicy
    weights: _containers.ScalarMap[str, float]
    aging: float
    pause: QueuePauseRecord
    spread_label: str
    filters: _containers.RepeatedScalarFieldContainer[str]
    score: str
    share: float
    message_template: bytes
    events_exchange: str
    events_virtual_host: str
    def __init__(self, name: _Optional[str] = ..., placement: _Optional[_Union[_queue_pb2.PlacementStrategy, str]] = ..., retention_age: _Optional[float] = ..., retention_count: _Optional[int] = ..., disconnect: _Optional[_Union[_queue_pb2.DisconnectPolicy, str]] = ..., paused: _Optional[bool] = ..., create_time: _Optional[float] = ..., max_running: _Optional[int] = ..., rate: _Optional[_Union[RateRecord, _Mapping]] = ..., max_running_per_key: _Optional[int] = ..., rate_per_key: _Optional[_Union[RateRecord, _Mapping]] = ..., max_length: _Optional[int] = ..., length_policy: _Optional[_Union[_limit_pb2.LengthPolicy, str]] = ..., weights: _Optional[_Mapping[str, float]] = ..., aging: _Optional[float] = ..., pause: _Optional[_Union[QueuePauseRecord, _Mapping]] = ..., spread_label: _Optional[str] = ..., filters: _Optional[_Iterable[str]] = ..., score: _Optional[str] = ..., share: _Optional[float] = ..., message_template: _Optional[bytes] = ..., events_exchange: _Optional[str] = ..., events_virtual_host: _Optional[str] = ...) -> None: ...

class TaskPauseRecord(_message.Message):
    __slots__ = ("by", "reason", "since")
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    by: str
    reason: str
    since: float
    def __init__(self, by: _Optional[str] = ..., reason: _Optional[str] = ..., since: _Optional[float] = ...) -> None: ...

class QueuePauseRecord(_message.Message):
    __slots__ = ("scope", "by", "reason", "since", "until")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    scope: _queue_pb2.PauseScope
    by: str
    reason: str
    since: float
    until: float
    def __init__(self, scope: _Optional[_Union[_queue_pb2.PauseScope, str]] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ..., since: _Optional[float] = ..., until: _Optional[float] = ...) -> None: ...

class PauseRecord(_message.Message):
    __slots__ = ("name", "queue", "labels", "fairness_key", "scope", "reason", "until", "by", "since")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    FAIRNESS_KEY_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    queue: str
    labels: _containers.ScalarMap[str, str]
    fairness_key: str
    scope: _queue_pb2.PauseScope
    reason: str
    until: float
    by: str
    since: float
    def __init__(self, name: _Optional[str] = ..., queue: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., fairness_key: _Optional[str] = ..., scope: _Optional[_Union[_queue_pb2.PauseScope, str]] = ..., reason: _Optional[str] = ..., until: _Optional[float] = ..., by: _Optional[str] = ..., since: _Optional[float] = ...) -> None: ...

class RateRecord(_message.Message):
    __slots__ = ("count", "period", "burst")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    count: int
    period: float
    burst: int
    def __init__(self, count: _Optional[int] = ..., period: _Optional[float] = ..., burst: _Optional[int] = ...) -> None: ...

class LimitGroupRecord(_message.Message):
    __slots__ = ("name", "max_running", "rate", "create_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    max_running: int
    rate: RateRecord
    create_time: float
    def __init__(self, name: _Optional[str] = ..., max_running: _Optional[int] = ..., rate: _Optional[_Union[RateRecord, _Mapping]] = ..., create_time: _Optional[float] = ...) -> None: ...

class RateUseRecord(_message.Message):
    __slots__ = ("arrival",)
    ARRIVAL_FIELD_NUMBER: _ClassVar[int]
    arrival: float
    def __init__(self, arrival: _Optional[float] = ...) -> None: ...

class UniqueRecord(_message.Message):
    __slots__ = ("task", "until", "create_time")
    TASK_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    task: str
    until: float
    create_time: float
    def __init__(self, task: _Optional[str] = ..., until: _Optional[float] = ..., create_time: _Optional[float] = ...) -> None: ...

class TaskRecord(_message.Message):
    __slots__ = ("spec", "create_time", "created_by", "member")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    spec: bytes
    create_time: float
    created_by: str
    member: MemberRecord
    def __init__(self, spec: _Optional[bytes] = ..., create_time: _Optional[float] = ..., created_by: _Optional[str] = ..., member: _Optional[_Union[MemberRecord, _Mapping]] = ...) -> None: ...

class MemberRecord(_message.Message):
    __slots__ = ("job", "name", "in_graph", "depends_on", "inputs")
    JOB_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    IN_GRAPH_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    job: str
    name: str
    in_graph: bool
    depends_on: _containers.RepeatedScalarFieldContainer[int]
    inputs: _containers.RepeatedCompositeFieldContainer[InputRecord]
    def __init__(self, job: _Optional[str] = ..., name: _Optional[str] = ..., in_graph: _Optional[bool] = ..., depends_on: _Optional[_Iterable[int]] = ..., inputs: _Optional[_Iterable[_Union[InputRecord, _Mapping]]] = ...) -> None: ...

class InputRecord(_message.Message):
    __slots__ = ("parameter", "place")
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    parameter: str
    place: int
    def __init__(self, parameter: _Optional[str] = ..., place: _Optional[int] = ...) -> None: ...

class RunRecord(_message.Message):
    __slots__ = ("state", "attempt", "failures", "crashes", "node", "instance", "assign_time", "start_time", "finish_time", "not_before", "cancel_requested", "result", "error", "past", "charged", "expire_time", "share_charged", "pause", "job_round", "hooks", "snoozes")
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    CRASHES_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PAST_FIELD_NUMBER: _ClassVar[int]
    CHARGED_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    SHARE_CHARGED_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    JOB_ROUND_FIELD_NUMBER: _ClassVar[int]
    HOOKS_FIELD_NUMBER: _ClassVar[int]
    SNOOZES_FIELD_NUMBER: _ClassVar[int]
    state: _task_pb2.TaskState
    attempt: int
    failures: int
    crashes: int
    node: str
    instance: str
    assign_time: float
    start_time: float
    finish_time: float
    not_before: float
    cancel_requested: bool
    result: _task_pb2.TaskResult
    error: _task_pb2.TaskError
    past: _containers.RepeatedCompositeFieldContainer[PastAttempt]
    charged: int
    expire_time: float
    share_charged: float
    pause: TaskPauseRecord
    job_round: int
    hooks: _task_pb2.HookResults
    snoozes: int
    def __init__(self, state: _Optional[_Union[_task_pb2.TaskState, str]] = ..., attempt: _Optional[int] = ..., failures: _Optional[int] = ..., crashes: _Optional[int] = ..., node: _Optional[str] = ..., instance: _Optional[str] = ..., assign_time: _Optional[float] = ..., start_time: _Optional[float] = ..., finish_time: _Optional[float] = ..., not_before: _Optional[float] = ..., cancel_requested: _Optional[bool] = ..., result: _Optional[_Union[_task_pb2.TaskResult, _Mapping]] = ..., error: _Optional[_Union[_task_pb2.TaskError, _Mapping]] = ..., past: _Optional[_Iterable[_Union[PastAttempt, _Mapping]]] = ..., charged: _Optional[int] = ..., expire_time: _Optional[float] = ..., share_charged: _Optional[float] = ..., pause: _Optional[_Union[TaskPauseRecord, _Mapping]] = ..., job_round: _Optional[int] = ..., hooks: _Optional[_Union[_task_pb2.HookResults, _Mapping]] = ..., snoozes: _Optional[int] = ...) -> None: ...

class PastAttempt(_message.Message):
    __slots__ = ("number", "node", "instance", "assign_time", "start_time", "finish_time", "error_type", "error_message", "hooks")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    ERROR_TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HOOKS_FIELD_NUMBER: _ClassVar[int]
    number: int
    node: str
    instance: str
    assign_time: float
    start_time: float
    finish_time: float
    error_type: str
    error_message: str
    hooks: _task_pb2.HookResults
    def __init__(self, number: _Optional[int] = ..., node: _Optional[str] = ..., instance: _Optional[str] = ..., assign_time: _Optional[float] = ..., start_time: _Optional[float] = ..., finish_time: _Optional[float] = ..., error_type: _Optional[str] = ..., error_message: _Optional[str] = ..., hooks: _Optional[_Union[_task_pb2.HookResults, _Mapping]] = ...) -> None: ...

class DedupRecord(_message.Message):
    __slots__ = ("digest", "create_time", "queue", "first_id", "count", "progress", "caller", "counts", "last_id")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    FIRST_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    LAST_ID_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    create_time: float
    queue: str
    first_id: str
    count: int
    progress: int
    caller: str
    counts: _containers.RepeatedScalarFieldContainer[int]
    last_id: str
    def __init__(self, digest: _Optional[bytes] = ..., create_time: _Optional[float] = ..., queue: _Optional[str] = ..., first_id: _Optional[str] = ..., count: _Optional[int] = ..., progress: _Optional[int] = ..., caller: _Optional[str] = ..., counts: _Optional[_Iterable[int]] = ..., last_id: _Optional[str] = ...) -> None: ...

class ServiceRecord(_message.Message):
    __slots__ = ("name", "spec", "version", "generation", "create_time", "deleting")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DELETING_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: _service_pb2.ServiceSpec
    version: int
    generation: int
    create_time: float
    deleting: bool
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[_service_pb2.ServiceSpec, _Mapping]] = ..., version: _Optional[int] = ..., generation: _Optional[int] = ..., create_time: _Optional[float] = ..., deleting: _Optional[bool] = ...) -> None: ...

class ScheduleRecord(_message.Message):
    __slots__ = ("name", "spec", "version", "create_time", "created_by", "cursor", "pause", "waiting", "backfill", "runs", "misses", "fired", "run_count", "miss_count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    FIRED_FIELD_NUMBER: _ClassVar[int]
    RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    MISS_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: _schedule_pb2.ScheduleSpec
    version: int
    create_time: float
    created_by: str
    cursor: int
    pause: SchedulePause
    waiting: _containers.RepeatedScalarFieldContainer[int]
    backfill: ScheduleBackfill
    runs: _containers.RepeatedCompositeFieldContainer[PastRun]
    misses: _containers.RepeatedCompositeFieldContainer[PastMiss]
    fired: int
    run_count: int
    miss_count: int
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[_schedule_pb2.ScheduleSpec, _Mapping]] = ..., version: _Optional[int] = ..., create_time: _Optional[float] = ..., created_by: _Optional[str] = ..., cursor: _Optional[int] = ..., pause: _Optional[_Union[SchedulePause, _Mapping]] = ..., waiting: _Optional[_Iterable[int]] = ..., backfill: _Optional[_Union[ScheduleBackfill, _Mapping]] = ..., runs: _Optional[_Iterable[_Union[PastRun, _Mapping]]] = ..., misses: _Optional[_Iterable[_Union[PastMiss, _Mapping]]] = ..., fired: _Optional[int] = ..., run_count: _Optional[int] = ..., miss_count: _Optional[int] = ...) -> None: ...

class SchedulePause(_message.Message):
    __slots__ = ("reason", "by", "until")
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    reason: str
    by: str
    until: int
    def __init__(self, reason: _Optional[str] = ..., by: _Optional[str] = ..., until: _Optional[int] = ...) -> None: ...

class ScheduleBackfill(_message.Message):
    __slots__ = ("cursor", "end", "overlap")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    end: int
    overlap: _schedule_pb2.OverlapPolicy
    def __init__(self, cursor: _Optional[int] = ..., end: _Optional[int] = ..., overlap: _Optional[_Union[_schedule_pb2.OverlapPolicy, str]] = ...) -> None: ...

class PastRun(_message.Message):
    __slots__ = ("tick", "task", "cause", "state", "is_job")
    TICK_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    IS_JOB_FIELD_NUMBER: _ClassVar[int]
    tick: int
    task: str
    cause: _task_pb2.ScheduleCause
    state: _task_pb2.TaskState
    is_job: bool
    def __init__(self, tick: _Optional[int] = ..., task: _Optional[str] = ..., cause: _Optional[_Union[_task_pb2.ScheduleCause, str]] = ..., state: _Optional[_Union[_task_pb2.TaskState, str]] = ..., is_job: _Optional[bool] = ...) -> None: ...

class PastMiss(_message.Message):
    __slots__ = ("first", "last", "ticks", "reason", "detail")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    TICKS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    ticks: int
    reason: _schedule_pb2.MissReason
    detail: str
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ..., ticks: _Optional[int] = ..., reason: _Optional[_Union[_schedule_pb2.MissReason, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class QuotaRecord(_message.Message):
    __slots__ = ("limits",)
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    limits: _quota_pb2.QuotaLimits
    def __init__(self, limits: _Optional[_Union[_quota_pb2.QuotaLimits, _Mapping]] = ...) -> None: ...

class InstanceRecord(_message.Message):
    __slots__ = ("instance", "agent", "attempt")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    instance: _service_pb2.ServiceInstance
    agent: str
    attempt: int
    def __init__(self, instance: _Optional[_Union[_service_pb2.ServiceInstance, _Mapping]] = ..., agent: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...
