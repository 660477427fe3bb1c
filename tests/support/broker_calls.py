"""The Broker service of one leader over the in-memory store, called without gRPC.

async with serving() as broker:
    await broker.call(pb.CreateMessageQueueRequest(...))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.api.broker.consuming.registry import ConsumeCalls
from scheduler.api.broker.family import broker_calls
from scheduler.api.candidates import Candidates
from scheduler.api.servicer import compose
from scheduler.api.servicers import BROKER
from tests.support.broker_term import BrokerTerm, leading
from tests.support.registry import NOWHERE


class Broker:
    """Its methods by the requests' types."""

    def __init__(self, term: BrokerTerm, max_message: int = 1 << 20) -> None:
        self.term = term
        self.consuming = ConsumeCalls(term.broker)
        # Nobody stands there: all of them understand what this version writes.
        candidates = Candidates(term.etcd, b"/nobody/")
        self.service = compose(
            BROKER,
            *broker_calls(term.driver, term.broker, self.consuming, max_message, candidates),
        )

    async def call(self, request: Any) -> Any:
        """Ask as gRPC does: with a message of its own."""
        method = type(request).__name__.removesuffix("Request")
        answer: Any = await self.service.answers[method](
            type(request).FromString(request.SerializeToString()), NOWHERE
        )
        return type(answer).FromString(answer.SerializeToString())

    async def refused(self, request: Any) -> QuorateError:
        """The error that a call is answered with."""
        with pytest.raises(QuorateError) as caught:
            await self.call(request)
        return caught.value

    async def queue(self, name: str, **spec: Any) -> Any:
        """A message queue that is created."""
        queue = m.MessageQueue(name=name, spec=m.MessageQueueSpec(**spec))
        answer = await self.call(pb.CreateMessageQueueRequest(message_queue=queue))
        return answer.message_queue

    async def get(self, name: str) -> Any:
        """A message queue with its counts."""
        return (await self.call(pb.GetMessageQueueRequest(name=name))).message_queue

    def stream(self) -> Stream:
        """A PublishStream."""
        return Stream(self)


class Stream:
    """A PublishStream; requests are sent one by one, answers read one by one."""

    def __init__(self, broker: Broker) -> None:
        self.sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.taken = 0
        self._answers = broker.service.duplexes["PublishStream"](self._requests(), NOWHERE)

    async def _requests(self) -> AsyncGenerator[bytes, None]:
        while (body := await self.sent.get()) is not None:
            self.taken += 1
            yield body

    def send(self, publications: Sequence[m.Publication], **first: str) -> None:
        """Send one request."""
        request = pb.PublishStreamRequest(publications=publications, **first)
        self.sent.put_nowait(request.SerializeToString())

    def end(self) -> None:
        """Send no more."""
        self.sent.put_nowait(None)

    async def answer(self) -> pb.PublishStreamResponse:
        """The next answer."""
        async with asyncio.timeout(60):
            answer = await anext(self._answers)
        assert isinstance(answer, pb.PublishStreamResponse)
        return answer

    async def until(self, confirmed: int) -> list[pb.PublishStreamResponse]:
        """Answers until one confirms this number."""
        answers = [await self.answer()]
        while answers[-1].confirmed < confirmed:
            answers.append(await self.answer())
        return answers

    async def close(self) -> None:
        """The caller has gone."""
        await self._answers.aclose()


class Consumer:
    """A Consume stream."""

    def __init__(self, broker: Broker) -> None:
        self.sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._answers = broker.service.duplexes["Consume"](self._requests(), NOWHERE)

    async def _requests(self) -> AsyncGenerator[bytes, None]:
        while (body := await self.sent.get()) is not None:
            yield body

    def send(self, **request: Any) -> None:
        """Send one request."""
        self.sent.put_nowait(pb.ConsumeRequest(**request).SerializeToString())

    async def answer(self) -> pb.ConsumeResponse:
        """The next answer."""
        async with asyncio.timeout(60):
            answer = await anext(self._answers)
        return pb.ConsumeResponse.FromString(answer.SerializeToString())

    async def open(self, session: str = "", **fields: Any) -> str:
        """Open the session; its id."""
        self.send(open=pb.OpenSession(session=session, **fields))
        return (await self.answer()).opened.session

    async def subscribe(self, queue: str, consumer: int = 1, **fields: Any) -> pb.Subscribed:
        """Consume from a queue."""
        self.send(subscribe=pb.Subscribe(queue=queue, consumer=consumer, **fields))
        return (await self.answer()).subscribed

    async def deliveries(self, count: int) -> list[m.Delivery]:
        """So many deliveries, which come next."""
        found: list[m.Delivery] = []
        while len(found) < count:
            answer = await self.answer()
            assert answer.HasField("deliveries"), answer
            found += answer.deliveries.deliveries
        return found

    async def close(self) -> None:
        """The connection breaks."""
        await self._answers.aclose()


def publication(body: bytes = b"x", to: str = "q", **fields: Any) -> m.Publication:
    """A message for a queue."""
    properties = m.MessageProperties(**fields.pop("properties", {}))
    exchange = fields.pop("exchange", "")
    message = m.Message(body=body, routing_key=to, exchange=exchange)
    if properties.ByteSize():
        message.properties.CopyFrom(properties)
    return m.Publication(message=message, **fields)


@asynccontextmanager
async def serving(
    etcd: MemoryEtcd | None = None, *, max_message: int = 1 << 20, **options: Any
) -> AsyncIterator[Broker]:
    """A leader until the block is left. `max_message`: bytes of one body."""
    async with leading(etcd or MemoryEtcd(), **options) as term:
        yield Broker(term, max_message)
