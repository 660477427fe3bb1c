"""Debian and Ubuntu packages, unpacked into a folder instead of installed.

That needs no root and starts no system service. `unpack` downloads with apt-get, from the
repositories and with the signatures that the system is configured for, and unpacks with dpkg-deb.
The folder gets its new content in one rename: a reader finds all of it or nothing.

apt-get needs lists of packages, which a fresh machine may not have, or has outdated. When the
first try fails, the lists are fetched and it is tried once more: root fetches those of the system,
another user a copy of its own, which is deleted when the process ends (about 160 MB on disk).
"""

from __future__ import annotations

import atexit
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

UNPACKED = "unpacked"
# Seconds. A browser with its libraries has 200 MB.
_TIMEOUT = 1_800.0
_ASK_TIMEOUT = 120.0
# A machine without a network says so within a minute; another apt-get at work is waited for.
_PATIENCE = (
    *("-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"),
    *("-o", "Acquire::Retries=1", "-o", "DPkg::Lock::Timeout=120"),
    *("-o", "Acquire::Languages=none"),
)
# A package of a list: 'address' file bytes digest
_URI = re.compile(r"^'[^']+' (?P<file>\S+) (?P<bytes>\d+)", re.MULTILINE)

Say = Callable[[str], object]


def silent(line: str) -> None:
    """For who wants no progress."""


class PackagesUnavailable(Exception):
    """Why packages were not to be had: one line."""


def has_apt() -> bool:
    """Whether this is a system with apt-get and dpkg-deb."""
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def unpack(
    packages: Sequence[str], folder: Path, say: Say, *, with_dependencies: bool = False
) -> Path:
    """Unpack packages into `folder`/unpacked and return that path.

    `with_dependencies` adds those of their dependencies that the system does not have. `say` gets
    a line of progress now and then. Raises PackagesUnavailable; what was in the folder stays then.
    """
    if not has_apt():
        raise PackagesUnavailable("this system has no apt-get")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder), tempfile.TemporaryDirectory(dir=folder) as name:
            work = Path(name)
            # apt drops to an unprivileged user where it can, who has to be able to write here.
            work.chmod(0o755)
            _download(packages, work, say, with_dependencies)
            for package in sorted(work.glob("*.deb")):
                run(["dpkg-deb", "-x", package.name, UNPACKED], work)
            _keep_links_inside(work / UNPACKED)
            shutil.rmtree(folder / UNPACKED, ignore_errors=True)
            (work / UNPACKED).rename(folder / UNPACKED)
    except OSError as error:
        raise PackagesUnavailable(f"{folder}: {error.strerror or error}") from error
    return folder / UNPACKED


def install(packages: Sequence[str], say: Say) -> None:
    """Install packages, as root. Raises PackagesUnavailable."""
    if not has_apt() or os.geteuid() != 0:
        raise PackagesUnavailable("installing packages needs root and apt-get")
    command = ["apt-get", *_PATIENCE, "-y", "--no-install-recommends", "install", *packages]
    with_fresh_lists = False
    while True:
        try:
            files = _planned(packages, (), with_dependencies=True)
            say(f"installing {_summary(packages, files)}")
            run(command, None, on_line=_download_lines(files, say))
            return
        except PackagesUnavailable:
            if with_fresh_lists:
                raise
        say("fetching the lists of packages")
        run(["apt-get", *_PATIENCE, "update"], None)
        with_fresh_lists = True


def run(command: Sequence[str], folder: Path | None, on_line: Say | None = None) -> str:
    """Run apt-get or dpkg-deb and return its output; PackagesUnavailable has its first error."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    timeout = _TIMEOUT if on_line else _ASK_TIMEOUT
    # `timeout` of coreutils, which every Debian has: lines are read while the command runs.
    try:
        with subprocess.Popen(
            ["timeout", "--kill-after=10", str(timeout), *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if on_line:
                    on_line(line)
    except OSError as error:
        raise PackagesUnavailable(f"{command[0]}: {error.strerror or error}") from error
    output = "".join(lines)
    if process.returncode:
        raise PackagesUnavailable(_first_error(command, output, process.returncode))
    return output


def _keep_links_inside(root: Path) -> None:
    """Links to absolute paths that the packages have themselves lead there, not to the system."""
    for top, folders, files in os.walk(root):
        for name in (*folders, *files):
            link = Path(top, name)
            if not link.is_symlink() or not os.readlink(link).startswith("/"):
                continue
            inside = root / os.readlink(link).lstrip("/")
            if inside.exists():
                link.unlink()
                link.symlink_to(os.path.relpath(inside, top))


def _download(packages: Sequence[str], work: Path, say: Say, with_dependencies: bool) -> None:
    """With the lists that there are; if that fails, with fresh ones."""
    # apt-get does not name what it has in its cache, which it has from whoever installed it before.
    empty = work / "archives"
    (empty / "partial").mkdir(parents=True)
    options = () if _lists is None else _lists_in(Path(_lists.name))
    with_fresh_lists = False
    while True:
        try:
            planning = (*options, "-o", f"Dir::Cache::archives={empty}")
            files = _planned(packages, planning, with_dependencies=with_dependencies)
            if not files:
                raise PackagesUnavailable(f"apt-get: {', '.join(packages)} is installed")
            say(f"downloading {_summary(packages, files)}")
            # The names of files begin with those of packages.
            names = [file.partition("_")[0] for file in files]
            command = ["apt-get", *_PATIENCE, *options, "download", *names]
            run(command, work, on_line=_download_lines(files, say))
            return
        except PackagesUnavailable:
            if with_fresh_lists:
                raise
        say("fetching the lists of packages")
        options = () if os.geteuid() == 0 else _own_lists()
        run(["apt-get", *_PATIENCE, *options, "update"], work)
        with_fresh_lists = True


# For who may not write the system's lists; fetched once for all packages of a process.
_lists: tempfile.TemporaryDirectory[str] | None = None


def _own_lists() -> tuple[str, ...]:
    global _lists
    if _lists is None:
        _lists = tempfile.TemporaryDirectory(prefix="quorate-apt-")
        atexit.register(_lists.cleanup)
    return _lists_in(Path(_lists.name))


def _lists_in(folder: Path) -> tuple[str, ...]:
    """Options that make apt-get keep its lists in a folder."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State": folder,
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": folder / "cache",
    }
    return tuple(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))


def _planned(
    packages: Sequence[str], options: Sequence[str], *, with_dependencies: bool
) -> dict[str, int]:
    """The files that apt-get would download, with their bytes."""
    what = ["-y", "--no-install-recommends", "install"] if with_dependencies else ["download"]
    command = ["apt-get", *options, "-qq", "--print-uris", *what, *packages]
    return {found["file"]: int(found["bytes"]) for found in _URI.finditer(run(command, None))}


def _summary(packages: Sequence[str], files: dict[str, int]) -> str:
    more = f" and {len(files) - len(packages)} packages" if len(files) > len(packages) else ""
    return f"{', '.join(packages)}{more}, {sum(files.values()) / 1e6:.1f} MB"


def _download_lines(files: dict[str, int], say: Say) -> Say:
    """Turns apt-get's `Get:3 http://... chromium amd64 1.0 [81.2 MB]` into a line each 20 MB."""
    sizes = {file.partition("_")[0]: size for file, size in files.items()}
    total, done, reported = sum(sizes.values()), 0, 0

    def on_line(line: str) -> None:
        nonlocal done, reported
        words = line.split()
        if not line.startswith("Get:") or len(words) < 5:
            return
        done += sizes.get(words[4], 0)
        if done - reported >= 20e6 and total - done >= 1e6:
            reported = done
            say(f"{done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return on_line


def _first_error(command: Sequence[str], output: str, code: int) -> str:
    """apt-get's first error line, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "Err:"))] or lines[-1:]
    if code == 124:
        errors = ["no end after its time"]
    verb = next((word for word in command[1:] if word in _VERBS), "")
    return f"{command[0]} {verb}: {' '.join(errors[:1])[-300:] or f'exit code {code}'}"


_VERBS = ("update", "install", "download", "-x")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time in a folder: another process may want the same."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
