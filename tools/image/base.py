"""A base image with Python, of Debian's packages: for machines that reach no image registry."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

SUITE: Final = "bookworm"
_PACKAGES: Final = ("python3", "python3-venv", "python3-pip", "ca-certificates")
# What no program needs: half of it.
_LEFT_OUT: Final = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man")
_SOURCES: Final = Path("/etc/apt")


class NoMirror(Exception):
    """apt of this machine names no archive of Debian."""


def mirror(files: Iterable[Path] | None = None) -> str:
    """The archive from which apt of this machine installs `SUITE`. Raises NoMirror."""
    if files is None:
        lists = (_SOURCES / "sources.list.d").glob("*")
        files = (*sorted(lists), _SOURCES / "sources.list")
    for file in files:
        if file.is_file() and (found := _archive_of(file.read_text())):
            return found
    raise NoMirror(f"apt names no archive of {SUITE}; say one with --mirror")


def _archive_of(text: str) -> str:
    """Of a list, or of a file in the newer format (deb822): sources.list(5)."""
    for stanza in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in stanza.splitlines():
            words = line.split()
            if words[:1] == ["deb"] and SUITE in words:
                return next((word for word in words if "://" in word), "")
            name, colon, value = line.partition(":")
            if colon and not line.startswith(("#", " ")):
                fields[name.lower()] = value.strip()
        if SUITE in fields.get("suites", "").split() and fields.get("uris"):
            return fields["uris"].split()[0]
    return ""


def make(folder: Path, archive: str) -> None:
    """Unpack the base into a folder, which is made anew. Raises CalledProcessError."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(
        (
            *("debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"),
            *(SUITE, str(folder), archive),
        ),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for name in _LEFT_OUT:
        shutil.rmtree(folder / name, ignore_errors=True)
    # As the base images have it that the Containerfile is for.
    (folder / "usr/bin/python").symlink_to("python3")
