"""All ids of a queue in the order of creation: for paging and for deleting by range.

Ids are made in growing order, so adding is an append. What is removed stays as a hole; once a
third are holes, each removal sweeps a block or a few, so that no step is long however many ids
there are. Memory: about 1.5 entries a task on record, plus a constant.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator

from quorate.runtime.ids import TaskId

_SWEEP_ABOVE = 256
# Ids in a block when it is begun; one in which older ids are put may grow to twice that.
_BLOCK = 1_024


def _first(block: list[TaskId]) -> TaskId:
    return block[0]


class TaskIndex:
    """A sorted list of ids, in blocks, with cheap growth at its end.

    Its iterators are for use at once: adding and removing makes them void.
    """

    __slots__ = ("_blocks", "_entries", "_swept", "size")

    def __init__(self) -> None:
        # Ascending, none of them empty.
        self._blocks: list[list[TaskId]] = []
        # Ids in the blocks, holes included.
        self._entries = 0
        # The block that is swept next.
        self._swept = 0
        self.size = 0

    def add(self, task: TaskId) -> None:
        """Add an id that is not in the index."""
        self.size += 1
        blocks = self._blocks
        if not blocks or task > blocks[-1][-1]:
            self._entries += 1
            if blocks and len(blocks[-1]) < _BLOCK:
                blocks[-1].append(task)
            else:
                blocks.append([task])
            return
        place = self._block_of(task)
        block = blocks[place]
        at = bisect_left(block, task)
        if at < len(block) and block[at] == task:
            # Its own hole.
            return
        self._entries += 1
        insort(block, task)
        if len(block) > 2 * _BLOCK:
            blocks[place : place + 1] = [block[:_BLOCK], block[_BLOCK:]]

    def discard(self, task: TaskId) -> None:
        """An id that is in the index is another queue's from now on."""
        place = self._block_of(task)
        block = self._blocks[place]
        del block[bisect_left(block, task)]
        self.size -= 1
        self._entries -= 1
        if not block:
            del self._blocks[place]

    def removed(self, count: int, on_record: Callable[[TaskId], bool]) -> None:
        """`count` ids are gone; `on_record` says which are not."""
        self.size -= count
        # More than are removed, or the holes would outrun it.
        allowance = 4 * count + _BLOCK
        while allowance > 0:
            holes = self._entries - self.size
            if holes <= _SWEEP_ABOVE or holes * 3 <= self._entries:
                return
            allowance -= self._sweep(on_record)

    def _sweep(self, on_record: Callable[[TaskId], bool]) -> int:
        """Free the holes of the next block; how many ids were looked at."""
        blocks = self._blocks
        if self._swept >= len(blocks):
            self._swept = 0
        place = self._swept
        before = len(blocks[place])
        alive = [task for task in blocks[place] if on_record(task)]
        self._entries -= before - len(alive)
        if place and len(alive) + len(blocks[place - 1]) <= _BLOCK:
            # Thin neighbours are joined, or many blocks would hold few ids.
            blocks[place - 1].extend(alive)
            del blocks[place]
        elif alive:
            blocks[place] = alive
            self._swept += 1
        else:
            del blocks[place]
        return before

    def _block_of(self, task: TaskId) -> int:
        """The last block that begins at or below `task`; the first when none does."""
        blocks = self._blocks
        if task >= blocks[-1][0]:
            return len(blocks) - 1
        return max(0, bisect_right(blocks, task, key=_first) - 1)

    def newest_first(self, before: TaskId | None) -> Iterator[TaskId]:
        """Ids below `before` (all when None), descending; may yield removed ones."""
        blocks = self._blocks
        if not blocks:
            return
        place = len(blocks) - 1
        if before is not None:
            place = self._block_of(before)
            block = blocks[place]
            yield from reversed(block[: bisect_left(block, before)])
            place -= 1
        for at in range(place, -1, -1):
            yield from reversed(blocks[at])

    def oldest_first(self, start: TaskId) -> Iterator[TaskId]:
        """Ids from `start` on, ascending; may yield removed ones."""
        blocks = self._blocks
        if not blocks:
            return
        place = self._block_of(start)
        block = blocks[place]
        yield from block[bisect_left(block, start) :]
        for at in range(place + 1, len(blocks)):
            yield from blocks[at]
