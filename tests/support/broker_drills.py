"""The drill of the broker: the leader is killed under publishes and acknowledgements.

See `tests.support.drills`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from quorate.v1 import broker_pb2 as pb
from quorate.v1 import broker_pb2_grpc
from tests.support.amqp import amqp_door
from tests.support.cluster import Cluster
from tests.support.drills import Figures
from tests.support.server import until
from tests.support.tls import open_aio
from tests.support.traffic.amqp import PikaTraffic
from tests.support.traffic.record import Traffic, longest_pause
from tests.support.traffic.sdk import SdkTraffic
from tests.support.traffic.stubs import StubTraffic

# Messages of each client between a leader's first and its death.
_STEADY: Final = 50
_WITHIN: Final = 60.0


async def kill_broker_leader(
    cluster: Cluster, *, rounds: int, rate: float, figures: Figures, steady: int = _STEADY
) -> None:
    """SIGKILL the leader while messages are published, delivered and acknowledged.

    The SDK, plain stubs and pika share the rate (publishes a second, and as many acknowledgements).
    All go on by themselves; a confirmed message that is lost, one that comes again after its
    confirmed acknowledgement, and an AMQP connection that is closed fail the drill. The figures:
    for each kill and client the longest time without a confirm, and without a delivery. `steady`:
    messages of each client before and after a kill.
    """
    await cluster.standby()
    addresses = [server.address for server in cluster.schedulers.values()]
    with amqp_door(addresses) as door:
        share = rate / 3
        clients: list[Traffic] = [
            SdkTraffic(",".join(addresses), share),
            StubTraffic(cluster, share),
            PikaTraffic(door, share),
        ]
        async with AsyncExitStack() as stack:
            for client in clients:
                await stack.enter_async_context(client.run())
            began = time.monotonic()
            kills = [await _kill(cluster, clients, steady) for _ in range(rounds)]
            await _steady(clients, steady)
            ended = time.monotonic()
            for client in clients:
                client.stop()
            await _whole(clients)
    for client in clients:
        client.record.check()
        for kill, end in zip(kills, [*kills[1:], ended], strict=True):
            for what, times in (
                ("confirms", client.record.confirms),
                ("deliveries", client.record.deliveries),
            ):
                figures.add(f"{client.name}: pause of {what}", longest_pause(times, kill, end))
    await _nothing_left(cluster, clients)
    for what, count in (
        ("published and confirmed", sum(len(one.record.confirmed) for one in clients)),
        ("delivered and acknowledged", sum(len(one.record.settled) for one in clients)),
    ):
        figures.notes.append(f"{count:,} messages {what}, {count / (ended - began):,.0f} a second")


async def _kill(cluster: Cluster, clients: Sequence[Traffic], steady: int) -> float:
    """One round; when the leader was killed (`time.monotonic`)."""
    await cluster.standby()
    await _steady(clients, steady)
    epoch, leader = await cluster.leader()
    at = time.monotonic()
    leader.send(signal.SIGKILL)
    await leader.gone()
    await cluster.leader(after=epoch)
    await _steady(clients, steady)
    await leader.start()
    return at


async def _steady(clients: Sequence[Traffic], count: int) -> None:
    """Until each client has confirms and deliveries of what it publishes from now on."""
    marks = [(one.record, one.record.published + count) for one in clients]

    def look() -> bool:
        return all(
            (mark in record.confirmed and mark in record.settled) or record.trouble
            for record, mark in marks
        )

    await until(look, "every client goes on", _WITHIN)
    for record, _ in marks:
        assert not record.trouble, record.trouble


async def _nothing_left(cluster: Cluster, clients: Sequence[Traffic]) -> None:
    """The queues are empty: each acknowledgement is on record. They are deleted."""
    _, leader = await cluster.leader()
    async with open_aio(leader.address) as channel:
        stub = broker_pb2_grpc.BrokerStub(channel)
        for client in clients:
            name = client.queue

            async def is_empty(name: str = name) -> bool:
                queue = await stub.GetMessageQueue(pb.GetMessageQueueRequest(name=name), timeout=20)
                found = queue.message_queue
                return (found.ready, found.unacknowledged) == (0, 0)

            await until(is_empty, f"{name} is empty")
            await stub.DeleteMessageQueue(pb.DeleteMessageQueueRequest(name=name), timeout=20)


async def _whole(clients: Sequence[Traffic]) -> None:
    """Until all that was published is confirmed, delivered and settled."""
    names = ", ".join(client.name for client in clients)
    try:
        await until(
            lambda: all(one.record.is_whole for one in clients),
            f"all is confirmed, delivered and settled by {names}",
            30.0,
        )
    except AssertionError:
        # What is lost never comes.
        for client in clients:
            client.record.check()
        raise
