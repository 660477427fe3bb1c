"""One stream of a synchronous program, from when it is opened to when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import grpc

from quorate.client.messages.rpcs import STREAM_DEADLINE
from quorate.client.messages.streams import reopening
from quorate.client.messages.streams.reopening import Ended
from quorate.client.messages.streams.watchdog import Watchdog
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import Message, Rpc

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res")
# Of what a stream sends, and of what it brings.
Out = TypeVar("Out", bound=Message, covariant=True)
In = TypeVar("In", contravariant=True)


class Owner(Protocol[Out, In]):
    """Whose stream it is. All but `closing` are called by several threads."""

    @property
    def closing(self) -> bool:
        """It is to end."""

    def opened(self, call: Any) -> None:
        """`call.cancel()` ends it."""

    def requests(self) -> Iterator[Out]:
        """What is sent, each when the one before is on its way. It ends after `over`."""

    def over(self) -> None:
        """Nothing more is taken from `requests`."""

    def on_answer(self, answer: In) -> None:
        """One answer, in order."""

    def is_dead(self) -> bool:
        """Whether nothing came for too long; asked once a second."""


def read(
    calls: Calls,
    rpc: Rpc[Req, Res],
    owner: Owner[Req, Res],
    again: reopening.Reopening,
    silence: float,
) -> Ended:
    """Open a stream, and read it until it ends.

    Raises QuorateError: what ended it, where opening it again is in vain.
    """
    heard = False
    error = reopening.ended()
    opened = calls.duplex(rpc, owner.requests(), deadline=STREAM_DEADLINE)
    with opened as (address, call), Watchdog(owner.is_dead, call.cancel) as watchdog:
        owner.opened(call)
        try:
            if not owner.closing:
                for answer in call:
                    heard = True
                    again.on_answer()
                    owner.on_answer(answer)
        except grpc.RpcError as broken:
            if not owner.closing:
                if watchdog.ended:
                    error = reopening.silent(silence)
                else:
                    error = reopening.why(broken, address)
        finally:
            owner.over()
    return Ended(error, address, aged=heard and reopening.is_aged(error, silent=watchdog.ended))
