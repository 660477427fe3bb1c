"""A gateway process before scripted schedulers: starting, leaving, and hostile connections."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time

import httpx
import pytest

from quorate.v1 import task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer, wait_until
from tests.support.gateway import run_gateway

COMMAND = task_pb2.TaskSpec(command={"argv": ["true"]})


@pytest.fixture(scope="module")
def cluster():
    cluster = FakeCluster()
    FakeServer(cluster)
    yield cluster
    cluster.close()


@pytest.fixture
def start(cluster):
    """Runs gateways: `start("--flag", ...)`."""
    with contextlib.ExitStack() as stack:

        def run(*arguments, schedulers=None):
            addresses = schedulers or [cluster.servers[0].address]
            return stack.enter_context(run_gateway(addresses, *arguments))

        yield run


@pytest.fixture(scope="module")
def task(cluster):
    """A task that is not finished as long as the cluster is held."""
    cluster.hold.clear()
    return cluster.create("", [COMMAND], "held")[0]


async def serves(gateway):
    """Whether new connections are answered."""
    try:
        async with httpx.AsyncClient() as client:
            await client.get(f"{gateway.url}/healthz")
    except httpx.TransportError:
        return False
    return True


def answer(gateway, *parts):
    """What comes until the connection is closed."""
    with gateway.connect() as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        found = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                found += part
    return found.decode()


def test_a_port_in_use_is_one_sentence(start):
    first = start()
    second = subprocess.run(
        [sys.executable, "-P", "-m", "gateway", "--listen", first.address],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr == f"gateway: cannot listen on {first.address}: address already in use\n"


def test_healthy_and_ready(start):
    base = start().url
    assert httpx.get(f"{base}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{base}/readyz").json() == {"status": "ready"}
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    alone = start(schedulers=[f"127.0.0.1:{port}"]).url
    assert httpx.get(f"{alone}/healthz").status_code == 200
    response = httpx.get(f"{alone}/readyz")
    assert (response.status_code, response.json()["reason"]) == (503, "NO_SCHEDULER")


async def test_sigterm_finishes_what_is_under_way_and_ends_streams(start, cluster, task):
    gateway = start("--grace", "15")
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as client:
        waiting = asyncio.create_task(client.get(f"/v1/tasks/{task}:wait?timeout=20s"))
        async with client.stream("GET", "/v1/tasks:watch") as response:
            lines = response.aiter_lines()
            assert "resumeToken" in json.loads(await anext(lines))
            while not any(name == "WaitTask" for name, _ in cluster.calls):
                await asyncio.sleep(0.01)
            gateway.terminate()
            last = json.loads(await anext(lines))
            assert last["error"]["reason"] == "GATEWAY_SHUTTING_DOWN"
        # No new ones.
        async with asyncio.timeout(60):
            while await serves(gateway):
                pass
        assert not waiting.done()
        cluster.hold.set()
        response = await waiting
        assert response.json()["task"]["state"] == "TASK_STATE_SUCCEEDED"
    assert gateway.wait(60) == 0


def test_what_outlasts_the_grace_is_cut_off(start, cluster):
    cluster.hold.clear()
    held = cluster.create("", [COMMAND], "held for long")[0]
    gateway = start("--grace", "1")
    with gateway.connect() as connection:
        request = f"GET /v1/tasks/{held}:wait?timeout=600s HTTP/1.1\r\nHost: localhost\r\n\r\n"
        before = len(cluster.calls)
        connection.sendall(request.encode())
        wait_until(lambda: len(cluster.calls) > before)
        gateway.terminate()
        assert gateway.wait(60) == 0
    cluster.hold.set()


def test_a_client_that_goes_ends_its_upstream_calls(start, cluster):
    cluster.hold.clear()
    held = cluster.create("", [COMMAND], "held for a leaver")[0]
    gateway = start()
    for path in (f"/v1/tasks/{held}:wait", "/v1/tasks:watch"):
        before = len(cluster.calls)
        with gateway.connect() as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            wait_until(lambda before=before: len(cluster.calls) > before)
    # Nothing is left to wait for: leaving takes no grace.
    gateway.terminate()
    assert gateway.wait(60) == 0
    cluster.hold.set()


@pytest.mark.parametrize(
    ("parts", "status", "reason"),
    [
        ((b"nonsense\r\n\r\n",), 400, "MALFORMED_HTTP"),
        ((b"GET /v1/cluster HTTP/1.1\r\nbad header\r\n\r\n",), 400, "MALFORMED_HTTP"),
        (
            (b"POST /v1/queues HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",),
            400,
            "MALFORMED_HTTP",
        ),
        (
            (
                b"POST /v1/queues HTTP/1.1\r\nContent-Length: 1\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n",
            ),
            400,
            "MALFORMED_HTTP",
        ),
        ((b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",), 431, "HEAD_TOO_LARGE"),
        ((b"GET / HTTP/1.1\r\n", *[b"A: " + b"b" * 900 + b"\r\n"] * 80), 431, "HEAD_TOO_LARGE"),
        ((b"GET / HTTP/1.1\r\nA: ", *[b"b" * 9000] * 60), 431, "HEAD_TOO_LARGE"),
        (
            (b"POST /v1/queues HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 99999999999\r\n\r\n",),
            413,
            "BODY_TOO_LARGE",
        ),
    ],
)
def test_hostile_requests_get_a_problem_and_are_closed(shared, parts, status, reason):
    text = answer(shared, *parts)
    head, _, body = text.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert json.loads(body)["reason"] == reason
    assert httpx.get(f"{shared.url}/healthz").status_code == 200


@pytest.fixture(scope="module")
def shared(cluster):
    """One gateway for tests that leave no trace in it."""
    short = ("--read-timeout", "1", "--write-timeout", "1", "--keepalive", "0.2")
    with run_gateway([cluster.servers[0].address], *short) as gateway:
        yield gateway


def test_a_body_that_stops_coming_is_given_up(shared):
    text = answer(
        shared, b"POST /v1/queues HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
    )
    assert text.startswith("HTTP/1.1 408 ")


def test_a_silent_stream_says_that_it_lives(shared):
    with shared.connect() as connection:
        connection.sendall(
            b"GET /v1/tasks:watch HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        )
        found = b""
        while found.count(b": keepalive") < 2:
            found += connection.recv(65536)
    assert b"text/event-stream" in found


def test_a_client_that_does_not_read_is_dropped(shared, cluster):
    cluster.hold.set()
    big = cluster.create("", [COMMAND], "big")[0]
    # Finished first, or its own small result replaces the one given here.
    wait_until(lambda: cluster.tasks[big].state == task_pb2.TASK_STATE_SUCCEEDED)
    # More than the kernel's buffers hold.
    cluster.tasks[big].result.json = "x" * 16_000_000
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        host, port = shared.address.split(":")
        connection.connect((host, int(port)))
        request = f"GET /v1/tasks/{big} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        connection.sendall(request)

        def dropped():
            try:
                # Sending to a connection that was reset fails; nothing is read here.
                connection.send(b"\r\n")
            except ConnectionError:
                return True
            return False

        wait_until(dropped)
    del cluster.tasks[big]


def test_a_connection_kept_open_with_empty_lines_is_closed(start):
    with start("--head-timeout", "1").connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        found = connection.recv(65536)
        connection.settimeout(0.1)
        end = time.monotonic() + 9  # less than without the flag
        while b"HTTP/1.1 408 " not in found:
            assert time.monotonic() < end
            with contextlib.suppress(TimeoutError):
                connection.sendall(b"\r\n")
                found += connection.recv(65536)


def test_requests_come_one_behind_another_on_one_connection(shared):
    with shared.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        found = b""
        while found.count(b'{"status":"ok"}') < 3:
            part = connection.recv(65536)
            assert part, found
            found += part
    assert found.count(b"HTTP/1.1 200 OK") == 3


def test_memory_is_bounded_under_a_flood_of_heads(shared):
    with open(f"/proc/{shared.pid}/statm") as file:
        before = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(shared.connect())
            connection.sendall(b"GET / HTTP/1.1\r\nA: " + b"b" * 60_000)
        assert httpx.get(f"{shared.url}/healthz").status_code == 200
        with open(f"/proc/{shared.pid}/statm") as file:
            after = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert after - before < 100 * 64 * 1024 * 5
