"""A gateway as a real process, for tests of it: started, asked, ended."""

from __future__ import annotations

import http.client
import re
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from quorate.security.tls.dialer import ClientTls
from tests.support import forked
from tests.support.tls import Leaf, client_tls, gateway_flags
from tools.gateway_http import https_context


@dataclass
class GatewayProcess:
    """A gateway that serves at `address` (host:port)."""

    process: forked.Running
    address: str
    tls: ClientTls | None = None
    """With which it is spoken to; None: plaintext."""

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}"

    def http(self) -> http.client.HTTPConnection:
        """A connection for requests; answers are waited for 20 s at most."""
        context = https_context(self.tls)
        if context is None:
            return http.client.HTTPConnection(self.address, timeout=60)
        return http.client.HTTPSConnection(self.address, timeout=60, context=context)

    @property
    def pid(self) -> int:
        return self.process.pid

    def connect(self) -> socket.socket:
        """A bare connection; reads wait 20 s at most."""
        host, _, port = self.address.rpartition(":")
        return socket.create_connection((host, int(port)), timeout=60)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """The exit code, which comes within so many seconds."""
        return self.process.wait(seconds)


@contextmanager
def run_gateway(
    schedulers: Sequence[str], *arguments: str, leaf: Leaf | None = None
) -> Iterator[GatewayProcess]:
    """Run one at a free port of 127.0.0.1 from entering to leaving.

    `leaf`: its certificate, for schedulers that `tests.support.tls` has not locked.
    """
    command = ("gateway", "--schedulers", ",".join(schedulers), "--listen", "127.0.0.1:0")
    process, output = forked.start_piped(*command, *gateway_flags(leaf), *arguments, error=2)
    try:
        with output:
            line = output.readline()
            ready = re.fullmatch(r"gateway ready address=(127\.0\.0\.1:\d+) instance=\w+\n", line)
            assert ready, f"the gateway said {line!r}; its standard error has the reason"
            yield GatewayProcess(process, ready[1], leaf.client if leaf else client_tls())
    finally:
        process.kill()
        process.wait()
