"""How each client is built, as its README says, and how it is started.

A build is kept in `build/clients/<language>-<digest of its sources>`, so that it is made once.
A missing tool chain fails the test with the packages to install: a client that nobody built is a
guess.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

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
    needs: Sequence[str]
    """Programs on PATH, and absolute paths of files that have to be there."""
    packages: str
    """What to install on Debian to have them."""
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
        missing = [need for need in self.needs if shutil.which(need) is None]
        missing = [need for need in missing if not Path(need).is_absolute() or not _exists(need)]
        if missing:
            pytest.fail(
                f"The {self.language} client needs {', '.join(missing)}: "
                f"on Debian, `apt-get install {self.packages}`.",
                pytrace=False,
            )
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


def _exists(path: str) -> bool:
    return Path(path).exists()


def _make(folder: Path, out: Path) -> list[str]:
    jobs = f"-j{os.cpu_count() or 1}"
    return ["make", "--silent", jobs, f"OUT={out}", f"PYTHON={sys.executable}"]


def _built(folder: Path, out: Path) -> list[str]:
    config = PROTOS / "quorate" / "v1" / "service_config.json"
    return [str(out / "client"), "--service-config", str(config)]


_JARS = ("grpc-netty", "netty-codec-http2", "perfmark-api", "gson", "geronimo-annotation-1.3-spec")

RECIPES = (
    Recipe(
        "javascript",
        needs=("node", "npm"),
        packages="nodejs npm",
        build=lambda folder, out: ["npm", "ci"],
        run=lambda folder, out: ["node", str(folder / "client.mjs")],
        installs=CLIENTS / "javascript" / "node_modules",
    ),
    Recipe(
        "go",
        needs=(
            *("make", "go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc"),
            "/usr/share/gocode/src/google.golang.org/grpc",
            "/usr/share/gocode/src/google.golang.org/protobuf",
        ),
        packages="make golang-go golang-google-grpc-dev golang-github-golang-protobuf-1-5-dev "
        "protobuf-compiler protoc-gen-go-1-5 protoc-gen-go-grpc",
        build=_make,
        run=_built,
        environment={"GRPC_GO_RETRY": "on"},
    ),
    Recipe(
        "cpp",
        needs=(
            *("make", "g++", "pkg-config", "protoc", "grpc_cpp_plugin"),
            "/usr/include/grpcpp/grpcpp.h",
        ),
        packages="make g++ pkgconf libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc",
        build=_make,
        run=_built,
    ),
    Recipe(
        "java",
        needs=(
            *("make", "java", "javac", "protoc", "grpc_java_plugin"),
            *(f"/usr/share/java/{name}.jar" for name in _JARS),
        ),
        packages="make default-jdk-headless libgrpc-java libprotobuf-java libnetty-java "
        "libperfmark-java libgoogle-gson-java libguava-java libjsr305-java "
        "libgeronimo-annotation-1.3-spec-java protobuf-compiler protobuf-compiler-grpc-java-plugin",
        build=_make,
        run=_built,
        tls=False,  # Debian's netty 4.1.48 does not find ALPN in its OpenJDK 17.
    ),
)
# CI has no Java: a JDK would take longer to install than the other tool chains together.
IN_CI = ("javascript", "go", "cpp")
