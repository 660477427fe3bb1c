"""moto, which plays S3 for the tests of blob stores, and the client of S3: `.tools/s3`.

A folder of its own, on nobody's path: 27 MB to fetch and 70 MB on disk that only these tests want,
in versions that the environment's other packages do not agree with. `packages` is around the tests.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quorate.runtime.process.debian_packages import Say
from tools.provision import place
from tools.provision.place import Missing

PINS = Path(__file__).with_name("s3-packages.txt")
_SECONDS = 300.0


@contextmanager
def packages() -> Iterator[None]:
    """Make `moto` and `s3fs` importable, behind all that is installed. Raises Missing."""
    folder = place.TOOLS / "s3"
    if not _is_current(folder):
        raise Missing(_sentence(""))
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def provide(say: Say) -> None:
    """Install the packages as they are pinned. Raises Missing."""
    folder = place.TOOLS / "s3"
    if _is_current(folder):
        return
    say("s3: downloading moto and 24 packages, 27 MB")
    shutil.rmtree(folder, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet")
    where = ("--no-deps", "--no-compile", "--target", str(folder), "--requirement", str(PINS))
    try:
        done = subprocess.run([*pip, *where], capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(_sentence(f" ({error})")) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Missing(_sentence(f" ({''.join(last)})"))
    # Last, so that an installation that was interrupted is made again.
    shutil.copyfile(PINS, folder / PINS.name)


def _is_current(folder: Path) -> bool:
    stamp = folder / PINS.name
    return stamp.is_file() and stamp.read_bytes() == PINS.read_bytes()


def _sentence(why: str) -> str:
    return f"s3: moto and s3fs not found{why}; `make setup` installs them into .tools"
