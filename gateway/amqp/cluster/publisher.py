"""The publications of one channel: a PublishStream, whose producer is the channel.

Each is kept until it is confirmed, and sent again with its number to the next leader: it is in its
queues once. Who publishes too much is held by its connection, which looks at `size`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from gateway.amqp.cluster.outbox import Outbox, Settled
from gateway.amqp.cluster.stream import Stream
from gateway.amqp.protocol.effects import Publication
from gateway.cluster.calls import Metadata, Upstream
from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb

_PATH: Final = "/quorate.v1.Broker/PublishStream"
# Seconds: uvloop counts milliseconds, so its timers come at their moment and not behind it.
_ROUNDING: Final = 1e-6


class Publisher(Stream):
    """See above.

    Args:
        producer: names the channel in the cluster, for as long as it lasts.
        settled: called with publications whose end is known, in their order.
        blocked: called when publishing waits for room in the cluster, and when it goes on.
    """

    def __init__(
        self,
        upstream: Upstream,
        metadata: Callable[[], Metadata],
        failed: Callable[[QuorateError], None],
        *,
        virtual_host: str,
        producer: str,
        settled: Callable[[Sequence[Settled]], None],
        blocked: Callable[[bool], None],
    ) -> None:
        super().__init__(upstream, _PATH, metadata, failed)
        self._virtual_host = virtual_host
        self._producer = producer
        self._settled = settled
        self._blocked = blocked
        self._is_blocked = False
        self._outbox = Outbox()
        self._first = True
        self._loop = asyncio.get_running_loop()
        # Who waits for the number of a publication, in their order.
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def size(self) -> int:
        """Bytes of what is not settled."""
        return self._outbox.size

    def add(self, publication: Publication) -> None:
        """Publish."""
        self._outbox.add(publication)
        self._news.set()
        self.start()

    async def drained(self) -> None:
        """Wait until all that was added so far is settled, or the publisher is stopped."""
        if len(self._outbox) and not self._ended:
            done = asyncio.get_running_loop().create_future()
            self._waiting.append((self._outbox.number, done))
            await done

    async def stop(self) -> None:
        await super().stop()
        self._release(self._outbox.number)
        if self._is_blocked:
            self._is_blocked = False
            self._blocked(False)

    def _begin(self) -> None:
        self._outbox.restart()
        self._first = True

    def _outgoing(self) -> bytes | None:
        now = self._loop.time()
        due = self._outbox.due(now)
        if due > now + _ROUNDING:
            if due < inf:
                self._loop.call_at(due, self._news.set)
            return None
        batch = self._outbox.batch()
        request = wire.PublishStreamEnvelope(publications=batch)
        if self._first:
            self._first = False
            request.virtual_host, request.producer = self._virtual_host, self._producer
        return request.SerializeToString()

    async def _received(self, data: bytes) -> None:
        answer = pb.PublishStreamResponse.FromString(data)
        if answer.blocked != self._is_blocked:
            self._is_blocked = answer.blocked
            self._blocked(answer.blocked)
        found = self._outbox.settle(answer, self._loop.time())
        if self._outbox.has_unsent:
            self._news.set()
        if found:
            self._settled(found)
            self._release(found[-1].number)

    def _release(self, number: int) -> None:
        while self._waiting and self._waiting[0][0] <= number:
            done = self._waiting.popleft()[1]
            if not done.done():
                done.set_result(None)
