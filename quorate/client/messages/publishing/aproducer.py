"""Publishing without waiting for each confirm, from an asyncio program. The twin of `producer`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, Unpack

import grpc

from quorate.client.messages.publishing.window import SILENCE, Settled, Window
from quorate.client.messages.rpcs import PUBLISH_STREAM
from quorate.client.messages.streams import astream, reopening
from quorate.client.messages.streams.open_streams import OpenStreams, closed
from quorate.client.messages.values.outgoing import Body, MessageArgs, publication
from quorate.client.transport.acalls import AsyncCalls
from quorate.runtime.ending import end_task
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb

Confirmed = asyncio.Future[None]


class AsyncProducer:
    """As `Producer`, for one event loop. `client.producer` makes it."""

    def __init__(
        self,
        calls: AsyncCalls,
        streams: OpenStreams,
        window: Window[Confirmed],
        exchange: str,
        routing_key: str,
        mandatory: bool,
    ) -> None:
        self._calls = calls
        self._streams = streams
        self.window = window
        self._exchange = exchange
        self._routing_key = routing_key
        self._mandatory = mandatory
        # There is something to send; and something was settled.
        self.added = asyncio.Event()
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._error: QuorateError | None = None
        self._failed: QuorateError | None = None
        streams.add(self)

    async def send(
        self,
        body: Body,
        *,
        routing_key: str | None = None,
        mandatory: bool | None = None,
        **properties: Unpack[MessageArgs],
    ) -> Confirmed:
        """As `Producer.send`. Await the future that it returns for the confirm."""
        made = publication(
            self._exchange,
            self._routing_key if routing_key is None else routing_key,
            body,
            properties,
            mandatory=self._mandatory if mandatory is None else mandatory,
        )
        while self._error is None and not self.window.has_room:
            await self._until_settled()
        if self._error is not None:
            raise self._error
        confirm: Confirmed = asyncio.get_running_loop().create_future()
        self.window.add(made, confirm)
        self.added.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="quorate-producer")
        return confirm

    async def flush(self, timeout: float | None = None) -> None:
        """As `Producer.flush`."""
        try:
            async with asyncio.timeout(timeout):
                while self.window.outstanding:
                    await self._until_settled()
        except TimeoutError:
            count = self.window.outstanding
            raise TimeoutError(
                f"{count} messages were not confirmed within {timeout:g} s"
            ) from None
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    @property
    def outstanding(self) -> int:
        """As `Producer.outstanding`."""
        return self.window.outstanding

    @property
    def blocked(self) -> bool:
        """As `Producer.blocked`."""
        return self.window.blocked

    async def close(self) -> None:
        """As `Producer.close`."""
        # First: whoever waits below may be cancelled, and the client would keep it for ever.
        self._streams.discard(self)
        if self._error is None:
            self._error = closed("producer")
        self.settle(self.window.give_up(self._error))
        if self._task is not None:
            await end_task(self._task)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await self.flush()
        finally:
            await self.close()

    # -- the stream

    async def _until_settled(self) -> None:
        self._settled.clear()
        await self._settled.wait()

    async def _run(self) -> None:
        try:
            await self._follow()
        except QuorateError as error:
            self._fail(error)
        except Exception as error:
            # Our bug: nobody may be left waiting for ever because of it.
            self._fail(
                QuorateError(grpc.StatusCode.INTERNAL, "PRODUCER_BROKEN", f"it failed: {error}")
            )
            raise

    async def _follow(self) -> None:
        again = reopening.Reopening(self._calls)
        while True:
            await self.until_unsent()
            ended = await astream.read(self._calls, PUBLISH_STREAM, _Stream(self), again, SILENCE)
            if self._error is not None:
                # It was closed meanwhile.
                return
            self.window.broken()
            if not self.window.outstanding:
                # Nobody waits: the next message has all the patience.
                again.forget()
                continue
            await asyncio.sleep(again.pause(ended, time.monotonic()))

    async def until_unsent(self) -> None:
        """Wait until there may be something to send."""
        while not self.window.has_unsent:
            self.added.clear()
            await self.added.wait()

    def _fail(self, error: QuorateError) -> None:
        if self._error is None:
            self._error = error
        self.settle(self.window.give_up(error))

    def settle(self, settled: Settled[Confirmed]) -> None:
        for confirm, error in settled:
            if error is not None and self._failed is None:
                self._failed = error
            if confirm.done():
                # Whoever waited was cancelled.
                continue
            if error is None:
                confirm.set_result(None)
            else:
                confirm.set_exception(error)
                # Retrieved: `flush` raises it too.
                confirm.exception()
        self._settled.set()


class _Stream:
    """One stream; see `stream.Owner`."""

    def __init__(self, producer: AsyncProducer) -> None:
        self._producer = producer
        self._window = producer.window
        self._over = False

    async def requests(self) -> AsyncIterator[pb.PublishStreamRequest]:
        while True:
            while not (self._over or self._window.has_unsent):
                self._producer.added.clear()
                await self._producer.added.wait()
            if self._over:
                return
            yield self._window.batch(time.monotonic())

    def over(self) -> None:
        self._over = True
        self._producer.added.set()

    async def on_answer(self, answer: pb.PublishStreamResponse) -> None:
        self._producer.settle(self._window.on_answer(answer, time.monotonic()))

    def is_dead(self) -> bool:
        return self._window.is_silent(time.monotonic())
