"""Consuming over plain stubs while the leader is killed.

Nothing is lost, and nothing comes again after the client learned that its acknowledgement is
durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from quorate.v1 import broker_pb2 as pb
from quorate.v1 import broker_pb2_grpc
from quorate.v1 import message_pb2 as m
from tests.e2e.test_broker_failover import BATCH, BATCHES, Producer, kill_leader
from tests.support.broker_streams import StreamClient
from tests.support.cluster import Cluster
from tests.support.tls import open_aio

SESSION = "session-of-the-failover-test"
ALL = BATCH * BATCHES


async def test_every_confirmed_message_arrives_and_no_settled_one_comes_again(tmp_path):
    async with Cluster(tmp_path, agents=0) as cluster:
        await cluster.standby()
        server = next(iter(cluster.schedulers.values()))
        async with open_aio(server.address) as channel:
            queue = m.MessageQueue(name="numbers", spec=m.MessageQueueSpec(durable=True))
            await broker_pb2_grpc.BrokerStub(channel).CreateMessageQueue(
                pb.CreateMessageQueueRequest(message_queue=queue), timeout=20, wait_for_ready=True
            )
        producer, consumer = Producer(cluster), Consumer(cluster)
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(producer.run(ALL))
            consuming = tasks.create_task(consumer.run())
            for part in (1, 2):
                await producer.reached(part * ALL // 3)
                await consumer.reached(part * ALL // 4)
                await cluster.standby()
                await kill_leader(cluster)
            await asyncio.wait_for(publishing, 90)
            await consumer.reached(ALL)
            consuming.cancel()
        assert sorted(consumer.settled.values()) == list(range(1, ALL + 1))
        assert not consumer.repeated


class Consumer(StreamClient):
    """One session that acknowledges whatever it gets, and goes on with the next leader.

    Attributes:
        settled: numbers of which it knows that their acknowledgement is durable, by delivery.
        repeated: those of them that came again.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._number = 0
        # Delivered and not known settled: by delivery, the number of the message.
        self._unsettled: dict[int, int] = {}
        # By the number of a settlement.
        self._asked: dict[int, list[int]] = {}
        self.settled: dict[int, int] = {}
        self.repeated: list[int] = []

    @property
    def count(self) -> int:
        return len(self.settled)

    async def _stream(self, stub: Any) -> None:
        requests: asyncio.Queue[pb.ConsumeRequest] = asyncio.Queue()
        # The inventory, and once more the acknowledgements that are not known durable.
        subscribe = pb.Subscribe(consumer=1, queue="numbers", prefetch=200)
        again = self._turn > 1
        unsettled = pb.Unsettled(queue="numbers", consumer=1, ids=list(self._unsettled))
        requests.put_nowait(
            pb.ConsumeRequest(
                open=pb.OpenSession(
                    session=SESSION,
                    consumers=[subscribe] if again else [],
                    unsettled=[unsettled] if self._unsettled else [],
                )
            )
        )
        if not again:
            requests.put_nowait(pb.ConsumeRequest(subscribe=subscribe))
        self._asked.clear()
        self._settle(requests, list(self._unsettled))
        async for answer in stub.Consume(_sent(requests), timeout=60):
            kind = answer.WhichOneof("response")
            if kind == "deliveries":
                for one in answer.deliveries.deliveries:
                    if one.id in self.settled:
                        self.repeated.append(one.id)
                    self._unsettled[one.id] = int(one.message.body)
                self._settle(requests, [one.id for one in answer.deliveries.deliveries])
            elif kind == "settled":
                for number in [one for one in self._asked if one <= answer.settled]:
                    for delivery in self._asked.pop(number):
                        if delivery in self._unsettled:
                            self.settled[delivery] = self._unsettled.pop(delivery)
                self._changed.set()
            elif kind == "subscribed":
                assert not answer.subscribed.HasField("failure"), answer
            else:
                assert kind == "opened", answer

    def _settle(self, requests: asyncio.Queue[pb.ConsumeRequest], ids: list[int]) -> None:
        if ids:
            self._number += 1
            self._asked[self._number] = ids
            settle = pb.Settle(number=self._number, consumer=1, ids=ids, outcome=pb.OUTCOME_ACK)
            requests.put_nowait(pb.ConsumeRequest(settle=settle))


async def _sent(requests: asyncio.Queue[pb.ConsumeRequest]) -> AsyncIterator[pb.ConsumeRequest]:
    while True:
        yield await requests.get()
