"""aio-pika through a gateway while the leader is killed: connections stay open, nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import aio_pika

from tests.e2e.test_broker_failover import kill_leader
from tests.support.amqp import amqp_door
from tests.support.cluster import Cluster

ALL = 1_500
BATCH = 50
QUEUE = "numbers"


async def test_a_connection_outlives_its_leader_and_no_confirmed_message_is_lost(tmp_path):
    async with Cluster(tmp_path, agents=0) as cluster:
        await cluster.standby()
        addresses = [server.address for server in cluster.schedulers.values()]
        with amqp_door(addresses) as door:
            connection = await aio_pika.connect(door.url, ssl_context=door.context)
            closed: list[Any] = []
            connection.close_callbacks.add(lambda *why: closed.append(why))
            async with connection:
                # Of the connection: it stays while the leader changes.
                private = await (await connection.channel()).declare_queue(exclusive=True)
                work = Work(connection)
                await work.run(cluster)
                assert not closed
                await work.check()
                await work.publish(b"late", private.name)
                message = await private.get(timeout=60)
                assert message.body == b"late"
                await message.ack()


class Work:
    """A producer and a consumer on channels of one connection.

    Attributes:
        confirmed: how many messages are.
        seen: bodies that came, with how often.
        twice: those that came again without being marked as redelivered.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.confirmed = 0
        self.seen: dict[int, int] = {}
        self.twice: list[int] = []
        self._changed = asyncio.Event()

    async def run(self, cluster: Cluster) -> None:
        consuming = await self._connection.channel()
        await consuming.set_qos(100)
        queue = await consuming.declare_queue(QUEUE, durable=True)
        await queue.consume(self._on_message)
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(self._publish_all())
            for part in (1, 2):
                await self._reached(lambda part=part: self.confirmed >= part * ALL // 3)
                await self._reached(lambda part=part: len(self.seen) >= part * ALL // 4)
                await cluster.standby()
                await kill_leader(cluster)
            await asyncio.wait_for(publishing, 90)
            await self._reached(lambda: len(self.seen) == ALL)
        await consuming.close()

    async def publish(self, body: bytes, key: str) -> None:
        channel = await self._connection.channel()
        await channel.default_exchange.publish(aio_pika.Message(body), key)

    async def check(self) -> None:
        """All came, what is acknowledged is gone."""
        assert sorted(self.seen) == list(range(ALL))
        assert not self.twice
        channel = await self._connection.channel()
        left = await channel.declare_queue(QUEUE, passive=True)
        assert left.declaration_result.message_count == 0

    async def _publish_all(self) -> None:
        channel = await self._connection.channel(publisher_confirms=True)
        for start in range(0, ALL, BATCH):
            await asyncio.gather(
                *(
                    channel.default_exchange.publish(aio_pika.Message(b"%d" % number), QUEUE)
                    for number in range(start, start + BATCH)
                )
            )
            self.confirmed = start + BATCH
            self._changed.set()

    async def _on_message(self, message: Any) -> None:
        number = int(message.body)
        if number in self.seen and not message.redelivered:
            self.twice.append(number)
        self.seen[number] = self.seen.get(number, 0) + 1
        await message.ack()
        self._changed.set()

    async def _reached(self, condition: Any) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
