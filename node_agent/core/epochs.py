"""The fence against former leaders: each has a higher epoch than the one before."""

from __future__ import annotations

from quorate.runtime.ids import Epoch


class StaleEpoch(Exception):
    """A leader with a lower epoch than one already seen."""

    def __init__(self, epoch: Epoch, seen: Epoch) -> None:
        super().__init__(f"epoch {epoch} is over: this node has seen {seen}")
        self.epoch = epoch
        self.seen = seen
