"""JetStream of the system's packages, beside the others in the same run: no bar.

One server on 127.0.0.1, whose stream is a file. It confirms a message once that is written, and
syncs the file every two minutes: a machine that loses power loses what was confirmed since. Quorate
and RabbitMQ sync before they confirm. https://docs.nats.io/nats-concepts/jetstream
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.broker.clients.work import Found
from benchmarks.broker.sides import process
from quorate.runtime.network.free_port import free_port

INSTALL = "JetStream is not installed: apt-get install nats-server; pip install nats-py"
# What its figures have to say.
UNSYNCED = "no fsync per message"
# What is measured, and messages for each second that it finds in the stream.
CASES = {
    "publish, confirmed, 500 under way": ("jetstream-confirmed", 0),
    "consume, ack each": ("jetstream-consume", 20_000),
    "16 one by one": ("jetstream-concurrent", 0),
    "1 one by one": ("jetstream-single", 0),
}
PACED = "jetstream-paced"
_START = 20.0
_LOOK = 0.05


def is_installed() -> bool:
    """Whether there is a server, and a client for it."""
    found = shutil.which("nats-server") is not None
    return found and importlib.util.find_spec("nats") is not None


@contextmanager
def serving() -> Iterator[int]:
    """A server with a folder of its own; its port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="quorate-jetstream-") as folder:
        argv = ["nats-server", "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", folder]
        server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await(port, server)
            yield port
        finally:
            server.terminate()
            server.wait(_START)


def run(port: int, program: str, seconds: float, filled: int = 0) -> Found:
    """Run a program for so long with a stream of its own."""
    name = f"{program}-{time.monotonic_ns()}"
    return process(program, str(port), name, seconds, int(filled * seconds))


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(_LOOK)
        else:
            return
