"""A cluster whose gateway serves AMQP 0-9-1, and how its clients find it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pika

from quorate.runtime.network.free_port import free_port
from tests.support.gateway import run_gateway


@contextmanager
def amqp_door(schedulers: Sequence[str], *flags: str) -> Iterator[int]:
    """A gateway of a cluster; the port of its AMQP door."""
    port = free_port()
    with run_gateway(schedulers, "--amqp", f"127.0.0.1:{port}", *flags):
        yield port


def parameters(port: int, **more: object) -> pika.ConnectionParameters:
    """How pika finds the door. It gives up after 30 s wherever it waits."""
    usual = {"heartbeat": 0, "blocked_connection_timeout": 30, "socket_timeout": 30}
    return pika.ConnectionParameters("127.0.0.1", port, **(usual | more))
