"""Values of subtasks that are read for one answer, as many as memory has room for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Held(Generic[Value]):
    """Values by position: those of the first positions, `most` bytes of them and one at least.

    They may be put in any order. Owned by one reader.

    Attributes:
        end: before this position none was left out.
    """

    def __init__(self, most: int, end: int) -> None:
        self.end = end
        self._most = most
        self._size = 0
        self._found: dict[int, tuple[Value, int]] = {}

    def __iter__(self) -> Iterator[tuple[int, Value]]:
        return ((position, value) for position, (value, _) in self._found.items())

    def put(self, position: int, value: Value, size: int) -> None:
        """Hold a value of so many bytes, in place of the one before."""
        if position >= self.end:
            return
        old = self._found.get(position)
        self._size += size - (old[1] if old is not None else 0)
        self._found[position] = (value, size)

    def trim(self) -> None:
        """Leave out the last ones, as far as there are too many bytes."""
        if self._size <= self._most:
            return
        for position in sorted(self._found, reverse=True):
            if self._size <= self._most or len(self._found) == 1:
                return
            self._size -= self._found.pop(position)[1]
            self.end = position
