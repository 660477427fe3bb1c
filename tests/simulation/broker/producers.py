"""A producer: it sends again to the next leader what was not answered, with the same numbers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from quorate.etcd.api import EtcdError
from quorate.etcd.journal.journal import JournalEnded
from quorate.runtime.errors import QuorateError, unavailable
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishAnswer
from scheduler.engine.broker.driver import BrokerDriver

if TYPE_CHECKING:
    from tests.simulation.broker.world import Messages

# What ends a stream.
BROKEN = (QuorateError, TimeoutError, JournalEnded, EtcdError)


class Batch(NamedTuple):
    """One request, on its way."""

    token: asyncio.Future[object]
    publications: Sequence[e.Publication]


class Producer:
    """One of a world."""

    def __init__(self, world: Messages, name: str) -> None:
        self._world, self._name = world, name
        self._number = 0
        self._outstanding: deque[e.Publication] = deque()
        self._unsent: deque[e.Publication] = deque()
        self._news = asyncio.Event()
        self._broken = False

    @property
    def idle(self) -> bool:
        return not self._outstanding

    def add(self, queue: str) -> None:
        """One more message."""
        self._number += 1
        body = f"{queue} {self._name} {self._number}".encode()
        one = self._world.publication(queue, body, self._number)
        self._outstanding.append(one)
        self._unsent.append(one)
        self._news.set()

    def hang_up(self) -> None:
        """Its stream breaks."""
        self._broken = True
        self._news.set()

    async def run(self) -> None:
        rng = self._world.rng
        while True:
            term = self._world.some_leader()
            if term is not None and term.broker is not None:
                try:
                    await self._stream(term.broker)
                except BROKEN:
                    pass
            await asyncio.sleep(rng.uniform(0.02, 0.5))

    async def _stream(self, broker: BrokerDriver) -> None:
        world, waiting = self._world, deque[Batch]()
        self._unsent, self._broken = deque(self._outstanding), False
        try:
            while not self._broken:
                while self._unsent and len(waiting) < 4:
                    await broker.room()
                    waiting.append(self._send(broker))
                    await asyncio.sleep(world.delay())
                if not waiting:
                    self._news.clear()
                    await self._news.wait()
                    continue
                async with asyncio.timeout(3.0):
                    answer = await waiting[0].token
                await asyncio.sleep(world.delay())
                if world.rng.random() < world.mischief:
                    raise unavailable("LOST", "the answer was lost")
                self._answered(waiting.popleft().publications, answer)
        finally:
            for batch in waiting:
                batch.token.cancel()

    def _send(self, broker: BrokerDriver) -> Batch:
        count = min(len(self._unsent), self._world.rng.choice([1, 2, 7]))
        some = [self._unsent.popleft() for _ in range(count)]
        token = broker.ask(lambda token: e.MessagesPublished("/", self._name, some, token))
        return Batch(token, some)

    def _answered(self, publications: Sequence[e.Publication], answer: object) -> None:
        assert isinstance(answer, PublishAnswer)
        promises = self._world.promises
        refused = {one.position: one.error.reason for one in answer.results}
        for position, one in enumerate(publications):
            assert self._outstanding.popleft() is one
            if position in refused:
                promises.refuse(one.payload, refused[position])
            else:
                promises.confirm(one.payload)
