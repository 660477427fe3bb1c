"""A local cluster of three schedulers whose leader can be killed again and again.

`quorate up` owns the processes and starts a killed scheduler again; this module knows who leads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from quorate.client.transport.discovery import read_local_cluster
from quorate.security.tls.dialer import ClientTls, Dialer
from quorate.v1 import cluster_pb2, scheduler_pb2, scheduler_pb2_grpc, task_pb2

# The clients'.
_QUEUE = "default"
# Seconds.
_UP, _CALL, _LEADER = 90, 5, 30
_LOOK = 0.005
_UNKNOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Cluster:
    """The cluster in a data directory, as its clients and its operator see it."""

    def __init__(self, data: Path) -> None:
        self._data = data
        local = read_local_cluster(data)
        assert local is not None
        self.addresses = local.addresses
        self.environment = _environment(local.tls)
        """What a client has to have in its environment."""
        dialer = Dialer(local.tls)
        self._channels = [dialer.open_sync(address) for address in self.addresses]
        self._stubs = [scheduler_pb2_grpc.SchedulerStub(channel) for channel in self._channels]
        self._killed_epoch = 0

    def close(self) -> None:
        for channel in self._channels:
            channel.close()

    def kill_leader(self) -> None:
        """SIGKILL the leader, one of a later epoch than the last that was killed."""
        end = time.monotonic() + _LEADER
        while True:
            assert time.monotonic() < end, "nobody leads"
            cluster = self._ask("GetCluster", scheduler_pb2.GetClusterRequest()).cluster
            if pid := self._pid_of_leader(cluster):
                self._killed_epoch = cluster.epoch
                os.kill(pid, signal.SIGKILL)
                return
            time.sleep(_LOOK)

    def _pid_of_leader(self, cluster: cluster_pb2.Cluster) -> int:
        """0 when it is not known."""
        if cluster.epoch <= self._killed_epoch:
            return 0
        local = read_local_cluster(self._data)
        leaders = {replica.address for replica in cluster.schedulers if replica.leader}
        processes = local.processes if local is not None else ()
        return next((process.pid for process in processes if process.address in leaders), 0)

    def hold(self) -> None:
        """Start no task until `release`."""
        self._ask("PauseQueue", scheduler_pb2.PauseQueueRequest(name=_QUEUE))

    def release(self) -> None:
        """Undo `hold`; without one it does nothing."""
        self._ask("ResumeQueue", scheduler_pb2.ResumeQueueRequest(name=_QUEUE))

    def tasks_of(self, client: str) -> list[task_pb2.Task]:
        """Everything on record that carries the client's label."""
        found: list[task_pb2.Task] = []
        request = scheduler_pb2.ListTasksRequest(page_size=1000)
        while True:
            page = self._ask("ListTasks", request)
            found += [task for task in page.tasks if task.spec.labels.get("client") == client]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def _ask(self, method: str, request: Any) -> Any:
        """The answer of whichever scheduler gives one."""
        end = time.monotonic() + _LEADER
        while True:
            for stub in self._stubs:
                try:
                    return getattr(stub, method)(request, timeout=_CALL)
                except grpc.RpcError as error:
                    if error.code() not in _UNKNOWN or time.monotonic() > end:
                        raise
            time.sleep(_LOOK)


def _environment(tls: ClientTls | None) -> dict[str, str]:
    if tls is None:
        return {}
    return {
        "QUORATE_TLS_CA_FILE": tls.ca_file,
        "QUORATE_TLS_CERT_FILE": tls.cert_file,
        "QUORATE_TLS_KEY_FILE": tls.key_file,
    }


@contextmanager
def running_cluster(data: Path, *, tls: bool) -> Iterator[Cluster]:
    """`quorate up` in `data`, three schedulers and four slots; stopped on leaving."""
    size = ("--schedulers", "3", "--nodes", "2", "--slots", "2", "--no-gateway")
    _quorate("up", "--detach", "--data-dir", str(data), *size, *(["--tls"] if tls else []))
    try:
        cluster = Cluster(data)
        try:
            yield cluster
        finally:
            cluster.close()
    finally:
        _quorate("down", "--data-dir", str(data))


def _quorate(*arguments: str) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("quorate")), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_UP,
        check=False,
    )
    assert done.returncode == 0, f"quorate {' '.join(arguments)}: {done.stdout}{done.stderr}"
