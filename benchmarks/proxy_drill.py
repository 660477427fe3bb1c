"""`python -m benchmarks.proxy_drill`: a replica killed and one drained behind the gateway, in load.

A local cluster of real processes with a gateway, a service of three replicas, and `wrk` (a system
package) asking for it all the while:

1. one replica is SIGKILLed, and its node's agent says so;
2. one is SIGKILLed while its agent is frozen: the gateway has to find out by itself. Timed for
   both is until it sends nothing more there;
3. slow POST requests, which are never sent twice, are put on all three replicas, and the service is
   scaled to two, so that one which holds some of them is drained.

Exits with 1 when a request failed, when one that the drained replica held was not answered by it,
or when a target was missed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc
from rich.console import Console

from benchmarks import report
from benchmarks.figures import Figure, Findings, at_least, at_most
from benchmarks.usage import load_average
from quorate.client.transport.discovery import LocalCluster
from quorate.local import background
from quorate.local.plan import LocalPlan
from quorate.v1 import service_pb2 as pb
from quorate.v1 import service_pb2_grpc

SERVICE: Final = "drill"
REPLICAS: Final = 3
CONNECTIONS: Final = 32
# Requests that are held while a replica is drained, and seconds that each takes.
SLOW: Final = 24
SLOW_SECONDS: Final = 1.5
# Seconds of load before, between and after the faults.
CALM: Final = 1.0
# Seconds of looking for late tries after the kill: before the first ejection ends (1 s), and before
# the frozen agent's lease does (2 s).
LOOK_ON: Final = 0.8
DEADLINE: Final = 60.0
_LOOK: Final = 0.005


@dataclass(frozen=True, slots=True)
class Killed:
    """Seconds from SIGKILL until the gateway left the replica out, and until its last try on it."""

    left_out: float
    last_try: float
    tries: int
    """Sent to it after the kill."""


class Slow(NamedTuple):
    """A slow request: who answered with what, and between which instants."""

    instance: str
    status: int
    sent: float
    answered: float


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of the slow requests while a replica was drained."""

    held: int
    """By the drained one when it was."""
    lost: int
    """Of those, not answered by it."""
    failed: int
    """Of all slow requests."""
    late: int
    """Requests sent to it after the gateway knew."""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw."""

    requests: int
    errors: int
    """Of sockets, time-outs among them."""
    refused: int
    """Answers that were not 2xx or 3xx."""
    rate: float


class Site:
    """The cluster under drill: its gateway's own view, and the registry."""

    def __init__(self, cluster: LocalCluster, registry: service_pb2_grpc.ServiceRegistryStub):
        self.gateway = next(one.address for one in cluster.processes if one.role == "gateway")
        self.agents = {one.name: one.pid for one in cluster.processes if one.role == "node"}
        self._registry = registry

    def create(self) -> None:
        """The service, when all its replicas are ready and the gateway knows."""
        spec = pb.ServiceSpec(replicas=REPLICAS)
        spec.command.argv.extend([sys.executable, "-m", "benchmarks.gateway.replica"])
        spec.command.env["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
        spec.health.tcp = True
        spec.drain_grace.FromSeconds(10)
        request = pb.CreateServiceRequest(service=pb.Service(name=SERVICE, spec=spec))
        self._registry.CreateService(request, timeout=DEADLINE)
        self.await_healthy(REPLICAS)

    def scale(self, replicas: int) -> None:
        """Change how many replicas there are to be."""
        request = pb.UpdateServiceRequest(
            service=pb.Service(name=SERVICE, spec=pb.ServiceSpec(replicas=replicas))
        )
        request.update_mask.paths.append("spec.replicas")
        self._registry.UpdateService(request, timeout=DEADLINE)

    def instances(self) -> dict[str, Any]:
        """By id, as the gateway sees and counts them."""
        with closing(http.client.HTTPConnection(self.gateway, timeout=DEADLINE)) as connection:
            connection.request("GET", "/v1/gateway/services")
            services = json.load(connection.getresponse())["services"]
        found = [one for one in services if one["name"] == SERVICE]
        return {one["id"]: one for service in found for one in service["instances"]}

    def healthy(self) -> dict[str, Any]:
        """Those that may get requests."""
        return {
            id: one
            for id, one in self.instances().items()
            if one["state"] == "HEALTHY" and not one["ejected"]
        }

    def await_healthy(self, count: int) -> None:
        """Until the gateway sends requests to exactly so many."""
        _until(lambda: len(self.healthy()) == count, f"{count} replicas are healthy")


def drill(console: Console) -> Findings:
    """Do all of it. Raises RuntimeError without wrk, TimeoutError when something never happens."""
    if shutil.which("wrk") is None:
        raise RuntimeError("this needs wrk")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quorate-drill-")))
        console.print("starting a cluster")
        stack.callback(background.stop, folder / "cluster")
        cluster = background.start(
            LocalPlan(data_dir=folder / "cluster", schedulers=1, nodes=2, slots=4, gateway=True)
        )
        channel = stack.enter_context(grpc.insecure_channel(cluster.addresses[0]))
        site = Site(cluster, service_pb2_grpc.ServiceRegistryStub(channel))
        site.create()
        with _wrk(f"http://{site.gateway}/") as finish:
            time.sleep(CALM)
            console.print("one replica is killed")
            killed = kill_one(site, unnoticed=False)
            site.await_healthy(REPLICAS)
            time.sleep(CALM)
            console.print("one replica is killed, its agent frozen")
            unnoticed = kill_one(site, unnoticed=True)
            site.await_healthy(REPLICAS)
            time.sleep(CALM)
            console.print("one replica is drained")
            drained = drain_one(site)
            time.sleep(CALM)
            load = finish()
        return _findings(load, killed, unnoticed, drained)


def kill_one(site: Site, *, unnoticed: bool) -> Killed:
    """SIGKILL a replica and watch what the gateway does with it.

    Args:
        unnoticed: its node's agent is frozen meanwhile, so that no view tells the gateway.
    """
    victim, one = min(site.healthy().items())
    process = int(_ask(one["address"], "GET", "/")[1].split()[1])
    agent = site.agents[one["node"]]
    if unnoticed:
        os.kill(agent, signal.SIGSTOP)
    try:
        tries = before = site.instances()[victim]["requests"]
        os.kill(process, signal.SIGKILL)
        start = last_try = time.monotonic()
        left_out = 0.0
        while (now := time.monotonic()) < (left_out or start + DEADLINE) + LOOK_ON:
            seen = site.instances().get(victim)
            if seen is None or seen["state"] != "HEALTHY" or seen["ejected"]:
                left_out = left_out or time.monotonic()
            if seen is None or seen["address"] != one["address"]:
                break
            if seen["requests"] != tries:
                tries, last_try = seen["requests"], now
            time.sleep(_LOOK)
    finally:
        if unnoticed:
            os.kill(agent, signal.SIGCONT)
    if not left_out:
        raise TimeoutError("never: the killed replica is left out")
    return Killed(left_out - start, last_try - start, tries - before)


def drain_one(site: Site) -> Drained:
    """Put slow requests on all replicas, take one replica away, and see who answers."""
    answers: list[Slow] = []
    threads = [threading.Thread(target=_slow, args=(site, answers)) for _ in range(SLOW)]
    for thread in threads:
        thread.start()
    addresses = {id: one["address"] for id, one in site.healthy().items()}

    def held() -> dict[str, int]:
        return {id: int(_ask(at, "GET", "/held")[1]) for id, at in addresses.items()}

    _until(lambda: sum(held().values()) == SLOW, "every slow request is held")
    at_drain = held()
    site.scale(REPLICAS - 1)
    _until(lambda: len(site.healthy()) < REPLICAS, "the gateway knows of the drain")
    seen = site.instances()
    known = time.monotonic()
    victim = next(id for id in addresses if seen.get(id, {}).get("state") != "HEALTHY")
    counted = late = seen.get(victim, {}).get("requests", 0)
    while any(thread.is_alive() for thread in threads):
        late = site.instances().get(victim, {}).get("requests", late)
        time.sleep(_LOOK)
    for thread in threads:
        thread.join()
    own = [one for one in answers if one.instance == victim and one.answered > known]
    good = sum(one.status == 200 for one in own)
    return Drained(
        held=at_drain[victim],
        lost=at_drain[victim] - good,
        failed=SLOW - sum(one.status == 200 for one in answers),
        late=late - counted,
    )


def _slow(site: Site, answers: list[Slow]) -> None:
    sent = time.monotonic()
    status, body = 0, ""
    with contextlib.suppress(OSError, http.client.HTTPException):
        status, body = _ask(site.gateway, "POST", f"/slow?{SLOW_SECONDS}")
    answers.append(Slow(body.partition(" ")[0], status, sent, time.monotonic()))


def _ask(address: str, method: str, path: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(address, timeout=DEADLINE)) as connection:
        connection.request(method, path, headers={"Host": f"{SERVICE}.localhost"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@contextlib.contextmanager
def _wrk(url: str) -> Iterator[Callable[[], Load]]:
    """Load from entering until the function is called, which tells what it saw."""
    host = f"Host: {SERVICE}.localhost"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d600s", "-H", host, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:

        def finish() -> Load:
            # It prints its summary and ends.
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=DEADLINE)
            return _load(out)

        try:
            yield finish
        finally:
            if process.poll() is None:
                process.kill()


def _load(out: str) -> Load:
    requests = re.search(r"(\d+) requests in", out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if requests is None or rate is None:
        raise RuntimeError(f"wrk said:\n{out}")
    sockets = re.search(r"Socket errors: (.*)", out)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return Load(
        requests=int(requests[1]),
        errors=sum(int(n) for n in re.findall(r"\d+", sockets[1])) if sockets else 0,
        refused=int(refused[1]) if refused else 0,
        rate=float(rate[1]),
    )


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"never: {what}")
        time.sleep(_LOOK)


def _findings(load: Load, killed: Killed, unnoticed: Killed, drained: Drained) -> Findings:
    now, none = load_average(), at_most(0)
    tried = f"{unnoticed.tries} tries"
    slow = f"{SLOW} POSTs of {SLOW_SECONDS:g} s on {REPLICAS} replicas"
    rows = [
        ("wrk: requests", load.requests, "", at_least(1), f"{load.rate:,.0f}/s through faults"),
        ("wrk: socket errors", load.errors, "", none, f"{CONNECTIONS} connections"),
        ("wrk: answers not 2xx", load.refused, "", none, ""),
        ("killed: left out after", killed.left_out, "s", at_most(1.0), "its agent says so"),
        ("killed: last try after", killed.last_try, "s", at_most(1.0), f"{killed.tries} tries"),
        ("unnoticed: left out after", unnoticed.left_out, "s", at_most(1.0), "its agent is frozen"),
        ("unnoticed: last try after", unnoticed.last_try, "s", at_most(1.0), tried),
        ("drained: held when told", drained.held, "", at_least(1), slow),
        ("drained: lost in flight", drained.lost, "", none, "not answered 200 by it"),
        ("drained: new requests", drained.late, "", none, "after the gateway knew"),
        ("slow: failed", drained.failed, "", none, f"of {SLOW}"),
    ]
    return Findings([Figure(*row, load=now) for row in rows])


def main() -> int:
    """Print one table; 1 when a target is missed."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=150)
    findings = drill(console)
    report.show(console, {"proxy drill": findings})
    return int(any(f.target is not None and not f.target.met(f.value) for f in findings.figures))


if __name__ == "__main__":
    sys.exit(main())
