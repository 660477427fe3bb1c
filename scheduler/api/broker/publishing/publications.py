"""Publications as callers send them: checked, and the bytes of the message as they came.

A message stays the bytes that its producer serialized. Its properties are parsed once to be
checked; the body is never looked at. One exception: headers `quorate-...` say what the cluster
itself says of its messages, so a producer's are removed.

Consumers merge fields that occur twice, where we read the last of them. Such a message, which no
library writes, is stored as we have read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from google.protobuf.message import DecodeError

from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.errors import QuorateError, invalid
from quorate.security.identity import Caller, current_caller
from quorate.security.message_names import check_exchange, check_message_queue
from quorate.v1.message_pb2 import MessageProperties
from quorate.v1.message_pb2 import Publication as PublicationMessage
from scheduler.api.broker import validate
from scheduler.api.request_sizes import BESIDE, MAX_MESSAGES_BYTES, MOST_BODY
from scheduler.api.validate import between
from scheduler.core.broker.events import Publication
from scheduler.core.broker.intake import RESERVED_HEADERS
from scheduler.core.broker.queues.envelope import parse, parsed
from scheduler.core.broker.routing.checks import routing_keys

# Messages of one request.
MOST_MESSAGES: Final = 1_024
# Of a body: `--max-message-kib`, by default.
USUAL_BODY: Final = 1 << 20
# Priorities of AMQP; those above the queue's highest count as that.
MOST_PRIORITY: Final = 255
TOO_LARGE: Final = "MESSAGE_TOO_LARGE"
_TEXTS: Final = (
    *("content_type", "content_encoding", "correlation_id", "reply_to", "message_id"),
    *("type", "user_id", "app_id"),
)
# Bytes of an empty field, such as properties of which none is set; a field with content has more.
_EMPTY_FIELD: Final = 2
# A name of a header is UTF-8 in the bytes of the properties.
_RESERVED: Final = RESERVED_HEADERS.encode()


class Reader:
    """Reads publications of one caller. `most_body`: bytes of one body."""

    def __init__(self, virtual_host: str = "", most_body: int = USUAL_BODY) -> None:
        self._most_body = most_body
        caller = current_caller()
        self._caller = "" if caller is None else caller.name
        # Who may not name every exchange and message queue.
        self._bound = caller if caller is not None and caller.bound else None
        self.virtual_host = virtual_host
        # The properties that were found good last: messages of one program are often alike.
        self._good = b""
        # And the names.
        self._exchange = self._key = ""

    def read(self, envelope: wire.PublicationEnvelope) -> Publication:
        """One publication.

        Raises:
            QuorateError: INVALID_ARGUMENT naming the field of the publication, and the limit;
                PERMISSION_DENIED: the caller may not name its exchange or message queue.
        """
        payload = envelope.message
        try:
            message = wire.MessageEnvelope.FromString(payload)
        except DecodeError:
            raise invalid("message", "is no quorate.v1.Message") from None
        if len(payload) - message.ByteSize() > _EMPTY_FIELD:
            # Fields that we do not know are in both.
            payload = message.SerializeToString(deterministic=True)
        size = len(message.body)
        if size > self._most_body:
            raise invalid(
                "message.body",
                f"has {size} bytes; use at most {self._most_body} (the schedulers' "
                "--max-message-kib)",
                reason=TOO_LARGE,
                limit=self._most_body,
                value=size,
            )
        beside = len(payload) - size
        if beside > BESIDE:
            # Fields that no version knows yet: a commit would not hold them.
            raise invalid(
                "message",
                f"has {beside} bytes beside its body; use at most {BESIDE}",
                reason=TOO_LARGE,
                limit=BESIDE,
                value=beside,
            )
        exchange, key = message.exchange, message.routing_key
        if exchange != self._exchange or key != self._key:
            validate.short("message.exchange", exchange)
            validate.short("message.routing_key", key)
            self._exchange, self._key = exchange, key
        properties = message.properties
        if properties and properties != self._good:
            if _RESERVED in properties:
                properties = message.properties = _without_reserved(properties)
                payload = message.SerializeToString(deterministic=True)
            self._check(properties)
            self._good = properties
        if self._bound is not None:
            self._check_names(self._bound, message)
        return Publication(
            payload,
            exchange,
            key.encode(),
            properties,
            envelope.mandatory,
            envelope.number,
            size,
        )

    def read_all(self, envelopes: Iterable[wire.PublicationEnvelope]) -> list[Publication]:
        """Publications of one request. Raises at the first that is wrong, with its position."""
        found = []
        for place, envelope in enumerate(envelopes):
            try:
                found.append(self.read(envelope))
            except QuorateError as error:
                field = f"publications[{place}].{error.field}"
                sentence = error.message.removeprefix(f"{error.field}: ")
                metadata = {key: text for key, text in error.metadata.items() if key != "field"}
                raise QuorateError(
                    error.code,
                    error.reason,
                    f"{field}: {sentence}",
                    field=field,
                    metadata=metadata,
                ) from None
        return found

    def _check_names(self, caller: Caller, message: wire.MessageEnvelope) -> None:
        if message.exchange:
            check_exchange(caller, "message.exchange", self.virtual_host, message.exchange)
            return
        # The default exchange: each routing key names a message queue.
        routed = parse(message.routing_key.encode(), message.properties).message
        for key in routing_keys(routed):
            name = key.decode(errors="replace")
            check_message_queue(caller, "message.routing_key", self.virtual_host, name)

    def _check(self, properties: bytes) -> None:
        try:
            found = MessageProperties.FromString(properties)
        except DecodeError:
            raise invalid("message.properties", "are no MessageProperties") from None
        for field in _TEXTS:
            validate.short(f"message.properties.{field}", getattr(found, field))
        between("message.properties.priority", found.priority, 0, MOST_PRIORITY)
        validate.check_table("message.properties.headers", found.headers, validate.MOST_HEADERS)
        if found.user_id and self._caller and found.user_id != self._caller:
            raise invalid(
                "message.properties.user_id",
                f"is {found.user_id!r}; the caller is {self._caller!r}",
                reason="FOREIGN_USER_ID",
            )
        try:
            parsed(b"", found)
        except QuorateError as error:
            error.field = f"message.{error.field}"
            error.metadata["field"] = error.field
            error.message = f"message.{error.message}"
            raise


def _without_reserved(properties: bytes) -> bytes:
    """Properties without the headers that only the cluster sets."""
    try:
        found = MessageProperties.FromString(properties)
    except DecodeError:
        return properties
    names = [name for name in found.headers if name.startswith(RESERVED_HEADERS)]
    for name in names:
        del found.headers[name]
    return found.SerializeToString(deterministic=True) if names else properties


def enveloped(
    publications: Iterable[PublicationMessage],
) -> Iterator[wire.PublicationEnvelope]:
    """Publications of a request that was parsed, with their messages as bytes again."""
    for one in publications:
        yield wire.PublicationEnvelope(
            message=one.message.SerializeToString(deterministic=True),
            mandatory=one.mandatory,
            number=one.number,
        )


def check_together(size: int, publications: int) -> None:
    """Refuse several messages that are too much together for one request; one may be larger.

    Raises:
        QuorateError: INVALID_ARGUMENT (PAYLOAD_TOO_LARGE) naming the field and the limit.
    """
    most = MAX_MESSAGES_BYTES if publications > 1 else MOST_BODY
    if size > most + BESIDE:
        raise invalid(
            "publications",
            f"the request has {size} bytes; the limit is {most}",
            reason="PAYLOAD_TOO_LARGE",
            limit=most,
            value=size,
        )


def weight_of(publications: Iterable[Publication]) -> int:
    """Bytes of messages, before they are copied to their queues."""
    return sum([len(one.payload) for one in publications])
