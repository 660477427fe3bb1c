"""The pump: nothing before the first byte, bounds, and a full disk that nobody waits for."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path

import pytest

from node_agent.spawner.outputs import pump as pumps
from node_agent.spawner.outputs.pump import INDEX, RECORD, Output, Pump


class Pumping:
    """A pump that notes what it says."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.late: list[str] = []
        self.pump = Pump(
            select.epoll(),
            lambda output, error: self.failed.append(os.strerror(error.errno or 0)),
            lambda output: self.late.append(output.directory),
        )

    def open(self, directory: Path) -> tuple[Output, int]:
        output, stdout, stderr = self.pump.open(str(directory), None)
        os.close(stderr)
        return output, stdout


@pytest.fixture
def pumping() -> Pumping:
    return Pumping()


def test_nothing_is_made_before_the_first_byte(tmp_path: Path, pumping: Pumping) -> None:
    output, end = pumping.open(tmp_path / "a" / "1")
    pumping.pump.drain(output)
    assert not (tmp_path / "a").exists()
    os.write(end, b"x")
    pumping.pump.drain(output)
    assert (tmp_path / "a" / "1" / "stdout").read_bytes() == b"x"
    assert sorted(os.listdir(tmp_path / "a" / "1")) == [INDEX, "stdout"]
    pumping.pump.close(output)
    assert pumping.pump.owners == {}


def test_a_full_disk_empties_the_pipe_all_the_same_and_is_told_once(
    tmp_path: Path, pumping: Pumping, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, end = pumping.open(tmp_path / "log")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("node_agent.spawner.outputs.pump.os.write", full)
        for _ in range(3):
            patched.undo()
            os.write(end, b"lost")
            patched.setattr("node_agent.spawner.outputs.pump.os.write", full)
            pumping.pump.drain(output)
    os.write(end, b"kept")
    pumping.pump.drain(output)
    assert (tmp_path / "log" / "stdout").read_bytes() == b"kept"
    assert pumping.failed == ["No space left on device"]


def test_a_directory_that_cannot_be_made_is_tried_again(tmp_path: Path, pumping: Pumping) -> None:
    (tmp_path / "log").write_text("a file where the directory belongs")
    output, end = pumping.open(tmp_path / "log")
    os.write(end, b"lost")
    pumping.pump.drain(output)
    (tmp_path / "log").unlink()
    os.write(end, b"kept")
    pumping.pump.drain(output)
    assert (tmp_path / "log" / "stdout").read_bytes() == b"kept"


def test_a_disk_that_takes_a_part_is_asked_for_the_rest(
    tmp_path: Path, pumping: Pumping, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, end = pumping.open(tmp_path / "log")
    os.write(end, b"0123456789")
    real = os.write
    monkeypatch.setattr(
        "node_agent.spawner.outputs.pump.os.write", lambda file, data: real(file, bytes(data[:3]))
    )
    pumping.pump.drain(output)
    assert (tmp_path / "log" / "stdout").read_bytes() == b"0123456789"


def test_what_comes_after_the_end_is_kept_up_to_a_bound(tmp_path: Path, pumping: Pumping) -> None:
    output, end = pumping.open(tmp_path / "log")
    output.ended = True
    for _ in range(3 * pumps.LATE_BYTES // 65536):
        os.write(end, b"x" * 65536)
        pumping.pump.drain(output)
    assert pumping.late == [str(tmp_path / "log")]
    assert (tmp_path / "log" / "stdout").stat().st_size == pumps.LATE_BYTES


def test_an_index_has_a_bound(
    tmp_path: Path, pumping: Pumping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pumps, "PIECE_NS", 0)
    monkeypatch.setattr(pumps, "INDEX_BUDGET", 50)
    output, end = pumping.open(tmp_path / "log")
    for _ in range(200):
        os.write(end, b"x")
        pumping.pump.drain(output)
    assert (tmp_path / "log" / INDEX).stat().st_size <= 100 * RECORD.size
    assert (tmp_path / "log" / "stdout").stat().st_size == 200
