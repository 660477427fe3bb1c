"""Which etcd program to run, and which versions not to.

Looks in `QUORATE_ETCD_BIN`, then PATH, then where `fetch_etcd` unpacks Debian's packages without
installing them: `.etcd/` of the checkout, else `$XDG_DATA_HOME/quorate/etcd` of the user. Never in
the current folder, which may be anybody's. `python -m quorate.etcd.server.binary` does all of it
and prints the path; `make setup` and `quorate up` do the same.

The oldest etcd that works is 3.4: earlier ones cannot split a watch response. etcd 3.5.0 to 3.5.2
lose acknowledged writes when killed (etcd issue 13766). Both are refused, as a program and as a
running server. For production, use 3.5.28 or a later 3.5, or 3.6.9 or later.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from quorate.etcd.api import StoreStatus
from quorate.runtime.errors import QuorateError, precondition
from quorate.runtime.process.debian_packages import (
    UNPACKED,
    PackagesUnavailable,
    Say,
    silent,
    unpack,
)

_VARIABLE = "QUORATE_ETCD_BIN"
_PACKAGES = ("etcd-server", "etcd-client")
_OLDEST = (3, 4, 0)
_LOSES_WRITES = ((3, 5, 0), (3, 5, 2))
_PROBE_TIMEOUT = 10.0

USABLE = "etcd 3.4 or later, except 3.5.0 to 3.5.2"
RECOMMENDED = "3.5.x from 3.5.28 on, or 3.6.9 and newer"
_INSTALL_HINT = (
    f"install {USABLE}, and put it on PATH (Debian and Ubuntu: `apt-get install etcd-server`, "
    "macOS: `brew install etcd`), or set QUORATE_ETCD_BIN to it"
)


@dataclass(frozen=True, slots=True)
class EtcdBinary:
    """An etcd program that may be used. `etcdctl` is None when it is not beside `path`."""

    path: Path
    version: str
    etcdctl: Path | None


def find_etcd() -> EtcdBinary:
    """The etcd to use.

    Raises QuorateError: ETCD_NOT_FOUND, or ETCD_VERSION_UNSAFE, ETCD_VERSION_UNKNOWN. A program
    that was named but cannot be used is an error; no other is tried in its place.
    """
    named = os.environ.get(_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file() or not os.access(path, os.X_OK):
            raise precondition(
                "ETCD_NOT_FOUND", f"{_VARIABLE}={named} is not a program", path=named
            )
        return probe_etcd(path)
    found = shutil.which("etcd")
    if found:
        return probe_etcd(Path(found))
    for folder in _folders():
        path = _unpacked(folder)
        # Not `Path.is_file`: that raises where a home may not be read.
        if os.path.isfile(path):
            return probe_etcd(path)
    raise precondition("ETCD_NOT_FOUND", f"etcd was not found: {_INSTALL_HINT}")


def provide_etcd(say: Say = silent) -> EtcdBinary:
    """The etcd to use, fetched when there is none; `say` gets lines of progress.

    Raises QuorateError as `find_etcd` and `fetch_etcd` do.
    """
    try:
        return find_etcd()
    except QuorateError as error:
        if error.reason != "ETCD_NOT_FOUND" or os.environ.get(_VARIABLE):
            raise
    return fetch_etcd(say=say)


def fetch_etcd(folder: Path | None = None, say: Say = silent) -> EtcdBinary:
    """Unpack the Debian or Ubuntu packages of etcd into `folder`; nothing is installed.

    Raises QuorateError ETCD_FETCH_FAILED with the one command to type instead.
    """
    target = folder or _folders()[0]
    try:
        unpack(_PACKAGES, target, lambda line: say(f"etcd: {line}"))
    except PackagesUnavailable as error:
        raise precondition(
            "ETCD_FETCH_FAILED",
            f"etcd was not found and could not be downloaded ({error}): {_INSTALL_HINT}",
        ) from error
    return probe_etcd(_unpacked(target))


def probe_etcd(path: Path) -> EtcdBinary:
    """Ask a program for its version and check it."""
    try:
        output = subprocess.run(
            [str(path), "--version"],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT,
            env=etcd_environment(),
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise precondition("ETCD_NOT_FOUND", f"{path} does not run: {error}") from error
    match = re.search(r"etcd Version:\s*(\S+)", output)
    if match is None:
        raise precondition("ETCD_VERSION_UNKNOWN", f"{path} --version prints no etcd version")
    check_version(match[1], where=str(path))
    etcdctl = path.with_name("etcdctl")
    return EtcdBinary(path, match[1], etcdctl if etcdctl.is_file() else None)


def check_server_version(status: StoreStatus, *, where: str = "the running server") -> None:
    """The same check for a running server; raises QuorateError."""
    check_version(status.version, where=where)


def check_version(version: str, *, where: str) -> None:
    """Refuse versions that lose writes or lack what is needed."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        raise precondition("ETCD_VERSION_UNKNOWN", f"{where}: {version!r} is not a version of etcd")
    numbers = (int(match[1]), int(match[2]), int(match[3]))
    lowest, highest = _LOSES_WRITES
    if lowest <= numbers <= highest:
        raise precondition(
            "ETCD_VERSION_UNSAFE",
            f"{where} is etcd {version}: 3.5.0 to 3.5.2 lose acknowledged writes when killed; "
            f"use {USABLE}",
            version=version,
        )
    if numbers < _OLDEST:
        raise precondition(
            "ETCD_VERSION_UNSAFE",
            f"{where} is etcd {version}, which is too old; use {USABLE}",
            version=version,
        )


def etcd_environment() -> dict[str, str]:
    """The environment for an etcd program: other ETCD_* settings would override our flags."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
    if os.uname().machine != "x86_64":
        # 3.4 refuses to start elsewhere unless told that one knows.
        arch = {"aarch64": "arm64", "arm64": "arm64"}.get(os.uname().machine, os.uname().machine)
        environment["ETCD_UNSUPPORTED_ARCH"] = arch
    return environment


def _folders() -> list[Path]:
    """Where an unpacked etcd may be. The first one is where it is unpacked to."""
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path is ignored.
    base = Path(data) if data.startswith("/") else Path("~/.local/share").expanduser()
    own = [base / "quorate" / "etcd"]
    checkout = Path(__file__).resolve().parents[3]
    # An installed package lies in site-packages, which is nobody's checkout.
    return [checkout / ".etcd", *own] if (checkout / "pyproject.toml").is_file() else own


def _unpacked(folder: Path) -> Path:
    return folder / UNPACKED / "usr" / "bin" / "etcd"


def main(arguments: list[str] | None = None) -> int:
    """Print where etcd is, fetching it first when there is none."""
    parser = argparse.ArgumentParser(
        prog="python -m quorate.etcd.server.binary", description="Find etcd, or fetch it."
    )
    parser.add_argument("--no-fetch", action="store_true", help="only look")
    options = parser.parse_args(arguments)
    try:
        etcd = find_etcd() if options.no_fetch else provide_etcd(_say)
    except QuorateError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    sys.stdout.write(f"etcd {etcd.version}: {etcd.path}\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
