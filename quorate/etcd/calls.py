"""RPCs to etcd: which endpoint, which token, what may be repeated.

Reads, and writes that are harmless twice (keepalive, revoke, compact), go on to the next endpoint
until their deadline. Any other write is sent at most once: waiting for a connection happens before
it is sent, and whatever goes wrong afterwards is EtcdUnavailable, outcome unknown.

`Calls` owns the auth token, one for the whole cluster. A token that etcd no longer knows (it
expired, or etcd restarted: simple tokens live in memory) is renewed once per call; etcd turns such
calls away before doing anything, so this is the one case where a write is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from quorate.etcd import wire
from quorate.etcd.api import EtcdUnauthenticated, EtcdUnavailable
from quorate.etcd.channels import Channels, Endpoint
from quorate.etcd.failures import AUTH_OFF_TEXT, from_rpc, stale_token
from quorate.etcd.wire import Message, Stubs

Metadata = tuple[tuple[str, str], ...]

# A member cut off from its quorum shall say so at once instead of holding the call (etcd's
# clientv3.WithRequireLeader).
_REQUIRE_LEADER: Metadata = (("hasleader", "true"),)

_CONNECT_PATIENCE = 1.0
_PAUSE = 0.05
_AUTHENTICATE_TIMEOUT = 5.0


class Calls:
    """Unary calls over the channels, and the token and endpoint for streams."""

    def __init__(self, channels: Channels, user: str, password: str) -> None:
        self.channels = channels
        self._user = user
        self._password = password
        self._token: str | None = None
        """None: not asked for yet. Empty: the server has authentication switched off."""
        self._renewal = asyncio.Lock()

    async def unary(
        self,
        method: Callable[[Stubs], Any],
        request: Message,
        *,
        timeout: float,
        repeat: bool,
        require_leader: bool = True,
    ) -> Message:
        """Call `method`; with `repeat` as often as `timeout` seconds allow, else at most once."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        renewed = False
        while True:
            endpoint = await self.endpoint(deadline)
            token = await self.token(endpoint)
            left = max(deadline - loop.time(), 0.0)
            if repeat and len(self.channels) > 1:
                left /= 2  # An endpoint that hangs must leave time for the next one.
            try:
                return await method(endpoint.stubs)(
                    request, timeout=left, metadata=self._metadata(token, require_leader)
                )
            except grpc.aio.AioRpcError as error:
                if self._user and not renewed and stale_token(error):
                    renewed = True
                    await self.renew_token(endpoint, token)
                    continue
                failure = from_rpc(error, endpoint.address)
                if not isinstance(failure, EtcdUnavailable):
                    raise failure from error
                self.channels.failed(endpoint)
                if not repeat or deadline - loop.time() <= _PAUSE:
                    raise failure from error
            except asyncio.CancelledError:
                self._raise_if_closed()
                raise
            except grpc.aio.UsageError as error:
                raise EtcdUnavailable("the etcd client was closed") from error
            await asyncio.sleep(_PAUSE)

    async def endpoint(self, deadline: float) -> Endpoint:
        """A connected endpoint, the current one first; EtcdUnavailable past `deadline` (loop time).

        Nothing has been sent when this fails.
        """
        loop = asyncio.get_running_loop()
        while True:
            if self.channels.closed:
                raise EtcdUnavailable("the etcd client was closed")
            for _ in range(len(self.channels)):
                endpoint = self.channels.current
                try:
                    if await endpoint.connected(min(_CONNECT_PATIENCE, deadline - loop.time())):
                        return endpoint
                except grpc.aio.UsageError as error:
                    raise EtcdUnavailable("the etcd client was closed") from error
                self.channels.failed(endpoint)
            if deadline - loop.time() <= _PAUSE:
                reason = await self._why_not(self.channels.current)
                raise EtcdUnavailable(f"no etcd answers at {self.channels.names}: {reason}")
            await asyncio.sleep(_PAUSE)

    async def _why_not(self, endpoint: Endpoint) -> str:
        try:
            await endpoint.stubs.status(wire.status_request(), timeout=_PAUSE)
        except grpc.aio.AioRpcError as error:
            return error.details() or error.code().name
        return "it only just came back"

    async def token(self, endpoint: Endpoint) -> str:
        """The token to send; empty for none."""
        if not self._user:
            return ""
        if self._token is None:
            return await self.renew_token(endpoint, None)
        return self._token

    async def renew_token(self, endpoint: Endpoint, stale: str | None) -> str:
        """A token other than `stale`: asked for once, however many calls need it."""
        async with self._renewal:
            if self._token is None or self._token == stale:
                self._token = await self._authenticate(endpoint)
            return self._token

    async def _authenticate(self, endpoint: Endpoint) -> str:
        request = wire.authenticate_request(self._user, self._password)
        try:
            response = await endpoint.stubs.authenticate(request, timeout=_AUTHENTICATE_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if AUTH_OFF_TEXT in (error.details() or ""):
                return ""
            raise from_rpc(error, endpoint.address) from error
        if not response.token:
            raise EtcdUnauthenticated(f"etcd {endpoint.address}: no token for {self._user!r}")
        return str(response.token)

    @property
    def has_user(self) -> bool:
        """Whether a fresh token may help."""
        return bool(self._user)

    async def stream_metadata(self, endpoint: Endpoint) -> Metadata:
        """What a stream has to send."""
        return self._metadata(await self.token(endpoint), require_leader=True)

    @staticmethod
    def _metadata(token: str, require_leader: bool) -> Metadata:
        metadata = _REQUIRE_LEADER if require_leader else ()
        return (*metadata, ("token", token)) if token else metadata

    def _raise_if_closed(self) -> None:
        # grpc.aio cancels calls under way when their channel is closed; that is no cancellation of
        # the task that waits for them.
        task = asyncio.current_task()
        if self.channels.closed and task is not None and not task.cancelling():
            raise EtcdUnavailable("the etcd client was closed") from None
