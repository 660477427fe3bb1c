"""One RPC from an asyncio program: deadline, retries and failover. The twin of `calls`.

Owned by one event loop, in which it must be closed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import tenacity

from quorate.client.transport.access import Access
from quorate.client.transport.calls import RETIRED_SECONDS
from quorate.client.transport.contact import DEFAULT_CONNECT_FOR, explained, is_hopeless, is_refused
from quorate.client.transport.endpoints import Endpoints
from quorate.client.transport.job_rpcs import WAIT_JOB
from quorate.client.transport.large import AsyncLargeValues
from quorate.client.transport.policy import CHANNEL_OPTIONS
from quorate.client.transport.rpcs import (
    DEFAULT_RETRY_FOR,
    GET_CLUSTER,
    POLL,
    WAIT_TASK,
    Req,
    Res,
    Rpc,
    TryAgain,
    exhausted_error,
    judge,
    stops,
    waits,
)
from quorate.runtime.errors import QuorateError
from quorate.security.tls.diagnosis import why_none
from quorate.security.tls.dialer import Dialer
from quorate.v1 import cluster_pb2
from quorate.v1 import scheduler_pb2 as pb

# Calls of one client under way at once; more wait here, where a coroutine costs less than a call.
# Waiting for tasks takes long and must not hold up the rest: it has room of its own.
MOST_CALLS = 512
MOST_WAITS = 2048


class AsyncCalls:
    """RPCs to whichever scheduler answers, a bounded number at once."""

    def __init__(
        self,
        access: Access,
        *,
        retry_for: float = DEFAULT_RETRY_FOR,
        connect_for: float = DEFAULT_CONNECT_FOR,
    ) -> None:
        self.retry_for = retry_for
        self._connect_for = connect_for
        # Whether any scheduler ever answered.
        self._reached = False
        self._access = access
        self._dialer = Dialer(access.tls)
        self._endpoints = Endpoints(access.addresses)
        self._channels: dict[str, grpc.aio.Channel] = {}
        # Channels with former certificates, and when they retired (monotonic): streams on them go
        # on. Closed with the rest, or after `RETIRED_SECONDS` when the next one retires.
        self._retired: deque[tuple[float, grpc.aio.Channel]] = deque()
        self._closing: set[asyncio.Task[None]] = set()
        self._methods: dict[tuple[str, str], Any] = {}
        self._discovering = False
        self._closed = False
        self._calls = asyncio.Semaphore(MOST_CALLS)
        self._waits = asyncio.Semaphore(MOST_WAITS)
        self.large = AsyncLargeValues(self._cluster)

    async def _cluster(self) -> cluster_pb2.Cluster:
        return (await self.call(GET_CLUSTER, pb.GetClusterRequest())).cluster

    async def call(
        self,
        rpc: Rpc[Req, Res],
        request: Req,
        *,
        deadline: float | None = None,
        retry_for: float | None = None,
    ) -> Res:
        """Answer of `rpc`. `deadline`: seconds for one try; `retry_for`: seconds for all, both
        from when there is room for it.

        Raises QuorateError.
        """
        async with self._waits if rpc is WAIT_TASK or rpc is WAIT_JOB else self._calls:
            return await self._call(rpc, request, deadline, retry_for)

    @property
    def poll(self) -> float:
        """Seconds of one long poll: short when others wait for room to make theirs."""
        return 1.0 if self._waits.locked() else POLL

    async def _call(
        self, rpc: Rpc[Req, Res], request: Req, deadline: float | None, retry_for: float | None
    ) -> Res:
        seconds = rpc.deadline if deadline is None else deadline
        patience = self.retry_for if retry_for is None else retry_for
        try:
            return await self._try(rpc, request, seconds)
        except TryAgain as again:
            if patience <= 0:
                raise again.error from None
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TryAgain),
            stop=stops(len(self.addresses), patience, self.patience(patience)),
            wait=waits(len(self.addresses)),
            reraise=True,
        )
        started = time.monotonic()
        try:
            answer: Res = await retrying(self._try, rpc, request, seconds)
            return answer
        except TryAgain as again:
            took = time.monotonic() - started
            why = await asyncio.to_thread(why_none, self.addresses, self._access.tls)
            raise exhausted_error(again.error, self.addresses, took, why, again.address) from None

    def gives_up_after(self, error: QuorateError) -> float:
        """Seconds for which a stream that ends so is opened again; 0 where that is in vain."""
        if is_hopeless(error):
            return 0.0
        return self.patience(self.retry_for) if is_refused(error) else self.retry_for

    def on_reached(self) -> None:
        """A stream brought an answer: from now on a refusal is a failover."""
        self._reached = True

    def patience(self, retry_for: float) -> float:
        """Seconds in which refusals are put up with, of `retry_for` for other failures."""
        return retry_for if self._reached else min(retry_for, self._connect_for)

    async def _try(self, rpc: Rpc[Req, Res], request: Req, seconds: float) -> Res:
        address = self._endpoints.pick(time.monotonic())
        method = self._method(address, rpc)
        try:
            answer: Res = await method(request, timeout=seconds, metadata=self._access.metadata)
        except grpc.RpcError as error:
            verdict = judge(error)
            if isinstance(verdict, TryAgain):
                verdict.address = address
                if verdict.busy:
                    self._reached = True
                    raise verdict from None
                self.on_failure(address, verdict.error)
            elif isinstance(verdict, QuorateError):
                self._reached = True
                raise explained(verdict, address) from None
            # gRPC's own account of it is in the verdict, and twenty lines of traceback.
            raise verdict from None
        self._reached = True
        if self._endpoints.on_answer(address):
            await self._discover(address)
        return answer

    @asynccontextmanager
    async def stream(
        self, rpc: Rpc[Req, Res], request: Req, *, deadline: float
    ) -> AsyncIterator[tuple[str, Any]]:
        """Open a server stream once: (address, call). Leaving cancels it. As `Calls.stream`."""
        address = self._endpoints.pick(time.monotonic())
        method = self._method(address, rpc, "unary_stream")
        call = method(request, timeout=deadline, metadata=self._access.metadata)
        try:
            yield address, call
        finally:
            call.cancel()

    @asynccontextmanager
    async def duplex(
        self, rpc: Rpc[Req, Res], requests: AsyncIterator[Req], *, deadline: float
    ) -> AsyncIterator[tuple[str, Any]]:
        """As `Calls.duplex`."""
        address = self._endpoints.pick(time.monotonic())
        method = self._method(address, rpc, "stream_stream")
        call = method(requests, timeout=deadline, metadata=self._access.metadata)
        try:
            yield address, call
        finally:
            call.cancel()

    def on_failure(self, address: str, error: QuorateError) -> None:
        """Prefer another address from now on."""
        silent = error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        self._endpoints.on_failure(address, silent=silent, now=time.monotonic())
        channel = self._channels.get(address)
        if channel is not None and self._dialer.is_stale(channel):
            # Its certificates were replaced: it would only fail again.
            del self._channels[address]
            self._methods = {key: m for key, m in self._methods.items() if key[0] != address}
            self._retire(channel, time.monotonic())

    def _retire(self, channel: grpc.aio.Channel, now: float) -> None:
        """Keep it for its streams; close those that no stream uses any more."""
        while self._retired and now - self._retired[0][0] > RETIRED_SECONDS:
            closing = asyncio.create_task(self._retired.popleft()[1].close(None))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._retired.append((now, channel))

    @property
    def addresses(self) -> list[str]:
        """Every address that is tried."""
        return self._endpoints.all

    async def close(self) -> None:
        """Close all channels; calls under way fail. Idempotent."""
        self._closed = True
        channels = [*self._channels.values(), *(one for _, one in self._retired)]
        self._channels.clear()
        self._retired.clear()
        self._methods.clear()
        for channel in channels:
            await channel.close(None)
        await asyncio.gather(*self._closing)

    def _method(self, address: str, rpc: Rpc[Req, Res], kind: str = "unary_unary") -> Any:
        method = self._methods.get((address, rpc.name))
        if method is not None:
            return method
        if self._closed:
            raise QuorateError(grpc.StatusCode.CANCELLED, "CLIENT_CLOSED", "this client is closed")
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = self._dialer.open(address, CHANNEL_OPTIONS)
        make: Any = getattr(channel, kind)
        method = make(rpc.path, rpc.request.SerializeToString, rpc.parse)
        self._methods[address, rpc.name] = method
        return method

    async def _discover(self, address: str) -> None:
        """As `Calls._discover`."""
        if self._discovering:
            return
        self._discovering = True
        try:
            cluster = await self._probe(address, 1.0)
            if cluster is None:
                return
            unproven = self._endpoints.unproven(cluster.schedulers)
            proven = {one for one in unproven if await self._probe(one, 0.3) is not None}
            self._endpoints.on_cluster(cluster.schedulers, proven)
        finally:
            self._discovering = False

    async def _probe(self, address: str, seconds: float) -> Any:
        try:
            method = self._method(address, GET_CLUSTER)
            request = pb.GetClusterRequest()
            return (await method(request, timeout=seconds, metadata=self._access.metadata)).cluster
        except grpc.RpcError:
            return None
