"""Ends a stream on which nothing came for a while: its scheduler is frozen, or cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Silence:
    """Watches over one stream of a synchronous program while the `with` block lasts.

    gRPC bounds how long a call takes in all, not how long it may say nothing. One thread for each
    stream, which wakes once in `after` seconds.

    Args:
        end: ends the stream.
        after: seconds without `heard` until it is called.

    Attributes:
        ended: `end` was called.
    """

    def __init__(self, end: Callable[[], object], after: float) -> None:
        self._end = end
        self._after = after
        self._heard = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quorate-silence", daemon=True)
        self.ended = False

    def heard(self) -> None:
        """Something came."""
        self._heard = time.monotonic()

    def __enter__(self) -> Self:
        self._heard = time.monotonic()
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
        while (left := self._heard + self._after - time.monotonic()) > 0:
            if self._over.wait(left):
                return
        self.ended = True
        self._end()
