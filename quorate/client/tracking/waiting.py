"""Waiting for another task from inside a task: the worker hears of it, and may run something else.

A task that waits for others keeps them from running when it has the slot that they need. So
whatever in the SDK waits for a task's end does so inside `waiting()`. In a worker process on a node
this tells the node's agent, which gives the slot away until the wait is over; anywhere else it
does nothing. The worker registers its `Host` here: the SDK knows no service.

A wait that is over within `BRIEF_SECONDS` is not reported: to give a slot away and to take it back
costs more. Outside of a worker all this is one comparison. This module imports no gRPC (see the
package).
"""

from __future__ import annotations

import queue
from types import TracebackType
from typing import Protocol, TypeVar

T = TypeVar("T")

# As long as an agent takes to see that an attempt is a long one.
BRIEF_SECONDS = 0.020


class Host(Protocol):
    """The worker process that this code runs in. Thread-safe."""

    def begin(self) -> int:
        """A wait begins in this thread; what `end` needs to know. Raises `TooManyWait`."""

    def end(self, wait: int) -> None:
        """It is over."""


class TooManyWait(Exception):
    """The node lets no more tasks wait: `limit` do already."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


_host: Host | None = None


def register(host: Host | None) -> None:
    """This process is a worker from now on; None: it is none."""
    global _host
    _host = host


def in_worker() -> bool:
    """Whether this process is a worker."""
    return _host is not None


def is_brief(timeout: float | None) -> bool:
    """Whether a wait of `timeout` seconds (None: for ever) is nobody's business.

    Otherwise wait for BRIEF_SECONDS first, and then, inside `waiting()`, for `rest(timeout)`.
    """
    return _host is None or (timeout is not None and timeout <= BRIEF_SECONDS)


def rest(timeout: float | None) -> float | None:
    """What is left of `timeout` after BRIEF_SECONDS."""
    return None if timeout is None else timeout - BRIEF_SECONDS


class waiting:
    """`with waiting():` around what waits for other tasks; may be nested, in any thread.

    Raises QuorateError (RESOURCE_EXHAUSTED, TOO_MANY_WAITING_TASKS): as many tasks of this node as
    its limit allows wait for others already.
    """

    __slots__ = ("_host", "_wait")

    def __enter__(self) -> None:
        self._host = _host
        if self._host is not None:
            try:
                self._wait = self._host.begin()
            except TooManyWait as refused:
                raise _rejection(refused.limit) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._host is not None:
            self._host.end(self._wait)


def take(arrived: queue.SimpleQueue[T], timeout: float | None) -> T:
    """The next outcome; raises queue.Empty after `timeout` seconds."""
    if is_brief(timeout):
        return arrived.get(timeout=timeout)
    try:
        return arrived.get(timeout=BRIEF_SECONDS)
    except queue.Empty:
        with waiting():
            return arrived.get(timeout=rest(timeout))


def _rejection(limit: int) -> Exception:
    import grpc

    from quorate.runtime.errors import QuorateError

    return QuorateError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_MANY_WAITING_TASKS",
        f"{limit} tasks of this node wait for other tasks already, which is its limit "
        "(--max-yielded); give the tasks that are waited for a higher priority than those that "
        "wait, or raise the limit",
        metadata={"limit": str(limit)},
    )
