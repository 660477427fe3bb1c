"""What a standby makes of the leader's process: gone, or merely silent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from quorate.etcd.api import EtcdUnavailable
from quorate.runtime.ids import InstanceId
from quorate.runtime.network.reachability import refused
from quorate.runtime.timing.clock import SimulatedClock
from scheduler.api.forwarding.role import Leader
from scheduler.leadership.failure_detector import BURST, REFILL, LeaderWatch
from scheduler.telemetry.health import InstanceHealth
from tests.support.tls import NoticingDialer

ME = InstanceId("me")


class Leases:
    """Remembers what was revoked."""

    def __init__(self) -> None:
        self.revoked: asyncio.Queue[int] = asyncio.Queue()
        self.broken = False

    async def lease_revoke(self, lease: int, *, timeout: float = 5.0) -> None:
        self.revoked.put_nowait(lease)
        if self.broken:
            raise EtcdUnavailable("no endpoint")

    async def next(self) -> int:
        return await asyncio.wait_for(self.revoked.get(), 60)


class Process:
    """A health service at an address."""

    def __init__(self, instance: str) -> None:
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        InstanceHealth(instance).register(self._server)
        self.port = 0

    async def start(self, port: int) -> None:
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def leads(self, epoch: int = 1) -> Leader:
        return Leader(b"k", epoch, 1000 + epoch, "n", InstanceId("leader"), self.address)

    async def stop(self) -> None:
        await self._server.stop(None)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def watching(stack: AsyncExitStack, etcd: Any, **options: Any) -> LeaderWatch:
    watch = LeaderWatch(etcd, SimulatedClock(), ME, **options)
    running = asyncio.create_task(watch.run())

    async def end() -> None:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    stack.push_async_callback(end)
    return watch


async def leading(stack: AsyncExitStack, instance: str = "leader", port: int = 0) -> Process:
    process = Process(instance)
    await process.start(port)
    stack.push_async_callback(process.stop)
    return process


async def follow(watch: LeaderWatch, leader: Leader) -> None:
    watch.follow(leader)
    await asyncio.wait_for(watch.established.wait(), 60)


async def test_lease_of_a_dead_leader_is_revoked(stack: AsyncExitStack) -> None:
    etcd, process = Leases(), await leading(stack)
    told = asyncio.Event()
    watch = await watching(stack, etcd, revoked=told.set)
    await follow(watch, process.leads())
    await process.stop()
    assert await etcd.next() == process.leads().lease
    await asyncio.wait_for(told.wait(), 60)


async def test_another_instance_at_the_leaders_address_means_it_is_gone(
    stack: AsyncExitStack,
) -> None:
    """The leader's address moves to a successor without being refused in between."""
    etcd, process, successor = Leases(), await leading(stack), await leading(stack, "successor")
    relay = Relay(process.port)
    await relay.start(stack)
    watch = await watching(stack, etcd)
    leader = Leader(b"k", 1, 77, "n", InstanceId("leader"), relay.address)
    await follow(watch, leader)
    relay.target = successor.port
    relay.cut()
    assert await etcd.next() == 77


async def test_a_broken_stream_alone_revokes_nothing(stack: AsyncExitStack) -> None:
    """The same instance answers again: the connection broke, not the process."""
    etcd, process = Leases(), await leading(stack)
    relay = Relay(process.port)
    await relay.start(stack)
    watch = await watching(stack, etcd)
    await follow(watch, Leader(b"k", 1, 77, "n", InstanceId("leader"), relay.address))
    watch.established.clear()
    relay.cut()
    await asyncio.wait_for(watch.established.wait(), 60)
    assert etcd.revoked.empty()


async def test_an_address_that_never_answered_proves_nothing(stack: AsyncExitStack) -> None:
    etcd, process = Leases(), await leading(stack)
    await process.stop()
    tried = asyncio.Semaphore(0)

    watch = await watching(stack, etcd, dialer=NoticingDialer(lambda _: tried.release()))
    watch.follow(process.leads())
    async with asyncio.timeout(60):
        for _ in range(3):
            await tried.acquire()
    assert etcd.revoked.empty()


async def test_a_leader_is_revoked_once(stack: AsyncExitStack) -> None:
    """Also when the revocation failed: from then on its TTL decides."""
    etcd, process = Leases(), await leading(stack)
    etcd.broken = True
    opened: list[str] = []

    watch = await watching(stack, etcd, dialer=NoticingDialer(opened.append))
    await follow(watch, process.leads())
    await process.stop()
    await etcd.next()
    watch.follow(process.leads())
    other = await leading(stack)
    await follow(watch, other.leads(2))
    assert opened == [process.address, other.address]
    assert etcd.revoked.empty()


async def test_leaders_that_follow_each_other_quickly_use_up_the_allowance(
    stack: AsyncExitStack,
) -> None:
    etcd = Leases()
    watch = await watching(stack, etcd)
    for epoch in range(1, BURST + 1):
        process = await leading(stack)
        await follow(watch, process.leads(epoch))
        await process.stop()
        assert await etcd.next() == 1000 + epoch
    process = await leading(stack)
    await follow(watch, process.leads(99))
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await process.stop()
    assert await etcd.next() == 1099
    assert loop.time() - begin >= 0.9 * REFILL


async def test_this_process_does_not_watch_itself(stack: AsyncExitStack) -> None:
    etcd, process = Leases(), await leading(stack)
    opened: list[str] = []

    watch = await watching(stack, etcd, dialer=NoticingDialer(opened.append))
    watch.follow(Leader(b"k", 1, 1, "n", ME, process.address))
    await asyncio.sleep(0)
    other = await leading(stack)
    await follow(watch, other.leads())
    assert opened == [other.address]


async def test_a_closed_port_refuses_and_an_open_one_does_not(stack: AsyncExitStack) -> None:
    process = await leading(stack)
    assert not await refused(process.address, persist=0.01)
    await process.stop()
    assert await refused(process.address)


async def test_silence_is_no_rejection() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = f"127.0.0.1:{full.getsockname()[1]}"
        with socket.create_connection(full.getsockname()):
            # The backlog is full: further connects are not answered at all.
            assert not await refused(address, timeout=0.1, persist=0)


@pytest.mark.parametrize("address", ["nowhere.invalid:1", "127.0.0.1:port", "127.0.0.1", ""])
async def test_an_address_that_makes_no_sense_is_no_rejection(address: str) -> None:
    assert not await refused(address)


class Relay:
    """A TCP relay whose connections can be cut while both ends live on."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._relays: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(self.stop)
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            relay = asyncio.create_task(_relay(source, sink))
            self._relays.add(relay)
            relay.add_done_callback(self._relays.discard)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._relays)


async def _relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()
