"""Which etcd programs are accepted, and what a user is told about the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.etcd.api import StoreStatus
from quorate.etcd.server import binary
from quorate.runtime.errors import QuorateError


def fake_etcd(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "etcd"
    path.write_text(f"#!/bin/sh\necho 'etcd Version: {version}'\necho 'Git SHA: abc'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def empty_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system without etcd; the folder on PATH."""
    on_path = tmp_path / "bin"
    on_path.mkdir()
    monkeypatch.setenv("PATH", f"{on_path}")
    monkeypatch.delenv("QUORATE_ETCD_BIN", raising=False)
    monkeypatch.setattr(binary, "_folders", lambda: [tmp_path / ".etcd"])
    return on_path


def test_where_a_home_cannot_be_read_there_is_no_etcd(
    empty_system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may read everything; a name as long is an OSError to everybody.
    monkeypatch.setattr(binary, "_folders", lambda: [empty_system / ("x" * 300)])
    with pytest.raises(QuorateError, match="etcd was not found") as refusal:
        binary.find_etcd()
    assert refusal.value.reason == "ETCD_NOT_FOUND"


@pytest.mark.parametrize("version", ["3.5.0", "3.5.1", "3.5.2"])
def test_versions_that_lose_acknowledged_writes_are_refused(
    version: str, empty_system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORATE_ETCD_BIN", str(fake_etcd(empty_system, version)))
    with pytest.raises(QuorateError) as rejection:
        binary.find_etcd()
    assert rejection.value.reason == "ETCD_VERSION_UNSAFE"
    assert version in rejection.value.message
    assert "lose acknowledged writes" in rejection.value.message


@pytest.mark.parametrize("version", ["3.4.0", "3.4.23", "3.5.3", "3.5.28", "3.6.9", "3.6.0-rc.1"])
def test_other_versions_from_3_4_on_are_accepted(version: str, empty_system: Path) -> None:
    path = fake_etcd(empty_system, version)
    found = binary.find_etcd()
    assert (found.path, found.version, found.etcdctl) == (path, version, None)


@pytest.mark.parametrize("version", ["3.3.27", "2.3.8"])
def test_versions_before_3_4_are_refused(version: str, empty_system: Path) -> None:
    fake_etcd(empty_system, version)
    with pytest.raises(QuorateError, match=r"use etcd 3\.4 or later"):
        binary.find_etcd()


def test_a_running_server_is_held_to_the_same_versions() -> None:
    def status(version: str) -> StoreStatus:
        return StoreStatus(version, 0, 0, 1, 1, 1)

    binary.check_server_version(status("3.5.3"))
    with pytest.raises(QuorateError) as rejection:
        binary.check_server_version(status("3.5.1"))
    assert rejection.value.reason == "ETCD_VERSION_UNSAFE"
    with pytest.raises(QuorateError) as rejection:
        binary.check_server_version(status("unheard of"))
    assert rejection.value.reason == "ETCD_VERSION_UNKNOWN"


def test_the_named_program_wins_over_path_and_path_over_the_checkout(
    empty_system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = fake_etcd(tmp_path / ".etcd" / "unpacked" / "usr" / "bin", "3.4.23")
    assert binary.find_etcd().path == unpacked
    on_path = fake_etcd(empty_system, "3.4.24")
    assert binary.find_etcd().path == on_path
    named = fake_etcd(tmp_path / "named", "3.4.25")
    monkeypatch.setenv("QUORATE_ETCD_BIN", str(named))
    assert binary.find_etcd().path == named


def test_a_named_program_that_is_missing_is_not_replaced_by_another(
    empty_system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_etcd(empty_system, "3.4.23")
    monkeypatch.setenv("QUORATE_ETCD_BIN", str(tmp_path / "missing"))
    with pytest.raises(QuorateError) as rejection:
        binary.find_etcd()
    assert rejection.value.reason == "ETCD_NOT_FOUND"
    assert "QUORATE_ETCD_BIN" in rejection.value.message


def test_a_program_that_is_not_etcd_is_refused(
    empty_system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = empty_system / "etcd"
    path.write_text("#!/bin/sh\necho hello\n")
    path.chmod(0o755)
    with pytest.raises(QuorateError) as rejection:
        binary.find_etcd()
    assert rejection.value.reason == "ETCD_VERSION_UNKNOWN"


def test_without_etcd_the_command_to_type_is_named(
    empty_system: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert binary.main([]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "apt-get install etcd-server" in told.err
    assert told.err.count("\n") == 1


def test_the_command_prints_where_etcd_is(
    empty_system: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fake_etcd(empty_system, "3.4.23")
    assert binary.main(["--no-fetch"]) == 0
    assert capsys.readouterr().out == f"etcd 3.4.23: {path}\n"


def test_stray_etcd_settings_do_not_reach_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_UNSAFE_NO_FSYNC", "true")
    assert "ETCD_UNSAFE_NO_FSYNC" not in binary.etcd_environment()


def test_an_installed_package_keeps_its_etcd_in_the_users_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "site-packages" / "quorate" / "etcd" / "binary.py"
    monkeypatch.setattr(binary, "__file__", str(module))
    monkeypatch.setenv("HOME", str(tmp_path))
    # The XDG specification: relative paths are ignored.
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_DATA_HOME", value)
        assert binary._folders() == [tmp_path / ".local/share/quorate/etcd"]
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert binary._folders() == [tmp_path / "data/quorate/etcd"]


_CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/support-policy.md", "docs/kubernetes.md"])
def test_every_text_names_the_same_versions_of_etcd(page: str) -> None:
    text = " ".join((_CHECKOUT / page).read_text().split())
    assert binary.USABLE in text
    assert f"for production, use {binary.RECOMMENDED}" in text.lower()
