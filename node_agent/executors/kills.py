"""TERM, a grace, KILL: how everything here is ended."""

from __future__ import annotations

import signal

from node_agent.executors.link import SpawnerLink


class Kills:
    """Process groups that were asked to end and have a deadline.

    Args:
        grace: seconds between SIGTERM and SIGKILL.
    """

    def __init__(self, link: SpawnerLink, grace: float) -> None:
        self._link = link
        self._grace = grace
        self._deadlines: dict[int, float] = {}

    def begin(self, key: int, now: float) -> None:
        """Ask a group to end; repeating it does not extend its grace."""
        if key not in self._deadlines:
            self._deadlines[key] = now + self._grace
            self._link.kill(key, signal.SIGTERM)
            # In this order: one that is stopped gets the first only now, and cannot do anything
            # in between.
            self._link.kill(key, signal.SIGCONT)

    def forget(self, key: int) -> None:
        """The group's leader has exited."""
        self._deadlines.pop(key, None)

    def on_tick(self, now: float) -> None:
        """Kill those whose grace is over."""
        for key, deadline in tuple(self._deadlines.items()):
            if now >= deadline:
                del self._deadlines[key]
                self._link.kill(key, signal.SIGKILL)
