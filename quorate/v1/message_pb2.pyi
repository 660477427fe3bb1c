import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExchangeType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXCHANGE_TYPE_UNSPECIFIED: _ClassVar[ExchangeType]
    EXCHANGE_TYPE_DIRECT: _ClassVar[ExchangeType]
    EXCHANGE_TYPE_FANOUT: _ClassVar[ExchangeType]
    EXCHANGE_TYPE_TOPIC: _ClassVar[ExchangeType]
    EXCHANGE_TYPE_HEADERS: _ClassVar[ExchangeType]
    EXCHANGE_TYPE_CONSISTENT_HASH: _ClassVar[ExchangeType]

class MessageQueueType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESSAGE_QUEUE_TYPE_UNSPECIFIED: _ClassVar[MessageQueueType]
    MESSAGE_QUEUE_TYPE_QUEUE: _ClassVar[MessageQueueType]
    MESSAGE_QUEUE_TYPE_STREAM: _ClassVar[MessageQueueType]

class Overflow(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OVERFLOW_UNSPECIFIED: _ClassVar[Overflow]
    OVERFLOW_DROP_HEAD: _ClassVar[Overflow]
    OVERFLOW_REJECT_PUBLISH: _ClassVar[Overflow]
    OVERFLOW_REJECT_PUBLISH_DEAD_LETTER: _ClassVar[Overflow]
EXCHANGE_TYPE_UNSPECIFIED: ExchangeType
EXCHANGE_TYPE_DIRECT: ExchangeType
EXCHANGE_TYPE_FANOUT: ExchangeType
EXCHANGE_TYPE_TOPIC: ExchangeType
EXCHANGE_TYPE_HEADERS: ExchangeType
EXCHANGE_TYPE_CONSISTENT_HASH: ExchangeType
MESSAGE_QUEUE_TYPE_UNSPECIFIED: MessageQueueType
MESSAGE_QUEUE_TYPE_QUEUE: MessageQueueType
MESSAGE_QUEUE_TYPE_STREAM: MessageQueueType
OVERFLOW_UNSPECIFIED: Overflow
OVERFLOW_DROP_HEAD: Overflow
OVERFLOW_REJECT_PUBLISH: Overflow
OVERFLOW_REJECT_PUBLISH_DEAD_LETTER: Overflow

class Message(_message.Message):
    __slots__ = ("exchange", "routing_key", "properties", "body")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    ROUTING_KEY_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    routing_key: str
    properties: MessageProperties
    body: bytes
    def __init__(self, exchange: _Optional[str] = ..., routing_key: _Optional[str] = ..., properties: _Optional[_Union[MessageProperties, _Mapping]] = ..., body: _Optional[bytes] = ...) -> None: ...

class MessageProperties(_message.Message):
    __slots__ = ("content_type", "content_encoding", "headers", "persistent", "priority", "correlation_id", "reply_to", "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "deliver_after", "ordering_key")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: HeaderValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[HeaderValue, _Mapping]] = ...) -> None: ...
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ENCODING_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    PERSISTENT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    EXPIRATION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    APP_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVER_AFTER_FIELD_NUMBER: _ClassVar[int]
    ORDERING_KEY_FIELD_NUMBER: _ClassVar[int]
    content_type: str
    content_encoding: str
    headers: _containers.MessageMap[str, HeaderValue]
    persistent: bool
    priority: int
    correlation_id: str
    reply_to: str
    expiration: _duration_pb2.Duration
    message_id: str
    timestamp: _timestamp_pb2.Timestamp
    type: str
    user_id: str
    app_id: str
    deliver_after: _duration_pb2.Duration
    ordering_key: str
    def __init__(self, content_type: _Optional[str] = ..., content_encoding: _Optional[str] = ..., headers: _Optional[_Mapping[str, HeaderValue]] = ..., persistent: _Optional[bool] = ..., priority: _Optional[int] = ..., correlation_id: _Optional[str] = ..., reply_to: _Optional[str] = ..., expiration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., message_id: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., type: _Optional[str] = ..., user_id: _Optional[str] = ..., app_id: _Optional[str] = ..., deliver_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ordering_key: _Optional[str] = ...) -> None: ...

class HeaderValue(_message.Message):
    __slots__ = ("boolean", "integer", "number", "text", "binary", "timestamp", "list", "table", "decimal", "void", "small_number", "bits")
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BINARY_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    DECIMAL_FIELD_NUMBER: _ClassVar[int]
    VOID_FIELD_NUMBER: _ClassVar[int]
    SMALL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    boolean: bool
    integer: int
    number: float
    text: str
    binary: bytes
    timestamp: _timestamp_pb2.Timestamp
    list: HeaderList
    table: HeaderTable
    decimal: Decimal
    void: bool
    small_number: float
    bits: int
    def __init__(self, boolean: _Optional[bool] = ..., integer: _Optional[int] = ..., number: _Optional[float] = ..., text: _Optional[str] = ..., binary: _Optional[bytes] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., list: _Optional[_Union[HeaderList, _Mapping]] = ..., table: _Optional[_Union[HeaderTable, _Mapping]] = ..., decimal: _Optional[_Union[Decimal, _Mapping]] = ..., void: _Optional[bool] = ..., small_number: _Optional[float] = ..., bits: _Optional[int] = ...) -> None: ...

class HeaderList(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[HeaderValue]
    def __init__(self, values: _Optional[_Iterable[_Union[HeaderValue, _Mapping]]] = ...) -> None: ...

class HeaderTable(_message.Message):
    __slots__ = ("entries",)
    class EntriesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: HeaderValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[HeaderValue, _Mapping]] = ...) -> None: ...
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.MessageMap[str, HeaderValue]
    def __init__(self, entries: _Optional[_Mapping[str, HeaderValue]] = ...) -> None: ...

class Decimal(_message.Message):
    __slots__ = ("scale", "value")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    scale: int
    value: int
    def __init__(self, scale: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...

class Publication(_message.Message):
    __slots__ = ("message", "mandatory", "number")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MANDATORY_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    message: Message
    mandatory: bool
    number: int
    def __init__(self, message: _Optional[_Union[Message, _Mapping]] = ..., mandatory: _Optional[bool] = ..., number: _Optional[int] = ...) -> None: ...

class Exchange(_message.Message):
    __slots__ = ("virtual_host", "name", "type", "auto_delete", "internal", "arguments", "create_time", "durable", "bindings")
    class ArgumentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: HeaderValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[HeaderValue, _Mapping]] = ...) -> None: ...
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AUTO_DELETE_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    type: ExchangeType
    auto_delete: bool
    internal: bool
    arguments: _containers.MessageMap[str, HeaderValue]
    create_time: _timestamp_pb2.Timestamp
    durable: bool
    bindings: int
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., type: _Optional[_Union[ExchangeType, str]] = ..., auto_delete: _Optional[bool] = ..., internal: _Optional[bool] = ..., arguments: _Optional[_Mapping[str, HeaderValue]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., durable: _Optional[bool] = ..., bindings: _Optional[int] = ...) -> None: ...

class Binding(_message.Message):
    __slots__ = ("virtual_host", "source", "message_queue", "exchange", "task_queue", "routing_key", "arguments")
    class ArgumentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: HeaderValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[HeaderValue, _Mapping]] = ...) -> None: ...
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    TASK_QUEUE_FIELD_NUMBER: _ClassVar[int]
    ROUTING_KEY_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    source: str
    message_queue: str
    exchange: str
    task_queue: str
    routing_key: str
    arguments: _containers.MessageMap[str, HeaderValue]
    def __init__(self, virtual_host: _Optional[str] = ..., source: _Optional[str] = ..., message_queue: _Optional[str] = ..., exchange: _Optional[str] = ..., task_queue: _Optional[str] = ..., routing_key: _Optional[str] = ..., arguments: _Optional[_Mapping[str, HeaderValue]] = ...) -> None: ...

class MessageQueueSpec(_message.Message):
    __slots__ = ("type", "exclusive", "auto_delete", "message_ttl", "expires", "max_length", "max_length_bytes", "overflow", "dead_letter_exchange", "dead_letter_routing_key", "max_priority", "delivery_limit", "single_active_consumer", "max_age", "durable", "arguments", "consumer_timeout", "no_backlog")
    class ArgumentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: HeaderValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[HeaderValue, _Mapping]] = ...) -> None: ...
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
    NO_BACKLOG_FIELD_NUMBER: _ClassVar[int]
    type: MessageQueueType
    exclusive: bool
    auto_delete: bool
    message_ttl: _duration_pb2.Duration
    expires: _duration_pb2.Duration
    max_length: int
    max_length_bytes: int
    overflow: Overflow
    dead_letter_exchange: str
    dead_letter_routing_key: str
    max_priority: int
    delivery_limit: int
    single_active_consumer: bool
    max_age: _duration_pb2.Duration
    durable: bool
    arguments: _containers.MessageMap[str, HeaderValue]
    consumer_timeout: _duration_pb2.Duration
    no_backlog: bool
    def __init__(self, type: _Optional[_Union[MessageQueueType, str]] = ..., exclusive: _Optional[bool] = ..., auto_delete: _Optional[bool] = ..., message_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., expires: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_length: _Optional[int] = ..., max_length_bytes: _Optional[int] = ..., overflow: _Optional[_Union[Overflow, str]] = ..., dead_letter_exchange: _Optional[str] = ..., dead_letter_routing_key: _Optional[str] = ..., max_priority: _Optional[int] = ..., delivery_limit: _Optional[int] = ..., single_active_consumer: _Optional[bool] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., durable: _Optional[bool] = ..., arguments: _Optional[_Mapping[str, HeaderValue]] = ..., consumer_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., no_backlog: _Optional[bool] = ...) -> None: ...

class MessageQueue(_message.Message):
    __slots__ = ("virtual_host", "name", "spec", "uid", "create_time", "ready", "unacknowledged", "delayed", "consumers", "bytes", "first_offset", "next_offset", "oldest_time", "published_total", "delivered_total", "acknowledged_total", "dead_lettered_total", "dropped_total", "redelivered_total", "owner_session", "active_consumer", "effective_spec", "policy", "operator_policy")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    UNACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    DELAYED_FIELD_NUMBER: _ClassVar[int]
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    FIRST_OFFSET_FIELD_NUMBER: _ClassVar[int]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    OLDEST_TIME_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DROPPED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    REDELIVERED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    OWNER_SESSION_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_CONSUMER_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SPEC_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_POLICY_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    spec: MessageQueueSpec
    uid: str
    create_time: _timestamp_pb2.Timestamp
    ready: int
    unacknowledged: int
    delayed: int
    consumers: int
    bytes: int
    first_offset: int
    next_offset: int
    oldest_time: _timestamp_pb2.Timestamp
    published_total: int
    delivered_total: int
    acknowledged_total: int
    dead_lettered_total: int
    dropped_total: int
    redelivered_total: int
    owner_session: str
    active_consumer: str
    effective_spec: MessageQueueSpec
    policy: str
    operator_policy: str
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., spec: _Optional[_Union[MessageQueueSpec, _Mapping]] = ..., uid: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ready: _Optional[int] = ..., unacknowledged: _Optional[int] = ..., delayed: _Optional[int] = ..., consumers: _Optional[int] = ..., bytes: _Optional[int] = ..., first_offset: _Optional[int] = ..., next_offset: _Optional[int] = ..., oldest_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., published_total: _Optional[int] = ..., delivered_total: _Optional[int] = ..., acknowledged_total: _Optional[int] = ..., dead_lettered_total: _Optional[int] = ..., dropped_total: _Optional[int] = ..., redelivered_total: _Optional[int] = ..., owner_session: _Optional[str] = ..., active_consumer: _Optional[str] = ..., effective_spec: _Optional[_Union[MessageQueueSpec, _Mapping]] = ..., policy: _Optional[str] = ..., operator_policy: _Optional[str] = ...) -> None: ...

class MessagePolicy(_message.Message):
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
    definition: PolicyDefinition
    operator: bool
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., pattern: _Optional[str] = ..., apply_to: _Optional[str] = ..., priority: _Optional[int] = ..., definition: _Optional[_Union[PolicyDefinition, _Mapping]] = ..., operator: _Optional[bool] = ...) -> None: ...

class PolicyDefinition(_message.Message):
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
    message_ttl: _duration_pb2.Duration
    expires: _duration_pb2.Duration
    max_length: int
    max_length_bytes: int
    overflow: Overflow
    dead_letter_exchange: str
    dead_letter_routing_key: str
    delivery_limit: int
    max_age: _duration_pb2.Duration
    alternate_exchange: str
    def __init__(self, message_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., expires: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_length: _Optional[int] = ..., max_length_bytes: _Optional[int] = ..., overflow: _Optional[_Union[Overflow, str]] = ..., dead_letter_exchange: _Optional[str] = ..., dead_letter_routing_key: _Optional[str] = ..., delivery_limit: _Optional[int] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., alternate_exchange: _Optional[str] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("id", "redelivered", "failed_deliveries", "message", "publish_time", "queue")
    ID_FIELD_NUMBER: _ClassVar[int]
    REDELIVERED_FIELD_NUMBER: _ClassVar[int]
    FAILED_DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    id: int
    redelivered: bool
    failed_deliveries: int
    message: Message
    publish_time: _timestamp_pb2.Timestamp
    queue: str
    def __init__(self, id: _Optional[int] = ..., redelivered: _Optional[bool] = ..., failed_deliveries: _Optional[int] = ..., message: _Optional[_Union[Message, _Mapping]] = ..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., queue: _Optional[str] = ...) -> None: ...
