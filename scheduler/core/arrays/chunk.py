"""Subtasks that are out on a node.

A chunk is a `TaskRow` with `chunk` set: a task whose work is a range of an array. It is born
RUNNING and never anything else, is in `State.chunks` and not in `State.tasks`, and belongs to no
list, watch, count or audit entry of tasks. To the rules of attempts and nodes it is an attempt like
any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from scheduler.core.arrays.positions import Range, all_ranges


@dataclass(slots=True, eq=False)
class Chunk:
    """Subtasks that are out on a node: those that were not reported yet, as masks by block."""

    left: dict[int, int]
    # One subtask that was on a node when that was lost.
    suspect: bool = False
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""
    # Something of it was reported, as far as this process knows.
    reported: bool = False
    # Asked to give back what it has not begun, and since when that is: memory of the leader.
    recalled: bool = False
    # When it was given out or last reported, on the leader's clock: memory.
    heard: float = 0.0
    # Of those left, the ones that a caller has cancelled.
    cancelled: dict[int, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Subtasks that are left."""
        return sum(map(int.bit_count, self.left.values()))

    @property
    def ranges(self) -> list[Range]:
        """The positions that are left."""
        return all_ranges(self.left)

    def remove(self, number: int, mask: int) -> None:
        """These are no longer left."""
        _remove(self.left, number, mask)
        if self.cancelled and number in self.cancelled:
            _remove(self.cancelled, number, mask)

    def is_cancelled(self, number: int, place: int) -> bool:
        """Whether a caller has cancelled the subtask."""
        return bool(self.cancelled.get(number, 0) >> place & 1)


def _remove(masks: dict[int, int], number: int, mask: int) -> None:
    rest = masks[number] & ~mask
    if rest:
        masks[number] = rest
    else:
        del masks[number]
