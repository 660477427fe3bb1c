"""Calls of buildah, in a store of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")


class Buildah:
    """One store of images.

    Neither overlay file systems nor namespaces are needed: layers are copies (vfs), and what runs
    while an image is built, runs in a chroot.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._command = (
            *("buildah", "--storage-driver", "vfs"),
            *("--root", str(folder / "store"), "--runroot", str(folder / "run")),
        )

    def call(self, *words: str) -> str:
        """What one command prints. Raises CalledProcessError; its messages are on our stderr."""
        done = subprocess.run(
            (*self._command, *words), check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    def commit(self, folder: Path, name: str) -> None:
        """Make an image of a folder."""
        with self.container("scratch") as container:
            self.call("add", "--quiet", container, str(folder), "/")
            self.call("commit", "--quiet", container, name)

    def build(self, context: Path, name: str, arguments: Mapping[str, str]) -> None:
        """Build the Containerfile of a folder. Downloads trust whom this machine trusts."""
        self.call(*build_words(context, name, arguments, self._settings()))

    def _settings(self) -> Mapping[Path, str]:
        """Files of this machine that pip and npm see while the image is built; none stays in it."""
        pip, npm = self._folder / "pip.conf", self._folder / "npmrc"
        self._folder.mkdir(parents=True, exist_ok=True)
        pip.write_text(f"[global]\ncert = {CERTIFICATES}\n")
        npm.write_text(f"cafile={CERTIFICATES}\n")
        return {CERTIFICATES: str(CERTIFICATES), pip: "/etc/pip.conf", npm: "/root/.npmrc"}

    @contextmanager
    def container(self, image: str) -> Iterator[str]:
        """A container of an image, until the block is left."""
        name = self.call("from", image)
        try:
            yield name
        finally:
            self.call("rm", name)

    def run(
        self,
        container: str,
        command: Sequence[str],
        volumes: Mapping[Path, str],
        environment: Mapping[str, str],
    ) -> subprocess.Popen[str]:
        """Start a command in a container, as the image's user, on this machine's network."""
        words = run_words(container, command, volumes, environment)
        return subprocess.Popen((*self._command, *words), stdout=subprocess.PIPE, text=True)

    def size(self, image: str) -> int:
        """Bytes of an image's layers, not compressed."""
        (found,) = json.loads(self.call("images", "--json", image))
        return _bytes(found["size"])


def build_words(
    context: Path, name: str, arguments: Mapping[str, str], volumes: Mapping[Path, str]
) -> tuple[str, ...]:
    """The words of `buildah bud`."""
    return (
        *("bud", "--quiet", "--isolation", "chroot", "--network", "host"),
        *(f"--build-arg={key}={value}" for key, value in arguments.items()),
        *(f"--volume={host}:{inside}:ro" for host, inside in volumes.items()),
        *("--tag", name, str(context)),
    )


def run_words(
    container: str,
    command: Sequence[str],
    volumes: Mapping[Path, str],
    environment: Mapping[str, str],
) -> tuple[str, ...]:
    """The words of `buildah run`."""
    return (
        *("run", "--isolation", "chroot", "--network", "host"),
        *(f"--volume={host}:{inside}:ro" for host, inside in volumes.items()),
        *(f"--env={key}={value}" for key, value in environment.items()),
        *("--workingdir", "/tmp", container, "--", *command),
    )


_UNITS: Final = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def _bytes(text: str) -> int:
    """`312 MB`, as buildah says it."""
    number, unit = text.split()
    return round(float(number) * _UNITS[unit.upper()])
