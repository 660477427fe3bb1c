"""When a stream that broke is opened again, and when its owner gives up. No I/O.

A change of leaders ends every stream: another one is opened at once, at whichever scheduler
answers. What no other scheduler does better (a queue that does not exist, no permission) is final.
"""

from __future__ import annotations

import random
from typing import Any, Final, NamedTuple, Protocol

import grpc

from quorate.client.transport.contact import explained
from quorate.client.transport.rpcs import TryAgain, judge
from quorate.runtime.errors import QuorateError, unavailable
from quorate.runtime.timing.backoff import Backoff

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
# What gRPC's asyncio client says when a stream breaks while it is sending.
_BROKE_WHILE_SENDING: Final = "Internal error from Core"
_OUT_OF_SERVICE: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Transport(Protocol):
    """What is needed of `Calls` or `AsyncCalls`."""

    def gives_up_after(self, error: QuorateError) -> float: ...
    def on_failure(self, address: str, error: QuorateError) -> None: ...
    def on_reached(self) -> None: ...


class Ended(NamedTuple):
    """How a stream ended: at `address`, with `error`.

    Attributes:
        aged: it worked, and was as old as one may be.
    """

    error: QuorateError
    address: str
    aged: bool


def is_aged(error: QuorateError, *, silent: bool) -> bool:
    """Whether a stream ended because of its age; `silent`: it was ended for saying nothing."""
    return error.code is grpc.StatusCode.DEADLINE_EXCEEDED and not silent


def ended() -> QuorateError:
    """The error of a stream that a scheduler ended without one."""
    return unavailable("STREAM_ENDED", "the scheduler ended the stream")


def silent(seconds: float) -> QuorateError:
    """The error of a stream whose scheduler is frozen, or cut off."""
    return QuorateError(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "STREAM_SILENT",
        f"the scheduler sent nothing for {seconds:g} s",
    )


def why(error: grpc.RpcError, address: str) -> QuorateError:
    """The error of a stream that may be opened again.

    Raises QuorateError: opening it again is in vain.
    """
    found: Any = error
    if found.code() is grpc.StatusCode.INTERNAL and _BROKE_WHILE_SENDING in str(found.details()):
        return unavailable("STREAM_BROKEN", "the connection broke while a request was sent")
    verdict = judge(error)
    if isinstance(verdict, TryAgain):
        return verdict.error
    raise explained(verdict, address) from None


class Reopening:
    """Counts the time without an answer, of one stream and those that follow it.

    Args:
        calls: what opens them.
    """

    def __init__(self, calls: Transport) -> None:
        self._calls = calls
        self._since: float | None = None
        self._pauses = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, spread=1.0)

    def on_answer(self) -> None:
        """A scheduler serves the stream."""
        self._calls.on_reached()
        self.forget()

    def forget(self) -> None:
        """Nobody waits for the stream: the time begins with the next failure."""
        self._since = None
        self._pauses.reset()

    def pause(self, ended: Ended, now: float) -> float:
        """Seconds until the next stream, after one ended. `now`: monotonic.

        Raises QuorateError: nobody answered for as long as the client is patient.
        """
        broken, address, aged = ended
        if aged:
            return 0.0
        if self._since is None:
            self._since = now
        if broken.code in _OUT_OF_SERVICE:
            self._calls.on_failure(address, broken)
        if now - self._since >= self._calls.gives_up_after(broken):
            raise explained(broken, address)
        return self._pauses.next(random.random())
