"""Exits that the agent is to learn of, gathered for a moment where nobody waits for them.

To wake the agent costs as much as a tenth of starting a program. The programs of a chunk are sent
far ahead: as long as enough of them wait here, their exits go to the agent together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Exits in one message. More would cost less, but the agent has to send new programs before those
# that wait here are used up.
REPORT_EVERY = 4
# Of programs of chunks, while at least so many wait in their lane, for at most so long (seconds).
REPORT_LATER = 16
ENOUGH_AHEAD = 6
LATER_SECONDS = 0.005


class Exits:
    """Those that were not sent.

    Attributes:
        due: when they have to be sent (monotonic seconds); 0 while there are none.
    """

    __slots__ = ("_held", "_hurry", "_send", "due")

    def __init__(self, send: Callable[[tuple[Any, ...]], None]) -> None:
        self._send = send
        self._held: list[tuple[Any, ...]] = []
        self._hurry = False
        self.due = 0.0

    def add(self, found: tuple[Any, ...], now: float, *, patient: bool) -> None:
        """One more; `patient`: nobody waits for it."""
        if not self._held:
            self.due = now + LATER_SECONDS
        self._held.append(found)
        self._hurry = self._hurry or not patient
        if len(self._held) >= (REPORT_EVERY if self._hurry else REPORT_LATER):
            self.send()

    def settle(self, now: float) -> None:
        """All that has happened was added: send what should not wait."""
        if self._held and (self._hurry or now >= self.due):
            self.send()

    def send(self) -> None:
        """Send all."""
        if self._held:
            held, self._held = self._held, []
            self._hurry, self.due = False, 0.0
            self._send(("done", held))
