"""A scheduler in this process, enough of one for the SDK and the CLI to be tested against.

`FakeCluster` is the state, shared by any number of `FakeServer`s (leader and standbys look the
same to a client). Python tasks run in a thread pool, commands really run. Faults are ordered by
the test: `refuse`, `freeze`, `forget_tokens`. Durability and placement are not imitated.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc

from quorate.v1 import job_pb2, scheduler_pb2_grpc
from tests.support.fake_cluster import FakeCluster
from tests.support.fake_servicer import Servicer
from tests.support.waiting import until

__all__ = ["FakeCluster", "FakeServer", "only", "wait_until"]


class FakeServer:
    """One scheduler process: a gRPC server on a port of its own."""

    def __init__(self, cluster: FakeCluster, port: int = 0) -> None:
        self.cluster = cluster
        self.index = len(cluster.servers)
        self.generation = 0
        self.stopped = False
        cluster.servers.append(self)
        self._pool = ThreadPoolExecutor(32)
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        scheduler_pb2_grpc.add_SchedulerServicer_to_server(Servicer(self), self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        self._server.start()

    def stop(self) -> None:
        """Leave at once, as if killed. Idempotent."""
        if self.stopped:
            return
        self.stopped = True
        with self.cluster.lock:
            self.cluster.lock.notify_all()
        self._server.stop(None).wait()
        self._pool.shutdown(cancel_futures=True)


def wait_until(condition, seconds: float = 10.0) -> None:
    """Wait on a condition; AssertionError when it never holds."""
    until(condition, seconds)


def only(cluster: FakeCluster) -> job_pb2.Job:
    """The one job that there is."""
    (found,) = cluster.jobs.values()
    job: job_pb2.Job = found.shown()
    return job
