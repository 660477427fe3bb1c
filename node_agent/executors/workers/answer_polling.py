"""When answers of workers are read: one by one from a lane with little to do, and every millisecond
from lanes with many short attempts, so that the loop wakes once for many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node_agent.executors.workers.lanes import Lane

# Attempts in hand from which on a lane is polled.
POLL_DEPTH = 4
POLL_SECONDS = 0.001


class AnswerPolling:
    """Watches the lanes' sockets. Lives in the event loop in which it was made.

    Args:
        receive: takes every answer that is there in a lane.
        after: called after each batch of answers.
    """

    def __init__(self, receive: Callable[[Lane], None], after: Callable[[], None]) -> None:
        self._receive = receive
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        # Lanes that are polled; `lane.polled` says the same of each.
        self._polled: list[Lane] = []

    def watch(self, lane: Lane) -> None:
        """A lane has a socket."""
        self._loop.add_reader(lane.ours.fileno(), self._on_readable, lane)

    def unwatch(self, lane: Lane) -> None:
        """Its socket is about to be closed."""
        self._loop.remove_reader(lane.ours.fileno())

    def close(self) -> None:
        """No more polling; the lanes are unwatched one by one."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_readable(self, lane: Lane) -> None:
        """Answers arrived in an idle or slow lane."""
        self._receive(lane)
        self._after()
        if len(lane.pending) >= POLL_DEPTH:
            lane.polled = True
            self._polled.append(lane)
            self._loop.remove_reader(lane.ours.fileno())
            if self._timer is None:
                self._timer = self._loop.call_later(POLL_SECONDS, self._poll)

    def _poll(self) -> None:
        """Fetch the answers of all busy lanes."""
        self._timer = None
        polled, self._polled = self._polled, []
        for lane in polled:
            self._receive(lane)
        self._after()
        for lane in polled:
            if len(lane.pending) < POLL_DEPTH:
                lane.polled = False
                self.watch(lane)
            else:
                self._polled.append(lane)
        if self._polled and self._timer is None:
            self._timer = self._loop.call_later(POLL_SECONDS, self._poll)
