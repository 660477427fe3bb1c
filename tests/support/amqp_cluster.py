"""A connection of the AMQP door without sockets: a client by hand, and a cluster that answers what
the test says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from gateway.amqp.client_connection import ClientConnection
from gateway.amqp.hall import Counts, Hall
from gateway.amqp.wire import frames, methods
from gateway.amqp.wire.frames import PROTOCOL_HEADER, FrameReader
from gateway.amqp.wire.methods import Method
from gateway.auth.credentials import Access
from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import scheduler_pb2


def broken(code: grpc.StatusCode, details: str = "") -> grpc.aio.AioRpcError:
    """How a stream ends with its leader."""
    nothing = grpc.aio.Metadata()
    # The stubs have an argument that may be left out.
    make: Any = grpc.aio.AioRpcError
    error: grpc.aio.AioRpcError = make(code, nothing, nothing, details)
    return error


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until the condition is true."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


class Stream:
    """One stream as the cluster has it.

    Attributes:
        requests: serialized, as they came.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.requests: asyncio.Queue[bytes] = asyncio.Queue()
        self._answers: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def answer(self, message: Any) -> None:
        self._answers.put_nowait(message.SerializeToString())

    def end(self, error: Exception) -> None:
        self._answers.put_nowait(error)

    async def published(self) -> wire.PublishStreamEnvelope:
        """The next request of a producer."""
        async with asyncio.timeout(60):
            return wire.PublishStreamEnvelope.FromString(await self.requests.get())

    async def consumed(self) -> pb.ConsumeRequest:
        """The next request of a session."""
        async with asyncio.timeout(60):
            return pb.ConsumeRequest.FromString(await self.requests.get())

    # -- as grpc has it

    async def read(self) -> Any:
        found = await self._answers.get()
        if isinstance(found, Exception):
            raise found
        return found

    async def write(self, data: bytes) -> None:
        self.requests.put_nowait(data)

    def cancel(self) -> None:
        pass


class FakeCluster:
    """In place of `Upstream`.

    Attributes:
        calls: unary requests, as they came; `answers`: by method, or what makes one.
    """

    def __init__(self) -> None:
        self.addresses = ["a:1"]
        self.calls: list[Any] = []
        self.answers: dict[str, Any] = {
            "GetCluster": scheduler_pb2.GetClusterResponse(caller={"name": "anonymous"})
        }
        self._streams: asyncio.Queue[Stream] = asyncio.Queue()

    async def stream(self) -> Stream:
        """The next one that is opened."""
        async with asyncio.timeout(60):
            return await self._streams.get()

    # -- as Upstream has it

    async def unary(self, method: Any, request: Any, **more: Any) -> Any:
        self.calls.append(request)
        found = self.answers.get(method.name, method.response())
        if isinstance(found, QuorateError):
            raise found
        return await found(request) if isinstance(found, Callable) else found  # type: ignore[arg-type]

    def connection(self) -> tuple[str, Any]:
        return "a:1", self

    def stream_stream(self, path: str) -> Callable[..., Stream]:
        def open(**more: Any) -> Stream:
            stream = Stream(path)
            self._streams.put_nowait(stream)
            return stream

        return open

    def on_answer(self, address: str) -> None:
        pass

    def on_failure(self, address: str, failure: Any) -> None:
        pass


class Client:
    """A client, and the transport between it and the gateway.

    Attributes:
        reads: the gateway reads from it; `closed`: it closed the socket; `aborted`: without
            waiting for what is written.
        unread: bytes that are written and not taken, as the transport has it.

    Args:
        beside: a client of the same gateway.
    """

    def __init__(self, access: Access | None = None, beside: Client | None = None) -> None:
        self.cluster: FakeCluster = FakeCluster() if beside is None else beside.cluster
        self.reads, self.closed, self.aborted = True, False, False
        self.unread = 0
        self._got: asyncio.Queue[tuple[int, Method]] = asyncio.Queue()
        self._reader = FrameReader(1 << 20)
        cluster: Any = self.cluster
        self.hall: Hall = (
            beside.hall
            if beside is not None
            else Hall(
                upstream=cluster,
                access=access or Access(),
                instance="gateway",
                version="1",
                most=10,
                owner=None,
                counts=Counts(),
                connections={},
                tasks=set(),
                numbers=itertools.count(1),
            )
        )
        self.connection = ClientConnection(self.hall)
        transport: Any = self
        self.connection.connection_made(transport)

    async def open(self, **properties: Any) -> None:
        """A connection with channel 1."""
        self.send(PROTOCOL_HEADER)
        self.method(0, "connection.start-ok", mechanism="PLAIN", response=b"\0a\0b", **properties)
        assert (await self.get("connection.tune"))["channel_max"] == 2_047
        self.method(0, "connection.tune-ok")
        self.method(0, "connection.open", virtual_host="/")
        await self.get("connection.open-ok")
        self.method(1, "channel.open")
        await self.get("channel.open-ok")

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    def method(self, channel: int, name: str, **arguments: Any) -> None:
        self.send(frames.method(channel, name, **arguments))

    def publish(self, body: bytes = b"", channel: int = 1, **arguments: Any) -> None:
        data = frames.method(channel, "basic.publish", routing_key="q", **arguments)
        self.send(data + frames.content(channel, b"\0\0", body, 131_072))

    async def get(self, name: str) -> Method:
        """The next method of this name; others before it are dropped."""
        async with asyncio.timeout(60):
            while (method := (await self._got.get())[1]).name != name:
                pass
            return method

    @property
    def nothing(self) -> bool:
        """Whether nothing came that was not taken."""
        return self._got.empty()

    async def leave(self) -> None:
        """The socket is closed; until the gateway is done with it."""
        self.connection.connection_lost(None)
        while self.hall.tasks:
            for task in tuple(self.hall.tasks):
                task.cancel()
            await asyncio.wait(tuple(self.hall.tasks))

    # -- as a transport

    def write(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if frame.type == frames.METHOD:
                self._got.put_nowait((frame.channel, methods.decode(frame.payload)))

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> Any:
        return None

    def set_write_buffer_limits(self, high: int) -> None:
        pass
