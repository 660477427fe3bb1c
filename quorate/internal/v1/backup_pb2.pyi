from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerationRecord(_message.Message):
    __slots__ = ("generation", "revision", "restore_time")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RESTORE_TIME_FIELD_NUMBER: _ClassVar[int]
    generation: int
    revision: int
    restore_time: float
    def __init__(self, generation: _Optional[int] = ..., revision: _Optional[int] = ..., restore_time: _Optional[float] = ...) -> None: ...

class RestoreRecord(_message.Message):
    __slots__ = ("digest", "generation", "records", "done")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    generation: int
    records: int
    done: int
    def __init__(self, digest: _Optional[bytes] = ..., generation: _Optional[int] = ..., records: _Optional[int] = ..., done: _Optional[int] = ...) -> None: ...

class BackupHeader(_message.Message):
    __slots__ = ("format", "cluster", "generation", "revision", "create_time", "version")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    format: int
    cluster: str
    generation: int
    revision: int
    create_time: float
    version: str
    def __init__(self, format: _Optional[int] = ..., cluster: _Optional[str] = ..., generation: _Optional[int] = ..., revision: _Optional[int] = ..., create_time: _Optional[float] = ..., version: _Optional[str] = ...) -> None: ...

class BackupRecord(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class BackupChunk(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[BackupRecord]
    def __init__(self, records: _Optional[_Iterable[_Union[BackupRecord, _Mapping]]] = ...) -> None: ...

class BackupTrailer(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: int
    def __init__(self, records: _Optional[int] = ...) -> None: ...

class BackupFrame(_message.Message):
    __slots__ = ("header", "chunk", "trailer")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    TRAILER_FIELD_NUMBER: _ClassVar[int]
    header: BackupHeader
    chunk: BackupChunk
    trailer: BackupTrailer
    def __init__(self, header: _Optional[_Union[BackupHeader, _Mapping]] = ..., chunk: _Optional[_Union[BackupChunk, _Mapping]] = ..., trailer: _Optional[_Union[BackupTrailer, _Mapping]] = ...) -> None: ...
