"""An event loop whose time jumps to the next timer: seconds of pauses cost nothing."""

from __future__ import annotations

import asyncio
import selectors


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop without waiting: when nothing is ready, its clock is put to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None):
        assert timeout is not None, "every task waits, and no timer is set: a deadlock"
        self._loop.now += max(timeout, 0)
        return super().select(0)
