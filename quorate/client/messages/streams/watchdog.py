"""Ends a stream of a synchronous program whose scheduler is frozen, or cut off.

gRPC bounds how long a call takes in all, not how long it may say nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

# Seconds between two looks.
LOOK: Final = 1.0


class Watchdog:
    """Looks once a second whether a stream is dead, while the `with` block lasts; a thread.

    Args:
        dead: whether it is. It may also ask the other side for a sign of life.
        end: ends the stream.

    Attributes:
        ended: `end` was called.
    """

    def __init__(self, dead: Callable[[], bool], end: Callable[[], object]) -> None:
        self._dead = dead
        self._end = end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quorate-watchdog", daemon=True)
        self.ended = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            if self._dead():
                self.ended = True
                self._end()
                return
