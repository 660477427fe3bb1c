"""A connection's state machine: how it opens, what clients do wrong, how it ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.amqp.protocol import events as e
from gateway.amqp.protocol import limits
from gateway.amqp.protocol.handshake import Phase
from gateway.amqp.wire import frames
from gateway.amqp.wire.frames import PROTOCOL_HEADER
from gateway.amqp.wire.replies import AmqpError, Reply
from tests.support.amqp_wire import CAPABLE, Client


@pytest.fixture
def client():
    return Client()


def test_a_connection_opens(client):
    client.open()
    assert client.names() == [
        *("connection.start", "connection.tune", "connection.open-ok", "channel.open-ok"),
    ]
    start = client.got[0][1]
    assert start["mechanisms"] == b"PLAIN EXTERNAL"
    assert start["server_properties"]["product"].text == "Quorate"
    able = start["server_properties"]["capabilities"].table.entries
    assert able["publisher_confirms"].boolean
    assert client.events == [
        e.Login("PLAIN", "guest", "secret", "test"),
        e.HostAsked("/"),
        e.ChannelOpened(1),
    ]


def test_another_protocol_learns_which_one_is_spoken(client):
    client.send(b"GET / HTTP/1.1\r\n")
    assert client.raw == PROTOCOL_HEADER
    assert client.connection.phase is Phase.CLOSED


def test_the_protocol_header_may_come_in_parts(client):
    for place in range(8):
        assert not client.got
        client.send(PROTOCOL_HEADER[place : place + 1])
    assert client.names() == ["connection.start"]


@pytest.mark.parametrize(("able", "names"), [(CAPABLE, ["connection.close"]), ((), [])])
def test_a_refused_login_is_explained_to_those_who_understand(client, able, names):
    client.start(*able)
    client.connection.refuse("Login was refused.", client.now)
    client.read()
    assert client.names()[1:] == names
    if able:
        assert client.last()["reply_code"] == 403
        assert client.last()["reply_text"].startswith("ACCESS_REFUSED - ")


@pytest.mark.parametrize(
    ("agreed", "code"),
    [({"channel_max": 65_535}, 530), ({"frame_max": 1 << 20}, 530), ({"frame_max": 100}, 530)],
)
def test_a_client_agrees_to_no_more_than_was_offered(client, agreed, code):
    client.tune(**agreed)
    assert client.last()["reply_code"] == code


def test_frames_are_small_before_the_client_has_agreed(client):
    client.send(PROTOCOL_HEADER)
    client.send(frames.frame(1, 0, b"x" * limits.FIRST_FRAMES))
    assert client.last()["reply_code"] == 501


def test_a_client_that_closes_while_its_login_is_checked_stays_closed(client):
    client.start()
    assert client.method(0, "connection.close")[-1] == e.Closing()
    client.connection.closed()
    client.connection.accept()
    client.connection.opened()
    client.read()
    assert client.names()[-1] == "connection.close-ok"
    assert client.connection.phase is Phase.CLOSED


def test_frames_are_as_large_as_the_client_agreed_to(client):
    client.open(frame_max=4_096)
    client.send(frames.frame(frames.BODY, 1, b"x" * 4_096))
    assert client.last().name == "connection.close"
    assert client.last()["reply_code"] == 501


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x01\0\x01\0\0\0\x04\0\x3c\0\x0a\0", 501),
        (frames.frame(1, 1, b"\0\x3c\0\xfe"), 540),
        (frames.frame(1, 1, b"\0\x3c"), 502),
        (frames.frame(1, 1, b"\0\x3c\0\x14\0\0\xff"), 502),
        (frames.frame(2, 1, b"\0\x3c\0\0" + b"\0" * 10), 505),
        (frames.frame(3, 1, b"body"), 505),
        (frames.frame(2, 0, b"\0\x3c\0\0"), 505),
        (frames.method(0, "basic.qos"), 503),
        (frames.method(0, "connection.open"), 503),
        (frames.method(1, "connection.open"), 503),
        (frames.method(1, "channel.open"), 504),
        (frames.method(2, "basic.qos"), 504),
        (frames.method(2_048, "channel.open"), 530),
        (frames.method(1, "basic.publish") + frames.method(1, "basic.qos"), 505),
        (frames.method(1, "basic.publish", immediate=True), 540),
        (frames.frame(8, 1, b""), 501),
        (frames.method(1, "basic.publish") + frames.frame(2, 1, b"\0\x14\0\0" + b"\0" * 10), 502),
        (
            frames.method(1, "basic.publish")
            + frames.frame(2, 1, b"\0\x3c\0\0" + b"\0" * 7 + b"\x01\0\0")
            + frames.frame(3, 1, b"two"),
            505,
        ),
    ],
)  # fmt: skip
def test_what_a_client_does_wrong_closes_the_connection(client, data, code):
    client.open()
    client.send(data)
    assert client.last().name == "connection.close"
    assert client.last()["reply_code"] == code
    assert client.last()["reply_text"].startswith(f"{Reply(code).name} - ")
    # Nothing more is looked at, but how it ends.
    assert client.method(1, "basic.qos") == []
    if code != 501:
        client.method(0, "connection.close-ok")
    assert client.connection.phase is Phase.CLOSED


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_whatever_comes_only_events_leave(data):
    for client in (Client(), Client()):
        client.send(data)
    client = Client()
    client.open()
    client.send(data)


@given(st.integers(0, 3), st.integers(0, 2), st.binary(max_size=60))
@settings(max_examples=300)
def test_whatever_frames_carry_only_events_leave(type_, channel, payload):
    client = Client()
    client.open()
    client.send(frames.frame(type_, channel, payload))
    client.send(frames.method(1, "basic.publish") + frames.frame(type_, channel, payload))


@pytest.mark.parametrize("body", [b"", b"x", b"y" * 250])
def test_content_of_several_frames_is_one_message(client, body):
    client.open()
    assert client.publish(body) == [
        e.Published(1, frames.Publish("x", "k", False, False), b"\0\0", body)
    ]


def test_content_of_two_channels_may_be_mixed(client):
    client.open()
    client.method(2, "channel.open")
    parts = [
        [
            frames.method(channel, "basic.publish"),
            frames.frame(2, channel, b"\0\x3c\0\0" + b"\0" * 7 + b"\x01\0\0"),
            frames.frame(3, channel, str(channel).encode()),
        ]
        for channel in (1, 2)
    ]
    client.send(b"".join(one for pair in zip(*parts, strict=True) for one in pair))
    assert [event.body for event in client.events if isinstance(event, e.Published)] == [
        *(b"1", b"2"),
    ]


def test_a_body_that_is_too_large_is_refused_before_it_comes(client):
    client.open()
    size = limits.MOST_BODY + 1
    header = b"\0\x3c\0\0" + size.to_bytes(8) + b"\0\0"
    client.send(frames.method(1, "basic.publish") + frames.frame(2, 1, header))
    failed = client.events[-1]
    assert isinstance(failed, e.ChannelFailed)
    assert failed.error.reply is Reply.PRECONDITION_FAILED
    assert not client.send(frames.frame(3, 1, b"x" * 1_000))
    client.connection.close_channel(1, failed.error)
    client.read()
    assert client.last().name == "channel.close"
    assert client.last()["reply_code"] == 406
    assert client.method(1, "channel.close-ok") == [e.ChannelGone(1)]
    assert client.method(1, "channel.open") == [e.ChannelOpened(1)]


def test_bodies_that_are_not_complete_are_bounded(client):
    client.open()
    size = (1 << 20).to_bytes(8)
    for channel in range(2, 40):
        client.method(channel, "channel.open")
        client.send(
            frames.method(channel, "basic.publish")
            + frames.frame(2, channel, b"\0\x3c\0\0" + size + b"\0\0")
        )
        for _ in range(8):
            client.send(frames.frame(3, channel, b"x" * 130_000))
        if client.last().name == "connection.close":
            break
    assert client.last()["reply_code"] == 506


def test_headers_without_bodies_are_bounded(client):
    client.open()
    header = b"\0\x3c\0\0" + (1).to_bytes(8) + b"\0\0" + b"x" * 100_000
    sent = 0
    while client.last().name != "connection.close":
        channel = sent + 2
        client.method(channel, "channel.open")
        client.send(frames.method(channel, "basic.publish") + frames.frame(2, channel, header))
        sent += 1
        assert sent < 300
    assert client.last()["reply_code"] == 506


def test_empty_parts_of_a_body_cost_nothing(client):
    client.open()
    header = b"\0\x3c\0\0" + (4).to_bytes(8) + b"\0\0"
    client.send(frames.method(1, "basic.publish") + frames.frame(2, 1, header))
    empty = frames.frame(3, 1, b"")
    parts = (b"", b"a", b"", b"bc", b"", b"d")
    (found,) = client.send(empty * 1_000 + b"".join(frames.frame(3, 1, one) for one in parts))
    assert (found.body, type(found.body)) == (b"abcd", bytes)


def test_a_channel_that_is_being_closed_is_not_heard(client):
    client.open()
    client.connection.close_channel(1, AmqpError(Reply.NOT_FOUND, "no queue 'q'", (50, 10)))
    client.read()
    assert client.last()["reply_text"] == "NOT_FOUND - no queue 'q'"
    assert client.publish(b"late") == []
    assert client.method(1, "queue.declare") == []
    assert client.method(1, "channel.close-ok") == [e.ChannelGone(1)]


def closed_by_both(client: Client) -> None:
    """The gateway was first."""
    client.open()
    client.connection.close_channel(1, AmqpError(Reply.NOT_FOUND, "no queue 'q'", (50, 10)))
    assert client.method(1, "channel.close") == []
    assert client.names()[-2:] == ["channel.close", "channel.close-ok"]


def test_both_close_a_channel_and_answer_each_other(client):
    closed_by_both(client)
    assert client.method(1, "channel.close-ok") == [e.ChannelGone(1)]
    assert client.method(1, "channel.open") == [e.ChannelOpened(1)]
    assert client.connection.phase is Phase.OPEN


def test_a_channel_that_both_closed_may_be_opened_without_an_answer(client):
    closed_by_both(client)
    assert client.method(1, "channel.open") == [e.ChannelGone(1), e.ChannelOpened(1)]


def test_an_error_of_a_channel_that_its_client_closes_is_the_answer(client):
    """There is one channel.close, so one channel.close-ok."""
    client.open()
    assert client.method(1, "channel.close") == [e.ChannelClosed(1)]
    client.connection.close_channel(1, AmqpError(Reply.NOT_FOUND, "no exchange 'x'", (60, 40)))
    client.read()
    assert client.names()[-2:] == ["channel.open-ok", "channel.close-ok"]
    assert client.method(1, "channel.open") == [e.ChannelOpened(1)]


def test_an_answer_that_nothing_asked_for_does_not_free_a_channel(client):
    client.open()
    client.method(1, "channel.close")
    assert client.method(1, "channel.close-ok") == []
    assert client.method(1, "channel.open") == []
    client.connection.channel_closed(1)
    client.read()
    assert client.names()[-1] == "channel.close-ok"
    assert client.method(1, "channel.open") == [e.ChannelOpened(1)]


def test_a_client_closes_a_channel_and_the_connection(client):
    client.open()
    assert client.method(1, "channel.close", reply_code=200) == [e.ChannelClosed(1)]
    client.connection.channel_closed(1)
    assert client.method(0, "connection.close", reply_code=200) == [e.Closing()]
    client.connection.closed()
    client.read()
    assert client.names()[-2:] == ["channel.close-ok", "connection.close-ok"]
    assert client.connection.phase is Phase.CLOSED


def test_a_secret_is_updated(client):
    client.open()
    found = client.method(0, "connection.update-secret", new_secret=b"new", reason="old")
    assert found == [e.SecretUpdated("new")]
    client.connection.secret_updated()
    client.read()
    assert client.last().name == "connection.update-secret-ok"


def test_only_those_who_know_it_are_blocked():
    for able in ((), CAPABLE):
        client = Client()
        client.open(*able)
        client.connection.block("no room")
        client.connection.block(None)
        client.read()
        told = ["connection.blocked", "connection.unblocked"] if able else []
        assert client.names()[4:] == told


def test_heartbeats_are_sent_and_missed(client):
    client.open(heartbeat=10)
    for _ in range(3):
        client.now += 5
        client.connection.tick(client.now, reading=True)
        client.read()
    assert client.heartbeats == 3
    client.send(frames.HEARTBEAT_FRAME)
    client.now += 19
    client.connection.tick(client.now, reading=True)
    phases = [client.connection.phase]
    client.now += 1
    client.connection.tick(client.now, reading=True)
    phases.append(client.connection.phase)
    assert phases == [Phase.OPEN, Phase.CLOSED]


def test_a_client_that_is_not_read_is_not_silent(client):
    client.open(heartbeat=10)
    client.now += 60
    client.connection.tick(client.now, reading=False)
    assert client.connection.phase is Phase.OPEN


def test_a_handshake_that_takes_too_long_ends(client):
    client.start()
    client.now += limits.HANDSHAKE
    client.connection.tick(client.now, reading=True)
    assert client.connection.phase is Phase.CLOSED


def test_a_client_that_does_not_answer_close_is_closed(client):
    client.open()
    client.connection.close(AmqpError(Reply.INTERNAL_ERROR, "x"), client.now)
    client.now += limits.CLOSE
    client.connection.tick(client.now, reading=True)
    assert client.connection.phase is Phase.CLOSED
