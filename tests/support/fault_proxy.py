"""A network between a client and etcd that delays, drops and repeats single requests.

Every RPC passes byte for byte, streams included (Watch, LeaseKeepAlive). A unary call of the KV
service takes the next fault scripted for its method; without one it passes. What was held is
delivered when the test says so, whether or not its caller still waits.

The proxy owns its server and its channel to etcd; `async with` starts and ends both.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NoReturn, Self

import grpc
import grpc.aio

from quorate.etcd.client import EtcdClient
from tests.support.tls import ETCD, open_aio, open_etcd, server_credentials

_UNARY = "/etcdserverpb.KV/"
_UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    # etcd clients ping; the default of one per five minutes would end their connections.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 100),
]


class ErrorKind(Enum):
    """What happens to one request. Silence lasts until the caller's deadline."""

    PASS = auto()
    # It never arrives; silence.
    DROP_REQUEST = auto()
    # It arrives; silence.
    DROP_REPLY = auto()
    # It arrives; the caller's connection breaks.
    BREAK_REPLY = auto()
    # It arrives twice; the caller gets the answer to the second copy.
    DELIVER_TWICE = auto()
    # It arrives when the test delivers it; until then silence.
    HOLD = auto()
    # The caller's connection breaks at once; the request arrives when the test delivers it.
    DELIVER_LATER = auto()


@dataclass(eq=False)
class Held:
    """A request on its way."""

    _proxy: FaultProxy
    _method: str
    _request: bytes
    _metadata: tuple[tuple[str, Any], ...]
    _answer: asyncio.Future[bytes]

    async def deliver(self) -> bytes:
        """Let it arrive. etcd's answer, which the caller gets too if it still waits."""
        answer = await self._proxy.forward(self._method, self._request, self._metadata)
        if not self._answer.done():
            self._answer.set_result(answer)
        return answer


class FaultProxy(grpc.GenericRpcHandler):
    """One proxy in front of the etcd at `target` (`host:port`)."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._scripts: defaultdict[str, deque[ErrorKind]] = defaultdict(deque)
        self._held: asyncio.Queue[Held] = asyncio.Queue()
        self._server: Any = None
        self._channel: Any = None
        self.endpoint = ""
        # Calls by method, as they came in.
        self.calls: defaultdict[str, int] = defaultdict(int)

    def script(self, method: str, *faults: ErrorKind) -> None:
        """The fates of the next calls of `method` ("Txn", "Range", ...)."""
        self._scripts[method].extend(faults)

    async def next_held(self) -> Held:
        """The next request that was held back; waits for it."""
        async with asyncio.timeout(60):
            return await self._held.get()

    def client(self) -> EtcdClient:
        """A client whose network this is."""
        return open_etcd(self.endpoint)

    async def __aenter__(self) -> Self:
        self._channel = open_aio(self._target, _UNLIMITED, token=False)
        self._server = grpc.aio.server(options=_UNLIMITED)
        self._server.add_generic_rpc_handlers((self,))
        credentials = server_credentials(ETCD)
        if credentials is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.endpoint = f"127.0.0.1:{port}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)
        await self._channel.close()

    # -- the network ---------------------------------------------------------------------------

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        if not method.startswith(_UNARY):
            return grpc.stream_stream_rpc_method_handler(self._stream(method))
        return grpc.unary_unary_rpc_method_handler(self._unary(method))

    def _unary(self, method: str):
        name = method.removeprefix(_UNARY)

        async def handle(request: bytes, context: Any) -> Any:
            self.calls[name] += 1
            script = self._scripts[name]
            fault = script.popleft() if script else ErrorKind.PASS
            metadata = _passed_on(context)
            try:
                if fault in (ErrorKind.HOLD, ErrorKind.DELIVER_LATER):
                    answer = asyncio.get_running_loop().create_future()
                    self._held.put_nowait(Held(self, method, request, metadata, answer))
                    if fault is ErrorKind.DELIVER_LATER:
                        await _break(context)
                    return await answer
                if fault is not ErrorKind.DROP_REQUEST:
                    reply = await self.forward(method, request, metadata)
                    if fault is ErrorKind.DELIVER_TWICE:
                        reply = await self.forward(method, request, metadata)
                    if fault is ErrorKind.BREAK_REPLY:
                        await _break(context)
                    if fault is not ErrorKind.DROP_REPLY:
                        return reply
                return await asyncio.get_running_loop().create_future()
            except grpc.aio.AioRpcError as error:
                await _fail(context, error)

        return handle

    def _stream(self, method: str):
        async def handle(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            call = self._channel.stream_stream(method)(
                requests, metadata=_passed_on(context), timeout=context.time_remaining()
            )
            try:
                async for message in call:
                    yield message
            except grpc.aio.AioRpcError as error:
                await _fail(context, error)
            finally:
                call.cancel()

        return handle

    async def forward(
        self, method: str, request: bytes, metadata: tuple[tuple[str, Any], ...]
    ) -> bytes:
        """Let one request arrive at etcd; its answer."""
        answer: bytes = await self._channel.unary_unary(method)(
            request, metadata=metadata, timeout=10
        )
        return answer


def _passed_on(context: Any) -> tuple[tuple[str, Any], ...]:
    """The caller's metadata (auth token, hasleader) without what is the transport's own."""
    return tuple(
        (key, value) for key, value in context.invocation_metadata() or () if key != "user-agent"
    )


async def _break(context: Any) -> NoReturn:
    await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke (scripted)")
    raise AssertionError("abort returned")


async def _fail(context: Any, error: Any) -> NoReturn:
    """The same failure, one hop further."""
    context.set_trailing_metadata(error.trailing_metadata() or ())
    await context.abort(error.code(), error.details() or "")
    raise AssertionError("abort returned")
