"""A cluster whose gateway serves AMQP 0-9-1, and how its clients find it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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


def snippet(test: str, port: int) -> str:
    """The Python of docs/amqp.md that says it is tested by this file, at this port."""
    page = Path(__file__).parents[2] / "docs" / "amqp.md"
    pattern = rf"<!-- tested by \S*{re.escape(Path(test).name)} -->\n```python\n(.*?)```"
    (found,) = re.findall(pattern, page.read_text(), re.DOTALL)
    return str(found).replace(":5672/", f":{port}/")
