"""A cluster of real processes on 127.0.0.1, for the drills: start, kill, stop, continue, look.

`Cluster` owns etcd, the schedulers and the agents, each a process of its own with a fixed port, a
log file and a data directory below one folder; all are SIGKILLed at the end, whatever happened.
When the body of its `async with` fails, the ends of all logs are printed.

Callers speak plain generated stubs (`call`), repeat with the same request when told UNAVAILABLE,
and look at what is on record through `history`, never at a process's memory.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from quorate.etcd.api import EtcdError, KeyValue, Range, prefix_end
from quorate.etcd.server.launcher import EtcdProcess
from quorate.internal.v1.records_pb2 import CandidateRecord, NodeRecord
from quorate.runtime.network.free_port import free_port
from quorate.v1 import node_pb2, scheduler_pb2, scheduler_pb2_grpc
from tests.support.history import History
from tests.support.server import Server, until
from tests.support.tls import etcd_options, open_aio, open_etcd, server_flags

NAME = "drill"
PREFIX = f"/quorate/{NAME}/".encode()
_UNKNOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Cluster:
    """etcd, schedulers `s1`.. and agents `n1`..

    Args:
        folder: for everything.
        schedulers, agents: how many.
        slots: of each agent.
        lease_ttl, agent_ttl: of schedulers and agents, seconds.
        max_txn_ops: of etcd and schedulers.
        scheduler_flags, agent_flags: more flags for all of them.
        loaded: their processes need no time to load: see `tests.support.forked`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        schedulers: int = 2,
        agents: int = 2,
        slots: int = 2,
        lease_ttl: int = 2,
        agent_ttl: int = 3,
        max_txn_ops: int = 1024,
        scheduler_flags: Sequence[str] = (),
        agent_flags: Sequence[str] = (),
        loaded: bool = True,
    ) -> None:
        self.folder = folder
        self.etcd = EtcdProcess(
            folder / "etcd", max_txn_ops=max_txn_ops, die_with_parent=True, **etcd_options()
        )
        self.schedulers: dict[str, Server] = {}
        self.agents: dict[str, Server] = {}
        self._counts = (schedulers, agents)
        self._loaded = loaded
        self._scheduler_flags = (
            f"--lease-ttl={lease_ttl}",
            f"--etcd-max-txn-ops={max_txn_ops}",
            *scheduler_flags,
        )
        self._agent_flags = (f"--lease-ttl={agent_ttl}", f"--slots={slots}", *agent_flags)
        self._channels: dict[str, grpc.aio.Channel] = {}
        # Which scheduler is asked first: the last one that answered.
        self._turn = 0

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        await self.etcd.start()
        self.store = open_etcd(*self.etcd.endpoint.split(","))
        self.history = History(self.store, PREFIX)
        try:
            schedulers, agents = self._counts
            for number in range(schedulers):
                self.add_scheduler(f"s{number + 1}").launch()
            for number in range(agents):
                self.add_agent(f"n{number + 1}").launch()
            for server in self.servers:
                await server.ready()
        except BaseException:
            await self._close(failed=True)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close(failed=error is not None)

    async def _close(self, *, failed: bool) -> None:
        for channel in self._channels.values():
            await channel.close(None)
        for server in self.servers:
            if server.running:
                server.kill()
        for server in self.servers:
            await server.gone()
        await self.store.close()
        await self.etcd.kill()
        if failed:
            sys.stderr.write("".join(server.tail() for server in self.servers) + "\n")

    def add_scheduler(self, name: str, *flags: str, etcd: str = "") -> Server:
        """A scheduler, not started; `etcd` is another way to etcd (a proxy)."""
        flags = (
            f"--etcd={etcd or self.etcd.endpoint}",
            *self._scheduler_flags,
            *server_flags("scheduler", name),
            *flags,
        )
        server = Server(
            "scheduler", NAME, name, self.folder, free_port(), *flags, loaded=self._loaded
        )
        self.schedulers[name] = server
        return server

    def add_agent(self, name: str, *flags: str, port: int = 0) -> Server:
        """An agent, not started."""
        flags = (
            f"--etcd={self.etcd.endpoint}",
            f"--data-dir={self.folder / name}",
            *self._agent_flags,
            *server_flags("node", name),
            *flags,
        )
        server = Server(
            "node_agent", NAME, name, self.folder, port or free_port(), *flags, loaded=self._loaded
        )
        self.agents[name] = server
        return server

    @property
    def servers(self) -> list[Server]:
        return [*self.schedulers.values(), *self.agents.values()]

    # -- calls

    def stub(self, server: Server) -> scheduler_pb2_grpc.SchedulerStub:
        """A plain stub on a channel of the test's own to one scheduler."""
        channel = self._channels.get(server.name)
        if channel is None:
            options = (("grpc.initial_reconnect_backoff_ms", 20),
                       ("grpc.min_reconnect_backoff_ms", 500),
                       ("grpc.max_reconnect_backoff_ms", 100),
                       ("grpc.use_local_subchannel_pool", 1))  # fmt: skip
            channel = open_aio(server.address, options)
            self._channels[server.name] = channel
        return scheduler_pb2_grpc.SchedulerStub(channel)

    async def call(self, request: Any, *, within: float = 30.0, patience: float = 3.0) -> Any:
        """Send a request to any scheduler, and again to another while its outcome is unknown."""
        method = type(request).__name__.removesuffix("Request")
        deadline = time.monotonic() + within
        servers = list(self.schedulers.values())
        while True:
            turn = self._turn
            server = servers[turn % len(servers)]
            left = deadline - time.monotonic()
            try:
                return await getattr(self.stub(server), method)(
                    request, timeout=max(0.1, min(patience, left))
                )
            except grpc.aio.AioRpcError as error:
                if error.code() not in _UNKNOWN or time.monotonic() > deadline:
                    error.add_note(f"{method} at {server.name}")
                    raise
            if self._turn == turn:
                self._turn += 1
            await asyncio.sleep(0.01)

    async def task(self, task: str) -> Any:
        """A task as any scheduler answers it."""
        return (await self.call(scheduler_pb2.GetTaskRequest(id=task))).task

    # -- what is on record

    async def read(self, below: bytes) -> list[KeyValue]:
        """All records below a part of the cluster's prefix."""
        start = PREFIX + below
        return list((await self.store.range(Range(start, prefix_end(start)))).kvs)

    async def candidates(self) -> list[tuple[int, str]]:
        """(epoch, name) of those that stand; the first leads, or is about to."""
        found = await self.read(b"election/scheduler/")
        return sorted(
            (kv.create_revision, CandidateRecord.FromString(kv.value).name) for kv in found
        )

    async def leader(self, *, after: int = 0, within: float = 20.0) -> tuple[int, Server]:
        """The epoch and process of the leader, once it is a later one than `after` and leads."""

        async def look() -> tuple[int, Server] | None:
            try:
                candidates = await self.candidates()
            except EtcdError:
                return None
            if candidates and candidates[0][0] > after:
                epoch, name = candidates[0]
                if self.schedulers[name].said("leading", epoch=epoch):
                    return epoch, self.schedulers[name]
            return None

        found: tuple[int, Server] = await until(look, f"a leader after epoch {after}", within)
        return found

    async def standby(self) -> Server:
        """The other scheduler, once it is loaded, stands, and watches the leader's process."""
        epoch, leader = await self.leader()
        (other,) = (s for s in self.schedulers.values() if s is not leader)

        def stands() -> bool:
            return (
                other.said("failure_detector_watching", elected=epoch)
                and other.said("leadership_standby")
                and other.said("replica_loaded")
            )

        await until(stands, f"{other.name} stands by")
        return other

    async def nodes(self) -> dict[str, NodeRecord]:
        """The registered agents by name."""
        found = (NodeRecord.FromString(kv.value) for kv in await self.read(b"nodes/"))
        return {record.name: record for record in found}

    async def in_session(self, *names: str) -> None:
        """Until the present leader has a session with the named agents' present processes."""
        request = scheduler_pb2.ListNodesRequest()

        async def look() -> bool:
            registered = await self.nodes()
            listed = {node.name: node for node in (await self.call(request)).nodes}
            return all(
                name in registered
                and name in listed
                and listed[name].instance == registered[name].instance
                and 2 <= listed[name].state < node_pb2.NODE_STATE_LOST
                for name in names or self.agents
            )

        await until(look, f"sessions with {names or tuple(self.agents)}")
