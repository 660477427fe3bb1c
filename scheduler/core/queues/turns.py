"""Whose turn it is when several callers want more than there is at once. Pure.

`Turns` is a deficit round robin (Shreedhar and Varghese, 1995): callers go round, each for a
quantum of cost, so that one with a thousand large pieces of work gets no more than one with a few
small ones. `Contention` knows whether anybody else is there at all: who is alone is not slowed
down.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# Seconds for which a caller that was heard is taken to be there.
HEARD_FOR: Final = 2.0


class Turns(Generic[T]):
    """Pieces of work that wait, by caller.

    Whoever adds them bounds their number. A piece that costs more than a quantum waits for as many
    rounds as it costs quanta, in which the others have their turns.

    Args:
        quantum: cost of one turn, in whatever unit costs have.
    """

    def __init__(self, quantum: int) -> None:
        assert quantum > 0
        self._quantum = quantum
        # By caller, in the order of their turns; no empty ones.
        self._lines: OrderedDict[str, deque[tuple[T, int]]] = OrderedDict()
        # What is left to each of the turns it had; of those in `_lines` alone: who comes anew has
        # saved nothing.
        self._left: dict[str, int] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        return (item for line in self._lines.values() for item, _ in line)

    def add(self, caller: str, item: T, cost: int) -> None:
        """`item` waits behind what its caller has added before."""
        line = self._lines.get(caller)
        if line is None:
            line = self._lines[caller] = deque()
            self._left[caller] = 0
        line.append((item, cost))
        self._size += 1

    def take(self) -> tuple[str, T]:
        """The next piece, and whose it is. There must be one."""
        if len(self._lines) > 1:
            self._skip_rounds()
        while True:
            caller, line = next(iter(self._lines.items()))
            item, cost = line[0]
            if cost > self._left[caller] and len(self._lines) > 1:
                self._left[caller] += self._quantum
                if cost > self._left[caller]:
                    self._lines.move_to_end(caller)
                    continue
            line.popleft()
            self._size -= 1
            self._left[caller] = max(0, self._left[caller] - cost)
            if not line:
                del self._lines[caller], self._left[caller]
            elif self._left[caller] < line[0][1]:
                self._lines.move_to_end(caller)
            return caller, item

    def _skip_rounds(self) -> None:
        """Give all callers at once the turns in which nobody could afford anything."""
        short = (line[0][1] - self._left[caller] for caller, line in self._lines.items())
        rounds = -(-min(short) // self._quantum) - 1
        if rounds > 0:
            for caller in self._lines:
                self._left[caller] += rounds * self._quantum

    def clear(self) -> None:
        """Forget everything."""
        self._lines.clear()
        self._left.clear()
        self._size = 0


class Contention:
    """Whether a caller is alone. Keeps the two callers that were heard last."""

    def __init__(self) -> None:
        self._last = ""
        self._last_at = -HEARD_FOR
        # The last one that was another.
        self._other = ""
        self._other_at = -HEARD_FOR

    def heard(self, caller: str, now: float) -> None:
        """A caller wants something; `now` is monotonic."""
        if caller != self._last:
            self._other, self._other_at = self._last, self._last_at
            self._last = caller
        self._last_at = now

    def others(self, caller: str, now: float) -> bool:
        """Whether anybody else was heard in the last `HEARD_FOR` seconds."""
        at = self._other_at if caller == self._last else self._last_at
        return now - at < HEARD_FOR
