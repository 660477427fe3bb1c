"""The proxy before real replicas on real nodes: one is killed and one drained under load.

And before processes outside, which the gateway checks itself.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from quorate.client.transport.discovery import LocalCluster
from quorate.local.plan import LocalPlan
from quorate.v1 import service_pb2 as pb
from quorate.v1 import service_pb2_grpc
from tests.support import tls
from tests.support.gateway import GatewayProcess, run_gateway
from tests.support.local import gateway_leaf, open_scheduler, running
from tools.gateway_http import headers_of

REPLICA = Path(__file__).parent.parent / "support" / "replica.py"
DEADLINE = 60.0
# Enough that each of three replicas gets some, whatever is drawn.
SLOW = 24


def until(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        threading.Event().wait(0.02)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("proxy") / "cluster"
    plan = LocalPlan(data_dir=folder, schedulers=1, nodes=2, slots=4, secure=tls.ON)
    with running(plan) as local:
        yield local


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

    def answers_of(self, instance: str) -> int:
        with self._lock:
            return sum(
                count
                for (_, body), count in self.seen.items()
                if body.startswith(instance.encode())
            )

    def more(self, count: int) -> None:
        """Wait for so many more answers."""
        enough = self.total + count
        until(lambda: self.total >= enough)

    def _run(self) -> None:
        connection = self._gateway.http()
        while not self._stop.is_set():
            status, body = ask(connection, "/", host="web.localhost")
            with self._lock:
                self.seen[status, body] += 1
        connection.close()


def ask(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", host: str = ""
) -> tuple[int, bytes]:
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def ask_at(
    gateway: GatewayProcess, path: str, method: str = "GET", host: str = ""
) -> tuple[int, bytes]:
    with closing(gateway.http()) as connection:
        return ask(connection, path, method, host)


def held_by(replica: str) -> int:
    """Requests that a replica has in hand, which it tells without a gateway."""
    with closing(http.client.HTTPConnection(replica, timeout=60)) as connection:
        return int(ask(connection, "/held")[1])


def view_of(gateway: GatewayProcess, local: LocalCluster) -> Any:
    """What the gateway knows of services."""
    with closing(gateway.http()) as connection:
        connection.request("GET", "/v1/gateway/services", headers=headers_of(local))
        return json.load(connection.getresponse())


def test_a_killed_and_a_drained_replica_cost_no_request(local: LocalCluster):
    with (
        open_scheduler(local) as channel,
        run_gateway(local.addresses, leaf=gateway_leaf(local)) as gateway,
    ):
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

        connection = gateway.http()
        found: set[bytes] = set()

        def all_three() -> bool:
            status, body = ask(connection, "/", host="web.localhost")
            if status == 200:
                found.add(body)
            return len(found) == 3

        until(all_three)

        def healthy() -> dict[str, Any]:
            """What this gateway sends requests to, by id."""
            view = view_of(gateway, local)
            return {
                one["id"]: one
                for service in view["services"]
                if service["name"] == "web"
                for one in service["instances"]
                if one["state"] == "HEALTHY" and not one["ejected"]
            }

        with Load(gateway, 4) as load:
            load.more(300)
            victim, process = min(found).decode().split()
            os.kill(int(process), signal.SIGKILL)
            start = time.monotonic()
            until(lambda: victim not in healthy())
            assert time.monotonic() - start < 1.0
            load.more(500)
            # The replica is started again elsewhere or in place.
            until(lambda: len(healthy()) == 3)
            addresses = {id: one["address"] for id, one in healthy().items()}

            def held() -> dict[str, int]:
                return {id: held_by(address) for id, address in addresses.items()}

            # One fewer: a replica is drained, with slow requests in flight on each. They are POSTs,
            # which the proxy never sends twice: one that was lost could not hide.
            slow: list[tuple[int, bytes]] = []
            threads = [
                threading.Thread(
                    target=lambda: slow.append(ask_at(gateway, "/slow", "POST", "web.localhost"))
                )
                for _ in range(SLOW)
            ]
            for thread in threads:
                thread.start()
            until(lambda: sum(held().values()) == SLOW)
            at_drain = held()
            update = pb.UpdateServiceRequest(
                service=pb.Service(name="web", spec=pb.ServiceSpec(replicas=2))
            )
            update.update_mask.paths.append("spec.replicas")
            registry.UpdateService(update, timeout=DEADLINE)
            until(lambda: len(healthy()) == 2)
            # The gateway knows before the first of them is answered.
            assert not slow
            (drained,) = addresses.keys() - healthy().keys()
            assert at_drain[drained] > 0
            before = load.answers_of(drained)
            load.more(300)
            for thread in threads:
                thread.join()
        assert {status for status, _ in load.seen} == {200}
        # Each was answered by the replica that held it; the drained one got nothing new.
        assert Counter(status for status, _ in slow) == {200: SLOW}
        assert Counter(body.split()[0].decode() for _, body in slow) == Counter(at_drain)
        assert load.answers_of(drained) - before <= 4  # those on their way when it was drained
        connection.close()


def test_an_outside_process_that_died_is_found_by_the_gateways_checks(local: LocalCluster):
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with contextlib.ExitStack() as stack:
        channel = stack.enter_context(open_scheduler(local))
        leaf = gateway_leaf(local)
        gateway = stack.enter_context(run_gateway(local.addresses, leaf=leaf))
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Answering))
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        registry = service_pb2_grpc.ServiceRegistryStub(channel)
        spec = pb.ServiceSpec()
        spec.health.http_path = "/"
        spec.health.interval.FromMilliseconds(100)
        registry.CreateService(
            pb.CreateServiceRequest(service=pb.Service(name="outside", spec=spec)), timeout=DEADLINE
        )
        register = pb.RegisterInstanceRequest()
        register.instance.service, register.instance.id = "outside", "one"
        register.instance.address = f"127.0.0.1:{server.server_port}"
        register.ttl.FromSeconds(600)
        registry.RegisterInstance(register, timeout=DEADLINE)

        def answer() -> int:
            return ask_at(gateway, "/", host="outside.localhost")[0]

        until(lambda: answer() == 200)
        server.shutdown()
        server.server_close()
        serving.join()

        def passing() -> bool:
            view = view_of(gateway, local)
            (service,) = [one for one in view["services"] if one["name"] == "outside"]
            (one,) = service["instances"]
            assert one["state"] == "HEALTHY"  # it is registered for long yet
            return bool(one["passing"])

        until(lambda: not passing())
        assert answer() == 503
