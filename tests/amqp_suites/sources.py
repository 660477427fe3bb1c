"""Gets the sources of a suite, and an environment with the client that it tests."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from tests.amqp_suites.suites import SUITES, Suite

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "build" / "amqp-suites"
_PIP_SECONDS: Final = 600


class Missing(Exception):
    """One sentence for whoever typed `make amqp-suites`."""


def version_of(name: str) -> str:
    """The version that constraints.txt has."""
    (found,) = re.findall(rf"^{name}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    return str(found)


def environment() -> Path:
    """The Python of a virtual environment with all clients and what their tests need."""
    python = FOLDER / "venv" / "bin" / "python"
    wanted = {f"{suite.name}=={version_of(suite.name)}" for suite in SUITES}
    wanted.update(package for suite in SUITES for package in suite.packages)
    stamp = FOLDER / "venv" / ".packages"
    lines = "\n".join(sorted(wanted))
    if not stamp.exists() or stamp.read_text() != lines:
        _run([sys.executable, "-m", "venv", "--clear", str(FOLDER / "venv")])
        _run([str(python), "-m", "pip", "install", "--quiet", *sorted(wanted)])
        stamp.write_text(lines)
    return python


def source(suite: Suite, port: int, given: Path | None) -> Path:
    """A copy of the sources of a suite in which the broker's port is `port`.

    Args:
        given: a folder with the sources, in place of the source distribution.

    Raises Missing.
    """
    version = version_of(suite.name)
    target = FOLDER / "sources" / suite.name
    shutil.rmtree(target, ignore_errors=True)
    if given is None:
        if not suite.in_sdist:
            raise Missing(
                f"the source distribution of {suite.name} has no tests; name a folder with the "
                f'sources of version {version}: ARGS="--source {suite.name}=FOLDER"'
            )
        given = _unpacked(suite.name, version)
    ignore = shutil.ignore_patterns(".git", "__pycache__", "docs")
    shutil.copytree(given, target, ignore=ignore)
    for path in suite.paths:
        place = target / path
        for file in place.rglob("*.py") if place.is_dir() else [place]:
            _use_port(file, port)
    for file in (target / "tests" / "base").glob("*.py"):
        _use_port(file, port)
    return target


def _use_port(file: Path, port: int) -> None:
    """Some tests have the port of RabbitMQ written down."""
    file.write_text(re.sub(r"\b5672\b(?!/)", str(port), file.read_text()))


def _unpacked(name: str, version: str) -> Path:
    folder = FOLDER / "sdists" / f"{name}-{version}"
    if not folder.exists():
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        _run([*command, "--no-binary", name, "--dest", str(part), f"{name}=={version}"])
        (archive,) = part.glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(part, filter="data")
        part.rename(folder)
    (inner,) = (one for one in folder.iterdir() if one.is_dir())
    return inner


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_PIP_SECONDS,
        check=False,
    )
    if done.returncode:
        raise Missing(f"{' '.join(command[:5])} ... fails:\n{done.stdout[-2000:]}")
