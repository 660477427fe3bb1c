"""Which settlements of a session are durable: a confirm covers all numbers up to its own.

Most are done in one step. Some go on in others, or wait for a body: until they are done, those that
came later are not confirmed.
"""

from __future__ import annotations


class Settles:
    """Owned by a session. Memory: an entry for each request that is not done."""

    __slots__ = ("_done", "_open")

    def __init__(self) -> None:
        # Number -> parts that follow.
        self._open: dict[int, int] = {}
        self._done = 0

    def begin(self, number: int) -> None:
        """A part of a request follows later."""
        self._open[number] = self._open.get(number, 0) + 1

    def go_on(self, number: int) -> None:
        """A part that was to follow is dealt with now."""
        left = self._open.get(number, 1) - 1
        if left:
            self._open[number] = left
        else:
            self._open.pop(number, None)

    def end(self, number: int) -> int | None:
        """A step of a request is done: the number up to which all are, once it is committed; None:
        some are not."""
        self._done = max(self._done, number)
        return None if self._open else self._done
