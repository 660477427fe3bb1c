from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor
PERMISSION_FIELD_NUMBER: _ClassVar[int]
permission: _descriptor.FieldDescriptor

class Permission(_message.Message):
    __slots__ = ("name", "public", "queue", "queue_when_empty", "task", "service", "node", "unbound", "message_queues", "exchanges")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_WHEN_EMPTY_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    UNBOUND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_QUEUES_FIELD_NUMBER: _ClassVar[int]
    EXCHANGES_FIELD_NUMBER: _ClassVar[int]
    name: str
    public: bool
    queue: str
    queue_when_empty: str
    task: str
    service: str
    node: str
    unbound: bool
    message_queues: _containers.RepeatedScalarFieldContainer[str]
    exchanges: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., public: _Optional[bool] = ..., queue: _Optional[str] = ..., queue_when_empty: _Optional[str] = ..., task: _Optional[str] = ..., service: _Optional[str] = ..., node: _Optional[str] = ..., unbound: _Optional[bool] = ..., message_queues: _Optional[_Iterable[str]] = ..., exchanges: _Optional[_Iterable[str]] = ...) -> None: ...
