"""Publications as the scheduler reads them: what is checked is what consumers read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.errors import QuorateError
from quorate.security.identity import Caller, How, Role
from quorate.security.identity import _caller as current
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.api.broker.publishing.publications import Reader
from scheduler.api.request_sizes import BESIDE
from tests.support.broker_calls import serving

# A field of a later version, as protobuf has it: number 200, a text.
UNKNOWN = b"\xc2\x0c\x05later"
FORGED = m.Message(
    properties=m.MessageProperties(
        user_id="other", headers={"quorate-event": m.HeaderValue(text="forged")}
    )
).SerializeToString()


@pytest.fixture
def ci() -> Iterator[None]:
    """The caller is `submitter:ci`."""
    token = current.set(Caller("ci", Role.SUBMITTER, How.TOKEN))
    yield
    current.reset(token)


def message(**properties: str) -> bytes:
    made = m.MessageProperties(**properties)  # type: ignore[arg-type]
    return m.Message(routing_key="q", properties=made, body=b"x").SerializeToString()


def read(payload: bytes) -> bytes:
    """What is stored."""
    return Reader().read(wire.PublicationEnvelope(message=payload)).payload


@pytest.mark.usefixtures("ci")
@pytest.mark.parametrize("unknown", [b"", UNKNOWN])
def test_properties_that_come_twice_are_those_that_were_checked(unknown: bytes) -> None:
    good = message(content_type="a/b", user_id="ci")
    # What a consumer would make of it.
    merged = m.Message.FromString(FORGED + message(content_type="a/b"))
    assert merged.properties.user_id == "other"
    for payload in (FORGED + good, unknown + FORGED + FORGED + good):
        found = m.Message.FromString(read(payload + unknown))
        found.DiscardUnknownFields()
        assert found == m.Message.FromString(good)
    # The last of them is checked.
    with pytest.raises(QuorateError, match="user_id"):
        read(good + FORGED)


def test_a_message_stays_the_bytes_that_came() -> None:
    plain = message(content_type="a/b")
    nested = message() + UNKNOWN
    # In another order than ours.
    turned = b"\x22\x01x" + b"\x12\x01q"
    for payload in (plain, plain + UNKNOWN, UNKNOWN + plain, nested, turned, turned + UNKNOWN):
        assert read(payload) == payload
    # Of each field that comes twice, the last is kept, and what we do not know.
    twice = m.Message.FromString(read(b"\x12\x05other" + plain + UNKNOWN))
    assert twice == m.Message.FromString(plain + UNKNOWN)
    assert twice.SerializeToString().count(UNKNOWN) == 1


async def test_what_is_delivered_was_checked() -> None:
    async with serving() as broker:
        await broker.queue("q")
        stream = broker.stream()
        envelope = wire.PublicationEnvelope(message=FORGED + message(content_type="a/b"), number=1)
        request = wire.PublishStreamEnvelope(publications=[envelope])
        stream.sent.put_nowait(request.SerializeToString())
        await stream.until(1)
        (taken,) = (await broker.call(pb.ReceiveMessagesRequest(name="q"))).messages
        assert taken.message.properties == m.MessageProperties(content_type="a/b")
        await stream.close()


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_what_is_beside_a_body_is_bounded_unknown_fields_too(more: int) -> None:
    # Field 200 with a length of three bytes; 5 bytes of framing, 3 of the body's field.
    size = BESIDE - 5 - len(m.Message(body=b"x").SerializeToString()) + 1 + more
    length = bytes((size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14))
    payload = m.Message(body=b"x").SerializeToString() + b"\xc2\x0c" + length + b"u" * size
    assert len(payload) - 1 == BESIDE + more
    if more <= 0:
        assert read(payload) == payload
        return
    with pytest.raises(QuorateError, match=f"{BESIDE + 1} bytes beside its body") as caught:
        read(payload)
    assert (caught.value.field, caught.value.metadata["limit"]) == ("message", str(BESIDE))
