"""gRPC over TLS as the services use it: who gets through, who does not, and new files meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from quorate.security.tls.diagnosis import why_not
from quorate.security.tls.server import (
    ClientTls,
    Dialer,
    TlsSettings,
    open_channel,
    server_credentials,
)
from tests.support.tls import Leaf, TestAuthority

OWN = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
Serve = Callable[[TlsSettings | None], Awaitable[str]]


@pytest.fixture
def ca(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "ca")


@pytest.fixture
def stranger(tmp_path: Path) -> TestAuthority:
    """Another CA."""
    return TestAuthority(tmp_path / "other")


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers that answer with the caller's common name; gives their addresses."""
    servers: list[grpc.aio.Server] = []

    async def start(settings: TlsSettings | None) -> str:
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        server.add_generic_rpc_handlers((_WhoAmI(),))
        if settings is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", server_credentials(settings))
        await server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        await server.stop(None)


class _WhoAmI(grpc.GenericRpcHandler):
    def service(self, details: Any) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            return b"".join(context.auth_context().get("x509_common_name", [b"nobody"]))

        return grpc.unary_unary_rpc_method_handler(answer)


async def ask(channel: grpc.aio.Channel) -> str:
    answer: bytes = await cast("Any", channel).unary_unary("/test.Who/Am")(b"", timeout=60)
    return answer.decode()


async def ask_once(address: str, tls: ClientTls | None) -> str:
    async with open_channel(address, tls, OWN) as channel:
        return await ask(channel)


async def refused(address: str, tls: ClientTls | None) -> str:
    """The sentence about a connection that is not made."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask_once(address, tls)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return why_not(address, tls)


async def test_both_sides_know_each_other(ca: TestAuthority, serve: Serve):
    address = await serve(ca.leaf("scheduler:s1").settings())
    admin = ca.leaf("admin:alice", hosts=()).client
    assert await ask_once(address, admin) == "admin:alice"
    assert why_not(address, admin) == ""


def test_a_thread_gets_through_too(ca: TestAuthority):
    class Answers(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request)

    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((Answers(),))
    credentials = server_credentials(ca.leaf("scheduler:s1").settings())
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    dialer = Dialer(ca.leaf("admin:alice").client)
    with dialer.open_sync(f"127.0.0.1:{port}", OWN) as channel:
        call = cast("Any", channel).unary_unary("/test.Who/Am")
        assert call(b"hello", timeout=60) == b"hello"
    server.stop(None).wait()


async def test_a_caller_without_a_certificate_is_refused(ca: TestAuthority, serve: Serve):
    leaf = ca.leaf("scheduler:s1")
    address = await serve(leaf.settings())
    assert "asks for a client certificate" in await refused(address, leaf.anonymous)


async def test_where_none_is_asked_for_a_caller_needs_none(ca: TestAuthority, serve: Serve):
    leaf = ca.leaf("scheduler:s1")
    address = await serve(leaf.settings("none"))
    assert await ask_once(address, leaf.anonymous) == "nobody"


async def test_a_caller_of_another_authority_is_refused(
    ca: TestAuthority, stranger: TestAuthority, serve: Serve
):
    address = await serve(ca.leaf("scheduler:s1").settings())
    foreign = stranger.leaf("admin:mallory")
    tls = ClientTls(str(ca.ca_file), str(foreign.cert_file), str(foreign.key_file))
    assert "does not accept the client certificate" in await refused(address, tls)


async def test_an_expired_caller_is_refused(ca: TestAuthority, serve: Serve):
    address = await serve(ca.leaf("scheduler:s1").settings())
    expired = ca.leaf("admin:alice", days=-1).client
    assert "expired on" in await refused(address, expired)


async def test_a_server_of_another_authority_is_refused(
    ca: TestAuthority, stranger: TestAuthority, serve: Serve
):
    address = await serve(stranger.leaf("scheduler:s1").settings())
    said = await refused(address, ca.leaf("admin:alice").client)
    assert f"the certificate of {address} is not accepted" in said
    assert "not from a CA of --tls-ca-file" in said


async def test_a_server_with_another_name_is_refused(ca: TestAuthority, serve: Serve):
    leaf = ca.leaf("scheduler:s1", hosts=["elsewhere.example", "127.0.0.9"])
    address = await serve(leaf.settings())
    said = await refused(address, ca.leaf("admin:alice").client)
    assert "not valid for '127.0.0.1'" in said


async def test_a_server_that_expired_while_it_ran_is_refused(ca: TestAuthority, serve: Serve):
    leaf = ca.leaf("scheduler:s1")
    address = await serve(leaf.settings())
    ca.leaf("scheduler:s1", days=-1)
    said = await refused(address, ca.leaf("admin:alice").client)
    assert "certificate has expired" in said


async def test_plaintext_and_tls_do_not_meet(ca: TestAuthority, serve: Serve):
    leaf = ca.leaf("scheduler:s1")
    locked, plain = await serve(leaf.settings()), await serve(None)
    assert "speaks TLS" in await refused(locked, None)
    assert "does not speak TLS" in await refused(plain, leaf.client)
    assert why_not(plain, None) == ""


def test_where_nobody_listens_tls_is_not_the_reason(ca: TestAuthority):
    assert why_not("127.0.0.1:1", None) == ""
    assert why_not("127.0.0.1:1", ca.leaf("admin:alice").client) == ""


async def test_a_server_takes_up_new_files_and_old_connections_go_on(
    ca: TestAuthority, serve: Serve, tmp_path: Path
):
    leaf = ca.leaf("scheduler:s1")
    address = await serve(leaf.settings())
    admin = ca.leaf("admin:alice").client
    async with AsyncExitStack() as stack:
        before = await stack.enter_async_context(open_channel(address, admin, OWN))
        assert await ask(before) == "admin:alice"
        # Another authority altogether: who is of the former one may no longer connect.
        successor = TestAuthority(tmp_path / "successor")
        fresh = successor.leaf("scheduler:s1")
        for old, new in (
            (leaf.ca_file, fresh.ca_file),
            (leaf.cert_file, fresh.cert_file),
            (leaf.key_file, fresh.key_file),
        ):
            new.rename(old)
        assert "not from a CA" in await refused(address, _with_ca(admin, tmp_path, ca))
        ours = successor.leaf("admin:bob").client
        ours = ClientTls(str(leaf.ca_file), ours.cert_file, ours.key_file)
        assert await ask_once(address, ours) == "admin:bob"
        assert await ask(before) == "admin:alice"


def _with_ca(tls: ClientTls, folder: Path, ca: TestAuthority) -> ClientTls:
    """The same client, with the former CA's certificate in a file of its own."""
    former = folder / "former-ca"
    former.write_bytes(ca.authority.issued.cert)
    return ClientTls(str(former), tls.cert_file, tls.key_file)


async def test_a_half_replaced_set_is_not_used(ca: TestAuthority, serve: Serve):
    leaf = ca.leaf("scheduler:s1")
    address = await serve(leaf.settings())
    admin = ca.leaf("admin:alice").client
    old = leaf.key_file.read_bytes()
    other = ca.leaf("scheduler:s1", folder="new")
    other.key_file.rename(leaf.key_file)
    assert await ask_once(address, admin) == "admin:alice"
    leaf.key_file.unlink()
    assert await ask_once(address, admin) == "admin:alice"
    leaf.key_file.write_bytes(old)
    assert await ask_once(address, admin) == "admin:alice"


async def test_a_dialer_reads_its_files_for_each_channel(ca: TestAuthority, serve: Serve):
    address = await serve(ca.leaf("scheduler:s1").settings())
    leaf = ca.leaf("admin:alice")
    dialer = Dialer(leaf.client)
    async with dialer.open(address, OWN) as first:
        assert await ask(first) == "admin:alice"
        assert not dialer.is_stale(first)
        _become(leaf, ca.leaf("admin:bob"))
        assert dialer.is_stale(first)
        async with dialer.open(address, OWN) as second:
            assert await ask(second) == "admin:bob"
            assert not dialer.is_stale(second)
        assert dialer.is_stale(first)
        leaf.key_file.unlink()
        async with dialer.open(address, OWN) as third:
            assert await ask(third) == "admin:bob"


def test_plaintext_channels_are_never_stale():
    dialer = Dialer(None)
    with dialer.open_sync("127.0.0.1:1") as channel:
        assert not dialer.is_stale(channel)


def _become(leaf: Leaf, other: Leaf) -> None:
    other.cert_file.rename(leaf.cert_file)
    other.key_file.rename(leaf.key_file)
