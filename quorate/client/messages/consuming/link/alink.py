"""The link of a consumer to the cluster, in an asyncio program. The twin of `link`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import grpc

from quorate.client.errors import ConsumerEnded
from quorate.client.messages.consuming import private as p
from quorate.client.messages.consuming.ledger import MOST_PENDING, QUIET, SILENCE, Ledger
from quorate.client.messages.consuming.link.buffer import Buffer
from quorate.client.messages.consuming.link.changed import Changed
from quorate.client.messages.consuming.link.link import CLOSE_SECONDS
from quorate.client.messages.consuming.link.unsettled import warn_of_unsettled
from quorate.client.messages.consuming.subscription import Subscription
from quorate.client.messages.publishing.window import raise_first
from quorate.client.messages.rpcs import CONSUME, PUBLISH
from quorate.client.messages.streams import astream, reopening
from quorate.client.messages.streams.open_streams import OpenStreams, closed
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs
from quorate.client.transport.acalls import AsyncCalls
from quorate.runtime.ending import end_task
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

# Seconds in which the end of the session is sent, when nobody waits for it any more.
_FAREWELL: Final = 1.0


class AsyncConsumerLink:
    """As `ConsumerLink`, for one event loop."""

    def __init__(
        self,
        calls: AsyncCalls,
        streams: OpenStreams,
        subscription: Subscription,
        private: p.Private | None = None,
    ) -> None:
        self._calls = calls
        self._streams = streams
        self._private = private
        self.ledger = Ledger(subscription)
        self.changed = Changed()
        self._buffer = Buffer()
        self._waiters = 0
        self._task: asyncio.Task[None] | None = None
        # It closes the consumer that its program dropped.
        self._ending: asyncio.Task[None] | None = None
        self._ready = self._stopping = self._closing = False
        self._error: QuorateError | None = None

    def change_prefetch(self, prefetch: int) -> None:
        """As `ConsumerLink.change_prefetch`."""
        self.ledger.change_prefetch(prefetch)
        self.changed.notify_all()

    async def get(self, timeout: float | None = None) -> message_pb2.Delivery | None:
        """See `AsyncConsumer.get`."""
        self._start()
        end = None if timeout is None else time.monotonic() + timeout
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._stopping or not await self.changed.wait(end):
                return None
        if self._stopping:
            return None
        was_full = self._buffer.is_full
        found = self._buffer.take()
        if was_full and not self._buffer.is_full:
            self.changed.notify_all()
        return found

    async def flush(self, timeout: float | None = None) -> None:
        """See `AsyncConsumer.flush`."""
        end = None if timeout is None else time.monotonic() + timeout
        serial = self.ledger.serial
        self._waiters += 1
        self.changed.notify_all()
        try:
            while not self.ledger.is_durable(serial):
                if self._error is not None:
                    raise self._error
                if not await self.changed.wait(end):
                    raise TimeoutError(f"settlements are not durable after {timeout:g} s")
        finally:
            self._waiters -= 1
        lost = self.ledger.take_lost()
        if lost is not None:
            raise lost

    def stop(self) -> None:
        """See `AsyncConsumer.stop`."""
        self._stopping = True
        self.changed.notify_all()

    async def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """See `AsyncConsumer.close`."""
        self._stopping = True
        try:
            if self._task is not None and not self._closing and self._error is None:
                self._drain()
                end = time.monotonic() + timeout
                while self._error is None and not self.ledger.is_drained:
                    if not await self.changed.wait(end):
                        break
                warn_of_unsettled(self.ledger)
        finally:
            # Also where this is cancelled: the session ends, though nobody waits for that.
            self.leave()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=_FAREWELL)
            await end_task(self._task)

    def leave(self) -> None:
        """End without waiting: for `_FAREWELL` seconds its task still sends what was settled, and
        that the session ends. Whoever waited for the consumer gets an error."""
        self._stopping = True
        if not self._closing:
            if self._error is None:
                self._drain()
            self._closing = True
            self.ledger.close()
        self._fail(closed("consumer"))
        if self._task is not None and not self._task.done():
            self._task.get_loop().call_later(_FAREWELL, self._task.cancel)
        self._streams.discard(self)

    def abandon(self) -> None:
        """As `ConsumerLink.abandon`."""
        if self._task is None or self._closing:
            return
        # RuntimeError: the loop is closed, and its connections are too.
        with suppress(RuntimeError):
            self._task.get_loop().call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._ending = asyncio.create_task(self.close(), name="quorate-consumer-end")

    def _drain(self) -> None:
        if not self.ledger.is_draining:
            self.ledger.drain()
        self._give_back()

    # -- what its deliveries use

    async def settle(self, delivery: int, outcome: pb.Outcome, delay_millis: int) -> None:
        """See `AsyncDelivery`."""
        if self.ledger.subscription.auto_ack:
            return
        self._waiters += 1
        try:
            while self._error is None and self.ledger.pending >= MOST_PENDING:
                self.changed.notify_all()
                await self.changed.wait(None)
        finally:
            self._waiters -= 1
        if self._error is not None:
            raise self._error
        self.ledger.settle(delivery, outcome, delay_millis)
        self.changed.notify_all()

    async def reply(self, to: Received, body: Body, properties: MessageArgs) -> None:
        """See `AsyncDelivery.reply`."""
        host = self.ledger.subscription.virtual_host
        request = p.reply(to, body, properties, host)
        raise_first(list((await self._calls.call(PUBLISH, request)).results))

    async def until_ready(self) -> None:
        """Start, and wait until it is subscribed. Raises QuorateError: it is refused."""
        self._start()
        while not self._ready and self._error is None:
            await self.changed.wait(None)
        if self._error is not None:
            error = self._error
            await self.close()
            raise error

    async def until_changed(self, end: float) -> bool:
        """As `ConsumerLink.until_changed`."""
        if self._error is not None:
            raise self._error
        return await self.changed.wait(end)

    # -- the stream

    def _start(self) -> None:
        if self._task is None and self._error is None:
            self._streams.add(self)
            self._task = asyncio.create_task(self._run(), name="quorate-consumer")

    def _give_back(self) -> None:
        for one in self._buffer.clear():
            self.ledger.settle(one, pb.OUTCOME_NACK)
        self.changed.notify_all()

    async def _run(self) -> None:
        try:
            await self._follow()
        except QuorateError as error:
            self._fail(error)
        except Exception as error:
            # Our bug: nobody may be left waiting for ever because of it.
            self._fail(
                QuorateError(grpc.StatusCode.INTERNAL, "CONSUMER_BROKEN", f"it failed: {error}")
            )
            raise

    async def _follow(self) -> None:
        again = reopening.Reopening(self._calls)
        while not self._is_over():
            try:
                ended = await astream.read(
                    self._calls, CONSUME, _Stream(self), again, QUIET + SILENCE
                )
            except p.BeginAnew:
                self._buffer.clear()
                self.ledger.begin_anew()
                continue
            self.ledger.broken()
            if self._is_over():
                return
            await asyncio.sleep(again.pause(ended, time.monotonic()))

    def _is_over(self) -> bool:
        return self._closing

    def _fail(self, error: QuorateError) -> None:
        if self._error is None:
            self._error = error
        self.changed.notify_all()

    # -- what its streams use

    async def _on_opened(self) -> None:
        ledger = self.ledger
        if ledger.is_subscribed or self._closing:
            return
        if self._private is not None:
            try:
                queue = await self._private.declare_with_async(self._calls, ledger.session)
            except QuorateError as error:
                raise p.judged(error) from None
            ledger.become(queue)
        ledger.subscribe()
        self.changed.notify_all()

    async def on_answer(self, answer: pb.ConsumeResponse) -> None:
        """One answer of a stream."""
        self.ledger.on_answer(time.monotonic())
        match answer.WhichOneof("response"):
            case "opened":
                await self._on_opened()
                self.ledger.is_open = True
            case "subscribed":
                self.ledger.on_subscribed(answer.subscribed)
                self._ready = True
            case "deliveries":
                await self._take(answer.deliveries)
            case "settled":
                self.ledger.on_settled(answer.settled)
            case "refused":
                self.ledger.on_refused(answer.refused)
            case "ended":
                self._ended(self.ledger.ended(answer.ended))
        self.changed.notify_all()

    async def _take(self, answer: pb.Deliveries) -> None:
        self._buffer.put(self.ledger.on_deliveries(answer))
        if self.ledger.is_draining:
            self._give_back()
        while self._buffer.is_full and not (self._waiters or self._stopping):
            self.changed.notify_all()
            await self.changed.wait(None)

    def _ended(self, why: ConsumerEnded) -> None:
        if self._private is not None and why.reason in p.GONE:
            raise p.BeginAnew
        raise why

    @property
    def is_paused(self) -> bool:
        """As `ConsumerLink.is_paused`."""
        return self._buffer.is_full


class _Stream:
    """One stream; see `stream.Owner`."""

    def __init__(self, consumer: AsyncConsumerLink) -> None:
        self._consumer = consumer
        self._changed, self._ledger = consumer.changed, consumer.ledger
        self._over = False
        self.on_answer = consumer.on_answer

    async def requests(self) -> AsyncIterator[pb.ConsumeRequest]:
        yield self._ledger.opening(time.monotonic())
        while True:
            while not (self._over or self._ledger.has_requests):
                await self._changed.wait(None)
            if self._over:
                return
            requests = list(self._ledger.requests(time.monotonic()))
            # `close` waits for this.
            self._changed.notify_all()
            for request in requests:
                yield request

    def over(self) -> None:
        self._over = True
        self._changed.notify_all()

    def is_dead(self) -> bool:
        dead = self._ledger.is_dead(time.monotonic(), paused=self._consumer.is_paused)
        self._changed.notify_all()
        return dead
