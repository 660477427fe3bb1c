"""Programs that run for a while: the agent counts their time from their announcement."""

from __future__ import annotations

from collections.abc import Callable

# A program that runs this long is announced.
BEGAN_SECONDS = 0.005


class Announcements:
    """Programs that were not announced yet, in the order of their starts: at most one a lane.

    Owned by the spawner.

    Args:
        send: sends a message to the agent.
    """

    __slots__ = ("_send", "fresh")

    def __init__(self, send: Callable[[tuple], None]) -> None:  # type: ignore[type-arg]
        self._send = send
        self.fresh: dict[int, float] = {}

    def settle(self, now: float) -> None:
        """Announce programs that have run for a while."""
        began = []
        for key, running_since in self.fresh.items():
            if now - running_since < BEGAN_SECONDS:
                break
            began.append((key, running_since))
        for key, _ in began:
            del self.fresh[key]
        if began:
            self._send(("began", began))
