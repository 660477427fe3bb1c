import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from quorate.v1 import output_pb2 as _output_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_NOTE: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_ERROR: _ClassVar[Severity]
SEVERITY_UNSPECIFIED: Severity
SEVERITY_NOTE: Severity
SEVERITY_WARNING: Severity
SEVERITY_ERROR: Severity

class SchedulerReplica(_message.Message):
    __slots__ = ("name", "instance", "address", "leader", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    instance: str
    address: str
    leader: bool
    version: str
    def __init__(self, name: _Optional[str] = ..., instance: _Optional[str] = ..., address: _Optional[str] = ..., leader: _Optional[bool] = ..., version: _Optional[str] = ...) -> None: ...

class EtcdStatus(_message.Message):
    __slots__ = ("version", "db_size", "db_quota", "members", "refuses")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DB_SIZE_FIELD_NUMBER: _ClassVar[int]
    DB_QUOTA_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    REFUSES_FIELD_NUMBER: _ClassVar[int]
    version: str
    db_size: int
    db_quota: int
    members: int
    refuses: str
    def __init__(self, version: _Optional[str] = ..., db_size: _Optional[int] = ..., db_quota: _Optional[int] = ..., members: _Optional[int] = ..., refuses: _Optional[str] = ...) -> None: ...

class Caller(_message.Message):
    __slots__ = ("name", "permissions", "patterns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    name: str
    permissions: _containers.RepeatedScalarFieldContainer[str]
    patterns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., permissions: _Optional[_Iterable[str]] = ..., patterns: _Optional[_Iterable[str]] = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("code", "severity", "sentence", "kind", "name", "since")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    code: str
    severity: Severity
    sentence: str
    kind: str
    name: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, code: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., sentence: _Optional[str] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("name", "epoch", "sequence", "leader_since", "schedulers", "etcd", "nodes", "queues", "live_tasks", "retained_tasks", "version", "revision", "clock_offset", "blob_url", "max_blob_bytes", "max_message_bytes", "nodes_lost", "problems", "problems_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LEADER_SINCE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    ETCD_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    LIVE_TASKS_FIELD_NUMBER: _ClassVar[int]
    RETAINED_TASKS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_FIELD_NUMBER: _ClassVar[int]
    BLOB_URL_FIELD_NUMBER: _ClassVar[int]
    MAX_BLOB_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    NODES_LOST_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    epoch: int
    sequence: int
    leader_since: _timestamp_pb2.Timestamp
    schedulers: _containers.RepeatedCompositeFieldContainer[SchedulerReplica]
    etcd: EtcdStatus
    nodes: int
    queues: int
    live_tasks: int
    retained_tasks: int
    version: str
    revision: int
    clock_offset: _duration_pb2.Duration
    blob_url: str
    max_blob_bytes: int
    max_message_bytes: int
    nodes_lost: int
    problems: _containers.RepeatedCompositeFieldContainer[Problem]
    problems_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., leader_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., schedulers: _Optional[_Iterable[_Union[SchedulerReplica, _Mapping]]] = ..., etcd: _Optional[_Union[EtcdStatus, _Mapping]] = ..., nodes: _Optional[int] = ..., queues: _Optional[int] = ..., live_tasks: _Optional[int] = ..., retained_tasks: _Optional[int] = ..., version: _Optional[str] = ..., revision: _Optional[int] = ..., clock_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., blob_url: _Optional[str] = ..., max_blob_bytes: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., nodes_lost: _Optional[int] = ..., problems: _Optional[_Iterable[_Union[Problem, _Mapping]]] = ..., problems_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
