"""`quorate certs`: what it makes, what it refuses to touch, what it says."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from cryptography import x509

from quorate.cli.app import run
from quorate.security.tls.server import TlsSettings


def certs(*arguments: object) -> int:
    return run(["certs", *map(str, arguments)])


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def hosts(path: Path) -> set[str]:
    names = certificate(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def test_init_makes_a_set_for_each_role_that_works_at_once(tmp_path: Path):
    folder = tmp_path / "certs"
    assert certs("init", "--dir", folder) == 0
    stems = {"ca", "scheduler-s1", "scheduler-s2", "node-n1", "gateway-g1", "admin-admin"}
    assert {path.name for path in folder.iterdir()} == {
        f"{s}.{e}" for s in stems for e in ("crt", "key")
    }
    for stem in stems - {"ca"}:
        settings = TlsSettings(
            tls_cert_file=str(folder / f"{stem}.crt"),
            tls_key_file=str(folder / f"{stem}.key"),
            tls_ca_file=str(folder / "ca.crt"),
        )
        assert settings.mutual_tls
    ca = certificate(folder / "ca.crt")
    certificate(folder / "node-n1.crt").verify_directly_issued_by(ca)
    assert certificate(folder / "node-n1.crt").subject.rfc4514_string() == "CN=node:n1"
    assert hosts(folder / "node-n1.crt") == {"localhost", "127.0.0.1", "::1"}


def test_keys_are_for_their_owner_only_whatever_the_umask(tmp_path: Path):
    folder = tmp_path / "certs"
    before = os.umask(0)
    try:
        assert certs("init", "--dir", folder) == 0
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.suffix: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {".key": 0o600, ".crt": 0o644}


def test_names_hosts_and_days_are_as_asked_for(tmp_path: Path):
    asked = ("--node", "a", "--node", "b", "--scheduler", "z", "--gateway", "g", "--admin", "alice")
    more = ("--host", "node.example", "--host", "10.1.2.3", "--days", 7)
    assert certs("init", "--dir", tmp_path, *asked, *more) == 0
    stems = {path.stem for path in tmp_path.glob("*.crt")}
    assert stems == {"ca", "node-a", "node-b", "scheduler-z", "gateway-g", "admin-alice"}
    assert {"node.example", "10.1.2.3"} < hosts(tmp_path / "node-b.crt")
    left = certificate(tmp_path / "node-a.crt").not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=6.9) < left < dt.timedelta(days=7)
    with pytest.raises(x509.ExtensionNotFound):
        hosts(tmp_path / "admin-alice.crt")


def test_init_says_what_to_do_next(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert certs("init", "--dir", tmp_path / "c") == 0
    said = capfd.readouterr()
    assert "scheduler:s1" in said.out
    key = tmp_path / "c" / "scheduler-s1.key"
    assert f"python -m scheduler --tls-ca-file {tmp_path / 'c' / 'ca.crt'}" in said.err
    assert f"--tls-key-file {key}" in said.err
    assert "PRIVATE" not in said.out + said.err


def test_files_that_exist_are_replaced_only_by_force(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    (tmp_path / "node-n1.key").write_text("precious")
    assert certs("init", "--dir", tmp_path) == 5
    assert "--force" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["node-n1.key"]
    assert (tmp_path / "node-n1.key").read_text() == "precious"
    assert certs("init", "--dir", tmp_path, "--force") == 0
    assert "PRIVATE KEY" in (tmp_path / "node-n1.key").read_text()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--host", "no host"), "neither a DNS name nor an IP address"),
        (("--node", "a:b"), "role:name"),
        (("--node", "x" * 60), "role:name"),
        (("--node", "a", "--node", "a"), "given twice"),
        (("--days", 0), "days: 0 must be 1 to 3650"),
        (("--days", 3651), "days: 3651 must be 1 to 3650"),
    ],
)
def test_what_makes_no_certificate_is_refused_and_nothing_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], wrong: tuple[object, ...], words: str
):
    assert certs("init", "--dir", tmp_path / "c", *wrong) == 2
    assert words in capfd.readouterr().err
    assert not (tmp_path / "c").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    assert certs("init", "--dir", tmp_path / "file" / "c") == 5
    assert "cannot be used: Not a directory" in capfd.readouterr().err


def test_one_more_is_issued_by_the_same_authority(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    assert certs("init", "--dir", tmp_path) == 0
    assert certs("issue", "node:n7", "--dir", tmp_path, "--host", "n7.example") == 0
    leaf = certificate(tmp_path / "node-n7.crt")
    leaf.verify_directly_issued_by(certificate(tmp_path / "ca.crt"))
    assert "n7.example" in hosts(tmp_path / "node-n7.crt")
    assert str(tmp_path / "node-n7.key") in capfd.readouterr().out
    assert certs("issue", "submitter:ci", "--dir", tmp_path, "--client-only") == 0
    with pytest.raises(x509.ExtensionNotFound):
        hosts(tmp_path / "submitter-ci.crt")


def test_a_leaf_is_renewed_by_force_only(tmp_path: Path):
    assert certs("init", "--dir", tmp_path) == 0
    before = certificate(tmp_path / "node-n1.crt").serial_number
    assert certs("issue", "node:n1", "--dir", tmp_path) == 5
    assert certificate(tmp_path / "node-n1.crt").serial_number == before
    assert certs("issue", "node:n1", "--dir", tmp_path, "--force") == 0
    assert certificate(tmp_path / "node-n1.crt").serial_number != before


def test_without_an_authority_nothing_is_issued(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert certs("issue", "node:n1", "--dir", tmp_path) == 2
    assert f"no CA in {tmp_path}" in capfd.readouterr().err
    assert certs("issue", "node:n1", "--dir", tmp_path, "--client-only", "--host", "a") == 2
