"""Messages, headers and declarations from Python values: what travels, and what is refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from quorate.client.messages.values import declaring, requests
from quorate.client.messages.values.headers import plain, table
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import MOST_BODY, publication
from quorate.runtime.errors import QuorateError
from quorate.v1 import message_pb2

NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)


def test_headers_come_back_as_they_were():
    values = {
        "none": None,
        "yes": True,
        "number": -7,
        "part": 0.5,
        "text": "ä",
        "bytes": b"\xff",
        "when": NOON,
        "price": Decimal("-12.50"),
        "list": [1, "two", [3]],
        "table": {"inner": {"deep": 1}},
    }
    assert plain(table("headers", values)) == values


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (1 << 63, "headers.h: 9223372036854775808 does not fit into 64 bits"),
        (object(), "headers.h: object is not a type of AMQP headers"),
        (dt.datetime(2026, 1, 1), "headers.h: 2026-01-01 00:00:00 has no time zone"),  # noqa: DTZ001
        ("\ud800", "headers.h: "),
        ([[[[[[[[[1]]]]]]]]], "nests more than 8 levels deep"),
    ],
)
def test_a_header_that_amqp_does_not_have_is_refused_by_name(value: Any, sentence: str):
    with pytest.raises(QuorateError) as raised:
        table("headers", {"h": value})
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("body", "data", "kind"),
    [
        (b"\x00\xff", b"\x00\xff", ""),
        (bytearray(b"a"), b"a", ""),
        ("grüß", "grüß".encode(), ""),
        ({"a": [1, None]}, b'{"a":[1,null]}', "application/json"),
        (7, b"7", "application/json"),
    ],
)
def test_a_body_is_bytes_text_or_json(body: Any, data: bytes, kind: str):
    message = publication("", "k", body, {}).message
    assert (message.body, message.properties.content_type) == (data, kind)


def test_properties_travel_and_are_read_back():
    made = publication(
        "e",
        "k",
        "x",
        {
            "headers": {"a": 1},
            "content_type": "text/plain",
            "priority": 3,
            "correlation_id": "c",
            "reply_to": "r",
            "expiration": 1.5,
            "deliver_after": dt.timedelta(minutes=1),
            "message_id": "m",
            "timestamp": NOON,
            "type": "t",
            "ordering_key": "o",
        },
        mandatory=True,
    )
    assert made.mandatory
    properties = made.message.properties
    assert properties.expiration.ToNanoseconds() == 1_500_000_000
    assert properties.deliver_after.seconds == 60
    got = Received(message_pb2.Delivery(id=5, message=made.message), "q")
    assert (got.exchange, got.routing_key, got.text, got.headers) == ("e", "k", "x", {"a": 1})
    assert (got.content_type, got.priority, got.correlation_id) == ("text/plain", 3, "c")
    assert (got.reply_to, got.message_id, got.type, got.ordering_key) == ("r", "m", "t", "o")
    assert got.timestamp == NOON


@pytest.mark.parametrize(
    ("body", "args", "sentence"),
    [
        (bytes(MOST_BODY + 1), {}, "body: has 16,777,217 bytes; use at most 16,777,216"),
        (object(), {}, "body: is neither bytes nor text, and no JSON"),
        ("", {"priority": 256}, "priority: is 256; use 0 to 255"),
        ("", {"expiration": -1}, "expiration: is -1 s; use 0 to 31536000 s"),
        ("", {"deliver_after": float("nan")}, "deliver_after: is nan s"),
        ("", {"type": "x" * 256}, "type: has 256 bytes; use at most 255"),
        ("", {"message_id": 7}, "message_id: must be text, not int"),
    ],
)
def test_a_message_that_cannot_be_is_refused_by_name_before_it_is_sent(
    body: Any, args: Any, sentence: str
):
    with pytest.raises(QuorateError) as raised:
        publication("", "", body, args)
    assert sentence in str(raised.value)


def test_an_unknown_property_or_option_is_a_type_error():
    with pytest.raises(TypeError, match="no property 'colour'"):
        publication("", "", "", {"colour": "red"})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(TypeError, match="no option 'colour'"):
        declaring.create_queue("q", {"colour": "red"}, virtual_host="")  # type: ignore[typeddict-unknown-key]


def test_what_is_not_said_of_a_queue_is_not_sent():
    spec = declaring.create_queue("q", {}, virtual_host="").message_queue.spec
    assert spec == message_pb2.MessageQueueSpec(durable=True)
    spec = declaring.create_queue(
        "q",
        {"delivery_limit": 0, "dead_letter_exchange": "", "message_ttl": 0},
        virtual_host="",
    ).message_queue.spec
    assert spec.HasField("delivery_limit")
    assert spec.HasField("dead_letter_exchange")
    assert spec.HasField("message_ttl")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: requests.peek("q", 101, 0, ""), "count: is 101; use 1 to 100"),
        (lambda: requests.receive("q", 0, ""), "count: is 0; use 1 to 1,000"),
        (lambda: requests.move("q", "r", 10_001, ""), "count: is 10001; use 1 to 10,000"),
        (lambda: requests.checked_timeout(0), "timeout: is 0"),
        (
            lambda: declaring.create_queue("q", {"max_length": -1}, virtual_host=""),
            "max_length: is -1",
        ),
        (
            lambda: declaring.create_queue("q", {"overflow": "burst"}, virtual_host=""),  # type: ignore[typeddict-item]
            "overflow: 'burst' is not one of drop-head, reject-publish",
        ),
        (
            lambda: requests.bind("q", "e", "", "other", "", None, ""),
            "queue: give one of: the message queue that is bound, to_exchange, to_task_queue",
        ),
        (
            lambda: requests.Destination.of("e", "q", "", None),
            "queue: give a queue, or an exchange and a routing key, not both",
        ),
    ],
)
def test_an_argument_beyond_its_range_is_refused_by_name(call: Any, sentence: str):
    with pytest.raises(QuorateError) as raised:
        call()
    assert sentence in str(raised.value)
