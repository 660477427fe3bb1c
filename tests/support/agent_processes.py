"""Agents as processes, registered in a real etcd.

They are forks of a process that has imported the agent (`tests.support.forked`), but for those of
another interpreter.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from quorate.etcd.api import KeyValue, Range
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess
from quorate.internal.v1.records_pb2 import NodeRecord
from tests.support import forked

PATIENCE = 60.0


class Cluster:
    """Starts agents of one cluster, and reads their records."""

    def __init__(self, server: EtcdProcess, client: EtcdClient, name: str, folder: Path) -> None:
        self.client = client
        self._server = server
        self._name = name
        self._folder = folder
        self._agents: list[AgentProcess] = []
        # The interpreter of agents started from now on, when it is not ours.
        self.python = ""
        self.epoch = 0

    async def start(self, *flags: str, name: str = "n1", data: str = "") -> AgentProcess:
        said = self._folder / f"said-{len(self._agents)}"
        given = (
            *("--name", name, "--cluster", self._name, "--etcd", self._server.endpoint),
            *("--data-dir", str(self._folder / (data or name))),
            *("--slots", "2", "--lease-ttl", "2", *flags),
        )
        with said.open("wb") as error:
            started = await asyncio.to_thread(self._start, given, error.fileno())
        agent = AgentProcess(*started, said)
        self._agents.append(agent)
        return agent

    def _start(self, flags: Sequence[str], error: int) -> tuple[forked.Running, IO[str]]:
        if not self.python:
            return forked.start_piped("node_agent", *flags, error=error)
        command = (self.python, "-m", "node_agent", *flags)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=error)
        assert process.stdout is not None
        return process, io.TextIOWrapper(process.stdout)

    async def ready(self, *flags: str, name: str = "n1", data: str = "") -> AgentProcess:
        agent = await self.start(*flags, name=name, data=data)
        await agent.until_ready()
        return agent

    async def elect(self) -> None:
        """Have etcd name the tests as the leader, of `epoch`."""
        key = f"/quorate/{self._name}/election/scheduler/1".encode()
        self.epoch = await self.client.put(key, b"")

    async def record(self, name: str = "n1") -> tuple[NodeRecord, KeyValue] | None:
        found = await self.client.range(Range(f"/quorate/{self._name}/nodes/{name}".encode()))
        for kv in found.kvs:
            return NodeRecord.FromString(kv.value), kv
        return None

    async def close(self) -> None:
        for agent in self._agents:
            await agent.kill()
            agent.output.close()


class AgentProcess:
    """One agent's process."""

    def __init__(self, process: forked.Running, output: IO[str], said: Path) -> None:
        self.process = process
        self.output = output
        self.said = said
        self.address = ""
        self.instance = ""

    async def until_ready(self) -> None:
        line = await asyncio.to_thread(self.output.readline)
        assert line.startswith("node_agent ready name="), line
        fields = dict(word.split("=", 1) for word in line.split()[2:])
        self.address, self.instance = fields["address"], fields["instance"]

    async def end(self) -> tuple[int, str]:
        """Exit code and the last line it said."""
        code = await asyncio.to_thread(self.process.wait, PATIENCE)
        return code, self.said.read_text().strip().splitlines()[-1]

    async def kill(self) -> None:
        """It is gone when this returns."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait, PATIENCE)
