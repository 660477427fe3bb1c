"""The gateway's view of services over schedulers that come and go, as WatchServices tells it."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from gateway.cluster.calls import Upstream
from gateway.cluster.service_view import ServiceView
from quorate.v1 import service_pb2 as pb
from quorate.v1 import service_pb2_grpc
from tests.support.proxy import until


class FakeRegistry(service_pb2_grpc.ServiceRegistryServicer):
    """Streams what the test says: messages, or None to break the stream."""

    def __init__(self) -> None:
        self.streams: list[asyncio.Queue[pb.WatchServicesResponse | None]] = []
        self.first: list[pb.WatchServicesResponse] = []
        self.port = 0
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_ServiceRegistryServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(None)

    async def WatchServices(self, request, context):
        queue: asyncio.Queue[pb.WatchServicesResponse | None] = asyncio.Queue()
        for message in self.first:
            queue.put_nowait(message)
        self.streams.append(queue)
        while (next_one := await queue.get()) is not None:
            yield next_one
        await context.abort(grpc.StatusCode.UNAVAILABLE, "going")


class Taken:
    """A ViewTaker that keeps names and how often it was told what."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.told: list[str] = []

    def replace(self, services):
        self.names = {one.name for one in services}
        self.told.append("replace")

    def apply(self, changed, removed):
        self.names |= {one.name for one in changed}
        self.names -= set(removed)
        self.told.append("apply")


def message(*names: str, removed: tuple[str, ...] = (), complete: bool = False, revision: int = 1):
    return pb.WatchServicesResponse(
        services=[pb.Service(name=name) for name in names],
        removed=removed,
        snapshot_complete=complete,
        revision=revision,
    )


@pytest.fixture
async def registries():
    made = [FakeRegistry(), FakeRegistry()]
    for one in made:
        await one.start()
    yield made
    for one in made:
        await one.stop()


@pytest.fixture
async def view(registries):
    upstream = Upstream([f"127.0.0.1:{one.port}" for one in registries], patience=0.2)
    taken = Taken()
    made = ServiceView(upstream, taken)
    running = asyncio.create_task(made.run())
    yield made, taken
    running.cancel()
    await asyncio.wait([running])
    await upstream.close()


async def test_a_snapshot_of_several_messages_replaces_and_changes_apply(registries, view):
    made, taken = view
    await until(lambda: any(one.streams for one in registries))
    stream = next(one.streams[0] for one in registries if one.streams)
    stream.put_nowait(message("a"))
    stream.put_nowait(message("b", complete=True, revision=7))
    await until(lambda: made.live)
    assert taken.names == {"a", "b"}
    assert taken.told == ["replace"]
    stream.put_nowait(message("c", removed=("a",), revision=8))
    await until(lambda: made.revision == 8)
    await until(lambda: taken.told == ["replace", "apply"])
    assert taken.names == {"b", "c"}


async def test_the_view_stands_while_nobody_answers_and_a_snapshot_replaces_it(registries, view):
    made, taken = view
    await until(lambda: any(one.streams for one in registries))
    first = next(one for one in registries if one.streams)
    first.streams[0].put_nowait(message("old", "kept", complete=True))
    await until(lambda: made.live)
    for one in registries:
        await one.stop()
    await until(lambda: not made.live)
    assert taken.names == {"old", "kept"}
    other = next(one for one in registries if one is not first)
    other.first = [message("kept", "new", complete=True, revision=9)]
    await other.start()
    await until(lambda: made.live)
    assert taken.names == {"kept", "new"}
    assert taken.told == ["replace", "replace"]


async def test_a_snapshot_that_breaks_off_changes_nothing(registries, view):
    made, taken = view
    await until(lambda: any(one.streams for one in registries))
    first = next(one for one in registries if one.streams)
    first.streams[0].put_nowait(message("a", complete=True))
    await until(lambda: made.live)
    first.streams[0].put_nowait(None)
    await until(lambda: sum(len(one.streams) for one in registries) >= 2)
    newest = next(one for one in registries if len(one.streams) > (1 if one is first else 0))
    newest.streams[-1].put_nowait(message("half"))
    newest.streams[-1].put_nowait(None)
    await until(lambda: sum(len(one.streams) for one in registries) >= 3)
    assert taken.names == {"a"}
    assert taken.told == ["replace"]
