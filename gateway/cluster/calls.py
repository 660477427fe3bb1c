"""Calls to the cluster: whichever scheduler answers, within the caller's deadline.

Owns one channel to each scheduler it knows. Any scheduler serves any call (a standby forwards), so
a call that fails goes to the next one (`quorate.client.transport.policy`), when repeating it is
safe:

* a method that only reads (by HTTP: GET) is repeated;
* one that changes something is repeated when its request has a `request_id`, with the same id;
* a stream is opened again behind its last `resume_token` where the method has one, and otherwise
  only as long as nothing was received.

Repeating ends with the caller's deadline, and after `PATIENCE` seconds without any answer.
Failures are raised as `UpstreamError`, which keeps the cluster's own reason and violations.

    upstream = Upstream(["127.0.0.1:7480"])
    get_task = method_of(scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"], "GetTask")
    answer = await upstream.unary(get_task, pb.GetTaskRequest(id=...), timeout=5.0)
    async for event in upstream.stream(watch_tasks, pb.WatchTasksRequest(), timeout=None): ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, cast

import grpc
import structlog
from google.protobuf.message import Message

from gateway.cluster.methods import Method, method_of
from gateway.cluster.upstream_errors import raise_unless_ours, typed
from quorate.client.transport.endpoints import Endpoints
from quorate.client.transport.policy import Failure, Pauses, channel_options, failure_of
from quorate.client.transport.rpcs import new_request_id
from quorate.runtime.errors import from_rpc_error
from quorate.runtime.network.keepalive import BETWEEN_PROCESSES, client_keepalive
from quorate.security.metadata import AUTHORIZATION
from quorate.security.tls.dialer import Dialer
from quorate.v1 import scheduler_pb2 as pb

log = structlog.get_logger(__name__)

# Seconds without any scheduler's answer until the call fails; a failover takes two or three.
PATIENCE: Final = 10.0
# Seconds of one try while there are others to ask: a frozen process neither answers nor refuses.
TRY: Final = 5.0
# A quota that is free again in a moment is for the HTTP client to wait for.
_REPEATED: Final = (Failure.LOST, Failure.SILENT)
# Seconds that calls on a channel with former certificates have to end by themselves.
_RETIRE_GRACE: Final = 30.0
# A stream, or a long wait, to a process that froze fails within 15 s.
_OPTIONS: Final = channel_options(*client_keepalive(*BETWEEN_PROCESSES))

Address = str
Metadata = tuple[tuple[str, str], ...]


_GET_CLUSTER: Final = method_of(pb.DESCRIPTOR.services_by_name["Scheduler"], "GetCluster")


class Upstream:
    """RPCs to one cluster. Lives in one event loop; close it there.

    Args:
        addresses: schedulers, host:port; their leader is learned and then preferred.
        patience: seconds to go on trying while none answers.
        dialer: opens the channels; plaintext ones when left out.
        own_token: a bearer token for calls that are the gateway's own; none when left out.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        patience: float = PATIENCE,
        dialer: Dialer | None = None,
        own_token: Callable[[], str] | None = None,
    ) -> None:
        self._patience = patience
        self._own_token = own_token
        self._dialer = dialer or Dialer(None)
        self._endpoints = Endpoints(addresses)
        self._channels: dict[Address, grpc.aio.Channel] = {}
        self._stubs: dict[tuple[Address, str], Any] = {}
        self._discovery: asyncio.Task[None] | None = None
        # Channels on their way out: at most one for each address and change of certificates.
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def addresses(self) -> list[Address]:
        """Every address that is tried."""
        return self._endpoints.all

    async def close(self) -> None:
        """Close the channels; calls still under way fail. Idempotent."""
        if self._discovery is not None:
            self._discovery.cancel()
            await asyncio.wait((self._discovery,))
        channels, self._channels = self._channels, {}
        self._stubs.clear()
        for channel in channels.values():
            await channel.close(None)
        for closing in tuple(self._retiring):
            closing.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)

    async def unary(
        self,
        method: Method,
        request: Message,
        *,
        timeout: float,
        reads: bool = False,
        metadata: Metadata | None = None,
    ) -> Message:
        """The answer of a unary method.

        A request with an empty `request_id` gets one, so that repeating it is safe.

        Args:
            timeout: seconds for all tries together.
            reads: the method changes nothing.
            metadata: whose call it is; the gateway's own when left out.

        Raises:
            UpstreamError: what the cluster answered, or UNAVAILABLE, or DEADLINE_EXCEEDED.
        """
        assert not method.streams
        if method.has_request_id and not getattr(request, "request_id"):  # noqa: B009
            cast("Any", request).request_id = new_request_id()
        repeatable = reads or method.has_request_id
        loop = asyncio.get_running_loop()
        start = loop.time()
        pauses = Pauses(len(self.addresses))
        while True:
            left = start + timeout - loop.time()
            alone = len(self.addresses) == 1 or method.long_poll or not repeatable
            address = self._endpoints.pick(loop.time())
            seconds = max(0.0, left if alone else min(left, TRY))
            try:
                answer = await self._stub(address, method)(
                    request, timeout=seconds, metadata=self._own() if metadata is None else metadata
                )
            except grpc.aio.AioRpcError as error:
                failure = failure_of(error, from_rpc_error(error))
                self._on_failure(address, failure, full_try=not alone and seconds >= TRY)
                pause = pauses.next(busy=failure is Failure.SHED)
                waited = loop.time() - start + pause
                # What was dropped unread was not done: any call may be repeated then.
                repeat = failure is Failure.SHED or (repeatable and failure in _REPEATED)
                if (
                    not repeat
                    or waited > min(timeout, self._patience)
                    or (failure is Failure.SILENT and waited >= timeout)
                ):
                    raise typed(error, timeout, self.addresses) from error
                await asyncio.sleep(pause)
            except asyncio.CancelledError:
                # gRPC cancels the calls of a channel that is closed; the caller was not cancelled.
                raise_unless_ours()
            else:
                self.on_answer(address)
                return cast("Message", answer)

    async def stream(
        self,
        method: Method,
        request: Message,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> AsyncIterator[Message]:
        """The answers of a streaming method, for `timeout` seconds (None: without end).

        Close it (`contextlib.aclosing`) to end the call. A stream with a `resume_token` outlives
        any failover. Raises UpstreamError.
        """
        assert method.streams
        loop = asyncio.get_running_loop()
        start = heard = loop.time()
        pauses = Pauses(len(self.addresses))
        request = type(request).FromString(request.SerializeToString())
        received = False
        while True:
            left = None if timeout is None else max(0.0, start + timeout - loop.time())
            address = self._endpoints.pick(loop.time())
            call = self._stub(address, method)(
                request, timeout=left, metadata=self._own() if metadata is None else metadata
            )
            try:
                async for answer in call:
                    if not received:
                        self._endpoints.on_answer(address)
                    received, heard = True, loop.time()
                    pauses = Pauses(len(self.addresses))
                    yield answer
                    if method.resumes and answer.resume_token:
                        cast("Any", request).resume_token = answer.resume_token
                return
            except grpc.aio.AioRpcError as error:
                failure = failure_of(error, from_rpc_error(error))
                self._on_failure(address, failure)
                pause = pauses.next(busy=failure is Failure.SHED)
                repeatable = not received or method.resumes
                if (
                    not repeatable
                    or failure not in (Failure.LOST, Failure.SHED)
                    or loop.time() + pause > heard + self._patience
                    or (left is not None and loop.time() + pause > start + cast("float", timeout))
                ):
                    raise typed(error, timeout, self.addresses) from error
                await asyncio.sleep(pause)
            except asyncio.CancelledError:
                raise_unless_ours()
            finally:
                call.cancel()

    # -- for streams in both directions: see `gateway.cluster.duplex`

    def connection(self) -> tuple[Address, grpc.aio.Channel]:
        """A scheduler to ask now, and the channel to it."""
        address = self._endpoints.pick(asyncio.get_running_loop().time())
        return address, self._channel(address)

    def on_answer(self, address: Address) -> None:
        """A scheduler has answered."""
        if self._endpoints.on_answer(address):
            self._discover()

    def on_failure(self, address: Address, failure: Failure) -> None:
        """A stream to a scheduler broke."""
        self._on_failure(address, failure)

    def _own(self) -> Metadata:
        if self._own_token is None:
            return ()
        return ((AUTHORIZATION, f"Bearer {self._own_token()}"),)

    async def reachable(self, timeout: float) -> bool:
        """Whether a connection to any scheduler stands or is made within `timeout` seconds."""
        ready = grpc.ChannelConnectivity.READY

        async def connected(address: Address) -> None:
            channel = self._channel(address)
            while (state := channel.get_state(try_to_connect=True)) is not ready:
                await channel.wait_for_state_change(state)

        tries = [asyncio.ensure_future(connected(address)) for address in self.addresses]
        try:
            done, _ = await asyncio.wait(
                tries, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            return bool(done)
        finally:
            for one in tries:
                one.cancel()
            await asyncio.wait(tries)

    def _on_failure(self, address: Address, failure: Failure, *, full_try: bool = False) -> None:
        """Another one is next. A deadline that a caller set short says nothing of the scheduler:
        only after a `full_try` is one silent."""
        silent = full_try and failure is Failure.SILENT
        if silent or failure is Failure.LOST:
            now = asyncio.get_running_loop().time()
            self._endpoints.on_failure(address, silent=silent, now=now)
            self._drop_stale(address)

    def _drop_stale(self, address: Address) -> None:
        """After a failure: a channel whose certificates were replaced would only fail again."""
        channel = self._channels.get(address)
        if channel is not None and self._dialer.is_stale(channel):
            del self._channels[address]
            self._stubs = {key: stub for key, stub in self._stubs.items() if key[0] != address}
            closing = asyncio.create_task(channel.close(_RETIRE_GRACE), name="retire channel")
            self._retiring.add(closing)
            closing.add_done_callback(self._retiring.discard)

    def _stub(self, address: Address, method: Method) -> Any:
        stub = self._stubs.get((address, method.path))
        if stub is None:
            channel: Any = self._channel(address)
            make = channel.unary_stream if method.streams else channel.unary_unary
            stub = self._stubs[address, method.path] = make(
                method.path, method.request.SerializeToString, method.response.FromString
            )
        return stub

    def _channel(self, address: Address) -> grpc.aio.Channel:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = self._dialer.open(address, _OPTIONS)
        return channel

    def _discover(self) -> None:
        """Learn who leads, beside the calls: it saves them a hop."""
        if self._discovery is None or self._discovery.done():
            self._discovery = asyncio.create_task(self._learn_leader(), name="learn leader")

    async def _learn_leader(self) -> None:
        cluster = await self._probe(self._endpoints.pick(asyncio.get_running_loop().time()), 1.0)
        if cluster is None:
            return
        unproven = self._endpoints.unproven(cluster.schedulers)
        proven = {one for one in unproven if await self._probe(one, 0.3) is not None}
        self._endpoints.on_cluster(cluster.schedulers, proven)

    async def _probe(self, address: Address, seconds: float) -> Any:
        try:
            stub = self._stub(address, _GET_CLUSTER)
            request = pb.GetClusterRequest()
            return (await stub(request, timeout=seconds, metadata=self._own())).cluster
        except grpc.aio.AioRpcError:
            return None
