from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MessageAcksRecord(_message.Message):
    __slots__ = ("cursor", "tail", "instant", "chunks")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    INSTANT_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    tail: int
    instant: float
    chunks: _containers.RepeatedCompositeFieldContainer[MessageChunkDoneRecord]
    def __init__(self, cursor: _Optional[int] = ..., tail: _Optional[int] = ..., instant: _Optional[float] = ..., chunks: _Optional[_Iterable[_Union[MessageChunkDoneRecord, _Mapping]]] = ...) -> None: ...

class MessageChunkDoneRecord(_message.Message):
    __slots__ = ("first", "done", "runs", "returned")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    first: int
    done: bytes
    runs: _containers.RepeatedScalarFieldContainer[int]
    returned: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, first: _Optional[int] = ..., done: _Optional[bytes] = ..., runs: _Optional[_Iterable[int]] = ..., returned: _Optional[_Iterable[int]] = ...) -> None: ...
