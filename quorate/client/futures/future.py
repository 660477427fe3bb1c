"""A future whose call runs on the cluster: the rules of `concurrent.futures.Future`, kept locally.

`cancel` decides here and now and never waits: an event loop calls it, through
`asyncio.wait_for(loop.run_in_executor(pool, ...))` for one. The cluster hears of it in the
background (`dispatch`).
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import IO, Any, Protocol, TypeVar

from quorate.client.tracking.ledger import Outcome
from quorate.client.tracking.outcome import is_large, value_of
from quorate.client.tracking.waiting import BRIEF_SECONDS, in_worker, is_brief, rest, waiting
from quorate.v1 import task_pb2

T = TypeVar("T")


class Owner(Protocol):
    """What a future needs of the executor that made it."""

    def withdraw(self, futures: list[ClusterFuture[T]]) -> None:
        """They were cancelled here: see that their calls end, without waiting for it."""

    def is_running(self, task_id: str) -> bool:
        """Whether an attempt is under way; asks the cluster."""

    def large(self, ref: task_pb2.BlobRef) -> IO[bytes]:
        """A file with the bytes of a large result."""


class ClusterFuture(Future[T]):
    """A future whose call runs on the cluster. `task_id` is set once it was created there."""

    def __init__(self, owner: Owner) -> None:
        super().__init__()
        self._owner = owner
        self.task_id = ""
        # "": open; "cancelled", "known": decided, by whoever was first.
        self._decided = ""
        if in_worker():
            self._waiters: list[Any] = _Waiters()

    def result(self, timeout: float | None = None) -> T:
        """As `Future.result`; a task that waits here gives its slot up meanwhile."""
        if is_brief(timeout) or self._is_done_soon():
            return super().result(timeout)
        with waiting():
            return super().result(rest(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As `Future.exception`; a task that waits here gives its slot up meanwhile."""
        if is_brief(timeout) or self._is_done_soon():
            return super().exception(timeout)
        with waiting():
            return super().exception(rest(timeout))

    def _is_done_soon(self) -> bool:
        with self._condition:
            return self._condition.wait_for(self.done, BRIEF_SECONDS)

    def cancel(self) -> bool:
        """Cancel the call, also one that runs. Returns at once: True unless it is finished.

        A call that was not sent yet never is. Otherwise the request goes to the cluster in the
        background: a waiting task becomes CANCELLED, a running attempt is ended, and its outcome is
        ignored. (`ProcessPoolExecutor` cannot cancel what runs and returns False.)
        """
        if self._decide("cancelled"):
            self._become_cancelled()
            self._owner.withdraw([self])
        return self._decided == "cancelled"

    def running(self) -> bool:
        """Whether an attempt is under way (asks the cluster)."""
        return not self.done() and bool(self.task_id) and self._owner.is_running(self.task_id)

    def _decide(self, how: str) -> bool:
        """Whether this decision is the first one; the others count for nothing."""
        with self._condition:
            if self._decided:
                return False
            self._decided = how
            return True

    def _become_cancelled(self) -> None:
        """Tell those who wait, and the callbacks."""
        super().cancel()
        self.set_running_or_notify_cancel()

    def _settle(self, outcome: Outcome) -> None:
        """The outcome is known."""
        if isinstance(outcome, BaseException):
            if self._decide("known"):
                self.set_exception(outcome)
        elif outcome.state == task_pb2.TASK_STATE_CANCELLED:
            if self._decide("cancelled"):
                self._become_cancelled()
        elif self._decide("known"):
            if is_large(outcome):
                # Not here: this thread brings the outcomes of all tasks of the queue.
                threading.Thread(target=self._finish, args=(outcome,), daemon=True).start()
            else:
                self._finish(outcome)

    def _finish(self, task: task_pb2.Task) -> None:
        try:
            value = value_of(task, large=self._owner.large)
        except BaseException as error:  # noqa: BLE001 - the task's own, or its unpickling's
            self.set_exception(error)
        else:
            self.set_result(value)


class _Waiters(list[Any]):
    """Who waits for a future by `concurrent.futures.wait` and `as_completed`.

    Both add a waiter here, while they hold every future's lock, and then wait for its event. That
    event is replaced by one whose wait is a wait for tasks. The names `_waiters` and `event` are
    internals of the standard library: where there is no such event, nothing is replaced.
    """

    def append(self, waiter: Any) -> None:
        if type(getattr(waiter, "event", None)) is threading.Event:
            waiter.event = _Event()
        super().append(waiter)


class _Event(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        if is_brief(timeout) or super().wait(BRIEF_SECONDS):
            return super().wait(timeout)
        with waiting():
            return super().wait(rest(timeout))


def cancel_all(owner: Owner, futures: list[ClusterFuture[T]]) -> None:
    """Cancel many: the cluster hears of them by one call."""
    cancelled = [future for future in futures if future._decide("cancelled")]
    for future in cancelled:
        future._become_cancelled()
    owner.withdraw(cancelled)
