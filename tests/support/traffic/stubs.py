"""Plain generated stubs: streams that are opened again by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import takewhile
from typing import Any, TypeAlias

from quorate.v1 import broker_pb2 as pb
from quorate.v1 import broker_pb2_grpc
from quorate.v1 import message_pb2 as m
from tests.support.broker_streams import StreamClient
from tests.support.cluster import Cluster
from tests.support.tls import open_aio
from tests.support.traffic.record import Record, Traffic
from tests.support.traffic.tasks import running

_SESSION = "session-of-plain-stubs"
_BATCH = 100
# None: the stream is over.
_Requests: TypeAlias = "asyncio.Queue[pb.ConsumeRequest | None]"


class StubTraffic(Traffic):
    """A PublishStream and a Consume stream."""

    def __init__(self, cluster: Cluster, rate: float) -> None:
        super().__init__("stubs", rate)
        self._cluster = cluster
        self.producer = _Producer(cluster, self)
        self.consumer = _Consumer(cluster, self.queue, self.record)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        server = next(iter(self._cluster.schedulers.values()))
        async with open_aio(server.address) as channel:
            queue = m.MessageQueue(name=self.queue, spec=m.MessageQueueSpec(durable=True))
            await broker_pb2_grpc.BrokerStub(channel).CreateMessageQueue(
                pb.CreateMessageQueueRequest(message_queue=queue), timeout=20, wait_for_ready=True
            )
        async with running(self._number(), self.producer.run(), self.consumer.run()):
            yield

    async def _number(self) -> None:
        async for _ in self.numbers():
            self.producer.wake()


class _Producer(StreamClient):
    """Publishes what the record says is published; what was not confirmed it sends again."""

    def __init__(self, cluster: Cluster, traffic: Traffic) -> None:
        super().__init__(cluster)
        self._record, self._queue = traffic.record, traffic.queue
        self._confirmed = 0
        self._news = asyncio.Event()

    @property
    def count(self) -> int:
        return self._confirmed

    def wake(self) -> None:
        self._news.set()

    async def _stream(self, stub: Any) -> None:
        over = asyncio.Event()
        try:
            async for answer in stub.PublishStream(self._requests(over), timeout=60):
                self._record.trouble += [f"{one}" for one in answer.results]
                for number in range(self._confirmed + 1, answer.confirmed + 1):
                    self._record.on_confirmed(number)
                self._confirmed = max(self._confirmed, answer.confirmed)
        finally:
            over.set()
            self.wake()

    async def _requests(self, over: asyncio.Event) -> AsyncIterator[pb.PublishStreamRequest]:
        producer, sent = "plain-stubs", self._confirmed
        while not over.is_set():
            while sent < self._record.published:
                last = min(sent + _BATCH, self._record.published)
                publications = [self._publication(number) for number in range(sent + 1, last + 1)]
                yield pb.PublishStreamRequest(producer=producer, publications=publications)
                producer, sent = "", last
            self._news.clear()
            await self._news.wait()

    def _publication(self, number: int) -> m.Publication:
        message = m.Message(routing_key=self._queue, body=b"%d" % number)
        return m.Publication(message=message, number=number, mandatory=True)


class _Consumer(StreamClient):
    """One session that acknowledges whatever it gets, and goes on with the next leader."""

    def __init__(self, cluster: Cluster, queue: str, record: Record) -> None:
        super().__init__(cluster)
        self._queue, self._record = queue, record
        self._number = 0
        # Delivered and not known settled: by delivery, the number of the message.
        self._unsettled: dict[int, int] = {}
        # By the number of a settlement.
        self._asked: dict[int, list[int]] = {}

    @property
    def count(self) -> int:
        return len(self._record.settled)

    async def _stream(self, stub: Any) -> None:
        requests: _Requests = asyncio.Queue()
        # The inventory, and once more the acknowledgements that are not known durable.
        subscribe = pb.Subscribe(consumer=1, queue=self._queue, prefetch=200)
        again = self._turn > 1
        unsettled = pb.Unsettled(queue=self._queue, consumer=1, ids=list(self._unsettled))
        requests.put_nowait(
            pb.ConsumeRequest(
                open=pb.OpenSession(
                    session=_SESSION,
                    consumers=[subscribe] if again else [],
                    unsettled=[unsettled] if self._unsettled else [],
                )
            )
        )
        if not again:
            requests.put_nowait(pb.ConsumeRequest(subscribe=subscribe))
        self._asked.clear()
        self._settle(requests, list(self._unsettled))
        try:
            async for answer in stub.Consume(_sent(requests), timeout=60):
                self._on_answer(answer, requests)
        finally:
            requests.put_nowait(None)

    def _on_answer(self, answer: pb.ConsumeResponse, requests: _Requests) -> None:
        match answer.WhichOneof("response"):
            case "deliveries":
                for one in answer.deliveries.deliveries:
                    self._unsettled[one.id] = int(one.message.body)
                    self._record.on_delivered(int(one.message.body))
                self._settle(requests, [one.id for one in answer.deliveries.deliveries])
            case "settled":
                # Settlements are numbered upwards.
                for number in list(takewhile(lambda n: n <= answer.settled, self._asked)):
                    ids = self._asked.pop(number)
                    self._record.on_settled(
                        self._unsettled.pop(one) for one in ids if one in self._unsettled
                    )
            case "subscribed" if not answer.subscribed.HasField("failure"):
                pass
            case "opened":
                pass
            case _:
                self._record.trouble.append(str(answer))

    def _settle(self, requests: _Requests, ids: list[int]) -> None:
        if ids:
            self._number += 1
            self._asked[self._number] = ids
            settle = pb.Settle(number=self._number, consumer=1, ids=ids, outcome=pb.OUTCOME_ACK)
            requests.put_nowait(pb.ConsumeRequest(settle=settle))


async def _sent(requests: _Requests) -> AsyncIterator[pb.ConsumeRequest]:
    while (request := await requests.get()) is not None:
        yield request
