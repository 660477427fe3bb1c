"""A bound on names that users choose: Prometheus keeps a series for each, for ever.

A cluster may have thousands of queues and services. Some names have series of their own; the rest
is added up under `OTHER`, so that sums stay right.

* `Bounded`, for gauges: the first names in alphabetical order, so that a scrape of the next leader
  shows the same ones.
* `Busiest`, for counters: the busiest names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

MOST: Final = 200
OTHER: Final = "other"
_DECAY: Final = 0.9
_MORE: Final = 2.0


class Bounded:
    """Which of some names are shown.

    Args:
        names: all of them.
        most: how many have a series of their own.
    """

    def __init__(self, names: Iterable[str], most: int = MOST) -> None:
        self._shown = frozenset(sorted(names)[:most])

    def __call__(self, name: str) -> str:
        """The label's value for `name`."""
        return name if name in self._shown else OTHER


class Busiest:
    """Counters by name, of the busiest names. Owned by one event loop.

        counts by name, ever growing  --look-->  sums by label, ever growing

    Prometheus takes a counter that falls for one that began anew. So a name never takes its past
    along when it gets a label of its own, or loses it: each look adds what came since the last one
    to the label that the name has now. A sum over all labels is right. A label that is given up has
    no series any more; it begins at 0 when the name is among the busiest again.

    While there is room, every name has a label. After that a name takes the label of the least busy
    one when it is more than `_MORE` times as busy, counted over about the last ten looks.

    Memory: two lists of numbers for each name; whoever counts bounds the names.

    Args:
        most: how many names have a label of their own.
        width: numbers of each name.
    """

    def __init__(self, most: int, width: int) -> None:
        self._most = most
        self._width = width
        self._added: dict[str, list[float]] = {}
        self._load: dict[str, float] = {}
        self._sums: dict[str, list[float]] = {}
        self._other = [0.0] * width

    def look(self, counts: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, list[float]]]:
        """Each label and its sums, as they are now; `OTHER` only if there are too many names.

        Args:
            counts: `width` numbers of each name; no number ever falls, and no name goes.
        """
        zeros = [0.0] * self._width
        fresh: dict[str, list[float]] = {}
        for name, now in counts.items():
            load = self._load.get(name, 0.0) * _DECAY
            before = self._added.get(name, zeros)
            if now != before:
                came = [new - old for new, old in zip(now, before, strict=True)]
                fresh[name] = came
                load += max(came)
                self._added[name] = list(now)
            self._load[name] = load
        self._choose()
        for name, came in fresh.items():
            sums = self._sums.get(name, self._other)
            for index, value in enumerate(came):
                sums[index] += value
        yield from self._sums.items()
        if len(self._load) > len(self._sums):
            yield OTHER, self._other

    def _choose(self) -> None:
        """Give labels to those who have deserved one."""
        load = self._load
        waiting = sorted(load.keys() - self._sums.keys(), key=lambda name: (-load[name], name))
        for name in waiting:
            if name == OTHER:
                continue
            if len(self._sums) >= self._most:
                least = min(self._sums, key=lambda name: (load[name], name))
                if load[name] <= load[least] * _MORE:
                    return
                del self._sums[least]
            self._sums[name] = [0.0] * self._width
