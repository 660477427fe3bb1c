"""What is tried in a container of the image: a scheduler's start, and the demo."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from quorate.etcd.server.binary import find_etcd
from quorate.etcd.server.launcher import EtcdProcess
from tools.image.buildah import Buildah

ROOT: Final = Path(__file__).parents[2]
# What the demo reads that is not in the image; the packages of Quorate are the image's.
_READ: Final = ("examples", "tools", "docs", "protos")
_STARTS: Final = 5


class TrialFailed(Exception):
    """What was tried did not work: a sentence."""


# Runs in the container: seconds from the start of a scheduler's process until it says it is ready.
_MEASURE: Final = """
import subprocess, sys, time
for _ in range(int(sys.argv[1])):
    began = time.monotonic()
    command = (sys.executable, "-m", "scheduler", sys.argv[2], "--listen=127.0.0.1:0")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    line = process.stdout.readline()
    print(time.monotonic() - began if line.startswith("scheduler ready") else repr(line))
    process.terminate()
    process.wait(30)
"""


def start_seconds(buildah: Buildah, container: str) -> float:
    """From the start of a scheduler's process until it is ready; the median of some."""
    with tempfile.TemporaryDirectory(prefix="quorate-image-") as folder:
        etcd = EtcdProcess(Path(folder) / "etcd")
        asyncio.run(etcd.start())
        try:
            command = ("python", "-c", _MEASURE, str(_STARTS), f"--etcd={etcd.endpoint}")
            said, _ = buildah.run(container, command, {}, {}).communicate()
        finally:
            asyncio.run(etcd.stop())
    try:
        took = sorted(map(float, said.split()))
        return took[len(took) // 2]
    except (ValueError, IndexError):
        raise TrialFailed(f"the scheduler in the image did not start: {said!r}") from None


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
