"""Bad input over AMQP: the right code, nothing lost, neighbours undisturbed. The list of all such
tests of messages: `tests/unit/broker/test_broker_bad_input.py`."""

from __future__ import annotations

import asyncio

import pytest

from gateway.amqp.protocol import events as e
from gateway.amqp.protocol import limits
from gateway.amqp.wire import frames
from gateway.amqp.wire.replies import Reply
from quorate.v1 import broker_pb2 as pb
from tests.support import amqp_cluster, amqp_wire


@pytest.mark.parametrize("beyond", [-1, 0])
def test_a_body_up_to_the_limit_is_taken(beyond: int) -> None:
    client = amqp_wire.Client()
    client.open()
    body = bytes(limits.MOST_BODY + beyond)
    (published,) = client.publish(body, step=100_000)
    assert isinstance(published, e.Published)
    assert len(published.body) == len(body)


def test_a_body_beyond_the_limit_closes_its_channel_alone() -> None:
    client = amqp_wire.Client()
    client.open()
    client.method(2, "channel.open")
    failed = client.publish(bytes(limits.MOST_BODY + 1), step=100_000)[0]
    assert isinstance(failed, e.ChannelFailed)
    client.connection.close_channel(1, failed.error)
    client.read()
    assert (client.last().name, client.last()["reply_code"]) == ("channel.close", 406)
    assert isinstance(client.publish(b"m", channel=2)[0], e.Published)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_the_limit_of_a_body_is_the_one_that_the_cluster_says(beyond: int) -> None:
    client = amqp_wire.Client()
    client.connection.most_body = most = 16 << 20
    client.open()
    header = b"\0\x3c\0\0" + (most + beyond).to_bytes(8) + b"\0\0"
    client.send(frames.method(1, "basic.publish") + frames.frame(2, 1, header))
    if beyond > 0:
        # Before any of it came.
        (failed,) = client.events[-1:]
        assert isinstance(failed, e.ChannelFailed)
        assert failed.error.reply is Reply.PRECONDITION_FAILED
        assert str(most) in failed.error.text
        return
    step = limits.FRAME_MAX - 8
    for start in range(0, most + beyond, step):
        client.send(frames.frame(3, 1, bytes(min(step, most + beyond - start))))
    (published,) = client.events[-1:]
    assert isinstance(published, e.Published)
    assert len(published.body) == most + beyond


async def test_a_connection_learns_the_limit_when_it_logs_in() -> None:
    client = amqp_cluster.Client()
    answer = client.cluster.answers["GetCluster"]
    answer.cluster.max_message_bytes = 1_000
    await client.open()
    assert client.connection._machine.most_body == 1_000
    await client.leave()


def test_a_connection_opens_2047_channels_and_not_one_more() -> None:
    client, neighbour = amqp_wire.Client(), amqp_wire.Client()
    client.open()
    neighbour.open()
    for channel in range(2, 2_048):
        assert client.method(channel, "channel.open") == [e.ChannelOpened(channel)]
    assert isinstance(client.publish(b"m", channel=2_047)[0], e.Published)
    client.method(2_048, "channel.open")
    assert (client.last().name, client.last()["reply_code"]) == ("connection.close", 530)
    assert isinstance(neighbour.publish(b"m")[0], e.Published)


async def test_a_client_that_does_not_read_its_confirms_loses_none() -> None:
    client, neighbour = amqp_cluster.Client(), amqp_cluster.Client()
    await client.open()
    await neighbour.open()
    try:
        client.method(1, "confirm.select")
        await client.get("confirm.select-ok")
        client.connection.pause_writing()
        client.publish()
        stream = await client.cluster.stream()
        await stream.published()
        sent = 1
        async with asyncio.timeout(60):
            while client.reads:
                stream.answer(pb.PublishStreamResponse(confirmed=sent))
                client.publish()
                sent += len((await stream.published()).publications)
        # It is not read any longer, and everybody else is.
        neighbour.publish()
        assert len((await (await neighbour.cluster.stream()).published()).publications) == 1
        stream.answer(pb.PublishStreamResponse(confirmed=sent))
        client.connection.resume_writing()
        assert client.reads
        confirmed = 0
        while confirmed < sent:
            ack = await client.get("basic.ack")
            assert ack["delivery_tag"] > confirmed
            assert ack["multiple"] or ack["delivery_tag"] == confirmed + 1
            confirmed = ack["delivery_tag"]
        assert confirmed == sent
    finally:
        await client.leave()
        await neighbour.leave()
