"""The proxy before real replicas on real nodes: one is killed and one drained under load."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from quorate.client.discovery import read_local_cluster
from quorate.local import background
from quorate.local.plan import LocalPlan
from quorate.v1 import service_pb2 as pb
from quorate.v1 import service_pb2_grpc
from tests.support.gateway import GatewayProcess, run_gateway

REPLICA = Path(__file__).parent.parent / "support" / "replica.py"
DEADLINE = 60.0


def until(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        threading.Event().wait(0.02)


@pytest.fixture
def schedulers(tmp_path: Path) -> Iterator[list[str]]:
    folder = tmp_path / "cluster"
    background.start(LocalPlan(data_dir=folder, schedulers=1, nodes=2, slots=4))
    try:
        local = read_local_cluster(folder)
        assert local is not None
        yield [one.address for one in local.processes if one.role == "scheduler"]
    finally:
        background.stop(folder)


class Load:
    """Clients that ask over and over until they are stopped, and what they got."""

    def __init__(self, gateway: GatewayProcess, clients: int) -> None:
        self.seen: Counter[tuple[int, bytes]] = Counter()
        self._gateway = gateway
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        with self._lock:
            return sum(self.seen.values())

    def more(self, count: int) -> None:
        """Wait for so many more answers."""
        enough = self.total + count
        until(lambda: self.total >= enough)

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._gateway.address, timeout=20)
        while not self._stop.is_set():
            status, body = ask(connection, "/services/web/")
            with self._lock:
                self.seen[status, body] += 1
        connection.close()


def ask(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_killed_and_a_drained_replica_cost_no_request(schedulers: list[str]):
    with grpc.insecure_channel(schedulers[0]) as channel, run_gateway(schedulers) as gateway:
        registry = service_pb2_grpc.ServiceRegistryStub(channel)
        spec = pb.ServiceSpec(replicas=3)
        spec.command.argv.extend([sys.executable, str(REPLICA)])
        spec.health.http_path = "/"
        spec.health.interval.FromMilliseconds(200)
        registry.CreateService(
            pb.CreateServiceRequest(service=pb.Service(name="web", spec=spec)), timeout=DEADLINE
        )

        def ready(count: int) -> bool:
            request = pb.GetServiceRequest(name="web")
            return bool(registry.GetService(request, timeout=DEADLINE).service.ready == count)

        until(lambda: ready(3))

        def once() -> int:
            with closing(http.client.HTTPConnection(gateway.address, timeout=20)) as one:
                return ask(one, "/services/web/slow")[0]

        connection = http.client.HTTPConnection(gateway.address, timeout=20)
        found: set[bytes] = set()

        def all_three() -> bool:
            status, body = ask(connection, "/services/web/")
            if status == 200:
                found.add(body)
            return len(found) == 3

        until(all_three)
        with Load(gateway, 4) as load:
            load.more(300)
            os.kill(int(min(found).split()[1]), signal.SIGKILL)
            load.more(500)
            # The replica is started again elsewhere or in place.
            until(lambda: ready(3))
            # One fewer: a replica is drained, with a slow request in flight on each.
            slow: list[int] = []
            threads = [threading.Thread(target=lambda: slow.append(once())) for _ in range(6)]
            for thread in threads:
                thread.start()
            load.more(50)
            update = pb.UpdateServiceRequest(
                service=pb.Service(name="web", spec=pb.ServiceSpec(replicas=2))
            )
            update.update_mask.paths.append("spec.replicas")
            registry.UpdateService(update, timeout=DEADLINE)
            until(lambda: ready(2))
            load.more(300)
            for thread in threads:
                thread.join()
        assert {status for status, _ in load.seen} == {200}
        assert slow == [200] * 6
        connection.close()
