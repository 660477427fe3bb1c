"""The SDK against a server with TLS: what it sends, what it says when nothing comes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from quorate import AsyncClient, Client, ClientTls
from quorate.runtime.errors import QuorateError
from quorate.security.tls.server import TlsSettings, server_credentials
from quorate.v1 import cluster_pb2, scheduler_pb2, scheduler_pb2_grpc
from tests.support.tls import TestAuthority


class _Scheduler(scheduler_pb2_grpc.SchedulerServicer):
    """Names the cluster after its caller, and remembers the caller's token."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def GetCluster(self, request: Any, context: Any) -> Any:
        sent = dict(context.invocation_metadata())
        self.tokens.append(sent.get("authorization", ""))
        (name,) = context.auth_context().get("x509_common_name", [b"nobody"])
        cluster = cluster_pb2.Cluster(name=name.decode())
        return scheduler_pb2.GetClusterResponse(cluster=cluster)


class Served:
    """A server of its own; `start` again listens on the same port."""

    def __init__(self) -> None:
        self.scheduler = _Scheduler()
        self.port = 0
        self._server: Any = None

    def start(self, settings: TlsSettings | None) -> str:
        self._server = grpc.server(ThreadPoolExecutor(2), options=(("grpc.so_reuseport", 0),))
        scheduler_pb2_grpc.add_SchedulerServicer_to_server(self.scheduler, self._server)
        where = f"127.0.0.1:{self.port}"
        if settings is None:
            self.port = self._server.add_insecure_port(where)
        else:
            self.port = self._server.add_secure_port(where, server_credentials(settings))
        self._server.start()
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.stop(None).wait()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.stop()


@pytest.fixture
def ca(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "ca")


def test_a_client_shows_its_certificate_and_its_token(ca: TestAuthority, served: Served):
    address = served.start(ca.leaf("scheduler:s1").settings())
    with Client(address, tls=ca.leaf("admin:alice").client, token="t0ken") as client:
        assert client.cluster().name == "admin:alice"
    assert served.scheduler.tokens == ["Bearer t0ken"]


async def test_an_async_client_does_so_too(ca: TestAuthority, served: Served):
    address = served.start(ca.leaf("scheduler:s1").settings())
    alice = ca.leaf("admin:alice").client
    async with AsyncClient(address, tls=alice, token="t0ken") as client:
        assert (await client.cluster()).name == "admin:alice"
    assert served.scheduler.tokens == ["Bearer t0ken"]


def test_the_environment_is_enough(
    ca: TestAuthority, served: Served, monkeypatch: pytest.MonkeyPatch
):
    address = served.start(ca.leaf("scheduler:s1").settings())
    leaf = ca.leaf("admin:alice")
    for name, path in (("CA", leaf.ca_file), ("CERT", leaf.cert_file), ("KEY", leaf.key_file)):
        monkeypatch.setenv(f"QUORATE_TLS_{name}_FILE", str(path))
    with Client(address) as client:
        assert client.cluster().name == "admin:alice"


def test_a_server_of_another_authority_is_told_of_at_once(
    ca: TestAuthority, served: Served, tmp_path: Path
):
    other = TestAuthority(tmp_path / "other")
    address = served.start(other.leaf("scheduler:s1").settings())
    began = time.monotonic()
    with (
        Client(address, tls=ca.leaf("admin:alice").client, retry_for=60) as client,
        pytest.raises(QuorateError, match=r"not from a CA of --tls-ca-file") as caught,
    ):
        client.cluster()
    assert caught.value.reason == "TLS_FAILED"
    assert time.monotonic() - began < 20


async def test_an_expired_server_is_told_of_at_once(ca: TestAuthority, served: Served):
    address = served.start(ca.leaf("scheduler:s1").settings())
    ca.leaf("scheduler:s1", days=-1)
    async with AsyncClient(address, tls=ca.leaf("admin:alice").client) as client:
        with pytest.raises(QuorateError, match="has expired"):
            await client.cluster()


def test_a_missing_certificate_is_told_of_when_patience_ends(ca: TestAuthority, served: Served):
    leaf = ca.leaf("scheduler:s1")
    address = served.start(leaf.settings())
    for tls, words in ((leaf.anonymous, "asks for a client certificate"), (None, "speaks TLS")):
        with (
            Client(address, tls=tls, retry_for=0.3) as client,
            pytest.raises(QuorateError, match=words),
        ):
            client.cluster()


def test_half_a_set_of_files_is_refused_before_anything_is_sent(ca: TestAuthority):
    leaf = ca.leaf("admin:alice")
    with pytest.raises(QuorateError, match="tls-key-file: is missing"):
        Client("127.0.0.1:1", tls=ClientTls(str(leaf.ca_file), str(leaf.cert_file)))


def _renew(ca: TestAuthority, tmp_path: Path) -> TlsSettings:
    """A new authority takes over: its files replace those of the old one; the server's settings."""
    successor = TestAuthority(tmp_path / "successor")
    for subject in ("scheduler:s1", "admin:alice"):
        old, new = ca.leaf(subject), successor.leaf(subject)
        new.cert_file.rename(old.cert_file)
        new.key_file.rename(old.key_file)
    successor.ca_file.rename(ca.ca_file)
    return TlsSettings(
        tls_cert_file=str(ca.folder / "scheduler-s1.crt"),
        tls_key_file=str(ca.folder / "scheduler-s1.key"),
        tls_ca_file=str(ca.ca_file),
    )


def test_a_client_connects_again_with_the_certificates_of_the_day(
    ca: TestAuthority, served: Served, tmp_path: Path
):
    address = served.start(ca.leaf("scheduler:s1").settings())
    with Client(address, tls=ca.leaf("admin:alice").client, retry_for=20) as client:
        assert client.cluster().name == "admin:alice"
        served.stop()
        served.start(_renew(ca, tmp_path))
        assert client.cluster().name == "admin:alice"


async def test_an_async_client_connects_again_too(
    ca: TestAuthority, served: Served, tmp_path: Path
):
    address = served.start(ca.leaf("scheduler:s1").settings())
    async with AsyncClient(address, tls=ca.leaf("admin:alice").client, retry_for=20) as client:
        assert (await client.cluster()).name == "admin:alice"
        served.stop()
        served.start(_renew(ca, tmp_path))
        assert (await client.cluster()).name == "admin:alice"
