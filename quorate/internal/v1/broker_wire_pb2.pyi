from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MessageEnvelope(_message.Message):
    __slots__ = ("exchange", "routing_key", "properties", "body")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    ROUTING_KEY_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    routing_key: str
    properties: bytes
    body: bytes
    def __init__(self, exchange: _Optional[str] = ..., routing_key: _Optional[str] = ..., properties: _Optional[bytes] = ..., body: _Optional[bytes] = ...) -> None: ...

class PublicationEnvelope(_message.Message):
    __slots__ = ("message", "mandatory", "number")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MANDATORY_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    message: bytes
    mandatory: bool
    number: int
    def __init__(self, message: _Optional[bytes] = ..., mandatory: _Optional[bool] = ..., number: _Optional[int] = ...) -> None: ...

class PublishEnvelope(_message.Message):
    __slots__ = ("virtual_host", "publications", "producer", "request_id")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    publications: _containers.RepeatedCompositeFieldContainer[PublicationEnvelope]
    producer: str
    request_id: str
    def __init__(self, virtual_host: _Optional[str] = ..., publications: _Optional[_Iterable[_Union[PublicationEnvelope, _Mapping]]] = ..., producer: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PublishStreamEnvelope(_message.Message):
    __slots__ = ("virtual_host", "producer", "publications")
    VIRTUAL_HOST_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    virtual_host: str
    producer: str
    publications: _containers.RepeatedCompositeFieldContainer[PublicationEnvelope]
    def __init__(self, virtual_host: _Optional[str] = ..., producer: _Optional[str] = ..., publications: _Optional[_Iterable[_Union[PublicationEnvelope, _Mapping]]] = ...) -> None: ...

class DeliveryEnvelope(_message.Message):
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
    message: bytes
    publish_time: bytes
    queue: str
    def __init__(self, id: _Optional[int] = ..., redelivered: _Optional[bool] = ..., failed_deliveries: _Optional[int] = ..., message: _Optional[bytes] = ..., publish_time: _Optional[bytes] = ..., queue: _Optional[str] = ...) -> None: ...

class DeliveriesEnvelope(_message.Message):
    __slots__ = ("consumer", "deliveries", "skipped")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    consumer: int
    deliveries: _containers.RepeatedCompositeFieldContainer[DeliveryEnvelope]
    skipped: int
    def __init__(self, consumer: _Optional[int] = ..., deliveries: _Optional[_Iterable[_Union[DeliveryEnvelope, _Mapping]]] = ..., skipped: _Optional[int] = ...) -> None: ...
