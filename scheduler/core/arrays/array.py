"""The subtasks of one array: its blocks, their counters, and where pending ones are found.

A block is made when something happens to one of its subtasks. Memory: about 2 KiB a block that was
touched, less once all of it succeeded (one shared number), so 0.5 MiB for a million subtasks.

Where each subtask waits for the same one of another array (`gate`), what is pending follows from
what succeeded there: nothing is kept of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from scheduler.core.arrays.block import Block
from scheduler.core.arrays.positions import BLOCK, FULL, lowest, ranges_of, take_lowest

# Blocks of one chunk, and ranges: a report of it touches no more, and its record stays small.
MOST_BLOCKS = 8
MOST_RANGES = 256
# Instants until which subtasks of one block wait: each is a mask in its record.
MOST_WAITS = 64
# Blocks that are looked at for one chunk; the next cut goes on behind them.
_LOOKED_AT = 4_096
# Of so many cuts of an array that waits for another one, one looks at all blocks from the first.
_FROM_BEGIN = 32


class Array:
    """The subtasks of a job, by position."""

    __slots__ = (
        "_far",
        "blocks",
        "cancelled",
        "count",
        "cursor",
        "failed",
        "gate",
        "gated",
        "near",
        "out",
        "run_count",
        "run_seconds",
        "stored_bytes",
        "succeeded",
        "waiting",
    )

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.blocks: dict[int, Block] = {}
        # Below this block nothing is pending.
        self.cursor = 0
        self.succeeded = self.failed = self.cancelled = self.out = self.waiting = 0
        self.run_seconds = 0.0
        self.run_count = 0
        self.stored_bytes = 0
        # Each subtask waits for the same one of another array; None: that one is not known yet.
        self.gated = False
        self.gate: Array | None = None
        # Where the last cut of a gated one found something, and how many cuts began there: memory
        # of the leader.
        self.near = self._far = 0

    @property
    def pending(self) -> int:
        """Subtasks that may be given to a node."""
        let_in = self.count if not self.gated else self._let_in
        return let_in - self.finished - self.out - self.waiting

    @property
    def finished(self) -> int:
        """Subtasks that are over, whatever becomes of the job."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def shut_out(self) -> int:
        """Subtasks whose counterpart has not succeeded."""
        return self.count - self._let_in if self.gated else 0

    @property
    def _let_in(self) -> int:
        return self.gate.succeeded if self.gate is not None else 0

    @property
    def size(self) -> int:
        """Blocks of which anything may be known."""
        return -(-self.count // BLOCK)

    def block(self, number: int) -> Block:
        """A block; made when first asked for."""
        block = self.blocks.get(number)
        if block is None:
            block = self.blocks[number] = Block()
        return block

    def whole(self, number: int) -> int:
        """The mask of the positions that a block has."""
        left = self.count - number * BLOCK
        return FULL if left >= BLOCK else (1 << max(0, left)) - 1

    def complete(self, number: int) -> bool:
        """Whether all subtasks of a block are finished."""
        block = self.blocks.get(number)
        return block is not None and block.finished == self.whole(number)

    def pending_mask(self, number: int) -> int:
        """The pending positions of a block."""
        mask = self._untaken(number)
        if self.gated and mask:
            there = self.gate.blocks.get(number) if self.gate is not None else None
            mask &= there.succeeded if there is not None else 0
        return mask

    def _untaken(self, number: int) -> int:
        whole = self.whole(number)
        block = self.blocks.get(number)
        return whole if block is None else whole & ~block.taken

    # -- changes; each keeps the counters

    def grow(self, count: int) -> None:
        """The array has so many subtasks from now on."""
        if count != self.count:
            self.cursor = min(self.cursor, self.count // BLOCK)
            self.count = count

    def give_out(self, number: int, mask: int) -> None:
        """Pending ones are in a chunk now; also those whose wait is over, of which nothing is
        written."""
        block = self.block(number)
        if over := block.waiting & mask:
            self._stop_waiting(block, over)
        block.out |= mask
        self.out += mask.bit_count()

    def _stop_waiting(self, block: Block, mask: int) -> None:
        block.waiting &= ~mask
        self.waiting -= mask.bit_count()
        block.waits = {due: rest for due, on in block.waits.items() if (rest := on & ~mask)}

    def take_back(self, number: int, mask: int) -> None:
        """Those of a chunk are pending again."""
        self.blocks[number].out &= ~mask
        self.out -= mask.bit_count()
        self.cursor = min(self.cursor, number)

    def succeed(self, number: int, mask: int) -> None:
        """Pending ones (as far as the masks go) have succeeded."""
        block = self.block(number)
        block.succeeded |= mask
        if block.succeeded == FULL:
            # One number for all such blocks.
            block.succeeded = FULL
        self.succeeded += mask.bit_count()

    def fail(self, number: int, mask: int) -> None:
        """Pending ones have failed for good."""
        self.block(number).failed |= mask
        self.failed += mask.bit_count()

    def cancel(self, number: int, mask: int) -> None:
        """Pending ones, and those that wait, are cancelled."""
        block = self.block(number)
        if over := block.waiting & mask:
            self._stop_waiting(block, over)
        block.cancelled |= mask
        self.cancelled += mask.bit_count()

    def reopen(self, number: int, place: int) -> None:
        """One that failed or was cancelled is pending again, with fresh attempts."""
        block = self.blocks[number]
        self.failed -= block.failed >> place & 1
        self.cancelled -= block.cancelled >> place & 1
        block.reopen(place)
        self.cursor = min(self.cursor, number)

    def cancel_rest(self, reopening: int) -> None:
        """The job is reopened for single subtasks, for the `reopening`th time: what is in no other
        state is cancelled."""
        for number in range(self.size):
            block = self.block(number)
            if block.reopening < reopening:
                block.reopening = reopening
                if rest := self.whole(number) & ~block.taken:
                    self.cancel(number, rest)

    def put_off(self, number: int, mask: int, due: int) -> None:
        """Pending ones wait until an instant."""
        block = self.block(number)
        block.waiting |= mask
        block.waits[due] = block.waits.get(due, 0) | mask
        if len(block.waits) > MOST_WAITS:
            block.join_waits()
        self.waiting += mask.bit_count()

    def come_due(self, number: int, now: float) -> None:
        """Those of a block that wait until now or before are pending."""
        block = self.blocks.get(number)
        if block is None:
            return
        for due in [due for due in block.waits if due <= now]:
            mask = block.waits.pop(due)
            block.waiting &= ~mask
            self.waiting -= mask.bit_count()
            self.cursor = min(self.cursor, number)

    def stop_waiting(self) -> None:
        """Nothing of it is tried again in this round."""
        if self.waiting:
            for block in self.blocks.values():
                block.waits.clear()
                block.waiting = 0
            self.waiting = 0

    def ran(self, number: int, seconds: float, count: int) -> None:
        """So many attempts ran for so long together."""
        block = self.block(number)
        block.run_seconds += seconds
        block.run_count += count
        self.run_seconds += seconds
        self.run_count += count

    def store(self, number: int, size: int) -> None:
        """So many bytes more of results and errors are on record."""
        self.block(number).stored_bytes += size
        self.stored_bytes += size

    def begin_round(self) -> None:
        """What did not succeed waits again with fresh attempts. Nothing of it is out."""
        for block in self.blocks.values():
            failed, cancelled = block.begin_round()
            self.failed -= failed
            self.cancelled -= cancelled
        self.waiting = 0
        self.cursor = 0

    def replace(self, number: int, block: Block) -> None:
        """What is on record of a block; what is out of it stays."""
        old = self.blocks.get(number)
        if old is not None:
            block.out, block.pieces = old.out, old.pieces
            self._count(old, -1)
        self.blocks[number] = block
        self._count(block, 1)
        self.cursor = min(self.cursor, number)

    def _count(self, block: Block, sign: int) -> None:
        self.succeeded += sign * block.succeeded.bit_count()
        self.failed += sign * block.failed.bit_count()
        self.cancelled += sign * block.cancelled.bit_count()
        self.waiting += sign * block.waiting.bit_count()
        self.run_seconds += sign * block.run_seconds
        self.run_count += sign * block.run_count
        self.stored_bytes += sign * block.stored_bytes

    # -- chunks

    def cut(self, size: int) -> dict[int, int]:
        """Up to `size` pending positions, the first ones, as masks by block; they are not out yet.

        A subtask that was on a node when that was lost is cut alone.
        """
        found: dict[int, int] = {}
        ranges = 0
        for number in self._to_look_at():
            if size <= 0 or len(found) >= MOST_BLOCKS or (found and number < self.near):
                break
            mask = self.pending_mask(number)
            if not mask:
                over = not (self.gated and self._untaken(number))
                if not found and over and number == self.cursor:
                    self.cursor = number + 1
                continue
            if not found:
                self.near = number
            alone = mask & (block.suspects if (block := self.blocks.get(number)) else 0)
            if alone:
                first = lowest(alone)
                if not found and lowest(mask) == first:
                    return {number: 1 << first}
                mask &= (1 << first) - 1
                if not mask:
                    return found
            mask = take_lowest(mask, size)
            pieces = ranges_of(number, mask)
            if ranges + len(pieces) > MOST_RANGES:
                pieces = pieces[: MOST_RANGES - ranges]
                last = pieces[-1][1] - number * BLOCK
                mask &= (1 << (last + 1)) - 1
            found[number] = mask
            size -= mask.bit_count()
            ranges += len(pieces)
            if alone or ranges >= MOST_RANGES:
                break
        return found

    def _to_look_at(self) -> Iterable[int]:
        """Blocks in which something may be pending, in the order of a cut.

        Of a gated array the first ones may wait for long, while it is far ahead of them: as a rule
        a cut goes on where the last one was.
        """
        begin, end = self.cursor, min(self.size, self.cursor + _LOOKED_AT)
        self._far = (self._far + 1) % _FROM_BEGIN
        if not self.gated or not self._far or not begin < self.near < end:
            return range(begin, end)
        return chain(range(self.near, end), range(begin, self.near))
