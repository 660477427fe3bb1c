"""What is tried in a container of the image: a scheduler's start, and the demo."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from quorate.etcd.server.binary import find_etcd
from quorate.etcd.server.launcher import EtcdProcess
from tools.image.buildah import Buildah

ROOT: Final = Path(__file__).parents[2]
# What the demo reads that is not in the image; the packages of Quorate are the image's.
_READ: Final = ("examples", "tools", "docs", "protos")
_STARTS: Final = 5
_PATIENCE: Final = 30.0


class TrialFailed(Exception):
    """What was tried did not work: a sentence."""


def start_seconds(buildah: Buildah, container: str) -> float:
    """From the start of a scheduler's process until it is ready; the median of some."""
    with tempfile.TemporaryDirectory(prefix="quorate-image-") as folder:
        etcd = EtcdProcess(Path(folder) / "etcd")
        asyncio.run(etcd.start())
        try:
            took = sorted(_start(buildah, container, etcd.endpoint) for _ in range(_STARTS))
        finally:
            asyncio.run(etcd.stop())
    return took[len(took) // 2]


def _start(buildah: Buildah, container: str, etcd: str) -> float:
    command = ("python", "-m", "scheduler", f"--etcd={etcd}", "--listen=127.0.0.1:0")
    began = time.monotonic()
    process = buildah.run(container, command, {}, {})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.monotonic() - began
        if not line.startswith("scheduler ready"):
            raise TrialFailed(f"the scheduler in the image did not start: {line!r}")
        return took
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def demo(buildah: Buildah, container: str) -> None:
    """Run the demo, whose output is ours. Raises TrialFailed."""
    volumes = {ROOT / name: f"/demo/{name}" for name in _READ}
    volumes[find_etcd().path.parent] = "/demo/etcd"
    environment = {
        "PYTHONPATH": "/demo",
        "PATH": "/demo/etcd:/opt/quorate/bin:/usr/local/bin:/usr/bin:/bin",
    }
    command = ("python", "/demo/examples/demo.py")
    process = buildah.run(container, command, volumes, environment)
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
    if (code := process.wait()) != 0:
        raise TrialFailed(f"the demo failed in the image: exit code {code}")
