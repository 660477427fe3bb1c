"""Both sides of the comparison: a queue at each, and programs that are run against it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pika
from pika.exceptions import AMQPError

from benchmarks.broker.clients.blocking import channel
from benchmarks.broker.clients.work import Found
from benchmarks.cluster import BenchCluster
from quorate.runtime.network.free_port import free_port

_START = 30.0
_LOOK = 0.1
# What a program may take beyond the seconds that it measures; and messages a second, at least.
_PATIENCE = 120.0
_SLOWEST = 5_000


@dataclass(frozen=True, slots=True)
class Side:
    """Where programs find a broker: schedulers (SDK) or a port (AMQP), and one for declarations.

    `filler`: the program that fills queues fastest.
    """

    target: str
    port: int
    filler: str

    def run(self, program: str, seconds: float, filled: int = 0) -> Found:
        """Run a program for so long at a new quorum queue with `filled` messages."""
        with self._queue(f"bench-{program}-{time.monotonic_ns()}") as queue:
            if filled:
                place = self.target if self.filler.startswith("sdk") else str(self.port)
                process(self.filler, place, queue, 0, filled)
            return process(program, self.target, queue, seconds, filled)

    @contextmanager
    def _queue(self, name: str) -> Iterator[str]:
        with channel(self.port) as found:
            found.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
        try:
            yield name
        finally:
            with channel(self.port) as found:
                found.queue_delete(name)


def process(program: str, target: str, queue: str, seconds: float, count: int) -> Found:
    """Run a program as a process of its own. Raises RuntimeError with what it printed."""
    argv = [sys.executable, "-m", "benchmarks.broker.clients", program, target, queue]
    ended = subprocess.run(
        [*argv, f"{seconds:g}", str(count)],
        capture_output=True,
        text=True,
        timeout=seconds + _PATIENCE + count / _SLOWEST,
    )
    if ended.returncode:
        raise RuntimeError(f"{program}:\n{ended.stderr[-3000:]}")
    return Found(**json.loads(ended.stdout))


@contextmanager
def amqp_of(cluster: BenchCluster) -> Iterator[int]:
    """A gateway that serves AMQP for a cluster; its port."""
    port = free_port()
    schedulers = ",".join(cluster.local.addresses)
    argv = [sys.executable, "-m", "gateway", "--listen", f"127.0.0.1:{free_port()}"]
    argv += ["--schedulers", schedulers, "--amqp", f"127.0.0.1:{port}", "--same-user"]
    log = cluster.folder / "amqp.log"
    with log.open("wb") as output:
        gateway = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await(port, gateway)
        yield port
    finally:
        gateway.terminate()
        gateway.wait(_START)


def _await(port: int, gateway: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START
    while True:
        try:
            pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)).close()
        except (AMQPError, OSError):
            if gateway.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(_LOOK)
        else:
            return
