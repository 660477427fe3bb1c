import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from quorate.v1 import limit_pb2 as _limit_pb2
from quorate.v1 import output_pb2 as _output_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlacementStrategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLACEMENT_STRATEGY_UNSPECIFIED: _ClassVar[PlacementStrategy]
    PLACEMENT_STRATEGY_LEAST_LOADED: _ClassVar[PlacementStrategy]
    PLACEMENT_STRATEGY_ROUND_ROBIN: _ClassVar[PlacementStrategy]
    PLACEMENT_STRATEGY_CONSISTENT_HASH: _ClassVar[PlacementStrategy]
    PLACEMENT_STRATEGY_BIN_PACK: _ClassVar[PlacementStrategy]
    PLACEMENT_STRATEGY_SPREAD: _ClassVar[PlacementStrategy]
    PLACEMENT_STRATEGY_RANDOM_OF_TWO: _ClassVar[PlacementStrategy]

class DisconnectPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISCONNECT_POLICY_UNSPECIFIED: _ClassVar[DisconnectPolicy]
    DISCONNECT_POLICY_KEEP: _ClassVar[DisconnectPolicy]
    DISCONNECT_POLICY_STOP: _ClassVar[DisconnectPolicy]

class PauseScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAUSE_SCOPE_UNSPECIFIED: _ClassVar[PauseScope]
    PAUSE_SCOPE_DISPATCH: _ClassVar[PauseScope]
    PAUSE_SCOPE_ADMISSION: _ClassVar[PauseScope]
    PAUSE_SCOPE_BOTH: _ClassVar[PauseScope]
PLACEMENT_STRATEGY_UNSPECIFIED: PlacementStrategy
PLACEMENT_STRATEGY_LEAST_LOADED: PlacementStrategy
PLACEMENT_STRATEGY_ROUND_ROBIN: PlacementStrategy
PLACEMENT_STRATEGY_CONSISTENT_HASH: PlacementStrategy
PLACEMENT_STRATEGY_BIN_PACK: PlacementStrategy
PLACEMENT_STRATEGY_SPREAD: PlacementStrategy
PLACEMENT_STRATEGY_RANDOM_OF_TWO: PlacementStrategy
DISCONNECT_POLICY_UNSPECIFIED: DisconnectPolicy
DISCONNECT_POLICY_KEEP: DisconnectPolicy
DISCONNECT_POLICY_STOP: DisconnectPolicy
PAUSE_SCOPE_UNSPECIFIED: PauseScope
PAUSE_SCOPE_DISPATCH: PauseScope
PAUSE_SCOPE_ADMISSION: PauseScope
PAUSE_SCOPE_BOTH: PauseScope

class Retention(_message.Message):
    __slots__ = ("age", "count")
    AGE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    age: _duration_pb2.Duration
    count: int
    def __init__(self, age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...

class QueueCounts(_message.Message):
    __slots__ = ("scheduled", "pending", "running", "succeeded", "failed", "cancelled", "finished_total", "expired", "paused", "blocked")
    SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    scheduled: int
    pending: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    finished_total: int
    expired: int
    paused: int
    blocked: int
    def __init__(self, scheduled: _Optional[int] = ..., pending: _Optional[int] = ..., running: _Optional[int] = ..., succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., finished_total: _Optional[int] = ..., expired: _Optional[int] = ..., paused: _Optional[int] = ..., blocked: _Optional[int] = ...) -> None: ...

class QueuePause(_message.Message):
    __slots__ = ("scope", "paused_by", "reason", "pause_time", "until")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PAUSE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    scope: PauseScope
    paused_by: str
    reason: str
    pause_time: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    def __init__(self, scope: _Optional[_Union[PauseScope, str]] = ..., paused_by: _Optional[str] = ..., reason: _Optional[str] = ..., pause_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Queue(_message.Message):
    __slots__ = ("name", "placement", "retention", "disconnect", "paused", "create_time", "counts", "oldest_pending_time", "max_running", "rate", "max_running_per_key", "rate_per_key", "max_length", "length_policy", "pause", "weights", "aging", "share", "spread_label", "filters", "score", "takes_messages", "events", "durations")
    class WeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PENDING_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_PER_KEY_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_KEY_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    LENGTH_POLICY_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    AGING_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    SPREAD_LABEL_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TAKES_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    DURATIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    placement: PlacementStrategy
    retention: Retention
    disconnect: DisconnectPolicy
    paused: bool
    create_time: _timestamp_pb2.Timestamp
    counts: QueueCounts
    oldest_pending_time: _timestamp_pb2.Timestamp
    max_running: int
    rate: _limit_pb2.RateLimit
    max_running_per_key: int
    rate_per_key: _limit_pb2.RateLimit
    max_length: int
    length_policy: _limit_pb2.LengthPolicy
    pause: QueuePause
    weights: _containers.ScalarMap[str, float]
    aging: _duration_pb2.Duration
    share: float
    spread_label: str
    filters: _containers.RepeatedScalarFieldContainer[str]
    score: str
    takes_messages: bool
    events: TaskEvents
    durations: QueueDurations
    def __init__(self, name: _Optional[str] = ..., placement: _Optional[_Union[PlacementStrategy, str]] = ..., retention: _Optional[_Union[Retention, _Mapping]] = ..., disconnect: _Optional[_Union[DisconnectPolicy, str]] = ..., paused: _Optional[bool] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., counts: _Optional[_Union[QueueCounts, _Mapping]] = ..., oldest_pending_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., max_running: _Optional[int] = ..., rate: _Optional[_Union[_limit_pb2.RateLimit, _Mapping]] = ..., max_running_per_key: _Optional[int] = ..., rate_per_key: _Optional[_Union[_limit_pb2.RateLimit, _Mapping]] = ..., max_length: _Optional[int] = ..., length_policy: _Optional[_Union[_limit_pb2.LengthPolicy, str]] = ..., pause: _Optional[_Union[QueuePause, _Mapping]] = ..., weights: _Optional[_Mapping[str, float]] = ..., aging: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., share: _Optional[float] = ..., spread_label: _Optional[str] = ..., filters: _Optional[_Iterable[str]] = ..., score: _Optional[str] = ..., takes_messages: _Optional[bool] = ..., events: _Optional[_Union[TaskEvents, _Mapping]] = ..., durations: _Optional[_Union[QueueDurations, _Mapping]] = ...) -> None: ...

class QueueDurations(_message.Message):
    __slots__ = ("waits", "wait_p50", "wait_p99", "runs", "run_p50", "run_p99")
    WAITS_FIELD_NUMBER: _ClassVar[int]
    WAIT_P50_FIELD_NUMBER: _ClassVar[int]
    WAIT_P99_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    RUN_P50_FIELD_NUMBER: _ClassVar[int]
    RUN_P99_FIELD_NUMBER: _ClassVar[int]
    waits: int
    wait_p50: _duration_pb2.Duration
    wait_p99: _duration_pb2.Duration
    runs: int
    run_p50: _duration_pb2.Duration
    run_p99: _duration_pb2.Duration
    def __init__(self, waits: _Optional[int] = ..., wait_p50: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., wait_p99: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., runs: _Optional[int] = ..., run_p50: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., run_p99: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TaskEvents(_message.Message):
    __slots__ = ("exchange", "virtual_host")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    virtual_host: str
    def __init__(self, exchange: _Optional[str] = ..., virtual_host: _Optional[str] = ...) -> None: ...
