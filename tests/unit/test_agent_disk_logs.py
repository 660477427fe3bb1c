"""A disk that cannot be written: which logs are deleted, and what a probe of it finds."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from node_agent.core.disk import Probe, Shortage
from node_agent.engine import disk as disks
from node_agent.engine.disk import probe_of
from node_agent.logs import retention as log_retention
from node_agent.logs.attempt_log import LogStore
from node_agent.logs.retention import Sweep

MIB = 1 << 20
RESERVE = 64 * MIB
NO_SPACE = "No space left on device"


def probe(free: int = 1000, *, total: int = 100_000, error: str = "", full: bool = False) -> Probe:
    """Sizes in MiB."""
    return Probe(free * MIB, total * MIB, error=error, full=full)


# -- logs --------------------------------------------------------------------------------------


def write(logs: LogStore, task: str, age: float, size: int = 40_000) -> Path:
    directory = logs.directory(task, 1)
    directory.mkdir(parents=True)
    (directory / "stdout").write_bytes(b"x" * size)
    os.utime(directory / "stdout", (1e9 - age, 1e9 - age))
    return directory


def sweep(logs: LogStore, shortage: Shortage, spared: frozenset[str] = frozenset()) -> int:
    found, deleted = Sweep(logs.root, shortage), 0
    while not found.done:
        deleted += found.step(spared)
    return deleted


def test_the_oldest_logs_go_until_the_shortage_is_over(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    kept = [write(logs, f"t{age}", age) for age in range(5)]
    assert sweep(logs, Shortage(bytes=60_000, files=0)) == 2
    assert [directory.exists() for directory in kept] == [True, True, True, False, False]
    assert not kept[-1].parent.exists()
    assert sweep(logs, Shortage(bytes=0, files=3)) == 2, "a file and its directory each"


def test_logs_of_programs_that_run_and_the_newest_to_be_kept_stay(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    kept = [write(logs, f"t{age}", age) for age in range(5)]
    logs.begin("t4", 1)
    assert sweep(logs, Shortage(1 << 40, 0, keep=80_000), frozenset(logs.running)) == 2
    assert [directory.exists() for directory in kept] == [True, True, False, False, True]
    logs.end("t4", 1)
    assert sweep(logs, Shortage(1 << 40, 0), frozenset(logs.running)) == 3


def test_a_sweep_has_bounded_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_retention, "_STEP_ATTEMPTS", 2)
    logs = LogStore(tmp_path)
    for age in range(5):
        write(logs, f"t{age}", age)
    found = Sweep(logs.root, Shortage(1 << 40, 0))
    assert [found.step(()) for _ in range(3)] == [2, 2, 1]
    assert found.done


def test_logs_that_cannot_be_deleted_end_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = LogStore(tmp_path)
    write(logs, "t", 1)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    assert sweep(logs, Shortage(1 << 40, 0)) == 0


# -- the probe ---------------------------------------------------------------------------------


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    for careful in (False, True):
        found = probe_of(str(tmp_path), writes=True, careful=careful)
        assert (found.error, found.full) == ("", False)
        assert found.total > found.free > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "error", "full"),
    [
        (errno.ENOSPC, NO_SPACE, True),
        (errno.EDQUOT, "Disk quota exceeded", True),
        (errno.EIO, "Input/output error", False),
        (errno.EROFS, "Read-only file system", False),
        (errno.EMFILE, "", False),
    ],
)
def test_a_probe_says_why_a_write_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: str, full: bool
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", fail)
    found = probe_of(str(tmp_path), writes=True, careful=False)
    assert (found.error, found.full) == (error, full)
    assert list(tmp_path.iterdir()) == []


def test_a_probe_follows_no_link_that_a_task_made(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "probe").symlink_to(tmp_path / "precious")
    assert probe_of(str(tmp_path), writes=True, careful=False).error
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_directory_that_is_gone_cannot_be_written(tmp_path: Path) -> None:
    assert probe_of(str(tmp_path / "gone"), writes=False, careful=False).error


def test_a_start_on_a_full_disk_makes_room_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = LogStore(tmp_path)
    write(logs, "t", 1)
    monkeypatch.setattr(disks, "probe_of", lambda *_, **__: probe(10))
    disks.make_room(tmp_path, logs.root, RESERVE)
    assert list(logs.root.iterdir()) == []
