"""A watch on real etcd: one stream, whole revisions, resumed for as long as it is read.

    opening --created--> following --stream broken--> opening (next endpoint, next revision)
                             |--compacted--> Compacted to the reader

Two facts of etcd shape this file. A response with `fragment` set may end inside a revision, so
that one is kept until its rest is there, and thrown away with a broken stream; the revisions before
it are given out at once: a watch that is 100,000 events behind gets them all in one response. And a
watch from exactly the compacted revision is accepted but lacks that revision's deletions (etcd
issue 19179), so the watch is asked for from one revision earlier, where etcd refuses instead, and
the repeat is dropped here.

The reader owns the pace: nothing is read ahead beyond one response and gRPC's flow-control window,
so a slow reader holds back the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from quorate.etcd import wire
from quorate.etcd.api import (
    Compacted,
    EtcdUnauthenticated,
    EtcdUnavailable,
    WatchBatch,
    WatchEvent,
)
from quorate.etcd.calls import Calls
from quorate.etcd.channels import Endpoint
from quorate.etcd.failures import is_denial
from quorate.etcd.wire import WatchResponse
from quorate.runtime.ending import end_task
from quorate.runtime.timing.backoff import Backoff

_OPEN_TIMEOUT = 5.0
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0


class _Broken(Exception):
    """The stream ended; a new one can go on."""


class EtcdWatch:
    """Async context manager and iterator of WatchBatch; see `Etcd.watch` for the guarantee.

    An `anext` that is cancelled loses nothing: the next one goes on with the same response.
    """

    def __init__(self, calls: Calls, key: bytes, range_end: bytes, start_revision: int) -> None:
        self._calls = calls
        self._key = key
        self._range_end = range_end
        self._next = start_revision
        """The first revision not yet handed out; 0 until the server has said where "now" is."""
        self._endpoint: Endpoint | None = None
        self._stream: Any = None
        self._reading: asyncio.Task[WatchResponse] | None = None
        self._parts: list[WatchEvent] = []
        """The part of a revision that is here; etcd's own request limit bounds its size."""
        # At once the first time; a batch resets it.
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, at_once=True)

    async def __aenter__(self) -> Self:
        deadline = asyncio.get_running_loop().time() + _OPEN_TIMEOUT
        try:
            while True:
                try:
                    await self._open(deadline)
                    return self
                except _Broken as broken:
                    if asyncio.get_running_loop().time() >= deadline:
                        raise EtcdUnavailable(f"no watch could be created: {broken}") from broken
                await self._lost()
                await self._back_off()
        except BaseException:
            # `__aexit__` is not called for a context that was never entered.
            await self._drop()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._drop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchBatch:
        while True:
            try:
                if self._stream is None:
                    await self._back_off()
                    await self._open(asyncio.get_running_loop().time() + _OPEN_TIMEOUT)
                batch = await self._take(await self._read())
            except _Broken:
                await self._lost()
                continue
            except EtcdUnavailable:
                if self._calls.channels.closed:
                    raise
                await self._lost()
                continue
            if batch is not None:
                self._backoff.reset()
                return batch

    async def _open(self, deadline: float) -> None:
        """A new stream, from the next revision; returns once the server has created the watch."""
        for renewal_may_help in (self._calls.has_user, False):
            endpoint = self._endpoint = await self._calls.endpoint(deadline)
            metadata = await self._calls.stream_metadata(endpoint)
            start = self._next - 1 if self._next > 1 else self._next
            self._stream = endpoint.stubs.watch(metadata=metadata)
            try:
                async with asyncio.timeout_at(deadline):
                    await self._stream.write(wire.watch_request(self._key, self._range_end, start))
                    created = (await self._read()).message
            except TimeoutError:
                raise _Broken(f"{endpoint.address} did not answer") from None
            except grpc.aio.AioRpcError as error:
                raise _Broken(error.details() or error.code().name) from error
            except (asyncio.InvalidStateError, grpc.aio.UsageError) as error:
                raise _Broken(f"{endpoint.address} ended the stream") from error
            if not created.canceled:
                if not self._next:
                    self._next = created.header.revision + 1
                return
            await self._drop()
            if not is_denial(created.cancel_reason):
                raise _Broken(created.cancel_reason)
            if not renewal_may_help:
                break
            # After a restart etcd has forgotten the token, and for a watch it calls that a lack
            # of permission.
            await self._calls.renew_token(endpoint, dict(metadata).get("token", ""))
        raise EtcdUnauthenticated(f"watch of {self._key!r}: {created.cancel_reason}")

    async def _read(self) -> WatchResponse:
        if self._reading is None:
            # A task of its own: cancelling `read` itself would end the RPC. `_drop` awaits it.
            self._reading = asyncio.create_task(self._stream.read())
        reading = self._reading
        try:
            response = await asyncio.shield(reading)
        except asyncio.CancelledError:
            if reading.cancelled() and self._calls.channels.closed:
                raise EtcdUnavailable("the etcd client was closed") from None
            raise
        except grpc.aio.AioRpcError as error:
            raise _Broken(error.details() or error.code().name) from error
        self._reading = None
        if response is wire.EOF:
            raise _Broken("the server ended the stream")
        return response

    async def _take(self, read: WatchResponse) -> WatchBatch | None:
        """The batch that a response completes, if it does."""
        response = read.message
        if response.canceled:
            await self._drop()
            if response.compact_revision:
                raise Compacted(response.compact_revision + 1)
            raise _Broken(response.cancel_reason)
        events: Sequence[WatchEvent] = wire.watch_events(read)
        if response.fragment or self._parts:
            parts, self._parts = [*self._parts, *events], []
            if response.fragment:
                # Events come in the order of revisions: only the last one may be in parts.
                whole = _whole(parts)
                self._parts = parts[whole:]
                if not whole:
                    return None
                del parts[whole:]
            events = parts
        if events:
            # The last event's revision, not the header's: while a watch catches up, the header is
            # ahead of what has been sent.
            revision = events[-1].kv.mod_revision
            if events[0].kv.mod_revision < self._next:
                events = [event for event in events if event.kv.mod_revision >= self._next]
        else:
            revision = response.header.revision
        if revision < self._next:
            return None
        self._next = revision + 1
        return WatchBatch(revision, events)

    async def _lost(self) -> None:
        """The stream is broken: the next one shall go to another endpoint."""
        if self._endpoint is not None:
            self._calls.channels.failed(self._endpoint)
        await self._drop()

    async def _drop(self) -> None:
        self._parts = []
        stream, self._stream = self._stream, None
        reading, self._reading = self._reading, None
        self._endpoint = None
        if stream is not None:
            stream.cancel()
        if reading is not None:
            # Its error says only that this stream is over.
            await end_task(reading)

    async def _back_off(self) -> None:
        if pause := self._backoff.next():
            await asyncio.sleep(pause)


def _whole(events: list[WatchEvent]) -> int:
    """How many of the events belong to revisions before the last one."""
    last = events[-1].kv.mod_revision if events else 0
    whole = len(events)
    while whole and events[whole - 1].kv.mod_revision == last:
        whole -= 1
    return whole


async def compacted_revision(calls: Calls, key: bytes, revision: int, timeout: float) -> int:
    """The first revision still readable, asked by watching `key` from one that is gone.

    A failed Range does not say it. 0 when the server did not say it here either.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    endpoint = await calls.endpoint(deadline)
    stream = endpoint.stubs.watch(metadata=await calls.stream_metadata(endpoint), timeout=timeout)
    try:
        await stream.write(wire.watch_request(key, b"", revision))
        while (read := await stream.read()) is not wire.EOF:
            response = read.message
            if response.canceled:
                return int(response.compact_revision)
            if not response.created:
                break
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return 0
    finally:
        stream.cancel()
    return 0
