"""One served cluster for tests of the contract: a scheduler and its nodes, as real processes.

`serve` owns the processes from entering to leaving its `with` block; etcd is the caller's. It is
synchronous, so that a fixture of any scope may hold it. A test talks to it through a `Caller`:
plain generated stubs, failures as `QuorateError`, and the cluster's keys as etcd holds them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from quorate.etcd.api import Range, prefix_end
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess
from quorate.v1 import node_pb2, scheduler_pb2, scheduler_pb2_grpc
from tests.support.forked import start_piped
from tests.support.tls import open_aio, open_etcd, open_sync, server_flags

_DETAILS = "grpc-status-details-bin"
_clusters = count(1)


@dataclass
class Served:
    """Where the parts of one cluster are."""

    cluster: str
    etcd: str
    folder: Path
    address: str = ""
    nodes: dict[str, str] = field(default_factory=dict)
    """Address of each node by name."""

    @property
    def prefix(self) -> bytes:
        return f"/quorate/{self.cluster}/".encode()


@contextmanager
def serve(
    etcd: str, *, nodes: int = 0, slots: int = 2, agent_flags: Sequence[str] = ()
) -> Iterator[Served]:
    """Run a scheduler, and nodes `n1`, `n2`, ... with `slots` each, against etcd at `etcd`."""
    cluster = f"served-{os.getpid()}-{next(_clusters)}"
    started: list[_Process] = []
    with tempfile.TemporaryDirectory(prefix="quorate-") as name:
        served = Served(cluster, etcd, Path(name))
        common = ("--etcd", etcd, "--cluster", cluster, "--listen", "127.0.0.1:0")
        try:
            locked = server_flags("scheduler", "s1")
            started.append(_Process(served, "scheduler", *common, "--name", "s1", *locked))
            for number in range(1, nodes + 1):
                folder = served.folder / f"n{number}"
                more = ("--name", f"n{number}", "--slots", str(slots), "--data-dir", str(folder))
                lock = server_flags("node", f"n{number}")
                started.append(_Process(served, "node_agent", *common, *more, *agent_flags, *lock))
            served.address = started[0].address(served)
            for number, agent in enumerate(started[1:], 1):
                served.nodes[f"n{number}"] = agent.address(served)
            _await_nodes(served)
            yield served
        finally:
            for process in reversed(started):
                process.end()


class _Process:
    """One of them, and what it says on its standard output."""

    def __init__(self, served: Served, module: str, *flags: str) -> None:
        self._name = f"{module} {' '.join(flags)}"
        with (served.folder / f"{module}.log").open("ab") as log:
            self._process, self._output = start_piped(module, *flags, error=log.fileno())

    def address(self, served: Served) -> str:
        """Wait until it says that it is ready, and where."""
        words = self._output.readline().split()
        if "ready" not in words:
            logs = "".join(path.read_text() for path in served.folder.glob("*.log"))
            raise AssertionError(f"{self._name} did not start: {words} {logs}")
        return next(word.partition("=")[2] for word in words if word.startswith("address="))

    def end(self) -> None:
        self._process.kill()
        self._process.wait(60)
        self._output.close()


def _await_nodes(served: Served) -> None:
    """Until there is a leader, and every node is in session with it."""
    with open_sync(served.address) as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        for _ in range(2_000):
            nodes = stub.ListNodes(scheduler_pb2.ListNodesRequest(), timeout=20).nodes
            ready = sum(node.state == node_pb2.NODE_STATE_READY for node in nodes)
            if ready == len(served.nodes):
                return
        raise AssertionError(f"{ready} of {len(served.nodes)} nodes are ready")


class Refused(Exception):
    """What a call was answered, taken apart."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code = error.code()
        self.message = error.details() or ""
        self.info: error_details_pb2.ErrorInfo | None = None
        self.fields: list[str] = []
        trailing: Any = error.trailing_metadata()
        for key, value in trailing or ():
            if key == _DETAILS:
                self._open(status_pb2.Status.FromString(value))

    def _open(self, status: status_pb2.Status) -> None:
        assert (status.code, status.message) == (self.code.value[0], self.message)
        for detail in status.details:
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                assert self.info is None, "more than one ErrorInfo"
                self.info = error_details_pb2.ErrorInfo()
                detail.Unpack(self.info)
            elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                bad = error_details_pb2.BadRequest()
                detail.Unpack(bad)
                self.fields += [violation.field for violation in bad.field_violations]

    @property
    def reason(self) -> str:
        return self.info.reason if self.info is not None else ""

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self.info.metadata) if self.info is not None else {}


class Caller:
    """Calls one cluster."""

    def __init__(self, served: Served, channel: grpc.aio.Channel, etcd: EtcdClient) -> None:
        self.served = served
        self.channel = channel
        self.etcd = etcd
        self.stub: Any = scheduler_pb2_grpc.SchedulerStub(channel)

    async def call(self, method: str, request: Message, *, timeout: float = 20.0) -> Any:
        """Call one method; the answer, or all answers of a stream. Raises Refused."""
        call = getattr(self.stub, method)(request, timeout=timeout)
        try:
            if hasattr(call, "read"):
                return [answer async for answer in call]
            return await call
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from None

    async def dump(self) -> dict[bytes, tuple[bytes, int]]:
        """Value and mod_revision of each of the cluster's keys."""
        prefix = self.served.prefix
        found = await self.etcd.range(Range(prefix, prefix_end(prefix)))
        return {kv.key: (kv.value, kv.mod_revision) for kv in found.kvs}


@asynccontextmanager
async def calling(served: Served) -> AsyncIterator[Caller]:
    """A Caller for the running event loop."""
    options = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
    async with (
        open_aio(served.address, options) as channel,
        open_etcd(served.etcd) as etcd,
    ):
        yield Caller(served, channel, etcd)


def served_by(nodes: int = 0, slots: int = 2, agent_flags: Sequence[str] = ()) -> Any:
    """The fixture `served` of a test module: one cluster for all its tests.

    served = served_by(nodes=1)
    caller = caller_of_served
    """

    @pytest.fixture(scope="module")
    def served(etcd_server: EtcdProcess) -> Iterator[Served]:
        endpoint = etcd_server.endpoint
        with serve(endpoint, nodes=nodes, slots=slots, agent_flags=agent_flags) as served:
            yield served

    return served


@pytest_asyncio.fixture
async def caller_of_served(served: Served) -> AsyncIterator[Caller]:
    """The fixture `caller` of a test module that has the fixture `served`."""
    async with calling(served) as caller:
        yield caller
