"""Bytes of AMQP: this codec against pamqp's, and what is no AMQP."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pamqp.commands
import pamqp.decode
import pamqp.encode
import pamqp.frame
import pamqp.header
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.amqp.wire import buffers, frames, methods, properties, tables
from gateway.amqp.wire.buffers import Malformed, Reader
from gateway.amqp.wire.frames import FrameReader
from gateway.amqp.wire.replies import AmqpError, Reply
from quorate.v1.message_pb2 import HeaderTable, HeaderValue, MessageProperties

# What pamqp calls otherwise.
_OTHERWISE = {"exchange_type": "type", "nowait": "no_wait", "global_": "global", "no_wait": ""}


def their_methods() -> list[Any]:
    found = []
    for shape in methods.SHAPES.values():
        index = shape.id[0] << 16 | shape.id[1]
        found.append(pytest.param(pamqp.commands.INDEX_MAPPING[index], shape, id=shape.name))
    return found


@pytest.mark.filterwarnings("ignore:This command is deprecated")
@pytest.mark.parametrize(("theirs", "shape"), their_methods())
def test_every_method_is_written_as_pamqp_writes_it(theirs, shape):
    arguments, expected = {}, {}
    for place, ((kind, name), attribute) in enumerate(
        zip(shape.arguments, theirs.__slots__, strict=True)
    ):
        if name.startswith("reserved"):
            usual = getattr(theirs(), attribute)
            arguments[name] = usual.encode() if kind == "$" else usual
            continue
        value: Any = {
            "": f"text{place}",
            "*": bool(place % 2),
            "$": f"long{place}",
            "=": {"a": True},
        }.get(kind, place + 1)
        expected[attribute] = value
        if kind == "=":
            value = {"a": HeaderValue(boolean=True)}
        arguments[name] = value.encode() if kind == "$" else value
    frame = pamqp.frame.marshal(theirs(**expected), 3)
    assert frames.method(3, shape.name, **arguments) == frame
    (read,) = FrameReader(4_096).feed(frame)
    method = methods.decode(read.payload)
    assert method.name == shape.name
    for name, value in arguments.items():
        found = method[name]
        assert (dict(found) if isinstance(value, dict) else found) == value


def test_a_table_has_every_type_at_any_depth():
    value = HeaderTable()
    entries = value.entries
    entries["t"].boolean = True
    for name, bits, number in (
        *(("b", 8, -1), ("B", -8, 255), ("s", 16, -2), ("u", -16, 65_535)),
        *(("I", 32, -3), ("i", -32, (1 << 32) - 1), ("l", 0, -(1 << 63))),
    ):
        entries[name].integer, entries[name].bits = number, bits
    entries["f"].small_number = 0.5
    entries["d"].number = 0.1
    entries["D"].decimal.scale, entries["D"].decimal.value = 2, -314
    entries["S"].text = "grüße"
    entries["x"].binary = b"\xff\0"
    entries["T"].timestamp.seconds = 1_700_000_000
    entries["V"].void = True
    inner = entries["A"].list.values.add().table.entries["F"].list.values.add()
    inner.table.entries["deep"].integer = 7
    data = tables.table(entries)
    again = HeaderTable()
    tables.read_table(Reader(data), again.entries)
    assert again == value
    # pamqp reads the same.
    _, theirs = pamqp.decode.field_table(data)
    assert theirs["A"] == [{"F": [{"deep": 7}]}]
    assert theirs["D"] == decimal.Decimal("-3.14")
    assert theirs["T"] == dt.datetime.fromtimestamp(1_700_000_000, dt.UTC)


def test_text_that_is_not_utf8_is_binary():
    data = buffers.longstr(b"\x01nS" + buffers.longstr(b"\xff"))
    found = HeaderTable()
    tables.read_table(Reader(data), found.entries)
    assert found.entries["n"].binary == b"\xff"


@pytest.mark.parametrize(
    "table",
    [
        buffers.longstr(b"\x05n"),
        buffers.longstr(b"\x01nZ"),
        buffers.longstr(b"\x01nI\0"),
        buffers.longstr(b"\x01nT" + b"\xff" * 8),
        b"\0\0\0\x09abc",
    ],
    ids=["name cut", "unknown type", "number cut", "no time", "length"],
)
def test_a_malformed_table_is_refused(table):
    with pytest.raises(Malformed):
        tables.read_table(Reader(table), HeaderTable().entries)


def test_a_table_that_nests_too_deep_is_refused():
    data = buffers.longstr(b"")
    for _ in range(tables.MOST_LEVELS + 1):
        data = buffers.longstr(b"\x01nF" + data)
    with pytest.raises(Malformed, match="levels"):
        tables.read_table(Reader(data), HeaderTable().entries)


def theirs(**given: Any) -> bytes:
    """Flags and values as pamqp writes them."""
    header = pamqp.header.ContentHeader(0, 0, pamqp.commands.Basic.Properties(**given))
    return header.marshal()[12:]


def test_properties_are_read_and_written():
    data = theirs(
        content_type="text/plain",
        content_encoding="gzip",
        headers={"n": 1},
        delivery_mode=2,
        priority=9,
        correlation_id="c",
        reply_to="r",
        expiration="1500",
        message_id="m",
        timestamp=dt.datetime.fromtimestamp(1_700_000_000, dt.UTC),
        message_type="t",
        user_id="u",
        app_id="a",
    )
    found = MessageProperties.FromString(properties.read(data))
    assert found.persistent
    assert found.expiration.ToMilliseconds() == 1_500
    assert (found.type, found.user_id, found.app_id) == ("t", "u", "a")
    assert found.timestamp.seconds == 1_700_000_000
    written = properties.written(found.SerializeToString())
    again = MessageProperties.FromString(properties.read(written))
    assert again == found
    pamqp_read = pamqp.header.ContentHeader()
    pamqp_read.unmarshal(b"\0\x3c\0\0" + b"\0" * 8 + written)
    assert pamqp_read.properties.expiration == "1500"
    assert pamqp_read.properties.headers == {"n": 1}


def test_delivery_adds_and_drops_headers():
    given = MessageProperties()
    given.headers["BCC"].list.values.add().text = "secret"
    given.headers["CC"].list.values.add().text = "known"
    data = properties.written(given.SerializeToString(), failed=2, offset=7)
    found = MessageProperties.FromString(properties.read(data))
    assert sorted(found.headers) == ["CC", "x-delivery-count", "x-stream-offset"]
    assert found.headers["x-delivery-count"].integer == 2


@pytest.mark.parametrize("text", ["", "-1", "soon", "1.5", "99999999999999"])
def test_an_expiration_that_is_no_number_of_milliseconds_is_refused(text):
    data = buffers.short(1 << 8) + buffers.shortstr(text)
    with pytest.raises(AmqpError, match="invalid expiration") as error:
        properties.read(data)
    assert error.value.reply is Reply.PRECONDITION_FAILED


@given(st.binary(max_size=80))
@settings(max_examples=200)
def test_whatever_comes_as_properties_only_known_errors_leave(data):
    try:
        properties.read(data)
    except (Malformed, AmqpError):
        pass


@given(st.binary(max_size=60), st.sampled_from(sorted(methods.SHAPES)))
@settings(max_examples=300)
def test_whatever_comes_as_a_method_only_known_errors_leave(data, name):
    class_id, method_id = methods.SHAPES[name].id
    try:
        methods.decode(buffers.short(class_id) + buffers.short(method_id) + data)
    except (Malformed, AmqpError):
        pass


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(1, 20))
@settings(max_examples=100)
def test_frames_are_the_same_however_they_are_cut(payloads, step):
    data = b"".join(frames.frame(frames.BODY, 5, one) for one in payloads)
    reader = FrameReader(4_096)
    found = [
        frame.payload
        for place in range(0, len(data), step)
        for frame in reader.feed(data[place : place + step])
    ]
    assert found == payloads


@pytest.mark.parametrize(
    "data",
    [
        b"\x07\0\0\0\0\0\0\xce",
        b"\x01\0\0\0\0\0\x01x\xcd",
        b"\x01\0\0\xff\xff\xff\xff",
    ],
    ids=["type", "end", "size"],
)
def test_a_malformed_frame_is_a_frame_error(data):
    with pytest.raises(AmqpError) as error:
        list(FrameReader(4_096).feed(data))
    assert error.value.reply is Reply.FRAME_ERROR
    assert error.value.hard


def test_a_method_that_does_not_exist_is_not_implemented():
    with pytest.raises(AmqpError, match="has no method") as error:
        methods.decode(b"\0\x3c\0\xfe")
    assert error.value.reply is Reply.NOT_IMPLEMENTED


def test_the_hot_methods_are_read_as_the_table_says():
    payload = methods.encode("basic.publish", exchange="e", routing_key="k", mandatory=True)
    assert frames.read_publish(payload) == ("e", "k", True, False)
    payload = methods.encode("basic.ack", delivery_tag=7, multiple=True)
    assert frames.read_ack(payload) == (7, True)
    for cut in (payload[:-1], payload + b"\0"):
        with pytest.raises(Malformed):
            frames.read_ack(cut)
    long = methods.encode("basic.publish", exchange="e" * 9)
    for cut in (long[:8], long + b"\0"):
        with pytest.raises(Malformed):
            frames.read_publish(cut)


def test_a_delivery_is_what_the_table_says():
    data = frames.Consumer(2, "tag", 4_096).deliver(
        9, redelivered=True, exchange="e", routing_key="k", properties=b"\0\0", body=b"x" * 5_000
    )
    found = list(FrameReader(4_096).feed(data))
    method = methods.decode(found[0].payload)
    assert method.name == "basic.deliver"
    assert method["delivery_tag"] == 9
    assert method["redelivered"]
    assert [frame.type for frame in found] == [1, 2, 3, 3]
    assert frames.read_content(found[1].payload) == (5_000, b"\0\0")
    assert b"".join(frame.payload for frame in found[2:]) == b"x" * 5_000
