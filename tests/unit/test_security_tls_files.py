"""What a set of certificate files must be like before a process starts with it."""

from __future__ import annotations

import datetime as dt
import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from quorate.runtime.errors import QuorateError
from quorate.security.tls.certs import Authority
from quorate.security.tls.pem import PemFiles, TlsError
from quorate.security.tls.server import ClientTls, Dialer, TlsSettings
from tests.support.tls import Leaf, TestAuthority

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def ca(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "ca")


@pytest.fixture
def leaf(ca: TestAuthority) -> Leaf:
    return ca.leaf("scheduler:s1")


def refused(**values: str) -> str:
    """The one sentence with which settings are refused."""
    with pytest.raises(ValidationError) as caught:
        TlsSettings(**values)
    (fault,) = caught.value.errors()
    return str(fault["msg"]).removeprefix("Value error, ")


def test_nothing_given_is_plaintext():
    settings = TlsSettings()
    assert not settings.tls
    assert not settings.mutual_tls
    assert settings.client_tls is None


def test_a_whole_set_is_mutual_tls(leaf: Leaf):
    settings = leaf.settings()
    assert settings.mutual_tls
    assert settings.client_tls == leaf.client
    assert not leaf.settings("none").mutual_tls


def test_half_a_set_is_refused_and_the_missing_flag_named(leaf: Leaf):
    cert, key, ca = str(leaf.cert_file), str(leaf.key_file), str(leaf.ca_file)
    assert refused(tls_cert_file=cert, tls_ca_file=ca).startswith("tls-key-file: is missing")
    assert refused(tls_key_file=key).startswith("tls-cert-file: is missing")
    assert refused(tls_ca_file=ca).startswith("tls-cert-file: is missing")
    assert refused(tls_cert_file=cert, tls_key_file=key).startswith("tls-ca-file: is missing")
    alone = TlsSettings(tls_cert_file=cert, tls_key_file=key, tls_client_auth="none")
    assert alone.tls


def test_a_file_that_cannot_be_read_is_named(leaf: Leaf, tmp_path: Path):
    whole = {
        "tls_cert_file": str(leaf.cert_file),
        "tls_key_file": str(leaf.key_file),
        "tls_ca_file": str(leaf.ca_file),
    }
    gone = str(tmp_path / "gone")
    for name in whole:
        said = refused(**{**whole, name: gone})
        assert said == f"{name.replace('_', '-')}: cannot read {gone}: No such file or directory"


def test_what_is_no_pem_is_refused(leaf: Leaf, tmp_path: Path):
    junk = tmp_path / "junk"
    junk.write_text("-----BEGIN NONSENSE-----\n")
    files = PemFiles(str(leaf.cert_file), str(leaf.key_file), str(leaf.ca_file))
    for name, words in (
        ("cert_file", "no certificate"),
        ("key_file", "no private key"),
        ("ca_file", "no certificate"),
    ):
        broken = {n: getattr(files, n) for n in ("cert_file", "key_file", "ca_file")}
        with pytest.raises(TlsError, match=words) as caught:
            PemFiles(**{**broken, name: str(junk)}).read()
        assert caught.value.flag == f"tls-{name.replace('_', '-')}"


def test_a_huge_file_is_refused_without_reading_it_all(leaf: Leaf, tmp_path: Path):
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TlsError, match="larger than 4 MiB"):
        PemFiles(ca_file=str(huge)).read()


def test_a_key_of_another_certificate_is_refused(ca: TestAuthority, leaf: Leaf):
    other = ca.leaf("scheduler:s2")
    said = refused(
        tls_cert_file=str(leaf.cert_file),
        tls_key_file=str(other.key_file),
        tls_ca_file=str(leaf.ca_file),
    )
    assert said.startswith("tls-key-file: the key in")
    assert "does not belong to the certificate" in said


def test_an_encrypted_key_is_refused(leaf: Leaf, tmp_path: Path):
    key = serialization.load_pem_private_key(leaf.key_file.read_bytes(), None)
    leaf.key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(TlsError, match="encrypted"):
        Dialer(leaf.client)


def test_an_expired_certificate_is_refused_with_its_date(ca: TestAuthority):
    expired = ca.leaf("scheduler:s1", days=-1)
    with pytest.raises(ValidationError, match="expired on 20") as caught:
        expired.settings()
    assert "tls-cert-file" in str(caught.value)


def test_a_certificate_of_the_far_future_is_refused(tmp_path: Path):
    issued = Authority.create("ca", now=NOW, days=90).issue(
        "node:n1", hosts=["localhost"], now=NOW, days=30
    )
    cert, key = tmp_path / "c", tmp_path / "k"
    issued.write(cert, key)
    files = PemFiles(str(cert), str(key))
    files.check(NOW - dt.timedelta(hours=12))
    with pytest.raises(TlsError, match="not valid before 2029-12-31"):
        files.check(NOW - dt.timedelta(days=2))
    with pytest.raises(TlsError, match="expired on 2030-01-31"):
        files.check(NOW + dt.timedelta(days=31))


def test_client_auth_is_one_of_two(leaf: Leaf):
    with pytest.raises(ValidationError, match="tls_client_auth"):
        leaf.settings("maybe")


def test_a_stamp_follows_links_and_changes_with_what_they_show(tmp_path: Path):
    """As Kubernetes updates a mounted secret: one link is moved to another folder."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "tls.crt").write_text(version)
    (tmp_path / "data").symlink_to("one")
    files = PemFiles(cert_file=str(tmp_path / "data" / "tls.crt"))
    before = files.stamp()
    assert files.stamp() == before
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")
    assert files.stamp() != before
    (tmp_path / "data").unlink()
    assert files.stamp() != before


def test_keys_are_for_their_owner_only_and_never_half_written(ca: TestAuthority, leaf: Leaf):
    for key in (ca.folder / "ca.key", leaf.key_file):
        assert os.stat(key).st_mode & 0o777 == 0o600
    assert not list(ca.folder.glob(".*"))


def test_a_leaf_says_who_and_where_it_is(ca: TestAuthority):
    leaf = ca.leaf("node:n1", hosts=["n1.example", "10.0.0.7", "::1"])
    cert = x509.load_pem_x509_certificate(leaf.cert_file.read_bytes())
    assert cert.subject.rfc4514_string() == "CN=node:n1"
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7", "::1"]
    cert.verify_directly_issued_by(ca.authority.cert)
    assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_leaf_is_never_valid_longer_than_its_authority(ca: TestAuthority):
    leaf = ca.leaf("node:n1", days=10_000)
    cert = x509.load_pem_x509_certificate(leaf.cert_file.read_bytes())
    assert cert.not_valid_after_utc == ca.authority.cert.not_valid_after_utc


@pytest.mark.parametrize("subject", ["", "alice", "a:b:c", "admin:", "admin:" + "x" * 60, "é:x"])
def test_a_subject_is_role_and_name(ca: TestAuthority, subject: str):
    with pytest.raises(QuorateError, match="role:name"):
        ca.leaf(subject)


def test_an_authority_made_here_satisfies_the_strictest_verification(ca: TestAuthority):
    leaf = ca.leaf("gateway:g1")
    context = ssl.create_default_context(cafile=str(ca.ca_file))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(leaf.cert_file, leaf.key_file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = context.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (here, there, here, there):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert here.version() == "TLSv1.3"


def test_a_client_without_files_that_can_be_read_is_refused(tmp_path: Path):
    with pytest.raises(TlsError, match="tls-ca-file"):
        Dialer(ClientTls(ca_file=str(tmp_path / "gone")))
