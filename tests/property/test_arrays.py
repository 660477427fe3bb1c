"""The blocks of an array against a list of letters, by every change in any order."""

from __future__ import annotations

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scheduler.core.arrays.array import MOST_BLOCKS, Array
from scheduler.core.arrays.positions import (
    BLOCK,
    all_ranges,
    from_bytes,
    offsets_of,
    ranges_of,
    take_lowest,
    to_bytes,
    within,
)

PENDING, OUT, DONE, FAILED, WAITING = "POSFW"


class Blocks(RuleBasedStateMachine):
    """`letters` says what each subtask is; chunks hold what is out."""

    def __init__(self) -> None:
        super().__init__()
        self.array = Array()
        self.letters: list[str] = []
        self.chunks: list[dict[int, int]] = []

    @initialize(count=st.integers(0, 3 * BLOCK))
    def begin(self, count: int) -> None:
        self.grow(count)

    @rule(more=st.integers(0, 50))
    def grow(self, more: int) -> None:
        self.letters += PENDING * more
        self.array.grow(len(self.letters))

    @rule(size=st.integers(1, 2 * BLOCK))
    def give_out(self, size: int) -> None:
        found = self.array.cut(size)
        positions = [n * BLOCK + p for n, mask in found.items() for p in offsets_of(mask)]
        assert positions == sorted(positions)
        assert len(positions) <= size
        assert len(found) <= MOST_BLOCKS
        pending = self.letters.count(PENDING)
        assert bool(positions) == bool(pending)
        for number, mask in found.items():
            self.array.give_out(number, mask)
        for position in positions:
            assert self.letters[position] == PENDING
            self.letters[position] = OUT
        if found:
            self.chunks.append(found)

    @rule(data=st.data(), what=st.sampled_from([PENDING, DONE, FAILED, WAITING]))
    def leave(self, data: st.DataObject, what: str) -> None:
        """Some of a chunk is out no longer."""
        if not self.chunks:
            return
        chunk = data.draw(st.sampled_from(self.chunks))
        number = data.draw(st.sampled_from(sorted(chunk)))
        mask = take_lowest(chunk[number], data.draw(st.integers(1, 100)))
        chunk[number] &= ~mask
        if not chunk[number]:
            del chunk[number]
        if not chunk:
            self.chunks.remove(chunk)
        self.array.take_back(number, mask)
        if what == DONE:
            self.array.succeed(number, mask)
        elif what == FAILED:
            self.array.fail(number, mask)
        elif what == WAITING:
            self.array.put_off(number, mask, data.draw(st.integers(1, 3)))
        for place in offsets_of(mask):
            self.letters[number * BLOCK + place] = what

    @rule()
    def come_due(self) -> None:
        for number in list(self.array.blocks):
            self.array.come_due(number, 3.0)
        self.letters = [PENDING if letter == WAITING else letter for letter in self.letters]

    @rule()
    def begin_round(self) -> None:
        if not self.chunks:
            self.array.begin_round()
            self.letters = [DONE if letter == DONE else PENDING for letter in self.letters]

    @invariant()
    def counters_are_what_the_letters_say(self) -> None:
        array, letters = self.array, self.letters
        assert array.pending == letters.count(PENDING)
        assert array.out == letters.count(OUT)
        assert array.succeeded == letters.count(DONE)
        assert array.failed == letters.count(FAILED)
        assert array.waiting == letters.count(WAITING)

    @invariant()
    def masks_are_what_the_letters_say(self) -> None:
        for number, block in self.array.blocks.items():
            part = "".join(self.letters[number * BLOCK : (number + 1) * BLOCK])
            for mask, letter in (
                (self.array.pending_mask(number), PENDING),
                (block.out, OUT),
                (block.succeeded, DONE),
                (block.failed, FAILED),
                (block.waiting, WAITING),
            ):
                assert mask.bit_count() == part.count(letter)
                assert all(part[place] == letter for place in list(offsets_of(mask))[:20])
                assert from_bytes(to_bytes(mask)) == mask
                again = dict.fromkeys([number], 0)
                for block_number, piece in within(ranges_of(number, mask), number, number):
                    again[block_number] |= piece
                assert again == {number: mask}

    @invariant()
    def ranges_of_chunks_are_joined(self) -> None:
        for chunk in self.chunks:
            ranges = all_ranges(chunk)
            assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(ranges))


TestBlocks = Blocks.TestCase
TestBlocks.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
