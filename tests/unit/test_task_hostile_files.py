"""What a task does to files it may write holds up no agent; what is secret survives any bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node_agent.app import locked
from node_agent.logs.attempt_log import LogStore
from node_agent.protocol.packets import MAX_PACKET, Spill, read, unpack
from node_agent.spawner.programs import MAX_PROGRAMS, Programs
from node_agent.task.secrets import MAX_SECRET, MAX_SECRETS
from quorate.runtime.process.startup import CannotStart

CAP = 64 << 10


def test_the_end_of_a_long_output_is_what_is_kept_of_an_attempt_that_is_here_again(
    tmp_path: Path,
) -> None:
    logs = LogStore(tmp_path, CAP)
    written = logs.directory("task", 1)
    written.mkdir(parents=True)
    (written / "stderr").write_bytes(b"said before, ")
    again = Path(f"{logs.worker_stem(0)}.1")
    again.mkdir()
    (again / "stderr").write_bytes(b"x" * CAP + b"and last words")
    (again / "stdout").write_bytes(b"")
    os.truncate(again / "stdout", 1 << 40)
    logs.adopt(str(again), "task", 1)
    found = (written / "stderr").read_bytes()
    assert found.startswith(b"said before, x")
    assert found.endswith(b"xand last words")
    assert (written / "stdout").stat().st_size <= CAP
    assert not again.exists()


@pytest.mark.parametrize("size", [0, 10, MAX_PACKET])
def test_secrets_of_any_bytes_arrive_and_stay_out_of_files(tmp_path: Path, size: int) -> None:
    """Sixteen of the longest names, as many bytes as are allowed, none of them a character."""
    values = [b"\xff" * MAX_SECRET, b"\xfe" * (MAX_SECRETS - MAX_SECRET - 14), *[b"\xfd"] * 14]
    secrets = {f"{number:_>128}": os.fsdecode(value) for number, value in enumerate(values)}
    packet = Spill(str(tmp_path), "call").pack(("message", "x" * size), secrets)
    assert len(packet) <= MAX_PACKET, "what a worker or the agent would not receive whole"
    for file in tmp_path.iterdir():
        assert b"\xff" not in file.read_bytes()
        assert b"\xed\xb3\xbf" not in file.read_bytes()
    assert read(packet) == (("message", "x" * size), secrets)
    assert unpack(packet) == (("message", "x" * size), secrets)
    assert list(tmp_path.iterdir()) == []


def test_programs_that_were_found_are_not_remembered_without_end() -> None:
    """Tasks choose the PATH that theirs are looked for in."""
    programs = Programs()
    for number in range(3 * MAX_PROGRAMS):
        assert programs.find("sh", f"/bin:/{number}") == "/bin/sh"
        assert len(programs) <= MAX_PROGRAMS
    for size in (10, 1 << 20):
        assert programs.find("sh", "/bin:" + "x" * size) == "/bin/sh"
    assert sum(len(search) for _, search in programs) < 1 << 20


def test_nobody_else_can_lock_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(0o644)
    for _ in range(2):
        with locked(tmp_path) as data:
            assert (data / "lock").stat().st_mode & 0o777 == 0o600
            with pytest.raises(CannotStart, match="in use by another agent"), locked(tmp_path):
                pass
