"""Programs that commands of the README need, by the packages of Debian and Ubuntu that have them.

`provide` looks for the programs of a need; where one is missing it installs the packages (as root)
or unpacks them, with the libraries that the machine does not have, into `.tools` of the checkout.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from quorate.runtime.process.debian_packages import PackagesUnavailable, Say, install, unpack
from tools.provision import place
from tools.provision.place import Missing


@dataclass(frozen=True, slots=True)
class Need:
    """What has to be there, and where it comes from."""

    name: str
    programs: tuple[str, ...]
    """On PATH."""
    packages: tuple[str, ...]
    files: tuple[str, ...] = ()
    """Absolute paths that have to exist, too."""
    installable: bool = True
    """False: the package starts a service, so it is never installed."""
    unpackable: bool = True
    """False: it works only where the package is installed."""

    def missing(self) -> list[str]:
        """The programs and files that are not there."""
        programs = [program for program in self.programs if place.find(program) is None]
        return programs + [file for file in self.files if not Path(file).exists()]

    def sentence(self, why: str = "") -> str:
        """How to get what is missing."""
        lacking = ", ".join(self.missing()) or ", ".join(self.programs)
        reason = f" ({why})" if why else ""
        unpacked = " unpacks it" if self.unpackable else " as root installs it"
        return (
            f"{self.name}: {lacking} not found{reason}; "
            f"`make {self.target}`{unpacked}, or `apt-get install {' '.join(self.packages)}`"
        )

    @property
    def target(self) -> str:
        """The target of the Makefile that provides it."""
        if self is IMAGE:
            return "image"
        return "clients" if self in CLIENTS else "setup"


CURL = Need("curl", ("curl",), ("curl",))
JQ = Need("jq", ("jq",), ("jq",))
PROMTOOL = Need("promtool", ("promtool",), ("prometheus",), installable=False)
TESTS = (CURL, JQ, PROMTOOL)

IMAGE = Need("image", ("buildah", "debootstrap"), ("buildah", "debootstrap"), unpackable=False)

_JARS = ("grpc-netty", "netty-codec-http2", "perfmark-api", "gson", "geronimo-annotation-1.3-spec")
GO = Need(
    "go",
    programs=("make", "go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc"),
    packages=(
        *("make", "golang-go", "golang-google-grpc-dev", "golang-github-golang-protobuf-1-5-dev"),
        *("protobuf-compiler", "protoc-gen-go-1-5", "protoc-gen-go-grpc"),
    ),
    files=(
        "/usr/share/gocode/src/google.golang.org/grpc",
        "/usr/share/gocode/src/google.golang.org/protobuf",
    ),
    unpackable=False,
)
GO_AMQP = Need(
    "go-amqp",
    programs=("make", "go"),
    packages=("make", "golang-go", "golang-github-streadway-amqp-dev"),
    files=("/usr/share/gocode/src/github.com/streadway/amqp",),
    unpackable=False,
)
CPP = Need(
    "cpp",
    programs=("make", "g++", "pkg-config", "protoc", "grpc_cpp_plugin"),
    packages=(
        *("make", "g++", "pkgconf", "libgrpc++-dev", "libprotobuf-dev"),
        *("protobuf-compiler", "protobuf-compiler-grpc"),
    ),
    files=("/usr/include/grpcpp/grpcpp.h",),
    unpackable=False,
)
JAVA = Need(
    "java",
    programs=("make", "java", "javac", "protoc", "grpc_java_plugin"),
    packages=(
        *("make", "default-jdk-headless", "libgrpc-java", "libprotobuf-java", "libnetty-java"),
        *("libperfmark-java", "libgoogle-gson-java", "libguava-java", "libjsr305-java"),
        *("libgeronimo-annotation-1.3-spec-java", "protobuf-compiler"),
        "protobuf-compiler-grpc-java-plugin",
    ),
    files=tuple(f"/usr/share/java/{name}.jar" for name in _JARS),
    unpackable=False,
)
CLIENTS = (GO, GO_AMQP, CPP, JAVA)


def require(need: Need) -> None:
    """Raise Missing when something of it is not there. Fetches nothing."""
    if need.missing():
        raise Missing(need.sentence())


def provide(need: Need, say: Say) -> None:
    """Make sure of a need. Raises Missing with the reason and what to do."""
    if not need.missing():
        return
    reasons = []
    for possible, attempt in (
        (need.installable and os.geteuid() == 0, _install),
        (need.unpackable, _unpack),
    ):
        if not possible:
            continue
        try:
            attempt(need, lambda line: say(f"{need.name}: {line}"))
        except PackagesUnavailable as error:
            reasons.append(str(error))
            continue
        if not need.missing():
            return
        reasons.append("its packages do not have it")
    raise Missing(need.sentence("; ".join(dict.fromkeys(reasons))))


def _install(need: Need, say: Say) -> None:
    install(need.packages, say)


def _unpack(need: Need, say: Say) -> None:
    root = unpack(need.packages, place.TOOLS / need.name, say, with_dependencies=True)
    libraries = place.library_folders(root)
    environment = {"LD_LIBRARY_PATH": libraries} if libraries else {}
    for program, path in _programs_of(root, need.programs):
        starter = place.write_starter(program, [str(path)], environment)
        if place.output_of([str(starter), "--version"]) is None:
            starter.unlink()
            raise PackagesUnavailable(f"the unpacked {program} does not run")


def _programs_of(root: Path, programs: Iterable[str]) -> Iterable[tuple[str, Path]]:
    for program in programs:
        path = root / "usr" / "bin" / program
        if path.exists():
            yield program, path
