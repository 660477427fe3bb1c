"""What an exchange, and the proxy, know of a client's connection (`client_connection`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.proxy.http1.heads import RequestHead
from gateway.proxy.http1.problems import Rejection
from gateway.proxy.options import ProxyOptions


class Downstream(Protocol):
    """The client's side of an exchange: `ClientConnection`."""

    options: ProxyOptions
    now: Callable[[], float]
    deadline: float
    keep_alive: bool

    @property
    def held(self) -> bool:
        """What the client sends is not passed on for now."""

    @property
    def client_full(self) -> bool:
        """The client does not read: what was written waits."""

    @property
    def shutting_down(self) -> bool:
        """The process ends: no further request on this connection."""

    @property
    def half_closed(self) -> bool:
        """The client sends nothing any more."""

    def write(self, data: bytes) -> None:
        """To the client."""

    def hold(self) -> None:
        """No more of the request can be taken for now."""

    def release(self) -> None:
        """It can again."""

    def close(self) -> None:
        """End the connection when all is written."""

    def abort(self) -> None:
        """End it at once."""

    def refuse(
        self, rejection: Rejection, head: RequestHead, request_id: bytes, *, complete: bool
    ) -> None:
        """Answer the request with a problem."""

    def on_tunnel(self) -> None:
        """The exchange's connection is upgraded: bytes from now on."""

    def on_over(self) -> None:
        """The exchange has been answered."""


class Client(Downstream, Protocol):
    """A client's connection, whosever request is under way on it."""

    @property
    def peer(self) -> bytes:
        """The client's address."""

    @property
    def proto(self) -> bytes:
        """http or https."""

    def on_deadline(self) -> None:
        """`deadline` has passed."""
