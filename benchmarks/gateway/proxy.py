"""The gateway's proxy beside nginx: the same three instances, the same load, one core each.

Each proxy runs pinned to the first core; the instances (nginx answering from memory) and the client
(`wrk`) to the second. The rounds of both alternate, so that a busy machine is busy for both. Needs
`nginx` and `wrk` (Debian packages of these names).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.figures import Figure, Findings, at_least, at_most, median, spread
from benchmarks.usage import load_average
from quorate.runtime.network.free_port import free_port

INSTANCES: Final = 3
CONNECTIONS: Final = 32
ROUNDS: Final = 2
SECONDS: Final = 5
_START: Final = 15.0
_UNITS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class Round(NamedTuple):
    """One round of wrk: requests a second, and the 99th percentile in milliseconds."""

    rate: float
    p99: float


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Measure. Raises RuntimeError without nginx or wrk, or when a request fails."""
    rounds, seconds = (1, 2) if quick else (ROUNDS, SECONDS)
    for program in ("nginx", "wrk", "taskset"):
        if shutil.which(program) is None:
            raise RuntimeError(f"this needs {program}")
    ports = _free_ports(INSTANCES + 2)
    backends, nginx_port, own_port = ports[:INSTANCES], ports[-2], ports[-1]
    ours: list[Round] = []
    theirs: list[Round] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quorate-proxy-")))
        _nginx(stack, folder / "instances", 1, _answering(backends), backends[0])
        _nginx(stack, folder / "nginx", 0, _proxying(nginx_port, backends), nginx_port)
        _own(stack, own_port, backends)
        theirs_url = f"http://127.0.0.1:{nginx_port}/"
        ours_url = f"http://127.0.0.1:{own_port}/"
        for url in (theirs_url, ours_url):
            _wrk(url, 1)
        before = _requests(own_port)
        for _ in range(rounds):
            theirs.append(_wrk(theirs_url, seconds))
            ours.append(_wrk(ours_url, seconds))
        counts = [now - then for now, then in zip(_requests(own_port), before, strict=True)]
    return _findings(ours, theirs, counts)


def _findings(ours: list[Round], theirs: list[Round], counts: list[int]) -> Findings:
    own, nginx = [one.rate for one in ours], [one.rate for one in theirs]
    even = sum(counts) / len(counts)
    off = max(abs(count - even) for count in counts) / even
    load = load_average()
    return Findings(
        [
            Figure("proxy: requests", median(own), "/s", note=spread(own), load=load),
            Figure("nginx: requests", median(nginx), "/s", note=spread(nginx), load=load),
            Figure("proxy / nginx", median(own) / median(nginx), "x", at_least(0.2), load=load),
            Figure("proxy: p99", median([one.p99 for one in ours]), "ms", load=load),
            Figure("nginx: p99", median([one.p99 for one in theirs]), "ms", load=load),
            Figure("proxy: off even balance", off * 100, "%", at_most(5.0), f"{counts}", load=load),
        ]
    )


def _free_ports(count: int) -> list[int]:
    ports: dict[int, None] = {}
    while len(ports) < count:
        ports[free_port()] = None
    return list(ports)


def _answering(ports: list[int]) -> str:
    listens = "".join(f"listen 127.0.0.1:{port};" for port in ports)
    return f'server {{ {listens} location / {{ return 200 "hello\\n"; }} }}'


def _proxying(port: int, backends: list[int]) -> str:
    servers = "".join(f"server 127.0.0.1:{backend};" for backend in backends)
    return f"""
    upstream web {{ least_conn; {servers} keepalive 64; }}
    server {{ listen 127.0.0.1:{port}; location / {{
        proxy_pass http://web/; proxy_http_version 1.1; proxy_set_header Connection "";
        proxy_set_header Host $host; proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }}
    """


def _nginx(stack: contextlib.ExitStack, folder: Path, core: int, server: str, port: int) -> None:
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr crit;"
        "events { worker_connections 4096; } http { access_log off; keepalive_requests 1000000000;"
        + "".join(
            f"{name}_temp_path {folder}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + f"{server} }}"
    )
    stack.enter_context(_process(core, "nginx", "-p", str(folder), "-c", str(config)))
    _await_port(port)


def _own(stack: contextlib.ExitStack, port: int, backends: list[int]) -> None:
    arguments = [str(number) for number in (port, *backends)]
    stack.enter_context(_process(0, sys.executable, "-m", "benchmarks.gateway.proxy", *arguments))
    _await_port(port)


@contextlib.contextmanager
def _process(core: int, *command: str) -> Iterator[None]:
    process = subprocess.Popen(["taskset", "-c", str(core), *command])
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _await_port(port: int) -> None:
    end = time.monotonic() + _START
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


def _wrk(url: str, seconds: int) -> Round:
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    command += ["-H", "Host: web.localhost"]
    out = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"requests failed:\n{out}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    assert rate is not None
    assert p99 is not None
    return Round(float(rate[1]), float(p99[1]) * _UNITS[p99[2]])


def _requests(port: int) -> list[int]:
    """Of each instance so far, as the proxy counts them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/figures", timeout=5) as answer:
        figures: Any = json.load(answer)
    return [one["requests"] for one in figures["services"][0]["instances"]]


async def _serve(port: int, backends: list[int]) -> None:
    """The proxy's process: its data path as in a gateway, its view given."""
    import uvicorn
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from gateway.proxy.options import ProxyOptions
    from gateway.proxy.proxy import Proxy
    from quorate.v1 import service_pb2 as pb

    proxy = Proxy(ProxyOptions())
    instances = [
        pb.ServiceInstance(
            id=f"web-{backend}",
            address=f"127.0.0.1:{backend}",
            state=pb.INSTANCE_STATE_HEALTHY,
        )
        for backend in backends
    ]
    proxy.replace([pb.Service(name="web", instances=instances)])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = json.dumps(proxy.snapshot()).encode()
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=port,
            http=proxy.protocol(HttpToolsProtocol),
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
    )
    clock = asyncio.create_task(proxy.run())
    await server.serve()
    clock.cancel()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
