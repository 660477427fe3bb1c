"""Gateways that serve AMQP 0-9-1, and how clients find them: with TLS and tokens where clusters of
tests have them."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika

from quorate.client.transport.discovery import LocalCluster
from quorate.runtime.network.free_port import free_port
from tests.support import tls
from tests.support.gateway import run_gateway
from tools.gateway_http import token_of


@dataclass(frozen=True, slots=True)
class Door:
    """An AMQP door.

    Attributes:
        ca_file: of its certificate; empty: plaintext.
    """

    port: int
    user: str = "guest"
    password: str = "guest"
    ca_file: str = ""

    @property
    def url(self) -> str:
        """Of the virtual host "/"."""
        scheme = "amqps" if self.ca_file else "amqp"
        return f"{scheme}://{self.user}:{self.password}@127.0.0.1:{self.port}/"

    @property
    def context(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None

    def parameters(self, **more: object) -> pika.ConnectionParameters:
        """For pika. It gives up after 30 s wherever it waits."""
        usual: dict[str, object] = {
            "heartbeat": 0,
            "blocked_connection_timeout": 30,
            "socket_timeout": 30,
            "credentials": pika.PlainCredentials(self.user, self.password),
        }
        if self.ca_file:
            usual["ssl_options"] = pika.SSLOptions(self.context, "127.0.0.1")
        return pika.ConnectionParameters("127.0.0.1", self.port, **(usual | more))


def door_of(local: LocalCluster) -> Door:
    """Of a cluster of `quorate up --amqp`."""
    port = int(local.amqp_address.rpartition(":")[2])
    if local.tls is None:
        return Door(port)
    return Door(port, "local", token_of(local), local.tls.ca_file)


@contextmanager
def amqp_door(schedulers: Sequence[str]) -> Iterator[Door]:
    """A gateway of a cluster, and its AMQP door."""
    port = free_port()
    with run_gateway(schedulers, "--amqp", f"127.0.0.1:{port}"):
        client = tls.client_tls()
        if client is None:
            yield Door(port)
        else:
            yield Door(port, tls.CALLER, tls.client_token() or "", client.ca_file)


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Look again until the condition is true; its value."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.02)
    return found


def snippet(test: str, url: str) -> str:
    """The Python of docs/amqp.md that says it is tested by this file, for the broker at `url`."""
    page = Path(__file__).parents[2] / "docs" / "amqp.md"
    pattern = rf"<!-- tested by \S*{re.escape(Path(test).name)} -->\n```python\n(.*?)```"
    (found,) = re.findall(pattern, page.read_text(), re.DOTALL)
    return str(found).replace("amqp://guest:guest@127.0.0.1:5672/", url)
