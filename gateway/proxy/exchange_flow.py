"""How long an exchange waits, and which side it holds while the other one does not read.

A base class of `Exchange` and not an object beside it, since it is on the path of every byte.
"""

from __future__ import annotations

import enum

from gateway.http.patience import Patience
from gateway.proxy.balancing.pool import Link
from gateway.proxy.balancing.services import ProxiedService
from gateway.proxy.downstream import Downstream


class State(enum.Enum):
    """See the drawing in `exchange`."""

    CONNECTING = 1
    WAITING = 2
    STREAMING = 3
    TUNNEL = 4
    OVER = 5


class ExchangeFlow:
    """The two sides of an exchange, as far as time and flow are about them."""

    __slots__ = ("_client", "_complete", "_link", "_patience", "_service", "_state")

    def __init__(self, client: Downstream, service: ProxiedService, *, complete: bool) -> None:
        self._client = client
        self._service = service
        self._state = State.CONNECTING
        self._link: Link | None = None
        # All of the request has come.
        self._complete = complete
        self._patience = None if complete else Patience(client.options.read_timeout, client.now())

    def _expect(self) -> None:
        """When the next thing must have happened: the rest of the request, or an answer."""
        client = self._client
        if self._patience is not None and not self._complete and not client.held:
            client.deadline = self._patience.ends
        else:
            client.deadline = client.now() + self._within(self._service.policy.timeout)

    def _within(self, seconds: float) -> float:
        """`seconds`, or less where the client may be gone without our knowing."""
        client = self._client
        return min(seconds, client.options.half_closed) if client.half_closed else seconds

    def _renew_patience(self) -> None:
        """The client was not read from for a while."""
        if self._patience is not None:
            self._patience.renew(self._client.now())

    def on_half_closed(self) -> None:
        """The client has ended its side, and may still read."""
        if self._state is State.WAITING:
            self._expect()
        elif self._state is State.STREAMING and not self._client.client_full:
            self._client.deadline = self._client.now() + self._idle()

    def on_link_full(self, full: bool) -> None:
        """See LinkUser: do not read from the client what the instance does not read."""
        if full:
            self._client.hold()
        else:
            self._renew_patience()
            self._client.release()
        if self._state is State.WAITING:
            self._expect()

    def on_client_full(self, full: bool) -> None:
        """Do not read from the instance what the client does not read."""
        if self._link is None:
            return
        client = self._client
        if full:
            self._link.transport.pause_reading()
            client.deadline = client.now() + client.options.write_timeout
        else:
            self._link.transport.resume_reading()
            if self._state is State.WAITING:
                self._expect()
            else:
                client.deadline = client.now() + self._idle()

    def _idle(self) -> float:
        options = self._client.options
        if self._state is State.TUNNEL:
            return options.tunnel_idle
        return self._within(max(options.answer_idle, self._service.policy.timeout))
