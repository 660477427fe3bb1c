"""Where this checkout keeps tools that the machine does not have, and how a tool is found.

A tool of the machine comes first. What `make setup` fetched is in `.tools` (git-ignored): each need
in a folder of its own, and a starter for each of its programs in `.tools/bin`, which is the last
folder of PATH.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = CHECKOUT / ".tools"
# Seconds. A browser's first start on a busy machine.
_PROBE_TIMEOUT = 60.0


class Missing(Exception):
    """A tool that is not there: one sentence that says how to get it."""


def in_ci() -> bool:
    """Whether nothing may be skipped: `CI` is set, and not to 0 or false."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def search_path() -> str:
    """PATH with the checkout's own tools behind the machine's."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    own = str(TOOLS / "bin")
    return os.pathsep.join([*(entry for entry in entries if entry != own), own])


def find(program: str) -> str | None:
    """The path of a program, of the machine or of this checkout."""
    return shutil.which(program, path=search_path())


def output_of(command: list[str]) -> str | None:
    """What a program prints; None when it does not run or fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def write_starter(name: str, command: list[str], environment: dict[str, str]) -> Path:
    """Make `.tools/bin/<name>`, which starts a command with its arguments; returns its path."""
    settings = "".join(
        f"export {variable}={shlex.quote(value)}\n" for variable, value in environment.items()
    )
    target = TOOLS / "bin" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f".{name}.{os.getpid()}")
    work.write_text(
        f'#!/bin/sh\n# Made by tools/provision.\n{settings}exec {shlex.join(command)} "$@"\n'
    )
    work.chmod(0o755)
    work.rename(target)
    return target


def library_folders(root: Path) -> str:
    """The value of LD_LIBRARY_PATH for programs of an unpacked tree."""
    folders = {
        file.parent
        for top in ("lib", "usr/lib")
        for pattern in ("*.so*", "*/*.so*", "*-linux-*/*/*.so*")
        for file in (root / top).glob(pattern)
    }
    # The C library has to be that of the loader, which is the machine's.
    return os.pathsep.join(
        str(folder) for folder in sorted(folders) if not (folder / "libc.so.6").exists()
    )
