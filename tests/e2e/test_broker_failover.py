"""Messages through real processes: REST and gRPC, while the leader is killed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from quorate.v1 import broker_pb2 as pb
from quorate.v1 import broker_pb2_grpc
from quorate.v1 import message_pb2 as m
from tests.support.broker_streams import StreamClient
from tests.support.cluster import Cluster
from tests.support.gateway import GatewayProcess, run_gateway
from tests.support.tls import client_headers, open_aio


@pytest.fixture
async def cluster(tmp_path: Any) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, agents=0) as started:
        await started.standby()
        yield started


def rest(gateway: GatewayProcess, method: str, path: str, body: Any = None) -> Any:
    """The JSON that a request is answered with; it must succeed."""
    connection = gateway.http()
    try:
        text = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", **client_headers()}
        connection.request(method, path, text, headers)
        response = connection.getresponse()
        answer = json.loads(response.read() or b"{}")
        assert response.status == 200, answer
        return answer
    finally:
        connection.close()


async def kill_leader(cluster: Cluster) -> None:
    """SIGKILL for the leader, and another one leads."""
    epoch, leader = await cluster.leader()
    leader.send(signal.SIGKILL)
    await leader.gone()
    await cluster.leader(after=epoch)
    await leader.start()


async def test_what_is_declared_and_published_over_rest_outlives_the_leader(cluster):
    schedulers = [server.address for server in cluster.schedulers.values()]
    with run_gateway(schedulers) as gateway:

        async def ask(method: str, path: str, body: Any = None) -> Any:
            return await asyncio.to_thread(rest, gateway, method, path, body)

        queue = {"name": "eu/orders", "spec": {"maxLength": "1000", "durable": True}}
        made = await ask("POST", "/v1/messageQueues", {"messageQueue": queue})
        assert made["messageQueue"]["name"] == "eu/orders"
        exchange = {"name": "shop", "type": "EXCHANGE_TYPE_TOPIC", "durable": True}
        await ask("POST", "/v1/exchanges", {"exchange": exchange})
        bound = {"source": "shop", "messageQueue": "eu/orders", "routingKey": "orders.#"}
        await ask("POST", "/v1/bindings", {"binding": bound})
        message = {"exchange": "shop", "routingKey": "orders.new", "body": "aGVsbG8="}
        published = [{"message": message}] * 5
        assert await ask("POST", "/v1/messages:publish", {"publications": published}) in (
            {},
            {"results": []},
        )
        before = (await ask("GET", "/v1/messageQueues/eu%2Forders"))["messageQueue"]
        assert before["ready"] == "5"

        await kill_leader(cluster)

        after = (await ask("GET", "/v1/messageQueues/eu%2Forders"))["messageQueue"]
        assert (after["ready"], after["uid"]) == ("5", before["uid"])
        taken = await ask("POST", "/v1/messageQueues/eu%2Forders:receive", {"maxMessages": 2})
        assert [one["message"]["body"] for one in taken["messages"]] == ["aGVsbG8="] * 2
        peeked = await ask("GET", "/v1/messageQueues/eu%2Forders:peek?maxMessages=9")
        assert len(peeked["messages"]) == 3
        assert (await ask("DELETE", "/v1/messageQueues/eu%2Forders"))["messages"] == "3"


BATCH = 20
BATCHES = 150


async def test_every_confirmed_message_is_there_once_however_often_leaders_are_killed(cluster):
    server = next(iter(cluster.schedulers.values()))
    async with open_aio(server.address) as channel:
        stub = broker_pb2_grpc.BrokerStub(channel)
        queue = m.MessageQueue(name="numbers", spec=m.MessageQueueSpec(durable=True))
        await stub.CreateMessageQueue(
            pb.CreateMessageQueueRequest(message_queue=queue), timeout=20, wait_for_ready=True
        )
    producer = Producer(cluster)
    publishing = asyncio.create_task(producer.run(BATCH * BATCHES))
    try:
        for part in (1, 2):
            await producer.reached(part * BATCH * BATCHES // 3)
            await cluster.standby()
            await kill_leader(cluster)
        await asyncio.wait_for(publishing, 90)
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    assert await everything(cluster) == list(range(1, BATCH * BATCHES + 1))


WORK = 150
SESSION = "session-of-the-worker"


async def test_a_worker_that_repeats_its_transactions_has_each_effect_once(cluster):
    """It consumes, transforms and produces, while leaders are killed."""
    server = next(iter(cluster.schedulers.values()))
    async with open_aio(server.address) as channel:
        stub = broker_pb2_grpc.BrokerStub(channel)
        for name in ("raw", "numbers"):
            queue = m.MessageQueue(name=name, spec=m.MessageQueueSpec(durable=True))
            await stub.CreateMessageQueue(
                pb.CreateMessageQueueRequest(message_queue=queue), timeout=20, wait_for_ready=True
            )
        raw = [m.Message(routing_key="raw", body=b"%d" % number) for number in range(WORK)]
        await stub.Publish(
            pb.PublishRequest(publications=[m.Publication(message=one) for one in raw]), timeout=20
        )
    worker = Worker(cluster)
    working = asyncio.create_task(worker.run(WORK))
    try:
        for part in (1, 2):
            await cluster.standby()
            await worker.reached(part * WORK // 3)
            await kill_leader(cluster)
        await asyncio.wait_for(working, 90)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert sorted(await everything(cluster)) == [number * 2 for number in range(WORK)]
    async with open_aio(server.address) as channel:
        left = await broker_pb2_grpc.BrokerStub(channel).GetMessageQueue(
            pb.GetMessageQueueRequest(name="raw"), timeout=20
        )
        assert (left.message_queue.ready, left.message_queue.unacknowledged) == (0, 0)


class Worker(StreamClient):
    """Doubles numbers: the result and the acknowledgement are one transaction.

    Attributes:
        done: deliveries of which it has the answer.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.done: set[int] = set()
        # Those that it may have, and their bodies.
        self._pending: dict[int, bytes] = {}

    @property
    def count(self) -> int:
        return len(self.done)

    async def _stream(self, stub: Any) -> None:
        subscribe = pb.Subscribe(consumer=1, queue="raw", prefetch=5)
        again = self._turn > 1
        unsettled = pb.Unsettled(queue="raw", consumer=1, ids=list(self._pending))
        opened = pb.OpenSession(
            session=SESSION,
            consumers=[subscribe] if again else [],
            unsettled=[unsettled] if self._pending else [],
        )
        requests = [pb.ConsumeRequest(open=opened)]
        if not again:
            requests.append(pb.ConsumeRequest(subscribe=subscribe))
        async for answer in stub.Consume(_and_wait(requests), timeout=60):
            assert not answer.HasField("ended"), answer
            for one in answer.deliveries.deliveries:
                assert one.id not in self.done, "it was done"
                self._pending[one.id] = one.message.body
            if answer.HasField("opened") or answer.HasField("deliveries"):
                await self._work(stub)
            if self.count >= WORK:
                return

    async def _work(self, stub: Any) -> None:
        for delivery, body in list(self._pending.items()):
            result = m.Message(routing_key="numbers", body=b"%d" % (int(body) * 2))
            await stub.Transact(
                pb.TransactRequest(
                    publications=[m.Publication(message=result, mandatory=True)],
                    session=SESSION,
                    settles=[pb.Settle(consumer=1, ids=[delivery], outcome=pb.OUTCOME_ACK)],
                    request_id=f"work-{delivery}",
                ),
                timeout=60,
            )
            del self._pending[delivery]
            self.done.add(delivery)
            self._changed.set()
            # Some are left when a leader is killed.
            await asyncio.sleep(0.005)


async def _and_wait(requests: list[pb.ConsumeRequest]) -> AsyncIterator[pb.ConsumeRequest]:
    """These, and then the stream stays open."""
    for request in requests:
        yield request
    await asyncio.Event().wait()


class Producer(StreamClient):
    """Publishes numbers; what was not confirmed is sent again."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.confirmed = 0

    @property
    def count(self) -> int:
        return self.confirmed

    async def _stream(self, stub: Any) -> None:
        call = stub.PublishStream(requests(self.confirmed + 1), timeout=60)
        async for answer in call:
            assert not answer.results
            self.confirmed = answer.confirmed
            self._changed.set()


async def requests(first: int) -> AsyncIterator[pb.PublishStreamRequest]:
    """What is left to be published, a batch every few milliseconds: it takes a while."""
    producer = "numbers"
    for start in range(first, BATCH * BATCHES + 1, BATCH):
        numbers = range(start, min(start + BATCH, BATCH * BATCHES + 1))
        yield pb.PublishStreamRequest(
            producer=producer,
            publications=[
                m.Publication(
                    message=m.Message(routing_key="numbers", body=str(number).encode()),
                    number=number,
                )
                for number in numbers
            ],
        )
        producer = ""
        await asyncio.sleep(0.005)


async def everything(cluster: Cluster) -> list[int]:
    """The numbers in the queue, in its order."""
    found: list[int] = []
    server = next(iter(cluster.schedulers.values()))
    async with open_aio(server.address) as channel:
        stub = broker_pb2_grpc.BrokerStub(channel)
        while True:
            answer = await stub.ReceiveMessages(
                pb.ReceiveMessagesRequest(name="numbers", max_messages=1_000), timeout=20
            )
            if not answer.messages:
                return found
            found += [int(one.message.body) for one in answer.messages]
