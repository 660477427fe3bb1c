"""PublishStream: messages in, confirms out, many under way at a time.

```
 requests --read--> step (in their order) --> waiting: token, numbers --committed--> confirmed
              ^                                  |
              '---- nothing is read while too much waits: gRPC holds the sender
```

Two things run: one reads and steps, `answer` waits for what is first. A request is one event, so
its publications are confirmed together. Confirms are in the order of the numbers: of all that is
committed, one answer tells the last.

A publication that is malformed is rejected by its number; the others go on. What no good client
sends (numbers with gaps, a request that is too large) ends the stream.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Final, NamedTuple

from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.ending import end_task
from quorate.runtime.errors import QuorateError, invalid
from quorate.runtime.parsing import parse_request
from quorate.v1 import broker_pb2 as pb
from scheduler.api.broker import validate
from scheduler.api.broker.publishing.publications import (
    MOST_MESSAGES,
    Reader,
    check_together,
    weight_of,
)
from scheduler.api.broker.publishing.results import producer_key, result
from scheduler.api.origin import caller_name
from scheduler.api.validate import at_most
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishAnswer, PublishResult, ResultKind
from scheduler.engine.broker.driver import BrokerDriver

# Of one stream, stepped and not confirmed: messages and bytes. Past either nothing is read.
MOST_UNCONFIRMED: Final = 8_192
MOST_UNCONFIRMED_BYTES: Final = 8 << 20
# A request that takes the loop for some milliseconds: others have it afterwards.
_LARGE: Final = 256 << 10
# Seconds between two looks while the cluster has no room.
_LOOK: Final = 0.25
# Seconds after which it is said again that there is no room: a client gives up who says nothing.
_REPEAT: Final = 3.0
# Of the streams of this process. A producer's key has other characters: see `producer_key`.
_NUMBERS: Final = itertools.count(1)


class _Waiting(NamedTuple):
    """A request whose publications are not confirmed yet; the token is None if none was good.

    Attributes:
        last: the last number of it; `numbers`: of those that were stepped.
        rejected: those that were malformed.
    """

    token: asyncio.Future[object] | None
    last: int
    numbers: Sequence[int]
    rejected: list[pb.PublicationResult]
    messages: int
    size: int


class PublishStream:
    """One call.

    Args:
        broker: of the term.
        requests: serialized `PublishStreamRequest`s.
        max_message: bytes of the body of one message.
    """

    def __init__(
        self, broker: BrokerDriver, requests: AsyncGenerator[bytes, None], max_message: int
    ) -> None:
        self._broker = broker
        self._requests = requests
        self._reader = Reader(most_body=max_message)
        self._host = self._producer = ""
        self._caller = caller_name()
        # Without a producer, its publishes are queued in their order all the same.
        self._name = f"stream {next(_NUMBERS)}"
        self._number = 0
        self._waiting: deque[_Waiting] = deque()
        self._count = self._size = 0
        self._blocked = self._shown_blocked = False
        self._confirmed = 0
        # Something is confirmed, or there is something to tell; and there is room to read on.
        self._changed = asyncio.Event()
        self._lighter = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name="publish stream")
        self._reading.add_done_callback(lambda _: self._changed.set())

    async def answer(self) -> pb.PublishStreamResponse | None:
        """The next answer; None when all is confirmed and the caller sends no more.

        Raises:
            QuorateError: what ended the stream. UNAVAILABLE: the term ended; what was not
                confirmed may be durable or not.
        """
        while True:
            self._changed.clear()
            results = self._take()
            if results is not None:
                return pb.PublishStreamResponse(
                    confirmed=self._confirmed, results=results, blocked=self._blocked
                )
            if self._reading.done() and not self._waiting:
                self._reading.result()
                return None
            if not await self._until_changed():
                return pb.PublishStreamResponse(confirmed=self._confirmed, blocked=True)

    async def _until_changed(self) -> bool:
        """False: nothing changed for a while, and it is to be said again that there is no room."""
        if not self._blocked:
            await self._changed.wait()
            return True
        try:
            async with asyncio.timeout(_REPEAT):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """The call is over. What was stepped goes on; nobody waits for it."""
        # Ahead of any wait, which the caller's cancellation may end.
        for one in self._waiting:
            if one.token is not None:
                one.token.cancel()
        await end_task(self._reading)

    def _take(self) -> list[pb.PublicationResult] | None:
        """The results of what is confirmed by now; None: there is nothing to tell."""
        news = self._blocked != self._shown_blocked
        results: list[pb.PublicationResult] = []
        while self._waiting:
            first = self._waiting[0]
            found: Sequence[PublishResult] = ()
            if first.token is not None:
                if not first.token.done():
                    break
                if news and first.token.exception() is not None:
                    # Told after what was confirmed before it.
                    break
                answer = first.token.result()
                assert isinstance(answer, PublishAnswer)
                found = answer.results
            self._waiting.popleft()
            self._count -= first.messages
            self._size -= first.size
            self._lighter.set()
            results += first.rejected
            results += [result(first.numbers[one.position], one.kind, one.error) for one in found]
            self._confirmed = first.last
            news = True
        self._shown_blocked = self._blocked
        return results if news else None

    # -- reading

    async def _read(self) -> None:
        first = True
        while True:
            await self._room()
            try:
                body = await anext(self._requests)
            except StopAsyncIteration:
                return
            request = self._parsed(body, first)
            first = False
            if len(body) > _LARGE:
                await asyncio.sleep(0)
            await self._step(request, len(body))

    async def _room(self) -> None:
        """Wait until this stream, the journal and etcd have room for more."""
        while self._count >= MOST_UNCONFIRMED or self._size >= MOST_UNCONFIRMED_BYTES:
            self._lighter.clear()
            await self._lighter.wait()
        await self._broker.room()
        await self._space(0)

    async def _space(self, weight: int) -> None:
        while True:
            try:
                self._broker.refuse_when_full(weight)
            except QuorateError:
                self._block(blocked=True)
                await asyncio.sleep(_LOOK)
                await self._broker.room()
            else:
                self._block(blocked=False)
                return

    def _block(self, *, blocked: bool) -> None:
        if self._blocked != blocked:
            self._blocked = blocked
            self._changed.set()

    def _parsed(self, body: bytes, first: bool) -> wire.PublishStreamEnvelope:
        check_together(len(body), 1)
        request = parse_request(wire.PublishStreamEnvelope, body, "PublishStream")
        at_most("publications", len(request.publications), MOST_MESSAGES, "publications")
        check_together(len(body), len(request.publications))
        if first:
            self._host = self._reader.virtual_host = validate.virtual_host(request.virtual_host)
            self._producer = producer_key(self._host, validate.short("producer", request.producer))
        elif request.virtual_host or request.producer:
            field = "virtual_host" if request.virtual_host else "producer"
            raise invalid(field, "belongs into the first request of the stream alone")
        return request

    async def _step(self, request: wire.PublishStreamEnvelope, size: int) -> None:
        good: list[e.Publication] = []
        rejected: list[pb.PublicationResult] = []
        for envelope in request.publications:
            self._number = self._following(envelope.number)
            try:
                good.append(self._reader.read(envelope))
            except QuorateError as error:
                rejected.append(result(envelope.number, ResultKind.REJECTED, error))
        if not request.publications:
            return
        token = None
        if good:
            await self._space(weight_of(good))
            host, producer, stream = self._host, self._producer, self._name
            token = self._broker.ask(
                lambda token: e.MessagesPublished(
                    host, producer, good, token, stream, caller=self._caller
                )
            )
            token.add_done_callback(lambda _: self._changed.set())
        count = len(request.publications)
        numbers = [one.number for one in good]
        self._waiting.append(_Waiting(token, self._number, numbers, rejected, count, size))
        self._count += count
        self._size += size
        self._changed.set()

    def _following(self, number: int) -> int:
        expected = self._number + 1 if self._number else max(number, 1)
        if number != expected:
            raise invalid(
                "publications.number",
                f"is {number}; numbers are consecutive, and {expected} is the next one",
                value=number,
            )
        return number
