"""A cluster of real processes on 127.0.0.1, for the drills: start, kill, stop, continue, look.

`Cluster` owns etcd, the schedulers and the agents, each a process of its own with a fixed port, a
log file and a data directory below one folder; all are SIGKILLed at the end, whatever happened.
When the body of its `async with` fails, the ends of all logs are printed.

Callers speak plain generated stubs (`call`), repeat with the same request when told UNAVAILABLE,
and look at what is on record through `history`, never at a process's memory.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from quorate.etcd.api import EtcdError, KeyValue, Range, prefix_end
from quorate.etcd.client import EtcdClient
from quorate.etcd.launcher import EtcdProcess, free_port
from quorate.internal.v1.records_pb2 import CandidateRecord, NodeRecord
from quorate.local.child import die_with_parent
from quorate.v1 import scheduler_pb2, scheduler_pb2_grpc
from tests.support.history import History

ROOT = Path(__file__).parents[2]
PREFIX = b"/quorate/drill/"
_LOOK_EVERY = 0.005
_LOG_TAIL = 3_000
_UNKNOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def until(condition: Callable[[], Any], what: str, within: float = 20.0) -> Any:
    """Look again until `condition` (or what it awaits) is true; its value.

    Raises AssertionError naming `what` after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(_LOOK_EVERY)


class Server:
    """One scheduler or agent: the same name, port and flags over all its processes."""

    def __init__(self, module: str, name: str, folder: Path, port: int, *flags: str) -> None:
        self.name = name
        self.address = f"127.0.0.1:{port}"
        self.log = folder / f"{name}.log"
        self._argv = [
            *(sys.executable, "-m", module, f"--name={name}", f"--listen={self.address}"),
            *(f"--cluster={PREFIX.split(b'/')[2].decode()}", *flags),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        # Where the log of the present process begins.
        self._begin = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the process; `ready` waits for it."""
        assert not self.running
        with self.log.open("ab") as log:
            self._begin = log.tell()
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "QUORATE_LOG_FORMAT": "json"},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    async def ready(self) -> None:
        """Until the process has said that it serves."""

        def look() -> bool:
            assert self.running, f"{self.name} ended: {self.tail()}"
            return f"ready name={self.name} " in self._text()

        await until(look, f"{self.name} is ready", 30.0)

    async def start(self) -> None:
        self.launch()
        await self.ready()

    def send(self, how: signal.Signals) -> float:
        """Signal the process; when that was (seconds since the epoch)."""
        assert self.running, f"{self.name} does not run: {self.tail()}"
        at = time.time()
        os.kill(self.pid, how)
        return at

    def stop(self) -> float:
        """SIGSTOP"""
        return self.send(signal.SIGSTOP)

    def cont(self) -> float:
        """SIGCONT"""
        return self.send(signal.SIGCONT)

    def kill(self) -> float:
        """SIGKILL; does not wait for the end."""
        return self.send(signal.SIGKILL)

    def term(self) -> float:
        """SIGTERM; does not wait for the end."""
        return self.send(signal.SIGTERM)

    async def gone(self) -> int:
        """Until the process has ended; its exit code."""
        process = self._process
        assert process is not None
        await until(lambda: process.poll() is not None, f"{self.name} has ended")
        assert process.returncode is not None
        return process.returncode

    def events(self) -> Iterator[dict[str, Any]]:
        """What the present process logged."""
        for line in self._text().splitlines():
            if line.startswith("{") and line.endswith("}"):
                yield json.loads(line)

    def said(self, event: str, **fields: object) -> bool:
        """Whether the present process logged an event with these fields."""
        return any(
            line.get("event") == event and fields.items() <= line.items() for line in self.events()
        )

    def tail(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"\n--- {self.log}\n{text[-_LOG_TAIL:]}"

    def _text(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")


class Cluster:
    """etcd, schedulers `s1`.. and agents `n1`..

    Args:
        folder: for everything.
        schedulers, agents: how many.
        slots: of each agent.
        lease_ttl, agent_ttl: of schedulers and agents, seconds.
        max_txn_ops: of etcd and schedulers.
        scheduler_flags, agent_flags: more flags for all of them.
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
    ) -> None:
        self.folder = folder
        self.etcd = EtcdProcess(folder / "etcd", max_txn_ops=max_txn_ops, die_with_parent=True)
        self.schedulers: dict[str, Server] = {}
        self.agents: dict[str, Server] = {}
        self._counts = (schedulers, agents)
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
        self.store = EtcdClient([self.etcd.endpoint])
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
        flags = (f"--etcd={etcd or self.etcd.endpoint}", *self._scheduler_flags, *flags)
        server = Server("scheduler", name, self.folder, free_port(), *flags)
        self.schedulers[name] = server
        return server

    def add_agent(self, name: str, *flags: str, port: int = 0) -> Server:
        """An agent, not started."""
        flags = (
            f"--etcd={self.etcd.endpoint}",
            f"--data-dir={self.folder / name}",
            *self._agent_flags,
            *flags,
        )
        server = Server("node_agent", name, self.folder, port or free_port(), *flags)
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
            channel = grpc.aio.insecure_channel(server.address, options=options)
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
                other.said("leader_watch.watching", epoch=epoch)
                and other.said("leadership.standby")
                and other.said("replica.loaded")
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
                and listed[name].state >= 2
                for name in names or self.agents
            )

        await until(look, f"sessions with {names or tuple(self.agents)}")
