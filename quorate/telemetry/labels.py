"""A bound on names that users choose: Prometheus keeps a series for each, for ever.

A cluster may have thousands of queues and services. The first `MOST` names have series of their
own; the rest are added up under `OTHER`, so that sums stay right. Names are taken in alphabetical
order, so that a scrape of the next leader shows the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST: Final = 200
OTHER: Final = "other"


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
