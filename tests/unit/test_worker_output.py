"""A worker on a full disk: the attempt keeps its answer, the next one its own output."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from node_agent.worker.output import _Descriptor


@pytest.fixture
def descriptor(tmp_path: Path) -> _Descriptor:
    """Stands for a worker's descriptor 1: a number of its own, its spool behind it."""
    number = os.open(tmp_path / "spool", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    return _Descriptor(number, "stdout")


def test_what_does_not_fit_on_the_disk_is_given_up_and_is_not_the_next_attempts(
    tmp_path: Path, descriptor: _Descriptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def full(file: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{file}").startswith(str(tmp_path / "logs")):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data)

    descriptor.begin(str(tmp_path / "logs" / "first"))
    os.write(descriptor.number, b"of the first, by C code")
    monkeypatch.setattr(os, "write", full)
    descriptor.end()
    monkeypatch.undo()
    assert (tmp_path / "spool").stat().st_size == 0
    descriptor.begin(str(tmp_path / "logs" / "second"))
    os.write(descriptor.number, b"of the second")
    descriptor.end()
    assert (tmp_path / "logs" / "second" / "stdout").read_bytes() == b"of the second"


def test_a_log_directory_that_cannot_be_made_is_no_end_either(
    tmp_path: Path, descriptor: _Descriptor
) -> None:
    (tmp_path / "logs").write_text("a file where the directory belongs")
    descriptor.begin(str(tmp_path / "logs" / "first"))
    os.write(descriptor.number, b"lost")
    descriptor.end()
    assert (tmp_path / "spool").stat().st_size == 0


def test_a_disk_that_takes_a_part_is_asked_for_the_rest(
    tmp_path: Path, descriptor: _Descriptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    descriptor.begin(str(tmp_path / "logs"))
    os.write(descriptor.number, b"0123456789")
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data[:3])))
    descriptor.end()
    assert (tmp_path / "logs" / "stdout").read_bytes() == b"0123456789"


def test_a_real_worker_outlives_a_full_disk(tmp_path: Path) -> None:
    """/dev/full has no space; the print fails in the user's code, the worker goes on."""
    script = (
        "import os, sys\n"
        "from node_agent.worker.output import Output\n"
        "output = Output()\n"
        "output.begin(sys.argv[1] + '/first')\n"
        "os.write(1, b'early')\n"
        "os.makedirs(sys.argv[1] + '/first')\n"
        "os.symlink('/dev/full', sys.argv[1] + '/first/stdout')\n"
        "try:\n"
        "    print('x' * 100)\n"
        "    failed = False\n"
        "except OSError:\n"
        "    failed = True\n"
        "output.end()\n"
        "output.begin(sys.argv[1] + '/second')\n"
        "print('failed', failed)\n"
        "output.end()\n"
    )
    with (tmp_path / "spool").open("wb") as spool:
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            stdout=spool,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "second" / "stdout").read_text() == "failed True\n"
