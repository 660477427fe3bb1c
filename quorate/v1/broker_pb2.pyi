import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from quorate.v1 import message_pb2 as _message_pb2
from quorate.v1 import permission_pb2 as _permission_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_ACK: _ClassVar[Outcome]
    OUTCOME_NACK: _ClassVar[Outcome]
    OUTCOME_REQUEUE: _ClassVar[Outcome]
    OUTCOME_REJECT: _ClassVar[Outcome]
    OUTCOME_TOUCH: _ClassVar[Outcome]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_ACK: Outcome
OUTCOME_NACK: Outcome
OUTCOME_REQUEUE: Outcome
OUTCOME_REJECT: Outcome
OUTCOME_TOUCH: Outcome

class VirtualHost(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CreateVirtualHostRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateVirtualHostResponse(_message.Message):
    __slots__ = ("virtual_host",)
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    virtual_host: VirtualHost
    def __init__(self, virtual_host: _Optional[_Union[VirtualHost, _Mapping]] = ...) -> None: ...

class ListVirtualHostsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListVirtualHostsResponse(_message.Message):
    __slots__ = ("virtual_hosts", "next_page_token")
    VIRTUAL_HOSTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    virtual_hosts: _containers.RepeatedCompositeFieldContainer[VirtualHost]
    next_page_token: str
    def __init__(self, virtual_hosts: _Optional[_Iterable[_Union[VirtualHost, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteVirtualHostRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteVirtualHostResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateExchangeRequest(_message.Message):
    __slots__ = ("exchange", "request_id")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    exchange: _message_pb2.Exchange
    request_id: str
    def __init__(self, exchange: _Optional[_Union[_message_pb2.Exchange, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateExchangeResponse(_message.Message):
    __slots__ = ("exchange",)
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    exchange: _message_pb2.Exchange
    def __init__(self, exchange: _Optional[_Union[_message_pb2.Exchange, _Mapping]] = ...) -> None: ...

class GetExchangeRequest(_message.Message):
    __slots__ = ("virtual_host", "name")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class GetExchangeResponse(_message.Message):
    __slots__ = ("exchange",)
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    exchange: _message_pb2.Exchange
    def __init__(self, exchange: _Optional[_Union[_message_pb2.Exchange, _Mapping]] = ...) -> None: ...

class ListExchangesRequest(_message.Message):
    __slots__ = ("virtual_host", "page_size", "page_token")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    page_size: int
    page_token: str
    def __init__(self, virtual_host: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListExchangesResponse(_message.Message):
    __slots__ = ("exchanges", "next_page_token")
    EXCHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    exchanges: _containers.RepeatedCompositeFieldContainer[_message_pb2.Exchange]
    next_page_token: str
    def __init__(self, exchanges: _Optional[_Iterable[_Union[_message_pb2.Exchange, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteExchangeRequest(_message.Message):
    __slots__ = ("virtual_host", "name", "if_unused", "request_id")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    IF_UNUSED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    if_unused: bool
    request_id: str
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., if_unused: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteExchangeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateBindingRequest(_message.Message):
    __slots__ = ("binding", "request_id", "session")
    BINDING_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    binding: _message_pb2.Binding
    request_id: str
    session: str
    def __init__(self, binding: _Optional[_Union[_message_pb2.Binding, _Mapping]] = ..., request_id: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class CreateBindingResponse(_message.Message):
    __slots__ = ("binding",)
    BINDING_FIELD_NUMBER: _ClassVar[int]
    binding: _message_pb2.Binding
    def __init__(self, binding: _Optional[_Union[_message_pb2.Binding, _Mapping]] = ...) -> None: ...

class ListBindingsRequest(_message.Message):
    __slots__ = ("virtual_host", "source", "message_queue", "page_size", "page_token", "exchange", "task_queue")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    TASK_QUEUE_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    source: str
    message_queue: str
    page_size: int
    page_token: str
    exchange: str
    task_queue: str
    def __init__(self, virtual_host: _Optional[str] = ..., source: _Optional[str] = ..., message_queue: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., exchange: _Optional[str] = ..., task_queue: _Optional[str] = ...) -> None: ...

class ListBindingsResponse(_message.Message):
    __slots__ = ("bindings", "next_page_token")
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    bindings: _containers.RepeatedCompositeFieldContainer[_message_pb2.Binding]
    next_page_token: str
    def __init__(self, bindings: _Optional[_Iterable[_Union[_message_pb2.Binding, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteBindingRequest(_message.Message):
    __slots__ = ("binding", "request_id", "session")
    BINDING_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    binding: _message_pb2.Binding
    request_id: str
    session: str
    def __init__(self, binding: _Optional[_Union[_message_pb2.Binding, _Mapping]] = ..., request_id: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class DeleteBindingResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateMessageQueueRequest(_message.Message):
    __slots__ = ("message_queue", "session", "request_id")
    MESSAGE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    message_queue: _message_pb2.MessageQueue
    session: str
    request_id: str
    def __init__(self, message_queue: _Optional[_Union[_message_pb2.MessageQueue, _Mapping]] = ..., session: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateMessageQueueResponse(_message.Message):
    __slots__ = ("message_queue",)
    MESSAGE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    message_queue: _message_pb2.MessageQueue
    def __init__(self, message_queue: _Optional[_Union[_message_pb2.MessageQueue, _Mapping]] = ...) -> None: ...

class GetMessageQueueRequest(_message.Message):
    __slots__ = ("virtual_host", "name", "session")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    session: str
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class GetMessageQueueResponse(_message.Message):
    __slots__ = ("message_queue", "consumers")
    MESSAGE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    message_queue: _message_pb2.MessageQueue
    consumers: _containers.RepeatedCompositeFieldContainer[MessageQueueConsumer]
    def __init__(self, message_queue: _Optional[_Union[_message_pb2.MessageQueue, _Mapping]] = ..., consumers: _Optional[_Iterable[_Union[MessageQueueConsumer, _Mapping]]] = ...) -> None: ...

class MessageQueueConsumer(_message.Message):
    __slots__ = ("consumer", "name", "prefetch", "automatic_ack", "exclusive", "priority", "active", "unacknowledged")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PREFETCH_FIELD_NUMBER: _ClassVar[int]
    AUTOMATIC_ACK_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    UNACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    consumer: int
    name: str
    prefetch: int
    automatic_ack: bool
    exclusive: bool
    priority: int
    active: bool
    unacknowledged: int
    def __init__(self, consumer: _Optional[int] = ..., name: _Optional[str] = ..., prefetch: _Optional[int] = ..., automatic_ack: _Optional[bool] = ..., exclusive: _Optional[bool] = ..., priority: _Optional[int] = ..., active: _Optional[bool] = ..., unacknowledged: _Optional[int] = ...) -> None: ...

class ListMessageQueuesRequest(_message.Message):
    __slots__ = ("virtual_host", "page_size", "page_token")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    page_size: int
    page_token: str
    def __init__(self, virtual_host: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMessageQueuesResponse(_message.Message):
    __slots__ = ("message_queues", "next_page_token")
    MESSAGE_QUEUES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    message_queues: _containers.RepeatedCompositeFieldContainer[_message_pb2.MessageQueue]
    next_page_token: str
    def __init__(self, message_queues: _Optional[_Iterable[_Union[_message_pb2.MessageQueue, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteMessageQueueRequest(_message.Message):
    __slots__ = ("virtual_host", "name", "if_unused", "if_empty", "session", "request_id")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    IF_UNUSED_FIELD_NUMBER: _ClassVar[int]
    IF_EMPTY_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    if_unused: bool
    if_empty: bool
    session: str
    request_id: str
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., if_unused: _Optional[bool] = ..., if_empty: _Optional[bool] = ..., session: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteMessageQueueResponse(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: int
    def __init__(self, messages: _Optional[int] = ...) -> None: ...

class PurgeMessageQueueRequest(_message.Message):
    __slots__ = ("virtual_host", "name", "session", "request_id")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    session: str
    request_id: str
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., session: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PurgeMessageQueueResponse(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: int
    def __init__(self, messages: _Optional[int] = ...) -> None: ...

class PeekMessagesRequest(_message.Message):
    __slots__ = ("virtual_host", "name", "max_messages", "offset", "session")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    max_messages: int
    offset: int
    session: str
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., max_messages: _Optional[int] = ..., offset: _Optional[int] = ..., session: _Optional[str] = ...) -> None: ...

class PeekMessagesResponse(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[_message_pb2.Delivery]
    def __init__(self, messages: _Optional[_Iterable[_Union[_message_pb2.Delivery, _Mapping]]] = ...) -> None: ...

class ReceiveMessagesRequest(_message.Message):
    __slots__ = ("virtual_host", "name", "max_messages", "session", "request_id")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    max_messages: int
    session: str
    request_id: str
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., max_messages: _Optional[int] = ..., session: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ReceiveMessagesResponse(_message.Message):
    __slots__ = ("messages", "ready")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[_message_pb2.Delivery]
    ready: int
    def __init__(self, messages: _Optional[_Iterable[_Union[_message_pb2.Delivery, _Mapping]]] = ..., ready: _Optional[int] = ...) -> None: ...

class MoveMessagesRequest(_message.Message):
    __slots__ = ("virtual_host", "name", "destination", "max_messages", "request_id", "session")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    destination: str
    max_messages: int
    request_id: str
    session: str
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., destination: _Optional[str] = ..., max_messages: _Optional[int] = ..., request_id: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class MoveMessagesResponse(_message.Message):
    __slots__ = ("moved", "ready")
    MOVED_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    moved: int
    ready: int
    def __init__(self, moved: _Optional[int] = ..., ready: _Optional[int] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("virtual_host", "publications", "producer", "request_id", "report_queues")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REPORT_QUEUES_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    publications: _containers.RepeatedCompositeFieldContainer[_message_pb2.Publication]
    producer: str
    request_id: str
    report_queues: bool
    def __init__(self, virtual_host: _Optional[str] = ..., publications: _Optional[_Iterable[_Union[_message_pb2.Publication, _Mapping]]] = ..., producer: _Optional[str] = ..., request_id: _Optional[str] = ..., report_queues: _Optional[bool] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ("results", "queues", "queue_count", "task_queues")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    QUEUE_COUNT_FIELD_NUMBER: _ClassVar[int]
    TASK_QUEUES_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[PublicationResult]
    queues: _containers.RepeatedScalarFieldContainer[str]
    queue_count: int
    task_queues: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, results: _Optional[_Iterable[_Union[PublicationResult, _Mapping]]] = ..., queues: _Optional[_Iterable[str]] = ..., queue_count: _Optional[int] = ..., task_queues: _Optional[_Iterable[str]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "reason", "message", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    message: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PublicationResult(_message.Message):
    __slots__ = ("number", "kind", "failure")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[PublicationResult.Kind]
        KIND_RETURNED: _ClassVar[PublicationResult.Kind]
        KIND_REJECTED: _ClassVar[PublicationResult.Kind]
    KIND_UNSPECIFIED: PublicationResult.Kind
    KIND_RETURNED: PublicationResult.Kind
    KIND_REJECTED: PublicationResult.Kind
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    kind: PublicationResult.Kind
    failure: Failure
    def __init__(self, number: _Optional[int] = ..., kind: _Optional[_Union[PublicationResult.Kind, str]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class PublishStreamRequest(_message.Message):
    __slots__ = ("virtual_host", "producer", "publications")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    producer: str
    publications: _containers.RepeatedCompositeFieldContainer[_message_pb2.Publication]
    def __init__(self, virtual_host: _Optional[str] = ..., producer: _Optional[str] = ..., publications: _Optional[_Iterable[_Union[_message_pb2.Publication, _Mapping]]] = ...) -> None: ...

class PublishStreamResponse(_message.Message):
    __slots__ = ("confirmed", "results", "blocked")
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    confirmed: int
    results: _containers.RepeatedCompositeFieldContainer[PublicationResult]
    blocked: bool
    def __init__(self, confirmed: _Optional[int] = ..., results: _Optional[_Iterable[_Union[PublicationResult, _Mapping]]] = ..., blocked: _Optional[bool] = ...) -> None: ...

class ConsumeRequest(_message.Message):
    __slots__ = ("open", "subscribe", "unsubscribe", "credit", "settle", "fetch", "close")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    open: OpenSession
    subscribe: Subscribe
    unsubscribe: Unsubscribe
    credit: Credit
    settle: Settle
    fetch: Fetch
    close: CloseSession
    def __init__(self, open: _Optional[_Union[OpenSession, _Mapping]] = ..., subscribe: _Optional[_Union[Subscribe, _Mapping]] = ..., unsubscribe: _Optional[_Union[Unsubscribe, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., settle: _Optional[_Union[Settle, _Mapping]] = ..., fetch: _Optional[_Union[Fetch, _Mapping]] = ..., close: _Optional[_Union[CloseSession, _Mapping]] = ...) -> None: ...

class CloseSession(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OpenSession(_message.Message):
    __slots__ = ("session", "virtual_host", "consumers", "unsettled")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    session: str
    virtual_host: str
    consumers: _containers.RepeatedCompositeFieldContainer[Subscribe]
    unsettled: _containers.RepeatedCompositeFieldContainer[Unsettled]
    def __init__(self, session: _Optional[str] = ..., virtual_host: _Optional[str] = ..., consumers: _Optional[_Iterable[_Union[Subscribe, _Mapping]]] = ..., unsettled: _Optional[_Iterable[_Union[Unsettled, _Mapping]]] = ...) -> None: ...

class Unsettled(_message.Message):
    __slots__ = ("queue", "consumer", "ids")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    queue: str
    consumer: int
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, queue: _Optional[str] = ..., consumer: _Optional[int] = ..., ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Subscribe(_message.Message):
    __slots__ = ("consumer", "queue", "name", "prefetch", "automatic_ack", "exclusive", "priority", "position", "arguments", "active")
    class ArgumentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _message_pb2.HeaderValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_message_pb2.HeaderValue, _Mapping]] = ...) -> None: ...
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PREFETCH_FIELD_NUMBER: _ClassVar[int]
    AUTOMATIC_ACK_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    consumer: int
    queue: str
    name: str
    prefetch: int
    automatic_ack: bool
    exclusive: bool
    priority: int
    position: StreamPosition
    arguments: _containers.MessageMap[str, _message_pb2.HeaderValue]
    active: bool
    def __init__(self, consumer: _Optional[int] = ..., queue: _Optional[str] = ..., name: _Optional[str] = ..., prefetch: _Optional[int] = ..., automatic_ack: _Optional[bool] = ..., exclusive: _Optional[bool] = ..., priority: _Optional[int] = ..., position: _Optional[_Union[StreamPosition, _Mapping]] = ..., arguments: _Optional[_Mapping[str, _message_pb2.HeaderValue]] = ..., active: _Optional[bool] = ...) -> None: ...

class StreamPosition(_message.Message):
    __slots__ = ("offset", "time", "first", "last", "next", "named")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    NAMED_FIELD_NUMBER: _ClassVar[int]
    offset: int
    time: _timestamp_pb2.Timestamp
    first: bool
    last: bool
    next: bool
    named: str
    def __init__(self, offset: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., first: _Optional[bool] = ..., last: _Optional[bool] = ..., next: _Optional[bool] = ..., named: _Optional[str] = ...) -> None: ...

class SetMessagePolicyRequest(_message.Message):
    __slots__ = ("policy", "request_id")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    policy: _message_pb2.MessagePolicy
    request_id: str
    def __init__(self, policy: _Optional[_Union[_message_pb2.MessagePolicy, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetMessagePolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: _message_pb2.MessagePolicy
    def __init__(self, policy: _Optional[_Union[_message_pb2.MessagePolicy, _Mapping]] = ...) -> None: ...

class ListMessagePoliciesRequest(_message.Message):
    __slots__ = ("virtual_host",)
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    def __init__(self, virtual_host: _Optional[str] = ...) -> None: ...

class ListMessagePoliciesResponse(_message.Message):
    __slots__ = ("policies",)
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[_message_pb2.MessagePolicy]
    def __init__(self, policies: _Optional[_Iterable[_Union[_message_pb2.MessagePolicy, _Mapping]]] = ...) -> None: ...

class DeleteMessagePolicyRequest(_message.Message):
    __slots__ = ("virtual_host", "name", "operator", "request_id")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    name: str
    operator: bool
    request_id: str
    def __init__(self, virtual_host: _Optional[str] = ..., name: _Optional[str] = ..., operator: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteMessagePolicyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StreamOffset(_message.Message):
    __slots__ = ("name", "offset", "update_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    offset: int
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., offset: _Optional[int] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SetStreamOffsetRequest(_message.Message):
    __slots__ = ("virtual_host", "message_queue", "name", "offset", "expected_offset")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OFFSET_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    message_queue: str
    name: str
    offset: int
    expected_offset: int
    def __init__(self, virtual_host: _Optional[str] = ..., message_queue: _Optional[str] = ..., name: _Optional[str] = ..., offset: _Optional[int] = ..., expected_offset: _Optional[int] = ...) -> None: ...

class SetStreamOffsetResponse(_message.Message):
    __slots__ = ("stream_offset",)
    STREAM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    stream_offset: StreamOffset
    def __init__(self, stream_offset: _Optional[_Union[StreamOffset, _Mapping]] = ...) -> None: ...

class ListStreamOffsetsRequest(_message.Message):
    __slots__ = ("virtual_host", "message_queue")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    message_queue: str
    def __init__(self, virtual_host: _Optional[str] = ..., message_queue: _Optional[str] = ...) -> None: ...

class ListStreamOffsetsResponse(_message.Message):
    __slots__ = ("stream_offsets",)
    STREAM_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    stream_offsets: _containers.RepeatedCompositeFieldContainer[StreamOffset]
    def __init__(self, stream_offsets: _Optional[_Iterable[_Union[StreamOffset, _Mapping]]] = ...) -> None: ...

class DeleteStreamOffsetRequest(_message.Message):
    __slots__ = ("virtual_host", "message_queue", "name", "request_id")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    message_queue: str
    name: str
    request_id: str
    def __init__(self, virtual_host: _Optional[str] = ..., message_queue: _Optional[str] = ..., name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteStreamOffsetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Unsubscribe(_message.Message):
    __slots__ = ("consumer",)
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    consumer: int
    def __init__(self, consumer: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("consumer", "prefetch")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    PREFETCH_FIELD_NUMBER: _ClassVar[int]
    consumer: int
    prefetch: int
    def __init__(self, consumer: _Optional[int] = ..., prefetch: _Optional[int] = ...) -> None: ...

class Settle(_message.Message):
    __slots__ = ("number", "consumer", "queue", "ids", "outcome", "delay_millis")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DELAY_MILLIS_FIELD_NUMBER: _ClassVar[int]
    number: int
    consumer: int
    queue: str
    ids: _containers.RepeatedScalarFieldContainer[int]
    outcome: Outcome
    delay_millis: int
    def __init__(self, number: _Optional[int] = ..., consumer: _Optional[int] = ..., queue: _Optional[str] = ..., ids: _Optional[_Iterable[int]] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., delay_millis: _Optional[int] = ...) -> None: ...

class Fetch(_message.Message):
    __slots__ = ("number", "queue", "automatic_ack")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    AUTOMATIC_ACK_FIELD_NUMBER: _ClassVar[int]
    number: int
    queue: str
    automatic_ack: bool
    def __init__(self, number: _Optional[int] = ..., queue: _Optional[str] = ..., automatic_ack: _Optional[bool] = ...) -> None: ...

class ConsumeResponse(_message.Message):
    __slots__ = ("opened", "subscribed", "deliveries", "settled", "fetched", "ended", "refused")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBED_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    FETCHED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    opened: SessionOpened
    subscribed: Subscribed
    deliveries: Deliveries
    settled: int
    fetched: Fetched
    ended: ConsumerEnded
    refused: SettleRefused
    def __init__(self, opened: _Optional[_Union[SessionOpened, _Mapping]] = ..., subscribed: _Optional[_Union[Subscribed, _Mapping]] = ..., deliveries: _Optional[_Union[Deliveries, _Mapping]] = ..., settled: _Optional[int] = ..., fetched: _Optional[_Union[Fetched, _Mapping]] = ..., ended: _Optional[_Union[ConsumerEnded, _Mapping]] = ..., refused: _Optional[_Union[SettleRefused, _Mapping]] = ...) -> None: ...

class SessionOpened(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class Subscribed(_message.Message):
    __slots__ = ("consumer", "failure", "ready", "reply_to", "stream", "offset")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    consumer: int
    failure: Failure
    ready: int
    reply_to: str
    stream: bool
    offset: int
    def __init__(self, consumer: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., ready: _Optional[int] = ..., reply_to: _Optional[str] = ..., stream: _Optional[bool] = ..., offset: _Optional[int] = ...) -> None: ...

class Deliveries(_message.Message):
    __slots__ = ("consumer", "deliveries", "skipped")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    consumer: int
    deliveries: _containers.RepeatedCompositeFieldContainer[_message_pb2.Delivery]
    skipped: int
    def __init__(self, consumer: _Optional[int] = ..., deliveries: _Optional[_Iterable[_Union[_message_pb2.Delivery, _Mapping]]] = ..., skipped: _Optional[int] = ...) -> None: ...

class Fetched(_message.Message):
    __slots__ = ("number", "delivery", "ready", "failure")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    delivery: _message_pb2.Delivery
    ready: int
    failure: Failure
    def __init__(self, number: _Optional[int] = ..., delivery: _Optional[_Union[_message_pb2.Delivery, _Mapping]] = ..., ready: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class ConsumerEnded(_message.Message):
    __slots__ = ("consumer", "failure")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    consumer: int
    failure: Failure
    def __init__(self, consumer: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class SettleRefused(_message.Message):
    __slots__ = ("number", "failure", "ids")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    number: int
    failure: Failure
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, number: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., ids: _Optional[_Iterable[int]] = ...) -> None: ...

class TransactRequest(_message.Message):
    __slots__ = ("virtual_host", "publications", "session", "settles", "request_id", "producer")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SETTLES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    publications: _containers.RepeatedCompositeFieldContainer[_message_pb2.Publication]
    session: str
    settles: _containers.RepeatedCompositeFieldContainer[Settle]
    request_id: str
    producer: str
    def __init__(self, virtual_host: _Optional[str] = ..., publications: _Optional[_Iterable[_Union[_message_pb2.Publication, _Mapping]]] = ..., session: _Optional[str] = ..., settles: _Optional[_Iterable[_Union[Settle, _Mapping]]] = ..., request_id: _Optional[str] = ..., producer: _Optional[str] = ...) -> None: ...

class TransactResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
