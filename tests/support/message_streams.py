"""Streams of messages without a cluster: what a client sends goes to `serve`, which answers."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import grpc

from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

Serve = Callable[[Any, Any], None]
"""Takes a stream and one request of it."""
_END: Final = object()


class Cancelled(grpc.RpcError):
    """A stream that was cancelled."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.CANCELLED

    def details(self) -> str:
        return "cancelled"


def silent(_call: Any, _request: Any) -> None:
    """Answers nothing."""


class Consuming:
    """Serves `Consume`.

    Attributes:
        settles: those that came.
        ready: deliveries at once.
        late: deliveries that are on their way when the consumer unsubscribes.
        durable: settlements are confirmed.
        opens: sessions are opened.
        closed: a session was.
    """

    def __init__(
        self,
        *late: int,
        ready: Sequence[int] = (),
        durable: bool = True,
        opens: bool = True,
    ) -> None:
        self.ready, self.late = ready, late
        self.durable = durable
        self.opens = opens
        self.closed = threading.Event()
        self.kinds: list[str] = []
        self.settles: list[pb.Settle] = []

    def __call__(self, call: Any, request: pb.ConsumeRequest) -> None:
        kind = request.WhichOneof("request")
        assert kind is not None
        self.kinds.append(kind)
        match kind:
            case "open" if self.opens:
                call.answer(pb.ConsumeResponse(opened=pb.SessionOpened()))
            case "subscribe":
                call.answer(pb.ConsumeResponse(subscribed=pb.Subscribed(consumer=1)))
                self._deliver(call, self.ready)
            case "unsubscribe":
                self._deliver(call, self.late)
            case "settle":
                self.settles.append(request.settle)
                if self.durable:
                    call.answer(pb.ConsumeResponse(settled=request.settle.number))
            case "close":
                call.end()
                self.closed.set()

    def _deliver(self, call: Any, ids: Sequence[int]) -> None:
        if ids:
            deliveries = [message_pb2.Delivery(id=one) for one in ids]
            answer = pb.Deliveries(consumer=1, deliveries=deliveries)
            call.answer(pb.ConsumeResponse(deliveries=answer))


class _Transport:
    """What streams need of `Calls` beside calls."""

    retry_for = 5.0

    def __init__(self, serve: Serve = silent) -> None:
        self.serve = serve
        self.called: list[tuple[str, dict[str, Any]]] = []

    def gives_up_after(self, _error: QuorateError) -> float:
        return self.retry_for

    def on_failure(self, address: str, error: QuorateError) -> None:
        pass

    def on_reached(self) -> None:
        pass

    def _answer(self, rpc: Any, options: dict[str, Any]) -> Any:
        self.called.append((rpc.name, options))
        return rpc.response()


class Call:
    """One stream of a synchronous program."""

    def __init__(self, requests: Iterator[Any], serve: Serve) -> None:
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # As in gRPC, a thread takes the requests.
        self._thread = threading.Thread(target=self._take, args=(requests, serve), daemon=True)
        self._thread.start()

    def _take(self, requests: Iterator[Any], serve: Serve) -> None:
        for request in requests:
            serve(self, request)

    def answer(self, answer: Any) -> None:
        self._answers.put(answer)

    def cancel(self) -> None:
        self._answers.put(None)

    def end(self) -> None:
        """As a scheduler does, without an error."""
        self._answers.put(_END)

    def __iter__(self) -> Iterator[Any]:
        while (answer := self._answers.get()) is not _END:
            if answer is None:
                raise Cancelled
            yield answer


class FakeCalls(_Transport):
    """In place of `Calls`."""

    def __init__(self, serve: Serve = silent) -> None:
        super().__init__(serve)
        self.opened: queue.SimpleQueue[Call] = queue.SimpleQueue()

    @contextmanager
    def duplex(
        self, _rpc: Any, requests: Iterator[Any], *, deadline: float
    ) -> Iterator[tuple[str, Call]]:
        call = Call(requests, self.serve)
        self.opened.put(call)
        try:
            yield "fake:1", call
        finally:
            call.cancel()

    def call(self, rpc: Any, _request: Any, **options: Any) -> Any:
        return self._answer(rpc, options)


class AsyncCall:
    """One stream of an asyncio program.

    Attributes:
        cancelled: `cancel` was called.
        is_deaf: `cancel` does not end it.
        swallows: it ends without an error when the task that reads it is cancelled.
    """

    def __init__(self, requests: AsyncIterator[Any], serve: Serve) -> None:
        self.cancelled = asyncio.Event()
        self.is_deaf = self.swallows = False
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._task = asyncio.create_task(self._take(requests, serve), name="fake gRPC")

    async def _take(self, requests: AsyncIterator[Any], serve: Serve) -> None:
        async for request in requests:
            serve(self, request)

    def answer(self, answer: Any) -> None:
        self._answers.put_nowait(answer)

    def cancel(self) -> None:
        self.cancelled.set()
        if not self.is_deaf:
            self._answers.put_nowait(None)

    def end(self) -> None:
        """As a scheduler does, without an error."""
        self._answers.put_nowait(_END)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (answer := await self._next()) is not _END:
            if answer is None:
                # As gRPC does: the error is the call's, nobody cancelled the task.
                raise asyncio.CancelledError
            yield answer

    async def _next(self) -> Any:
        try:
            return await self._answers.get()
        except asyncio.CancelledError:
            if self.swallows:
                return _END
            raise

    async def ended(self) -> None:
        """Nobody sends any more."""
        await asyncio.wait_for(self._task, 60)


class FakeAsyncCalls(_Transport):
    """In place of `AsyncCalls`."""

    def __init__(self, serve: Serve = silent) -> None:
        super().__init__(serve)
        self.is_deaf = self.swallows = False
        self.opened: asyncio.Queue[AsyncCall] = asyncio.Queue()

    @asynccontextmanager
    async def duplex(
        self, _rpc: Any, requests: AsyncIterator[Any], *, deadline: float
    ) -> AsyncIterator[tuple[str, AsyncCall]]:
        call = AsyncCall(requests, self.serve)
        call.is_deaf, call.swallows = self.is_deaf, self.swallows
        self.opened.put_nowait(call)
        try:
            yield "fake:1", call
        finally:
            call.cancel()

    async def call(self, rpc: Any, _request: Any, **options: Any) -> Any:
        return self._answer(rpc, options)
