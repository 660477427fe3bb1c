"""One RPC from a synchronous program: deadline, retries and failover.

Owns the channels (one per address) and the choice of the next one. Thread-safe. After
UNAVAILABLE or a deadline the same request, with the same `request_id`, goes to another scheduler
until `retry_for` seconds have passed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
import tenacity

from quorate.client.transport.access import Access
from quorate.client.transport.contact import DEFAULT_CONNECT_FOR, explained, is_hopeless, is_refused
from quorate.client.transport.endpoints import Endpoints
from quorate.client.transport.large import LargeValues
from quorate.client.transport.policy import CHANNEL_OPTIONS
from quorate.client.transport.rpcs import (
    DEFAULT_RETRY_FOR,
    GET_CLUSTER,
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
from quorate.v1 import scheduler_pb2 as pb

# No stream of a client is older: the longest deadline is that of messages, an hour.
RETIRED_SECONDS: Final = 3_660.0


class Calls:
    """RPCs to whichever scheduler answers."""

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
        self._lock = threading.Lock()
        self._endpoints = Endpoints(access.addresses)
        self._channels: dict[str, grpc.Channel] = {}
        # Channels with former certificates, and when they retired (monotonic): streams on them go
        # on. Closed with the rest, or after `RETIRED_SECONDS` when the next one retires.
        self._retired: deque[tuple[float, grpc.Channel]] = deque()
        self._methods: dict[tuple[str, str], Any] = {}
        self._discovering = threading.Lock()
        self._closed = False
        self.large = LargeValues(lambda: self.call(GET_CLUSTER, pb.GetClusterRequest()).cluster)

    def call(
        self,
        rpc: Rpc[Req, Res],
        request: Req,
        *,
        deadline: float | None = None,
        retry_for: float | None = None,
    ) -> Res:
        """Answer of `rpc`. `deadline`: seconds for one try; `retry_for`: seconds for all.

        Raises QuorateError.
        """
        seconds = rpc.deadline if deadline is None else deadline
        patience = self.retry_for if retry_for is None else retry_for
        # The common case takes no part in the retry machinery: it costs 30 us.
        try:
            return self._try(rpc, request, seconds)
        except TryAgain as again:
            if patience <= 0:
                raise again.error from None
        started = time.monotonic()
        try:
            answer: Res = self._retrying(patience)(self._try, rpc, request, seconds)
            return answer
        except TryAgain as again:
            took = time.monotonic() - started
            why = why_none(self.addresses, self._access.tls)
            raise exhausted_error(again.error, self.addresses, took, why, again.address) from None

    def _retrying(self, patience: float) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TryAgain),
            stop=stops(len(self.addresses), patience, self.patience(patience)),
            wait=waits(len(self.addresses)),
            reraise=True,
        )

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

    def _try(self, rpc: Rpc[Req, Res], request: Req, seconds: float) -> Res:
        address = self._pick()
        method = self._method(address, rpc)
        try:
            answer: Res = method(request, timeout=seconds, metadata=self._access.metadata)
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
        with self._lock:
            self._reached = True
            discover = self._endpoints.on_answer(address)
        if discover:
            self._discover(address)
        return answer

    @contextmanager
    def stream(
        self, rpc: Rpc[Req, Res], request: Req, *, deadline: float
    ) -> Iterator[tuple[str, Any]]:
        """Open a server stream once: (address, call). Leaving cancels it.

        The call yields answers and raises grpc.RpcError; the caller judges it and tells
        `on_failure`, since only it knows how far it got.
        """
        address = self._pick()
        method = self._method(address, rpc, "unary_stream")
        call = method(request, timeout=deadline, metadata=self._access.metadata)
        try:
            yield address, call
        finally:
            call.cancel()

    @contextmanager
    def duplex(
        self, rpc: Rpc[Req, Res], requests: Iterator[Req], *, deadline: float
    ) -> Iterator[tuple[str, Any]]:
        """As `stream`, of a method that also takes a stream: a thread of gRPC takes `requests`."""
        address = self._pick()
        method = self._method(address, rpc, "stream_stream")
        call = method(requests, timeout=deadline, metadata=self._access.metadata)
        try:
            yield address, call
        finally:
            call.cancel()

    def on_failure(self, address: str, error: QuorateError) -> None:
        """Prefer another address from now on."""
        silent = error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        with self._lock:
            self._endpoints.on_failure(address, silent=silent, now=time.monotonic())
            channel = self._channels.get(address)
            if channel is None or not self._dialer.is_stale(channel):
                return
            # Its certificates were replaced: it would only fail again.
            del self._channels[address]
            self._methods = {key: m for key, m in self._methods.items() if key[0] != address}
            unused = self._retire(channel, time.monotonic())
        for one in unused:
            one.close()

    def _retire(self, channel: grpc.Channel, now: float) -> list[grpc.Channel]:
        """Those that no stream uses any more; the lock is held."""
        unused = []
        while self._retired and now - self._retired[0][0] > RETIRED_SECONDS:
            unused.append(self._retired.popleft()[1])
        self._retired.append((now, channel))
        return unused

    @property
    def addresses(self) -> list[str]:
        """Every address that is tried."""
        with self._lock:
            return self._endpoints.all

    def close(self) -> None:
        """Close all channels; calls under way fail. Idempotent."""
        with self._lock:
            self._closed = True
            channels = [*self._channels.values(), *(one for _, one in self._retired)]
            self._channels.clear()
            self._retired.clear()
            self._methods.clear()
        for channel in channels:
            channel.close()

    def _pick(self) -> str:
        with self._lock:
            return self._endpoints.pick(time.monotonic())

    def _method(self, address: str, rpc: Rpc[Req, Res], kind: str = "unary_unary") -> Any:
        method = self._methods.get((address, rpc.name))
        if method is not None:
            return method
        with self._lock:
            if self._closed:
                raise QuorateError(
                    grpc.StatusCode.CANCELLED, "CLIENT_CLOSED", "this client is closed"
                )
            channel = self._channels.get(address)
            if channel is None:
                channel = self._dialer.open_sync(address, CHANNEL_OPTIONS)
                self._channels[address] = channel
            make = getattr(channel, kind)
            method = make(rpc.path, rpc.request.SerializeToString, rpc.parse)
            self._methods[address, rpc.name] = method
            return method

    def _discover(self, address: str) -> None:
        """Learn who leads, and which of the addresses that the cluster names answer us.

        An optimisation: whatever goes wrong is left alone, the next answer tries again.
        """
        if not self._discovering.acquire(blocking=False):
            return
        try:
            cluster = self._probe(address, 1.0)
            if cluster is None:
                return
            with self._lock:
                unproven = self._endpoints.unproven(cluster.schedulers)
            proven = {one for one in unproven if self._probe(one, 0.3) is not None}
            with self._lock:
                self._endpoints.on_cluster(cluster.schedulers, proven)
        finally:
            self._discovering.release()

    def _probe(self, address: str, seconds: float) -> Any:
        try:
            method = self._method(address, GET_CLUSTER)
            request = pb.GetClusterRequest()
            return method(request, timeout=seconds, metadata=self._access.metadata).cluster
        except grpc.RpcError:
            return None
