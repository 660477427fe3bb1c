"""The channels of a client when certificates are replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from quorate.client.messages.rpcs import PUBLISH_STREAM
from quorate.client.transport import acalls as atransport
from quorate.client.transport import calls as transport
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.access import Access
from quorate.client.transport.calls import RETIRED_SECONDS, Calls
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from tests.support.message_streams import AsyncCall, Call, silent

ADDRESS = "127.0.0.1:1"


class Channel:
    def __init__(self) -> None:
        self.closed = False

    def stream_stream(self, *_args: Any) -> Callable[..., Call]:
        return lambda requests, **_options: Call(requests, silent)

    def close(self) -> None:
        self.closed = True


class Dialer:
    """Opens channels, of which those in `stale` have former certificates."""

    def __init__(self) -> None:
        self.opened: list[Channel] = []
        self.stale: list[Channel] = []

    def open_sync(self, _address: str, _options: Any) -> Channel:
        self.opened.append(Channel())
        return self.opened[-1]

    def is_stale(self, channel: Channel) -> bool:
        return channel in self.stale


def slow() -> QuorateError:
    return QuorateError(grpc.StatusCode.DEADLINE_EXCEEDED, "SLOW", "it took too long")


def rotate(calls: Calls, dialer: Dialer) -> Channel:
    """A stream; then its channel is stale, and a call over it fails."""
    with calls.duplex(PUBLISH_STREAM, iter(()), deadline=10.0) as (address, _):
        channel = dialer.opened[-1]
        dialer.stale.append(channel)
        calls.on_failure(address, slow())
        assert not channel.closed
    return channel


def calls_with(dialer: Dialer) -> Calls:
    calls = Calls(Access((ADDRESS,)))
    calls._dialer = dialer  # type: ignore[assignment]
    return calls


def test_a_failed_call_on_a_channel_with_former_certificates_leaves_its_streams_alone():
    dialer = Dialer()
    calls = calls_with(dialer)
    former = rotate(calls, dialer)
    with calls.duplex(PUBLISH_STREAM, iter([pb.PublishStreamRequest()]), deadline=10.0):
        assert len(dialer.opened) == 2
        calls.on_failure(ADDRESS, slow())
    assert not former.closed
    calls.close()
    assert all(one.closed for one in dialer.opened)


def test_a_retired_channel_is_closed_once_no_stream_can_use_it(monkeypatch: Any):
    now = 1_000.0

    class Time:
        monotonic = staticmethod(lambda: now)

    monkeypatch.setattr(transport, "time", Time)
    dialer = Dialer()
    calls = calls_with(dialer)
    first = rotate(calls, dialer)
    now += RETIRED_SECONDS
    second = rotate(calls, dialer)
    assert not first.closed
    now += 1.0
    third = rotate(calls, dialer)
    assert first.closed
    assert not second.closed
    assert not third.closed
    calls.close()
    assert second.closed
    assert third.closed


async def test_a_retired_channel_of_asyncio_is_closed_once_no_stream_can_use_it(monkeypatch: Any):
    now = 1_000.0

    class Time:
        monotonic = staticmethod(lambda: now)

    monkeypatch.setattr(atransport, "time", Time)
    dialer = AsyncDialer()
    calls = AsyncCalls(Access((ADDRESS,)))
    calls._dialer = dialer  # type: ignore[assignment]
    for passed in (0.0, RETIRED_SECONDS, 1.0):
        now += passed
        async with calls.duplex(PUBLISH_STREAM, nothing(), deadline=10.0) as (address, _):
            dialer.stale.append(dialer.opened[-1])
            calls.on_failure(address, slow())
    first, second, third = dialer.opened
    await asyncio.wait_for(first.closed.wait(), 10)
    assert not second.closed.is_set()
    assert not third.closed.is_set()
    await calls.close()
    assert second.closed.is_set()
    assert third.closed.is_set()


async def nothing() -> AsyncIterator[pb.PublishStreamRequest]:
    return
    yield


class AsyncChannel:
    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def stream_stream(self, *_args: Any) -> Callable[..., AsyncCall]:
        return lambda requests, **_options: AsyncCall(requests, silent)

    async def close(self, _grace: float | None) -> None:
        self.closed.set()


class AsyncDialer:
    """As `Dialer`."""

    def __init__(self) -> None:
        self.opened: list[AsyncChannel] = []
        self.stale: list[AsyncChannel] = []

    def open(self, _address: str, _options: Any) -> AsyncChannel:
        self.opened.append(AsyncChannel())
        return self.opened[-1]

    def is_stale(self, channel: AsyncChannel) -> bool:
        return channel in self.stale
