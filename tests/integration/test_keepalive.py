"""What a machine holds that goes without a word: its connections neither answer nor end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from quorate.etcd import channels
from quorate.etcd.api import Range
from quorate.etcd.memory.store import MemoryEtcd
from quorate.etcd.server.launcher import EtcdProcess
from quorate.runtime.network.keepalive import LEAST_TIME, client_keepalive, server_keepalive
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import broker_pb2_grpc
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.storage.replica.fold import Fold
from tests.support.broker_calls import Broker, publication, serving
from tests.support.forwarding import BROKER, Cluster, Process
from tests.support.mute_proxy import MuteProxy
from tests.support.tls import open_etcd

# For what comes within seconds.
PATIENCE = 60.0
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


@pytest.fixture
async def broker(stack: AsyncExitStack) -> Broker:
    """A leader's broker, with a queue that has one message."""
    fold = Fold()
    machine = BrokerMachine(fold.broker.state, BrokerLimits(session_grace=0.1))
    broker = await stack.enter_async_context(serving(MemoryEtcd(), fold=fold, machine=machine))
    await broker.queue("q")
    await broker.call(pb.PublishRequest(publications=[publication(b"1")]))
    return broker


async def leading(stack: AsyncExitStack, broker: Broker) -> tuple[Cluster, Process]:
    cluster = Cluster(stack, BROKER, server_keepalive(1.0, 1.0))
    leader = await cluster.process()
    leader.roles.lead({BROKER.full_name: broker.service})
    return cluster, leader


class Consumer:
    """Consumes from the queue over a connection of its own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.call: Any = broker_pb2_grpc.BrokerStub(channel).Consume(timeout=PATIENCE)

    async def begin(self) -> None:
        subscribe = pb.Subscribe(consumer=1, queue="q", prefetch=1)
        for request in ({"open": pb.OpenSession()}, {"subscribe": subscribe}):
            await self.call.write(pb.ConsumeRequest(**request))
        for kind in ("opened", "subscribed"):
            assert (await self.call.read()).WhichOneof("response") == kind

    async def delivery(self) -> Any:
        return (await self.call.read()).deliveries.deliveries[0]


@pytest.mark.parametrize("standby", [False, True], ids=["at the leader", "through a standby"])
async def test_messages_of_a_silent_machine_go_to_another_consumer(
    stack: AsyncExitStack, broker: Broker, standby: bool
) -> None:
    cluster, leader = await leading(stack, broker)
    server = leader
    if standby:
        server = await cluster.process()
        server.follow(leader)
    proxy = await stack.enter_async_context(MuteProxy(server.address))
    channels = [
        await stack.enter_async_context(grpc.aio.insecure_channel(address, OWN_CONNECTION))
        for address in (proxy.address, leader.address)
    ]
    silent, other = (Consumer(channel) for channel in channels)
    await silent.begin()
    assert not (await silent.delivery()).redelivered
    await other.begin()

    proxy.mute()

    # Well before the consumer timeout, which is half an hour.
    delivery = await other.delivery()
    assert (delivery.message.body, delivery.redelivered) == (b"1", True)
    assert (await broker.get("q")).consumers == 1


async def test_a_stream_to_a_silent_server_ends(stack: AsyncExitStack, broker: Broker) -> None:
    _, leader = await leading(stack, broker)
    proxy = await stack.enter_async_context(MuteProxy(leader.address))
    # Servers end connections on which more pings come.
    options = (*OWN_CONNECTION, *client_keepalive(LEAST_TIME, 1.0))
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(proxy.address, options))
    consumer = Consumer(channel)
    await consumer.begin()
    await consumer.delivery()

    proxy.mute()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(consumer.call.read(), PATIENCE)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_silent_member_of_etcd_is_noticed_by_its_pings(
    stack: AsyncExitStack, etcd_server: EtcdProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All times of the pings, whichever gRPC goes by, a tenth of what they are.
    tenth = tuple(
        (name, value // 10 if name.endswith(("time_ms", "timeout_ms")) else value)
        for name, value in channels._OPTIONS
    )
    monkeypatch.setattr(channels, "_OPTIONS", tenth)
    proxy = await stack.enter_async_context(MuteProxy(etcd_server.endpoint))
    client = await stack.enter_async_context(open_etcd(proxy.address, etcd_server.endpoint))
    await client.range(Range(b"k"))
    proxy.mute()
    # The other member is asked soon; it took a minute while gRPC's own timeout of pings held.
    async with asyncio.timeout(PATIENCE / 2):
        await client.range(Range(b"k"), timeout=10 * PATIENCE)
