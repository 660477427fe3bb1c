"""What each process refuses to start with, and what it serves once it has started with TLS."""

from __future__ import annotations

import os
import socket
import ssl
import urllib.request
from pathlib import Path

import pytest
from cryptography import x509

from quorate.runtime.network.free_port import free_port
from quorate.security.tls.server import server_ssl_context
from tests.support import forked
from tests.support.gateway import run_gateway
from tests.support.tls import Leaf, TestAuthority

FLAGS = {
    "scheduler": (),
    "node_agent": ("--name", "n1"),
    "gateway": ("--tls-client-auth", "require"),
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are told by flags alone."""
    for name in [name for name in os.environ if name.startswith("QUORATE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def ca(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "ca")


def refused(module: str, *flags: str) -> str:
    """The one line with which a process does not start."""
    done = forked.run(module, *FLAGS[module], *flags)
    assert done.code == 2, done
    assert "Traceback" not in done.err
    (line,) = done.err.splitlines()
    return line


@pytest.mark.parametrize("module", FLAGS)
def test_half_a_set_of_files_is_refused_in_one_sentence(ca: TestAuthority, module: str):
    # All of what may be wrong with a set is in tests/unit/test_security_tls_files.py.
    leaf, other = ca.leaf("scheduler:s1"), ca.leaf("scheduler:s2")
    cert, _, authority = leaf.flags
    for flags, words in (
        ((cert, authority), "--tls-key-file: is missing"),
        ((cert, f"--tls-key-file={other.key_file}", authority), "--tls-key-file: the key in"),
    ):
        assert words in refused(module, *flags)


def test_a_gateway_refuses_half_a_set_for_the_schedulers(ca: TestAuthority):
    leaf = ca.leaf("gateway:g1")
    files = {"ca": leaf.ca_file, "cert": leaf.cert_file, "key": leaf.key_file}
    for given, words in (
        (("cert", "key"), "scheduler-tls-ca-file: is missing"),
        (("ca", "cert"), "scheduler-tls-key-file: is missing"),
    ):
        flags = [f"--scheduler-tls-{name}-file={files[name]}" for name in given]
        assert words in refused("gateway", *flags)


@pytest.mark.parametrize("module", FLAGS)
def test_an_address_that_others_reach_needs_tls_and_knowing_them(ca: TestAuthority, module: str):
    exposed = f"0.0.0.0:{free_port()}"
    said = refused(module, "--tls-client-auth", "none", "--listen", exposed)
    assert "--insecure" in said
    assert "set TLS" in said
    leaf = ca.leaf("scheduler:s1")
    said = refused(module, *leaf.flags, "--tls-client-auth", "none", "--listen", exposed)
    assert "authentication, or --insecure" in said


def fetch(address: str, leaf: Leaf | None, ca: Path) -> bytes:
    context = ssl.create_default_context(cafile=str(ca))
    if leaf is not None:
        context.load_cert_chain(leaf.cert_file, leaf.key_file)
    with urllib.request.urlopen(f"https://{address}/healthz", context=context) as answer:
        return bytes(answer.read())


def serial(address: str) -> int:
    """Of the certificate that a server shows now."""
    host, _, port = address.rpartition(":")
    return x509.load_pem_x509_certificate(
        ssl.get_server_certificate((host, int(port))).encode()
    ).serial_number


def test_a_gateway_serves_https_and_follows_its_files(ca: TestAuthority):
    leaf, admin = ca.leaf("gateway:g1"), ca.leaf("admin:alice")
    with run_gateway(["127.0.0.1:1"], *leaf.flags) as gateway:
        assert b"ok" in fetch(gateway.address, None, ca.ca_file)
        assert b"ok" in fetch(gateway.address, admin, ca.ca_file)
        before = serial(gateway.address)
        assert serial(gateway.address) == before
        ca.leaf("gateway:g1")
        assert serial(gateway.address) != before
        assert b"ok" in fetch(gateway.address, admin, ca.ca_file)


def test_a_gateway_may_require_certificates(ca: TestAuthority, tmp_path: Path):
    leaf = ca.leaf("gateway:g1")
    stranger = TestAuthority(tmp_path / "other").leaf("admin:mallory")
    flags = (*leaf.flags, "--tls-client-auth=require")
    with run_gateway(["127.0.0.1:1"], *flags) as gateway:
        assert b"ok" in fetch(gateway.address, ca.leaf("admin:alice"), ca.ca_file)
        for shown in (None, stranger):
            with pytest.raises(OSError, match=r"(?i)alert|reset|EOF|closed"):
                fetch(gateway.address, shown, ca.ca_file)
        # Plain HTTP gets no answer either.
        host, _, port = gateway.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=60) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP/" not in plain.recv(100)


def test_a_certificate_that_is_shown_is_verified_where_none_is_required(
    ca: TestAuthority, tmp_path: Path
):
    leaf = ca.leaf("gateway:g1")
    stranger = TestAuthority(tmp_path / "other").leaf("admin:mallory")
    with (
        run_gateway(["127.0.0.1:1"], *leaf.flags) as gateway,
        pytest.raises(OSError, match=r"(?i)alert|reset|EOF|closed"),
    ):
        fetch(gateway.address, stranger, ca.ca_file)


def test_http_below_tls_1_2_is_refused(ca: TestAuthority):
    context = server_ssl_context(ca.leaf("gateway:g1").settings())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
