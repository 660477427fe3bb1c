"""How long a request's body is waited for. Pure."""

from __future__ import annotations

from typing import Final

# Bytes a second of a request's body; who sends less for long is not waited for.
SLOWEST: Final = 500


class Patience:
    """When a request's body is given up (Apache's `RequestReadTimeout ... MinRate`).

    Patience passes with time and comes back with bytes, 1 / SLOWEST for each, up to `seconds`.
    """

    __slots__ = ("_seconds", "ends")

    def __init__(self, seconds: float, now: float) -> None:
        self._seconds = seconds
        self.ends = now + seconds
        """The instant at which it is over."""

    def came(self, size: int, now: float) -> None:
        """So many bytes came."""
        self.ends = min(self.ends + size / SLOWEST, now + self._seconds)

    def renew(self, now: float) -> None:
        """It was not the client who paused."""
        self.ends = now + self._seconds
