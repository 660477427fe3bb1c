import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from quorate.v1 import output_pb2 as _output_pb2
from quorate.v1 import placement_pb2 as _placement_pb2
from quorate.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_STATE_UNSPECIFIED: _ClassVar[NodeState]
    NODE_STATE_CONNECTING: _ClassVar[NodeState]
    NODE_STATE_READY: _ClassVar[NodeState]
    NODE_STATE_CORDONED: _ClassVar[NodeState]
    NODE_STATE_DRAINING: _ClassVar[NodeState]
    NODE_STATE_DRAINED: _ClassVar[NodeState]
    NODE_STATE_LEAVING: _ClassVar[NodeState]
    NODE_STATE_UNWRITABLE: _ClassVar[NodeState]
    NODE_STATE_LOST: _ClassVar[NodeState]
NODE_STATE_UNSPECIFIED: NodeState
NODE_STATE_CONNECTING: NodeState
NODE_STATE_READY: NodeState
NODE_STATE_CORDONED: NodeState
NODE_STATE_DRAINING: NodeState
NODE_STATE_DRAINED: NodeState
NODE_STATE_LEAVING: NodeState
NODE_STATE_UNWRITABLE: NodeState
NODE_STATE_LOST: NodeState

class NodeStats(_message.Message):
    __slots__ = ("cpu", "memory_used", "memory_total", "disk_used", "disk_total", "load1", "disk_error", "yielded")
    CPU_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DISK_USED_FIELD_NUMBER: _ClassVar[int]
    DISK_TOTAL_FIELD_NUMBER: _ClassVar[int]
    LOAD1_FIELD_NUMBER: _ClassVar[int]
    DISK_ERROR_FIELD_NUMBER: _ClassVar[int]
    YIELDED_FIELD_NUMBER: _ClassVar[int]
    cpu: float
    memory_used: int
    memory_total: int
    disk_used: int
    disk_total: int
    load1: float
    disk_error: str
    yielded: int
    def __init__(self, cpu: _Optional[float] = ..., memory_used: _Optional[int] = ..., memory_total: _Optional[int] = ..., disk_used: _Optional[int] = ..., disk_total: _Optional[int] = ..., load1: _Optional[float] = ..., disk_error: _Optional[str] = ..., yielded: _Optional[int] = ...) -> None: ...

class LostAttempt(_message.Message):
    __slots__ = ("task", "job", "queue", "attempt")
    TASK_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    task: str
    job: str
    queue: str
    attempt: int
    def __init__(self, task: _Optional[str] = ..., job: _Optional[str] = ..., queue: _Optional[str] = ..., attempt: _Optional[int] = ...) -> None: ...

class NodeLoss(_message.Message):
    __slots__ = ("time", "why", "attempts", "some_attempts")
    TIME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    SOME_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    why: str
    attempts: int
    some_attempts: _containers.RepeatedCompositeFieldContainer[LostAttempt]
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., why: _Optional[str] = ..., attempts: _Optional[int] = ..., some_attempts: _Optional[_Iterable[_Union[LostAttempt, _Mapping]]] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("name", "instance", "address", "state", "slots", "capacity", "labels", "stats", "assigned", "running", "register_time", "version", "idle_since", "leaving_since", "fault", "taints", "agent_taints", "loss")
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
    STATE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    REGISTER_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IDLE_SINCE_FIELD_NUMBER: _ClassVar[int]
    LEAVING_SINCE_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    TAINTS_FIELD_NUMBER: _ClassVar[int]
    AGENT_TAINTS_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    name: str
    instance: str
    address: str
    state: NodeState
    slots: int
    capacity: _task_pb2.Resources
    labels: _containers.ScalarMap[str, str]
    stats: NodeStats
    assigned: int
    running: int
    register_time: _timestamp_pb2.Timestamp
    version: str
    idle_since: _timestamp_pb2.Timestamp
    leaving_since: _timestamp_pb2.Timestamp
    fault: str
    taints: _containers.RepeatedCompositeFieldContainer[_placement_pb2.Taint]
    agent_taints: _containers.RepeatedCompositeFieldContainer[_placement_pb2.Taint]
    loss: NodeLoss
    def __init__(self, name: _Optional[str] = ..., instance: _Optional[str] = ..., address: _Optional[str] = ..., state: _Optional[_Union[NodeState, str]] = ..., slots: _Optional[int] = ..., capacity: _Optional[_Union[_task_pb2.Resources, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., stats: _Optional[_Union[NodeStats, _Mapping]] = ..., assigned: _Optional[int] = ..., running: _Optional[int] = ..., register_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[str] = ..., idle_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., leaving_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., fault: _Optional[str] = ..., taints: _Optional[_Iterable[_Union[_placement_pb2.Taint, _Mapping]]] = ..., agent_taints: _Optional[_Iterable[_Union[_placement_pb2.Taint, _Mapping]]] = ..., loss: _Optional[_Union[NodeLoss, _Mapping]] = ...) -> None: ...
