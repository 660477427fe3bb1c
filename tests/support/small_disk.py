"""A file system that is small and can be filled, and a way to spoil a disk without one."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(where: Path, size: str = "8M") -> Iterator[Path]:
    """A file system of its own, in memory, mounted at a new directory."""
    if os.geteuid() != 0:
        pytest.skip("a full disk: only root mounts a file system; run this test as root")
    where.mkdir()
    options = f"size={size},nr_inodes=2k,mode=755"
    mount = ("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where))
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        # In CI too: it is no program that `make setup` could get.
        pytest.skip(f"a full disk: nothing can be mounted here ({done.stderr.strip()})")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def fill(file: Path) -> None:
    """Write until nothing fits."""
    with file.open("wb", buffering=0) as stream:
        for block in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(b"x" * block)


def spoil(data: Path) -> None:
    """An agent's probe fails from now on, as on a disk that cannot be written."""
    (data / "probe").mkdir()


def mend(data: Path) -> None:
    """The contrary of `spoil`."""
    (data / "probe").rmdir()
