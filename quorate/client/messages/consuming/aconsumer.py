"""Deliveries of one queue or stream, in an asyncio program. The twin of `consumer`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import grpc

from quorate.client.errors import ConsumerEnded
from quorate.client.messages.consuming import private as p
from quorate.client.messages.consuming.buffer import Buffer
from quorate.client.messages.consuming.changed import Changed
from quorate.client.messages.consuming.consumer import CLOSE_SECONDS
from quorate.client.messages.consuming.delivery import AsyncDelivery
from quorate.client.messages.consuming.ledger import MOST_PENDING, QUIET, SILENCE, Ledger
from quorate.client.messages.consuming.subscription import Subscription, checked_prefetch
from quorate.client.messages.consuming.unsettled import warn_of_unsettled
from quorate.client.messages.publishing.window import raise_first
from quorate.client.messages.rpcs import CONSUME, GET_MESSAGE_QUEUE, PUBLISH
from quorate.client.messages.streams import astream, reopening
from quorate.client.messages.streams.open_streams import OpenStreams, closed
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs
from quorate.client.transport.acalls import AsyncCalls
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb


class AsyncConsumer:
    """As `Consumer`, for one event loop; `client.consume` makes it.

    async with client.consume("mail") as consumer:
        async for delivery in consumer:
            await send(delivery.json())
            await delivery.ack()
    """

    def __init__(
        self,
        calls: AsyncCalls,
        streams: OpenStreams,
        subscription: Subscription,
        *,
        timeout: float | None = None,
        private: p.Private | None = None,
    ) -> None:
        self._calls = calls
        self._streams = streams
        self._timeout = timeout
        self._private = private
        self.ledger = Ledger(subscription)
        self.changed = Changed()
        self._buffer = Buffer()
        self._waiters = 0
        self._task: asyncio.Task[None] | None = None
        self._ready = self._stopping = self._closing = False
        self._error: QuorateError | None = None

    # -- what programs use

    @property
    def queue(self) -> str:
        """As `Consumer.queue`."""
        return self.ledger.subscription.queue

    @property
    def session(self) -> str:
        """As `Consumer.session`."""
        return self.ledger.session

    @property
    def place(self) -> tuple[str, int, str]:
        """Session, number in it, and virtual host."""
        return self.ledger.session, self.ledger.number, self.ledger.subscription.virtual_host

    @property
    def skipped(self) -> int:
        """As `Consumer.skipped`."""
        return self.ledger.skipped

    @property
    def prefetch(self) -> int:
        """As `Consumer.prefetch`."""
        return self.ledger.prefetch

    @prefetch.setter
    def prefetch(self, prefetch: int) -> None:
        self.ledger.change_prefetch(checked_prefetch(prefetch))
        self.changed.notify_all()

    async def get(self, timeout: float | None = None) -> AsyncDelivery | None:
        """As `Consumer.get`."""
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
        return AsyncDelivery(found, self.queue, self)

    async def flush(self, timeout: float | None = None) -> None:
        """As `Consumer.flush`."""
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
        """As `Consumer.stop`; from the same event loop."""
        self._stopping = True
        self.changed.notify_all()

    async def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """As `Consumer.close`. Cancelled, it ends the consumer without waiting."""
        self._stopping = True
        try:
            if self._task is not None and not self._closing and self._error is None:
                self.ledger.drain()
                self._give_back()
                end = time.monotonic() + timeout
                while self._error is None and not self.ledger.is_drained:
                    if not await self.changed.wait(end):
                        break
                warn_of_unsettled(self.ledger)
            self._closing = True
            self.ledger.close()
            self._fail(closed("consumer"))
            if self._task is not None:
                await asyncio.wait((self._task,), timeout=1.0)
        finally:
            self._abandon()
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def __aiter__(self) -> AsyncIterator[AsyncDelivery]:
        while (delivery := await self.get(self._timeout)) is not None:
            yield delivery

    async def __aenter__(self) -> Self:
        """As `Consumer.__enter__`."""
        try:
            await self.until_ready()
        except BaseException:
            # Nobody calls `__aexit__` then.
            self._abandon()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

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
        """As `Consumer.until_changed`."""
        if self._error is not None:
            raise self._error
        return await self.changed.wait(end)

    # -- the stream

    def _start(self) -> None:
        if self._task is None and self._error is None:
            self._streams.add(self)
            self._task = asyncio.create_task(self._run(), name="quorate-consumer")

    def _abandon(self) -> None:
        """End without waiting: whoever waited is cancelled."""
        self._stopping = self._closing = True
        self._fail(closed("consumer"))
        if self._task is not None:
            self._task.cancel()
        self._streams.discard(self)

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
        if ledger.is_subscribed:
            return
        if self._private is not None:
            try:
                queue = await self._private.declare_with_async(self._calls, ledger.session)
            except QuorateError as error:
                raise p.judged(error) from None
            ledger.become(queue)
        else:
            await self._look()
        ledger.subscribe()
        self.changed.notify_all()

    async def _look(self) -> None:
        request = p.look(self.ledger.subscription, self.ledger.session)
        try:
            answer = await self._calls.call(GET_MESSAGE_QUEUE, request)
        except QuorateError as error:
            # It may consume and not read: then whoever reads a stream says from where.
            if error.code is not grpc.StatusCode.PERMISSION_DENIED:
                raise
        else:
            self.ledger.look_at(answer.message_queue)

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
        """As `Consumer.is_paused`."""
        return self._buffer.is_full


class _Stream:
    """One stream; see `stream.Owner`."""

    def __init__(self, consumer: AsyncConsumer) -> None:
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
