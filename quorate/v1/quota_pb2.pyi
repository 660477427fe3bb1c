from quorate.v1 import output_pb2 as _output_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QuotaLimits(_message.Message):
    __slots__ = ("live_tasks", "stored_bytes", "requests_per_second", "open_watches", "open_waits", "open_streams", "live_subtasks", "blob_bytes")
    LIVE_TASKS_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    OPEN_WATCHES_FIELD_NUMBER: _ClassVar[int]
    OPEN_WAITS_FIELD_NUMBER: _ClassVar[int]
    OPEN_STREAMS_FIELD_NUMBER: _ClassVar[int]
    LIVE_SUBTASKS_FIELD_NUMBER: _ClassVar[int]
    BLOB_BYTES_FIELD_NUMBER: _ClassVar[int]
    live_tasks: int
    stored_bytes: int
    requests_per_second: int
    open_watches: int
    open_waits: int
    open_streams: int
    live_subtasks: int
    blob_bytes: int
    def __init__(self, live_tasks: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., requests_per_second: _Optional[int] = ..., open_watches: _Optional[int] = ..., open_waits: _Optional[int] = ..., open_streams: _Optional[int] = ..., live_subtasks: _Optional[int] = ..., blob_bytes: _Optional[int] = ...) -> None: ...

class Quota(_message.Message):
    __slots__ = ("caller", "queue", "limits", "in_force", "usage")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    caller: str
    queue: str
    limits: QuotaLimits
    in_force: QuotaLimits
    usage: QuotaLimits
    def __init__(self, caller: _Optional[str] = ..., queue: _Optional[str] = ..., limits: _Optional[_Union[QuotaLimits, _Mapping]] = ..., in_force: _Optional[_Union[QuotaLimits, _Mapping]] = ..., usage: _Optional[_Union[QuotaLimits, _Mapping]] = ...) -> None: ...
