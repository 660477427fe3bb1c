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

class VirtualHostRecord(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class FieldRecord(_message.Message):
    __slots__ = ("name", "type", "integer", "number", "data", "natural", "fields")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    NATURAL_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    integer: int
    number: float
    data: bytes
    natural: int
    fields: _containers.RepeatedCompositeFieldContainer[FieldRecord]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., integer: _Optional[int] = ..., number: _Optional[float] = ..., data: _Optional[bytes] = ..., natural: _Optional[int] = ..., fields: _Optional[_Iterable[_Union[FieldRecord, _Mapping]]] = ...) -> None: ...

class ExchangeRecord(_message.Message):
    __slots__ = ("virtual_host", "name", "type", "durable", "auto_delete", "internal", "arguments", "policy_alternate", "create_time")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    AUTO_DELETE_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    POLICY_ALTERNATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    type: str
    durable: bool
    auto_delete: bool
    internal: bool
    arguments: _containers.RepeatedCompositeFieldContainer[FieldRecord]
    policy_alternate: str
    create_time: float
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., type: _Optional[str] = ..., durable: _Optional[bool] = ..., auto_delete: _Optional[bool] = ..., internal: _Optional[bool] = ..., arguments: _Optional[_Iterable[_Union[FieldRecord, _Mapping]]] = ..., policy_alternate: _Optional[str] = ..., create_time: _Optional[float] = ...) -> None: ...

class BindingRecord(_message.Message):
    __slots__ = ("virtual_host", "source", "destination", "to_exchange", "key", "arguments", "ordinal", "to_task_queue")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    TO_EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    TO_TASK_QUEUE_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    source: str
    destination: str
    to_exchange: bool
    key: bytes
    arguments: _containers.RepeatedCompositeFieldContainer[FieldRecord]
    ordinal: int
    to_task_queue: bool
    def __init__(self, virtual_host: _Optional[str] = ..., source: _Optional[str] = ..., destination: _Optional[str] = ..., to_exchange: _Optional[bool] = ..., key: _Optional[bytes] = ..., arguments: _Optional[_Iterable[_Union[FieldRecord, _Mapping]]] = ..., ordinal: _Optional[int] = ..., to_task_queue: _Optional[bool] = ...) -> None: ...

class MessageQueueRecord(_message.Message):
    __slots__ = ("virtual_host", "name", "type", "exclusive", "auto_delete", "message_ttl", "expires", "max_length", "max_length_bytes", "overflow", "dead_letter_exchange", "dead_letter_routing_key", "max_priority", "delivery_limit", "single_active_consumer", "max_age", "durable", "arguments", "consumer_timeout", "create_time", "owner", "no_backlog", "policy", "operator_policy", "policy_definition")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    AUTO_DELETE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_TTL_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_BYTES_FIELD_NUMBER: _ClassVar[int]
    OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_ROUTING_KEY_FIELD_NUMBER: _ClassVar[int]
    MAX_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    SINGLE_ACTIVE_CONSUMER_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    NO_BACKLOG_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_DEFINITION_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    type: int
    exclusive: bool
    auto_delete: bool
    message_ttl: float
    expires: float
    max_length: int
    max_length_bytes: int
    overflow: int
    dead_letter_exchange: str
    dead_letter_routing_key: str
    max_priority: int
    delivery_limit: int
    single_active_consumer: bool
    max_age: float
    durable: bool
    arguments: _containers.RepeatedCompositeFieldContainer[FieldRecord]
    consumer_timeout: float
    create_time: float
    owner: str
    no_backlog: bool
    policy: str
    operator_policy: str
    policy_definition: PolicyDefinitionRecord
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., type: _Optional[int] = ..., exclusive: _Optional[bool] = ..., auto_delete: _Optional[bool] = ..., message_ttl: _Optional[float] = ..., expires: _Optional[float] = ..., max_length: _Optional[int] = ..., max_length_bytes: _Optional[int] = ..., overflow: _Optional[int] = ..., dead_letter_exchange: _Optional[str] = ..., dead_letter_routing_key: _Optional[str] = ..., max_priority: _Optional[int] = ..., delivery_limit: _Optional[int] = ..., single_active_consumer: _Optional[bool] = ..., max_age: _Optional[float] = ..., durable: _Optional[bool] = ..., arguments: _Optional[_Iterable[_Union[FieldRecord, _Mapping]]] = ..., consumer_timeout: _Optional[float] = ..., create_time: _Optional[float] = ..., owner: _Optional[str] = ..., no_backlog: _Optional[bool] = ..., policy: _Optional[str] = ..., operator_policy: _Optional[str] = ..., policy_definition: _Optional[_Union[PolicyDefinitionRecord, _Mapping]] = ...) -> None: ...

class PolicyDefinitionRecord(_message.Message):
    __slots__ = ("message_ttl", "expires", "max_length", "max_length_bytes", "overflow", "dead_letter_exchange", "dead_letter_routing_key", "delivery_limit", "max_age", "alternate_exchange")
    MESSAGE_TTL_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_BYTES_FIELD_NUMBER: _ClassVar[int]
    OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_ROUTING_KEY_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    ALTERNATE_EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    message_ttl: float
    expires: float
    max_length: int
    max_length_bytes: int
    overflow: int
    dead_letter_exchange: str
    dead_letter_routing_key: str
    delivery_limit: int
    max_age: float
    alternate_exchange: str
    def __init__(self, message_ttl: _Optional[float] = ..., expires: _Optional[float] = ..., max_length: _Optional[int] = ..., max_length_bytes: _Optional[int] = ..., overflow: _Optional[int] = ..., dead_letter_exchange: _Optional[str] = ..., dead_letter_routing_key: _Optional[str] = ..., delivery_limit: _Optional[int] = ..., max_age: _Optional[float] = ..., alternate_exchange: _Optional[str] = ...) -> None: ...

class MessagePolicyRecord(_message.Message):
    __slots__ = ("virtual_host", "name", "pattern", "apply_to", "priority", "definition", "operator")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    APPLY_TO_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    pattern: str
    apply_to: str
    priority: int
    definition: PolicyDefinitionRecord
    operator: bool
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., pattern: _Optional[str] = ..., apply_to: _Optional[str] = ..., priority: _Optional[int] = ..., definition: _Optional[_Union[PolicyDefinitionRecord, _Mapping]] = ..., operator: _Optional[bool] = ...) -> None: ...

class StreamOffsetRecord(_message.Message):
    __slots__ = ("name", "offset", "instant")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    INSTANT_FIELD_NUMBER: _ClassVar[int]
    name: str
    offset: int
    instant: float
    def __init__(self, name: _Optional[str] = ..., offset: _Optional[int] = ..., instant: _Optional[float] = ...) -> None: ...

class MessageSessionRecord(_message.Message):
    __slots__ = ("id", "caller", "virtual_host", "queues", "create_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    caller: str
    virtual_host: str
    queues: _containers.RepeatedScalarFieldContainer[str]
    create_time: float
    def __init__(self, id: _Optional[str] = ..., caller: _Optional[str] = ..., virtual_host: _Optional[str] = ..., queues: _Optional[_Iterable[str]] = ..., create_time: _Optional[float] = ...) -> None: ...

class ProducerRecord(_message.Message):
    __slots__ = ("key", "number", "instant", "digest", "refused", "reasons", "forgotten")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    INSTANT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    key: str
    number: int
    instant: float
    digest: bytes
    refused: _containers.RepeatedScalarFieldContainer[int]
    reasons: _containers.RepeatedCompositeFieldContainer[RejectionReasonRecord]
    forgotten: int
    def __init__(self, key: _Optional[str] = ..., number: _Optional[int] = ..., instant: _Optional[float] = ..., digest: _Optional[bytes] = ..., refused: _Optional[_Iterable[int]] = ..., reasons: _Optional[_Iterable[_Union[RejectionReasonRecord, _Mapping]]] = ..., forgotten: _Optional[int] = ...) -> None: ...

class RejectionReasonRecord(_message.Message):
    __slots__ = ("returned", "code", "reason")
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    returned: bool
    code: int
    reason: str
    def __init__(self, returned: _Optional[bool] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
