"""Whose a connection is: what the kernel says of the socket at its other end."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from pydantic import ValidationError

from node_agent.config import AgentSettings
from quorate.local.ports import is_free
from quorate.runtime.errors import from_rpc_error
from quorate.security import same_user
from quorate.security.exposure import is_address
from quorate.security.same_user import PortHolds, SameUser, SameUserInterceptor
from quorate.telemetry.server import HealthServer

HOST = "127.0.0.1"


@pytest.fixture(params=["sock_diag", "proc"])
def owner(request: pytest.FixtureRequest) -> Iterator[Callable[..., int | None]]:
    """Each way in which the kernel is asked."""
    if request.param == "proc":
        yield lambda *ends: same_user.owner_of_peer(None, *ends)
        return
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as netlink:
        yield lambda *ends: same_user.owner_of_peer(netlink, *ends)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server((HOST, 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    with client, server:
        yield client, server


def test_the_owner_of_an_open_socket_is_known(owner, ends):
    client, server = ends
    assert owner(client.getsockname(), server.getsockname()) == os.geteuid()


def test_a_client_that_has_said_all_and_reads_on_is_known(owner, ends):
    client, server = ends
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    assert owner(client.getsockname(), server.getsockname()) == os.geteuid()


def test_a_socket_that_was_closed_is_nobodys_and_not_roots(owner, ends):
    client, server = ends
    peer = client.getsockname()
    client.sendall(b"x")
    client.close()
    assert server.recv(1) == b"x"
    assert owner(peer, server.getsockname()) is None
    assert not SameUser(0).serves(peer, server.getsockname())


def test_a_client_over_a_dual_stack_socket_is_known(owner):
    """gRPC's clients connect so."""
    with socket.create_server((HOST, 0)) as listening, socket.socket(socket.AF_INET6) as client:
        client.connect((f"::ffff:{HOST}", listening.getsockname()[1]))
        server, peer = listening.accept()
        with server:
            assert owner(peer, server.getsockname()) == os.geteuid()


def test_no_connection_at_all_is_nobodys(owner):
    assert owner((HOST, 1), (HOST, 2)) is None


def test_users_other_than_its_own_and_root_are_refused(ends):
    client, server = ends
    local = server.getsockname()
    assert SameUser().serves(client.getsockname(), local)
    stranger = SameUser(os.geteuid() + 1)
    assert stranger.serves(client.getsockname(), local) is (os.geteuid() == 0)
    for nonsense in (None, (), "", ("::1", 1, 0, 0), (HOST, -1)):
        assert not SameUser().serves(nonsense, local)


async def test_calls_of_another_user_are_refused_before_they_are_handled(monkeypatch):
    async def status(uid: int | None) -> str:
        monkeypatch.setattr(same_user, "ROOT", -1)
        guard = SameUserInterceptor(SameUser(uid))
        server = grpc.aio.server(interceptors=[guard])
        checks = HealthServicer()
        await checks.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        port = server.add_insecure_port(f"{HOST}:0")
        guard.listens_at((HOST, port))
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
                call = stub.Watch(health_pb2.HealthCheckRequest(), timeout=5)
                assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVING
                call.cancel()
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error).reason
        finally:
            await server.stop(None)
        return "OK"

    assert await status(None) == "OK"
    assert await status(os.geteuid() + 1) == "OTHER_USER"


async def test_probes_of_another_user_are_refused(monkeypatch):
    async def ready() -> str:
        return ""

    monkeypatch.setattr(same_user, "ROOT", -1)
    for uid, wanted in ((None, b"200"), (os.geteuid() + 1, b"403")):
        server = HealthServer(f"{HOST}:0", "scheduler", ready=ready, owner=SameUser(uid))
        await server.start()
        try:
            assert (await _get(server.address, "localhost")).split()[1] == wanted
        finally:
            await server.close()


async def _get(address: str, host: str) -> bytes:
    import asyncio

    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(f"GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        *(
            (one, True)
            for one in ("127.0.0.1:1", "10.0.0.1", "[::1]:7", "localhost", "LOCALHOST.:1")
        ),
        *((one, False) for one in ("evil.example:1", "evil", "127.0.0.1.evil.example", "[evil]:1")),
        ("", True),
    ],
)
def test_only_addresses_and_localhost_are_names_that_nobody_can_resolve_anew(host, wanted):
    assert is_address(host) is wanted


def test_a_held_port_is_this_users_alone_and_refuses_until_a_server_listens():
    with PortHolds() as holds, socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
        free.close()
        holds.take(HOST, [port])
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect((HOST, port))
        # What does not ask for it does not get it, whoever it is of.
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((HOST, port))
        with socket.create_server((HOST, port), reuse_port=True), socket.socket() as client:
            client.connect((HOST, port))
    with socket.create_server((HOST, port)):
        pass


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_held_port_is_nobodys_at_the_other_address_of_localhost():
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    with PortHolds() as holds:
        holds.take(HOST, [port])
        with socket.socket(socket.AF_INET6) as other, pytest.raises(OSError, match="in use"):
            other.bind(("::1", port))
        with socket.socket(socket.AF_INET6) as client, pytest.raises(ConnectionRefusedError):
            client.connect(("::1", port))


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_port_that_somebody_has_at_the_other_address_of_localhost_is_not_free():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        with PortHolds() as holds, pytest.raises(OSError, match="in use"):
            holds.take(HOST, [port])


def test_a_machine_without_ipv6_holds_what_it_has(monkeypatch):
    real = socket.socket

    def no_ipv6(family=socket.AF_INET, *rest):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *rest)

    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(socket, "socket", no_ipv6)
    assert is_free(port)
    with PortHolds() as holds:
        holds.take(HOST, [port])
        with real() as other, pytest.raises(OSError, match="in use"):
            other.bind((HOST, port))


def test_a_port_that_a_server_has_is_not_held():
    with (
        PortHolds() as holds,
        socket.create_server((HOST, 0)) as taken,
        pytest.raises(OSError, match="in use"),
    ):
        holds.take(HOST, [taken.getsockname()[1]])


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::1]:1", "localhost:1"])
def test_an_address_whose_callers_the_kernel_may_not_know_is_refused(listen, tmp_path: Path):
    def owner(**given: Any) -> SameUser | None:
        return AgentSettings(data_dir=tmp_path, insecure=True, **given).owner

    with pytest.raises(ValidationError, match="same-user: listen"):
        owner(listen=listen, same_user=True)
    assert owner(listen="127.0.0.2:1", same_user=True) is not None
    assert owner(listen=listen) is None
