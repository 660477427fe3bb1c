"""Any scheduler serves any client: calls are answered here or passed on to the leader.

Every method of a service is served by a generic handler that takes and gives bytes. What happens
to a call depends on the role of this process (see `scheduler.api.forwarding.role`):

| role | the call |
|---|---|
| LOCAL | is parsed and given to the local servicer |
| REMOTE | goes to the leader, bytes untouched, over a cached channel |
| UNKNOWN | waits a short while for a leader, then UNAVAILABLE `NO_LEADER` |

A call is passed on once at most: it is marked, and a standby that receives a marked call answers
UNAVAILABLE `NOT_LEADER`. The replica that marked it then waits for a newer leader and tries again,
since nothing was done. When the connection to the leader breaks, or another leader is elected while
it is silent, the caller gets UNAVAILABLE `LEADER_LOST`: the outcome is unknown, repeat with the
same request id.

Deadlines, metadata, cancellation, status, details and trailing metadata pass through both ways.
`ForwardingHandlers` owns the channels to leaders; everything else belongs to its call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from quorate.runtime.errors import QuorateError, abort, unavailable
from quorate.runtime.network.keepalive import BETWEEN_PROCESSES, client_keepalive
from quorate.runtime.parsing import malformed_request
from quorate.security.identity import current_caller
from quorate.security.limits import LARGE, CallerLimits, kind_of
from quorate.security.metadata import FORWARDED, PASSED_ON, PASSED_ON_PEER
from quorate.security.tls.dialer import Dialer
from scheduler.api.forwarding.authorization import passed_on
from scheduler.api.forwarding.call import (
    NOT_LEADER,
    Answered,
    Metadata,
    Method,
    NotLeader,
)
from scheduler.api.forwarding.methods import method_of
from scheduler.api.forwarding.role import Local, Remote, Role, Roles
from scheduler.api.origin import passed_on_peer
from scheduler.api.request_sizes import TOO_LARGE
from scheduler.api.servicer import Context

_MARK: Final = (FORWARDED, "1")
# What only a scheduler may say of a call.
_OURS: Final = frozenset({PASSED_ON, PASSED_ON_PEER})
# What gRPC sets anew on every hop.
_HOP_BY_HOP: Final = frozenset({"user-agent", "content-type", "te", "accept-encoding"})
# Codes of large requests that may be followed by more: done, or not for what they hold.
_NOT_REFUSED: Final = frozenset({"OK", "UNAVAILABLE", "DEADLINE_EXCEEDED"})
_EOF: Final = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs
# Seconds that calls under way to a former leader have to come home.
_RETIRE_GRACE: Final = 0.25


# Quick to reconnect. A leader that is cut off may lead on for others: a stream to it ends within
# 15 s.
_CHANNEL_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.enable_http_proxy", 0),
    *client_keepalive(*BETWEEN_PROCESSES),
)


@dataclass(slots=True)
class _Link:
    """A channel to a leader, and the stubs of the methods called over it so far."""

    channel: grpc.aio.Channel
    stubs: dict[str, Any] = field(default_factory=dict)

    def stub(self, method: Method) -> Any:
        stub = self.stubs.get(method.name)
        if stub is None:
            stub = self.stubs[method.name] = method.stub(self.channel)
        return stub


class CallObserver(Protocol):
    """Who counts calls: `scheduler.telemetry.metrics`."""

    def call_began(self, method: str) -> str:
        """A call came; the name to pass to `call_ended`."""

    def call_ended(self, method: str, code: str, seconds: float, *, streams: bool) -> None:
        """It is over, with a status code by name."""


class ForwardingHandlers:
    """Serves all methods of one service by role.

    Args:
        service: the service. No method streams its requests unless it streams its answers too.
        roles: the role of this process, with the servicers of a leader.
        dialer: opens the channel to a leader; a plaintext one when left out.
        leader_wait: seconds that a call waits for a leader to be known.
        default_timeout: seconds for a unary call that came without a deadline.
        observer: called for each call and for its end.
        limits: of the anonymous caller; the guard asks them about all others.
    """

    def __init__(
        self,
        service: ServiceDescriptor,
        roles: Roles,
        *,
        dialer: Dialer | None = None,
        leader_wait: float = 3.0,
        default_timeout: float = 60.0,
        observer: CallObserver | None = None,
        limits: CallerLimits | None = None,
    ) -> None:
        self._limits = limits
        self._service = service
        self._name = service.full_name
        self._roles = roles
        self._dialer = dialer or Dialer(None)
        self._leader_wait = leader_wait
        self._default_timeout = default_timeout
        self._observer = observer
        # At most the current leader's: others are retired when the role changes.
        self._links: dict[str, _Link] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._left = False
        roles.subscribe(self._retire_others)

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What to give to `server.add_generic_rpc_handlers`."""
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for descriptor in self._service.methods:
            method = method_of(descriptor)
            # As streams of one request: who calls is known before it is read.
            make: Any = (
                grpc.stream_stream_rpc_method_handler
                if method.streams
                else grpc.stream_unary_rpc_method_handler
            )
            handlers[method.name] = make(self._serve(method))
        return grpc.method_handlers_generic_handler(self._service.full_name, handlers)

    async def leave(self, grace: float) -> None:
        """Serve on for `grace` seconds, or until no call is under way; then refuse new ones.

        Calls still under way to a leader get LEADER_LOST. When this returns the process may end:
        whatever is left gets UNAVAILABLE from the connection that breaks.
        """
        await self._until_quiet(grace)
        self._left = True
        await self.close()
        await self._until_quiet(_RETIRE_GRACE)

    async def _until_quiet(self, within: float) -> None:
        self._quiet.clear()
        if self._under_way:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._quiet.wait()

    async def close(self) -> None:
        """Close the channels; calls still under way to a leader get LEADER_LOST."""
        self._retire_others(None)
        if self._retiring:
            await asyncio.wait(self._retiring)

    def _serve(self, method: Method) -> Callable[[object, Context], Awaitable[bytes | None]]:
        limits = self._limits
        kind = kind_of(f"/{self._service.full_name}/{method.name}", streams=method.streams)

        async def serve(requests: object, context: Context) -> bytes | None:
            timeout = cast("float | None", context.time_remaining())
            self._under_way += 1
            start, code = time.perf_counter(), "CANCELLED"
            observer = self._observer
            name = observer.call_began(method.name) if observer is not None else ""
            end: Callable[[], None] | None = None
            body = b""
            try:
                if limits is not None and current_caller() is None:
                    try:
                        end = limits.begin(None, kind)
                    except QuorateError:
                        await limits.hold_back(None)
                        raise
                if self._left:
                    raise unavailable(
                        "SHUTTING_DOWN", "this scheduler is shutting down; ask another one"
                    )
                body = await _read(method, context, limits)
                # gRPC itself cancels a call whose deadline has passed; a stream may go on for ever.
                if timeout is not None or method.streams:
                    answer = await self._answer(method, body, context, timeout)
                else:
                    async with asyncio.timeout(self._default_timeout):
                        answer = await self._answer(method, body, context, self._default_timeout)
                code = "OK"
                return answer
            except QuorateError as error:
                code = error.code.name
                if error.reason == TOO_LARGE and limits is not None and len(body) > LARGE:
                    # Megabytes that are refused are not to be sent again at once.
                    await limits.hold_back(current_caller())
                await abort(context, error)
            except Answered as answered:
                code = answered.code.name
                await context.abort(answered.code, answered.details, answered.trailing)
            except TimeoutError:
                code = "DEADLINE_EXCEEDED"
                await abort(context, self._too_late(method))
            finally:
                if end is not None:
                    end()
                if len(body) > LARGE and limits is not None and code in _NOT_REFUSED:
                    limits.answered(current_caller(), len(body))
                if observer is not None:
                    seconds = time.perf_counter() - start
                    observer.call_ended(name, code, seconds, streams=method.streams)
                self._under_way -= 1
                if not self._under_way:
                    self._quiet.set()
            raise AssertionError("abort returned")

        return serve

    async def _answer(
        self, method: Method, body: bytes, context: Context, timeout: float | None
    ) -> bytes | None:
        role = self._roles.role
        if isinstance(role, Local):
            return await method.local(role.servicers[self._name], body, context)
        loop = asyncio.get_running_loop()
        start = loop.time()
        wait = self._leader_wait if timeout is None else min(self._leader_wait, timeout)
        metadata, marked = _passed_on(context)
        while True:
            if isinstance(role, Local):
                return await method.local(role.servicers[self._name], body, context)
            if isinstance(role, Remote):
                if marked:
                    raise unavailable(NOT_LEADER, "this scheduler is not the leader")
                left = None if timeout is None else max(0.0, timeout - (loop.time() - start))
                try:
                    stub = self._link(role.address).stub(method)
                    return await method.remote(stub, body, context, metadata, left)
                except NotLeader:
                    pass
                except QuorateError:
                    self._drop_stale(role.address)
                    raise
            try:
                async with asyncio.timeout_at(start + wait):
                    role = await self._roles.other_than(role)
            except TimeoutError:
                raise unavailable("NO_LEADER", "there is no leader at present; try again") from None

    def _link(self, address: str) -> _Link:
        link = self._links.get(address)
        if link is None:
            channel = self._dialer.open(address, _CHANNEL_OPTIONS)
            link = self._links[address] = _Link(channel)
        return link

    def _drop_stale(self, address: str) -> None:
        """After a failure: a channel whose certificates were replaced would only fail again."""
        link = self._links.get(address)
        if link is not None and self._dialer.is_stale(link.channel):
            self._retire(address)

    def _retire_others(self, role: Role | None) -> None:
        """Close all channels but the one to the leader of `role`."""
        keep = role.address if isinstance(role, Remote) else None
        for address in [known for known in self._links if known != keep]:
            # A leader that is partitioned or stopped would keep its callers waiting for ever.
            self._retire(address)

    def _retire(self, address: str) -> None:
        closing = asyncio.ensure_future(self._links.pop(address).channel.close(_RETIRE_GRACE))
        self._retiring.add(closing)
        closing.add_done_callback(self._retiring.discard)

    def _too_late(self, method: Method) -> QuorateError:
        return QuorateError(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "DEADLINE_EXCEEDED",
            f"{method.name} took longer than {self._default_timeout:g} s; "
            "set a deadline to allow more",
            metadata={"limit": f"{self._default_timeout:g}"},
        )


async def _read(method: Method, context: Context, limits: CallerLimits | None) -> bytes:
    """The request of a call, when its caller may send it."""

    async def receive() -> bytes:
        body: Any = await context.read()
        if body is _EOF:
            raise malformed_request(method.request, method.name)
        return body  # type: ignore[no-any-return]

    if limits is None:
        body = await receive()
    else:
        body = await limits.read(current_caller(), receive)
    if len(body) > LARGE:
        # Receiving it took the loop for long enough.
        await asyncio.sleep(0)
    return body


def _passed_on(context: Context) -> tuple[Metadata, bool]:
    """The metadata to send with a forwarded call, and whether this call was forwarded to us."""
    metadata: list[tuple[str, str | bytes]] = [_MARK]
    marked = False
    for key, value in context.invocation_metadata() or ():
        if key == FORWARDED:
            marked = True
        # Who calls is ours to say, below; what a caller says of itself counts for nothing.
        elif key not in _HOP_BY_HOP and key not in _OURS and not key.startswith(("grpc-", ":")):
            metadata.append((key, value))
    metadata.extend(passed_on())
    metadata.extend(passed_on_peer(context))
    return tuple(metadata), marked
