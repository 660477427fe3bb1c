import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeadLetterGroup(_message.Message):
    __slots__ = ("id", "queue", "error_type", "error_message", "count", "first_time", "last_time", "example_task", "example_name", "mixed")
    ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ERROR_TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_TASK_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_NAME_FIELD_NUMBER: _ClassVar[int]
    MIXED_FIELD_NUMBER: _ClassVar[int]
    id: str
    queue: str
    error_type: str
    error_message: str
    count: int
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    example_task: str
    example_name: str
    mixed: bool
    def __init__(self, id: _Optional[str] = ..., queue: _Optional[str] = ..., error_type: _Optional[str] = ..., error_message: _Optional[str] = ..., count: _Optional[int] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., example_task: _Optional[str] = ..., example_name: _Optional[str] = ..., mixed: _Optional[bool] = ...) -> None: ...
