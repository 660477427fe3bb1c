"""The demo's look at the metrics: is everything there that docs/observability.md promises?

A service runs and is asked through the gateway, as is the REST API, since counters that are
labelled with a service or a route have no series before that. Then every process is scraped.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path

from quorate import Client
from quorate.cli.services.services import DELETE
from quorate.client.transport.discovery import LocalCluster
from quorate.client.transport.rpcs import new_request_id
from quorate.v1 import service_pb2
from tools.docs.documented_metrics import Scrape, documented, missing
from tools.gateway_http import ask

SERVICE = "hello"
_CHECKOUT = Path(__file__).resolve().parents[1]
# Seconds.
_START_TIMEOUT = 60.0
# A node tells of its machine when it has measured it for a second; more on a busy one.
_SETTLE = 10.0
_LOOK = 0.05


def use_gateway(cluster: LocalCluster) -> None:
    """Start a service of one replica, and have the gateway answer for it and for itself.

    Raises TimeoutError when the service does not answer, OSError when the gateway does not, and
    SubprocessError when it cannot be created.
    """
    command = [sys.executable, "-m", "quorate", "service", "create", SERVICE]
    command += ["--data-dir", cluster.data_dir, "--health-http", "/healthz", "--wait"]
    subprocess.run(
        [*command, "--", sys.executable, str(_CHECKOUT / "examples" / "hello_service.py")],
        cwd=_CHECKOUT,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=_START_TIMEOUT,
    )
    if not _until(lambda: _answers(cluster), _START_TIMEOUT):
        raise TimeoutError(f"the service {SERVICE} does not answer through the gateway")
    ask(cluster, "v1/queues", timeout=_START_TIMEOUT).close()


def check(cluster: LocalCluster) -> tuple[int, list[str]]:
    """How many series are promised, and which of them no process shows, as `role: metric`.

    Raises OSError when a process does not answer.
    """
    promised = documented()
    lacking: list[str] = []

    def complete() -> bool:
        scrapes: dict[str, list[Scrape]] = {}
        for process in cluster.processes:
            if process.health:
                scrapes.setdefault(process.role, []).append(Scrape.of(process.health))
        lacking[:] = missing(promised, scrapes)
        return not lacking

    _until(complete, _SETTLE)
    return sum(map(len, promised.values())), lacking


def stop_service(client: Client) -> None:
    """Give the service's slot back to the work."""
    request = service_pb2.DeleteServiceRequest(name=SERVICE, request_id=new_request_id())
    client.calls.call(DELETE, request)


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK)
    return True


def _answers(cluster: LocalCluster) -> bool:
    try:
        ask(cluster, "", service=SERVICE, timeout=_START_TIMEOUT).close()
        return True
    except urllib.error.HTTPError as error:
        error.close()
        return False  # 404 or 503: the gateway has not heard of the replica yet
