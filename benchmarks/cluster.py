"""A local cluster of real processes to measure, in a temporary directory.

It is `quorate.local`, the same processes as `quorate up`, in the background. Leaving the `with`
block stops all of it; when this process is killed, the supervisor is left and `quorate down` with
the printed directory ends it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc

from quorate import Client
from quorate.client.transport.discovery import LocalCluster, LocalProcess, read_local_cluster
from quorate.client.transport.policy import CHANNEL_OPTIONS
from quorate.local import background
from quorate.local.plan import LocalPlan
from quorate.security.tls.dialer import Dialer
from quorate.v1 import cluster_pb2, scheduler_pb2, scheduler_pb2_grpc

DEADLINE = 60.0
_LOOK = 0.02
_SOON = 0.002


class BenchCluster:
    """Etcd, schedulers and node agents; up when the `with` block begins.

    Args:
        schedulers: 2 for a leader and a standby.
        nodes, slots: agents, and attempts at once on each.
        gateway: with one.
        tls: mutual TLS between all of them, and to their clients.
    """

    def __init__(
        self,
        *,
        schedulers: int = 2,
        nodes: int = 1,
        slots: int = 2,
        gateway: bool = False,
        tls: bool = False,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="quorate-bench-")
        self.folder = Path(self._temporary.name) / "cluster"
        self.schedulers = schedulers
        self._plan = LocalPlan(
            data_dir=self.folder,
            schedulers=schedulers,
            nodes=nodes,
            slots=slots,
            gateway=gateway,
            tls=tls,
        )

    def __enter__(self) -> BenchCluster:
        try:
            background.start(self._plan)
            self.await_standbys()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        background.stop(self.folder)
        self._temporary.cleanup()

    @property
    def local(self) -> LocalCluster:
        """Its processes as they are now."""
        found = read_local_cluster(self.folder)
        assert found is not None
        return found

    def state(self) -> cluster_pb2.Cluster:
        """What the leader says of the cluster."""
        with Client(data_dir=self.folder) as client:
            return client.cluster()

    def leader(self) -> LocalProcess:
        """The scheduler that leads."""
        return next(process for process in self._schedulers() if process[1])[0]

    def standbys(self) -> list[LocalProcess]:
        """The schedulers that do not."""
        return [process for process, leads in self._schedulers() if not leads]

    def channel(self, address: str = "") -> grpc.Channel:
        """A channel to one scheduler, the leader by default."""
        dialer = Dialer(self.local.tls)
        return dialer.open_sync(address or self.leader().address, CHANNEL_OPTIONS)

    def client(self) -> Client:
        """The SDK, the leader's address first."""
        addresses = [self.leader().address, *(standby.address for standby in self.standbys())]
        return Client(",".join(addresses), tls=self.local.tls)

    def _schedulers(self) -> list[tuple[LocalProcess, bool]]:
        leads = {replica.address: replica.leader for replica in self.state().schedulers}
        return [
            (process, leads.get(process.address, False))
            for process in self.local.processes
            if process.role == "scheduler"
        ]

    def await_standbys(self) -> None:
        """Until every scheduler is a candidate (again), one of them leading."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            replicas = self.state().schedulers
            if len(replicas) == self.schedulers and any(replica.leader for replica in replicas):
                return
            time.sleep(_LOOK)
        raise TimeoutError("not every scheduler became a candidate")


class Stub:
    """Plain generated stubs on one channel, with what all benchmarks need of them."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.rpc: Any = scheduler_pb2_grpc.SchedulerStub(channel)

    def make_queue(self, name: str, *, paused: bool = False) -> None:
        """Create a queue."""
        request = scheduler_pb2.CreateQueueRequest()
        request.queue.name = name
        self.rpc.CreateQueue(request, timeout=DEADLINE)
        if paused:
            self.rpc.PauseQueue(scheduler_pb2.PauseQueueRequest(name=name), timeout=DEADLINE)

    def finished(self, name: str) -> int:
        """Tasks of a queue that are durably finished. Raises RuntimeError if one failed."""
        answer = self.rpc.GetQueue(scheduler_pb2.GetQueueRequest(name=name), timeout=DEADLINE)
        counts = answer.queue.counts
        if counts.failed or counts.cancelled:
            raise RuntimeError(f"{counts.failed + counts.cancelled} tasks failed")
        return int(counts.succeeded)

    def await_finished(self, name: str, count: int, last: str, timeout: float) -> None:
        """Until so many tasks of a queue are durably finished; `last` is the last one's id.

        That one is waited for first: to look at the counts all the time would cost the leader
        a transaction each time, and be measured.
        """
        end = time.monotonic() + timeout
        wait = scheduler_pb2.WaitTaskRequest(id=last)
        wait.timeout.seconds = int(timeout)
        self.rpc.WaitTask(wait, timeout=timeout + DEADLINE)
        while (done := self.finished(name)) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{done:,} of {count:,} tasks finished in {timeout:g} s")
            time.sleep(_SOON)
