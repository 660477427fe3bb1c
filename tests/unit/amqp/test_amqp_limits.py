"""What a client may not have for ever, or without bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from gateway.amqp.protocol.effects import Consumer
from quorate.client.transport.policy import Failure
from quorate.v1 import broker_pb2 as pb
from quorate.v1.message_pb2 import HeaderValue
from tests.support.amqp_cluster import Client, broken, until


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    await client.open()
    yield client
    await client.leave()


@pytest.mark.parametrize("consumes", [False, True])
async def test_a_quota_that_stays_used_up_closes_the_channel(client, monkeypatch, consumes):
    monkeypatch.setattr("gateway.amqp.cluster.stream.MOST_LIMITED", 0.0)
    monkeypatch.setattr("gateway.cluster.duplex.failure_of", lambda *_: Failure.LIMITED)
    if consumes:
        client.method(1, "basic.consume", queue="q")
    else:
        client.publish()
    stream = await client.cluster.stream()
    stream.end(broken(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams"))
    assert (await client.get("channel.close"))["reply_code"] == 406
    assert not client.closed


async def test_a_quota_that_is_free_again_in_a_moment_is_waited_for(client, monkeypatch):
    monkeypatch.setattr("gateway.cluster.duplex.failure_of", lambda *_: Failure.LIMITED)
    client.publish()
    for _ in range(2):
        stream = await client.cluster.stream()
        stream.end(broken(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams"))
    stream = await client.cluster.stream()
    assert len((await stream.published()).publications) == 1
    assert client.nothing


async def test_large_methods_that_wait_count_with_their_size(client):
    async def never(request: object) -> None:
        await asyncio.Event().wait()

    client.cluster.answers["CreateMessageQueue"] = never
    client.method(1, "queue.declare", queue="q")
    arguments = {"x": HeaderValue(text="x" * 100_000)}
    for _ in range(30):
        client.method(1, "queue.declare", queue="q", arguments=arguments)
    assert client.connection.held > 30 * 100_000
    assert not client.reads


async def test_a_client_that_is_not_read_is_silent_if_it_takes_nothing(client):
    """Its heartbeats are not read: what it takes shows that it is there."""
    flow, transport = client.connection._flow, client
    assert flow.silence_counts(transport)
    client.connection.pause_writing()
    while client.reads:
        client.method(1, "basic.cancel", consumer_tag="unknown")
    found = []
    for client.unread in (100, 100, 50, 50, 60):
        found.append(flow.silence_counts(transport))
    assert found == [True, True, False, True, True]


async def test_the_silence_of_a_client_that_is_held_is_not_its_own(client):
    while client.reads:
        client.publish(b"x" * (1 << 20))
    assert not client.connection._flow.silence_counts(client)


async def test_what_lost_connections_hold_is_bounded_together(client, monkeypatch):
    """Past the bound nothing of a lost connection is published; none of it was confirmed."""
    monkeypatch.setattr("gateway.amqp.flow.MOST_DRAINING", 100_000)
    counts = client.hall.counts
    client.publish(b"x" * 60_000)
    stream = await client.cluster.stream()
    await stream.published()
    client.connection.connection_lost(None)
    await until(lambda: counts.draining > 60_000)
    other = Client(beside=client)
    await other.open()
    other.publish(b"x" * 60_000)
    await (await client.cluster.stream()).published()
    other.connection.connection_lost(None)
    await until(lambda: len(client.hall.tasks) == 1)
    assert 60_000 < counts.draining < 100_000
    stream.answer(pb.PublishStreamResponse(confirmed=1))
    await until(lambda: not client.hall.tasks)
    assert counts.draining == 0


async def test_a_transaction_of_a_channel_that_is_gone_counts_no_more(client):
    client.method(1, "tx.select")
    await client.get("tx.select-ok")
    client.publish(b"x" * 100_000)
    assert client.connection._transactions.held > 100_000
    client.method(1, "channel.close")
    await client.get("channel.close-ok")
    assert client.connection._transactions.held == 0


async def test_limits_of_many_consumers_change_once_before_the_next_request(client, monkeypatch):
    client.method(1, "basic.consume", queue="q", consumer_tag="c")
    stream = await client.cluster.stream()
    assert (await stream.consumed()).open.session
    assert (await stream.consumed()).HasField("subscribe")
    asked = []
    channel = client.connection._channels[1]
    consumer = channel._state.consumers["c"]

    def prefetch_of(one: Consumer) -> int:
        asked.append(one)
        return 1

    monkeypatch.setattr(channel, "_prefetch", prefetch_of)
    for prefetch in range(1, 1_000):
        channel._limit(prefetch)
    await stream.consumed()
    assert asked == [consumer]
