"""The methods of AMQP 0-9-1 with RabbitMQ's additions: a table, and one codec for all of it.

Not `pamqp`: it is a client's library. It refuses names with more than 127 bytes or with characters
that RabbitMQ takes, and forgets the types of table entries. The tests compare this codec with it.

https://www.rabbitmq.com/resources/specs/amqp0-9-1.extended.xml
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.amqp.wire import buffers
from gateway.amqp.wire.buffers import Reader
from gateway.amqp.wire.replies import AmqpError, Reply
from gateway.amqp.wire.tables import read_table, table
from quorate.v1.message_pb2 import HeaderTable

# name, class id, method id, arguments. `*`: a bit; `=`: a table; `.`: an octet; `-`: a short;
# `+`: a long; `#`: a longlong; `$`: a long string; others: a short string.
_TABLE: Final = """
connection.start         10 10 .version_major .version_minor =server_properties $mechanisms $locales
connection.start-ok      10 11 =client_properties mechanism $response locale
connection.secure        10 20 $challenge
connection.secure-ok     10 21 $response
connection.tune          10 30 -channel_max +frame_max -heartbeat
connection.tune-ok       10 31 -channel_max +frame_max -heartbeat
connection.open          10 40 virtual_host reserved_1 *reserved_2
connection.open-ok       10 41 reserved_1
connection.close         10 50 -reply_code reply_text -class_id -method_id
connection.close-ok      10 51
connection.blocked       10 60 reason
connection.unblocked     10 61
connection.update-secret 10 70 $new_secret reason
connection.update-secret-ok 10 71
channel.open             20 10 reserved_1
channel.open-ok          20 11 $reserved_1
channel.flow             20 20 *active
channel.flow-ok          20 21 *active
channel.close            20 40 -reply_code reply_text -class_id -method_id
channel.close-ok         20 41
exchange.declare         40 10 -reserved_1 exchange type *passive *durable *auto_delete *internal *no_wait =arguments
exchange.declare-ok      40 11
exchange.delete          40 20 -reserved_1 exchange *if_unused *no_wait
exchange.delete-ok       40 21
exchange.bind            40 30 -reserved_1 destination source routing_key *no_wait =arguments
exchange.bind-ok         40 31
exchange.unbind          40 40 -reserved_1 destination source routing_key *no_wait =arguments
exchange.unbind-ok       40 51
queue.declare            50 10 -reserved_1 queue *passive *durable *exclusive *auto_delete *no_wait =arguments
queue.declare-ok         50 11 queue +message_count +consumer_count
queue.bind               50 20 -reserved_1 queue exchange routing_key *no_wait =arguments
queue.bind-ok            50 21
queue.purge              50 30 -reserved_1 queue *no_wait
queue.purge-ok           50 31 +message_count
queue.delete             50 40 -reserved_1 queue *if_unused *if_empty *no_wait
queue.delete-ok          50 41 +message_count
queue.unbind             50 50 -reserved_1 queue exchange routing_key =arguments
queue.unbind-ok          50 51
basic.qos                60 10 +prefetch_size -prefetch_count *global
basic.qos-ok             60 11
basic.consume            60 20 -reserved_1 queue consumer_tag *no_local *no_ack *exclusive *no_wait =arguments
basic.consume-ok         60 21 consumer_tag
basic.cancel             60 30 consumer_tag *no_wait
basic.cancel-ok          60 31 consumer_tag
basic.publish            60 40 -reserved_1 exchange routing_key *mandatory *immediate
basic.return             60 50 -reply_code reply_text exchange routing_key
basic.deliver            60 60 consumer_tag #delivery_tag *redelivered exchange routing_key
basic.get                60 70 -reserved_1 queue *no_ack
basic.get-ok             60 71 #delivery_tag *redelivered exchange routing_key +message_count
basic.get-empty          60 72 reserved_1
basic.ack                60 80 #delivery_tag *multiple
basic.reject             60 90 #delivery_tag *requeue
basic.recover-async      60 100 *requeue
basic.recover            60 110 *requeue
basic.recover-ok         60 111
basic.nack               60 120 #delivery_tag *multiple *requeue
confirm.select           85 10 *no_wait
confirm.select-ok        85 11
tx.select                90 10
tx.select-ok             90 11
tx.commit                90 20
tx.commit-ok             90 21
tx.rollback              90 30
tx.rollback-ok           90 31
"""  # noqa: E501 - one method a line
_KINDS: Final = "*=.-+#$"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a method is called, and its arguments: (kind, name)."""

    name: str
    id: tuple[int, int]
    arguments: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Method:
    """A method with its arguments; `method["queue"]`."""

    shape: Shape
    arguments: dict[str, Any]

    @property
    def name(self) -> str:
        return self.shape.name

    @property
    def id(self) -> tuple[int, int]:
        return self.shape.id

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]


def _shapes() -> dict[str, Shape]:
    found = {}
    for line in _TABLE.strip().splitlines():
        name, class_id, method_id, *arguments = line.split()
        pairs = [(one[0], one[1:]) if one[0] in _KINDS else ("", one) for one in arguments]
        found[name] = Shape(name, (int(class_id), int(method_id)), tuple(pairs))
    return found


SHAPES: Final = _shapes()
_BY_ID: Final = {shape.id: shape for shape in SHAPES.values()}


def decode(payload: bytes) -> Method:
    """The method of a frame.

    Raises:
        Malformed: its arguments are not as they should be.
        AmqpError: 540 for one that does not exist.
    """
    reader = Reader(payload)
    id = reader.short(), reader.short()
    shape = _BY_ID.get(id)
    if shape is None:
        raise AmqpError(Reply.NOT_IMPLEMENTED, f"class {id[0]} has no method {id[1]}", id)
    arguments: dict[str, Any] = {}
    bits = place = 0
    for kind, name in shape.arguments:
        if kind == "*":
            # Bits that stand beside each other share octets.
            if not place % 8:
                bits = reader.octet()
                place = 0
            arguments[name] = bool(bits >> place & 1)
            place += 1
            continue
        place = 0
        arguments[name] = _read(reader, kind)
    reader.end()
    return Method(shape, arguments)


def _read(reader: Reader, kind: str) -> Any:
    match kind:
        case "":
            return reader.shortstr()
        case "-":
            return reader.short()
        case "+":
            return reader.long()
        case "#":
            return reader.longlong()
        case "$":
            return reader.longstr()
        case ".":
            return reader.octet()
        case _:
            entries = HeaderTable().entries
            read_table(reader, entries)
            return entries


def encode(name: str, **arguments: Any) -> bytes:
    """The payload of a method frame. Arguments that are left out are zero or empty."""
    shape = SHAPES[name]
    assert arguments.keys() <= {argument for _, argument in shape.arguments}, name
    parts = [buffers.short(shape.id[0]), buffers.short(shape.id[1])]
    bits: list[bool] = []
    for kind, argument in shape.arguments:
        value = arguments.get(argument)
        if kind == "*":
            bits.append(bool(value))
            continue
        if bits:
            parts.append(_octet_of(bits))
            bits = []
        parts.append(_written(kind, value))
    if bits:
        parts.append(_octet_of(bits))
    return b"".join(parts)


def _octet_of(bits: list[bool]) -> bytes:
    assert len(bits) <= 8
    return buffers.octet(sum(bit << place for place, bit in enumerate(bits)))


def _written(kind: str, value: Any) -> bytes:
    match kind:
        case "":
            return buffers.shortstr(value or "")
        case "-":
            return buffers.short(value or 0)
        case "+":
            return buffers.long(value or 0)
        case "#":
            return buffers.longlong(value or 0)
        case "$":
            return buffers.longstr(value or b"")
        case ".":
            return buffers.octet(value or 0)
        case _:
            return table(value or {})
