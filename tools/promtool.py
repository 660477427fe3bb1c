"""Find promtool, which checks metrics and rules of Prometheus, or fetch it.

On PATH, else unpacked (not installed) from the Debian or Ubuntu package `prometheus` into
`.prometheus` of the checkout, as `quorate.etcd.binary` does with etcd.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".prometheus"
_TIMEOUT = 300


def find_promtool() -> Path:
    """Where it is; fetched when it is nowhere. Raises RuntimeError with what to do instead."""
    installed = shutil.which("promtool")
    if installed:
        return Path(installed)
    unpacked = FOLDER / "promtool"
    if not unpacked.is_file():
        _fetch(unpacked)
    return unpacked


def _fetch(target: Path) -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        work = Path(name)
        # apt drops to an unprivileged user where it can, who has to be able to write here.
        work.chmod(0o755)
        _run(["apt-get", "download", "prometheus"], work)
        (package,) = work.glob("*.deb")
        _run(["dpkg-deb", "-x", package.name, "unpacked"], work)
        # One rename: tests of other processes find all of it or nothing.
        (work / "unpacked" / "usr" / "bin" / "promtool").rename(target)


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{command[0]}: {error}; install the package prometheus") from error
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-300:]}")


if __name__ == "__main__":
    sys.stdout.write(f"{find_promtool()}\n")
