"""A page whose name was made to resolve to this machine (DNS rebinding) gets nothing.

Such a page is of the gateway's own origin as far as its browser can tell: only Host gives it away.
"""

import contextlib
import json
import socket

import pytest

from tests.support.fake_scheduler import FakeCluster, FakeServer
from tests.support.gateway import run_gateway

EVIL = "evil.example:7470"
ME = socket.gethostname()


@pytest.fixture(scope="module")
def cluster():
    cluster = FakeCluster()
    FakeServer(cluster)
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def gateway(cluster):
    with run_gateway([cluster.servers[0].address]) as gateway:
        yield gateway


def ask(gateway, host, line="GET /v1/tasks", *headers, body=b""):
    """(status, body) of one request."""
    lines = [f"{line} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *headers]
    with gateway.connect() as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        found = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                found += part
    head, _, content = found.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), content


@pytest.mark.parametrize("line", ["GET /", "GET /v1/tasks", "GET /services/web/", "GET /healthz"])
def test_a_rebound_name_reads_nothing(gateway, line):
    status, body = ask(gateway, EVIL, line)
    assert (status, json.loads(body)["reason"]) == (421, "FOREIGN_HOST")


def test_a_rebound_name_changes_nothing(gateway, cluster):
    before = len(cluster.calls)
    headers = (f"Origin: http://{EVIL}", "Content-Type: application/json")
    line = "POST /v1/queues/default/tasks"
    status, body = ask(gateway, EVIL, line, *headers, body=b'{"spec":{"command":{"argv":["x"]}}}')
    assert (status, json.loads(body)["reason"]) == (421, "FOREIGN_HOST")
    assert not [name for name, _ in cluster.calls[before:] if name == "CreateTask"]


def test_a_rebound_name_gets_no_live_updates(gateway):
    headers = (
        f"Origin: http://{EVIL}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    with gateway.connect() as connection:
        head = ["GET /v1/live HTTP/1.1", f"Host: {EVIL}", *headers, "", ""]
        connection.sendall("\r\n".join(head).encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize(
    "host", ["localhost:1", "LOCALHOST.", "127.0.0.1", "[::1]:7470", "127.0.0.1.:80", ME, f"{ME}."]
)
def test_names_that_nobody_can_register_are_served(gateway, host):
    assert ask(gateway, host, "GET /healthz")[0] == 200


@pytest.mark.parametrize("host", ["gateway", "intranet:7470", "localhost.example", "1.2.a"])
def test_other_names_are_not_local_because_they_have_no_dot(gateway, host):
    """A network's DNS, or its search list, lets others have them."""
    assert ask(gateway, host, "GET /healthz")[0] == 421


def test_a_host_below_localhost_is_a_services_and_never_the_dashboards(gateway):
    status, body = ask(gateway, "gone.localhost", "GET /")
    # The fake scheduler knows no services: the gateway cannot say that there is none of the name.
    assert status == 503
    assert b"<html" not in body


def test_an_address_as_the_target_is_checked_like_a_host(gateway):
    status, body = ask(gateway, "localhost", f"GET http://{EVIL}/v1/tasks")
    assert (status, json.loads(body)["reason"]) == (421, "FOREIGN_HOST")
    assert ask(gateway, "localhost", "GET http://localhost/healthz")[0] == 200


def test_configured_names_are_served(cluster):
    with run_gateway([cluster.servers[0].address], "--hosts", "q.example, b.example") as gateway:
        assert ask(gateway, "Q.example:80", "GET /healthz")[0] == 200
        assert ask(gateway, "q.example.:80", "GET /healthz")[0] == 200
        assert ask(gateway, "evil.example", "GET /healthz")[0] == 421
    with run_gateway([cluster.servers[0].address], "--hosts", "*") as gateway:
        assert ask(gateway, "evil.example", "GET /healthz")[0] == 200
