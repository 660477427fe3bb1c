"""How each client is built, as its README says, and how it is started.

A build is kept in `build/clients/<language>-<digest of its sources>`, so that it is made once.
A missing tool chain is one sentence that says how to get it: see `tests.support.needs`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.support.needs import needed
from tools.provision import needs, node

ROOT = Path(__file__).resolve().parents[3]
CLIENTS = ROOT / "examples" / "clients"
PROTOS = ROOT / "protos"
BUILDS = ROOT / "build" / "clients"
# Seconds. The C++ stubs take 20 s on two idle cores.
BUILD_SECONDS = 280
_DERIVED = {"build", "node_modules"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One client: what it needs, how it is built, how it is run."""

    language: str
    require: Callable[[], object]
    """Raises `Missing` when the tool chain is not there."""
    build: Callable[[Path, Path], list[str]]
    """The build's command line, given the client's folder and that of the build."""
    run: Callable[[Path, Path], list[str]]
    """The client's command line without arguments, likewise."""
    environment: dict[str, str] = field(default_factory=dict)
    installs: Path | None = None
    """What the build makes outside of its own folder."""
    tls: bool = True
    """Whether what Debian has of it can speak TLS here."""

    @property
    def folder(self) -> Path:
        return CLIENTS / self.language

    def command(self) -> list[str]:
        """Build the client if need be; how to start it. Fails the test when it cannot be built."""
        with needed():
            self.require()
        out = BUILDS / f"{self.language}-{self._digest()}"
        stamp = out / ".built"
        # npm installs beside the sources, whatever becomes of `build`.
        if not stamp.exists() or not (self.installs or out).exists():
            out.mkdir(parents=True, exist_ok=True)
            self._build(out)
            stamp.touch()
        return self.run(self.folder, out)

    def _build(self, out: Path) -> None:
        done = subprocess.run(
            self.build(self.folder, out),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{self.language} does not build:\n{done.stdout[-6000:]}", pytrace=False)

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for file in sorted([*self.folder.rglob("*"), *PROTOS.rglob("*")]):
            if file.is_file() and not _DERIVED.intersection(file.relative_to(ROOT).parts):
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
        return digest.hexdigest()[:16]


def _make(folder: Path, out: Path) -> list[str]:
    jobs = f"-j{os.cpu_count() or 1}"
    return ["make", "--silent", jobs, f"OUT={out}", f"PYTHON={sys.executable}"]


def _built(folder: Path, out: Path) -> list[str]:
    config = PROTOS / "quorate" / "v1" / "service_config.json"
    return [str(out / "client"), "--service-config", str(config)]


RECIPES = (
    Recipe(
        "javascript",
        require=node.require,
        build=lambda folder, out: ["npm", "ci"],
        run=lambda folder, out: ["node", str(folder / "client.mjs")],
        installs=CLIENTS / "javascript" / "node_modules",
    ),
    Recipe(
        "go",
        require=partial(needs.require, needs.GO),
        build=_make,
        run=_built,
        environment={"GRPC_GO_RETRY": "on"},
    ),
    Recipe(
        "cpp",
        require=partial(needs.require, needs.CPP),
        build=_make,
        run=_built,
    ),
    Recipe(
        "java",
        require=partial(needs.require, needs.JAVA),
        build=_make,
        run=_built,
        tls=False,  # Debian's netty 4.1.48 does not find ALPN in its OpenJDK 17.
    ),
)
# Not a client of tasks: see test_go_amqp.
GO_AMQP = Recipe(
    "go-amqp",
    require=partial(needs.require, needs.GO_AMQP),
    build=_make,
    run=lambda folder, out: [str(out / "tutorial")],
)
