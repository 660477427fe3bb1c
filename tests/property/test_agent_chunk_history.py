"""Chunks in random histories: each position is reported once, in reports within their limits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from node_agent.core.attempts import Failure
from node_agent.core.chunks.chunk import MAX_PIECE, Chunk
from node_agent.core.chunks.report import (
    BLOCK,
    MAX_BLOCKS,
    MAX_BYTES,
    ChunkReport,
    Failed,
    Value,
)
from quorate.runtime.ranges import Ranges

FAILURE = Failure("ValueError", "why", "trace" * 100)

runs = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 40)), min_size=1, max_size=60)


def positions_of(gaps: list[tuple[int, int]]) -> Ranges:
    pairs, begin = [], 0
    for gap, length in gaps:
        begin += gap
        pairs.append((begin, begin + length - 1))
        begin += length
    return Ranges.of(pairs)


class History:
    """One chunk, and all that it told."""

    def __init__(self, positions: Ranges, data: Any) -> None:
        self.chunk = Chunk("j", positions, expected=0.001)
        self.data = data
        self.reports: list[ChunkReport] = []
        # What was really begun, so may not be returned: offsets are begun in order.
        self.ended: dict[int, tuple[str, bytes] | None] = {}

    def draw(self, least: int, most: int) -> int:
        return int(self.data.draw(st.integers(least, most)))

    def feed(self) -> None:
        self.chunk.feed(self.draw(1, MAX_PIECE))

    def advance(self) -> None:
        if not self.chunk.pieces:
            return
        piece = self.chunk.pieces[0]
        count = self.draw(0, piece.end - piece.base)
        values: list[Value] = []
        failed: list[Failed] = []
        for offset in range(piece.base, piece.base + count):
            kind = self.draw(0, 8)
            at = self.chunk.offsets.position(offset)
            if kind == 0:
                failed.append((offset, FAILURE, 1.0))
                self.ended[at] = ("failed", b"")
            elif kind < 4:
                value = b"x" * (self.draw(1, MAX_BYTES) if kind == 1 else 3)
                values.append((offset, "json" if kind == 2 else "pickle", value))
                self.ended[at] = values[-1][1:]
            else:
                self.ended[at] = None
        self.chunk.advance(count, 0.001 * count, values, failed)
        if piece.base == piece.end:
            self.chunk.end_piece()

    def take_back(self) -> None:
        if len(self.chunk.pieces) > 1:
            self.chunk.take_back()

    def crash(self) -> None:
        self.chunk.put_back()

    def recall(self) -> None:
        started = None
        if self.chunk.pieces:
            piece = self.chunk.pieces[-1]
            started = self.draw(0, piece.end - piece.begin)
        self.chunk.give_up(started)
        if self.chunk.pieces and self.chunk.pieces[-1].base == self.chunk.pieces[-1].end:
            self.chunk.end_piece()

    def withdraw(self) -> None:
        """The leader cancels a subtask that is not with the executor."""
        offset = self.draw(0, self.chunk.size - 1)
        if not self.chunk.is_fed(offset):
            self.chunk.withdraw(offset)

    def shorten(self) -> None:
        """The executor stops a piece, to withdraw a part of it."""
        if self.chunk.pieces and not self.chunk.given_up:
            piece = self.chunk.pieces[-1]
            self.chunk.shorten(self.draw(1, piece.end - piece.begin))
            if piece.base == piece.end:
                self.chunk.end_piece()

    def stop(self) -> None:
        """The executor lets go of a piece that it was told to stop."""
        if self.chunk.pieces and self.chunk.given_up:
            self.chunk.end_piece()

    def cut(self) -> None:
        if self.chunk.reports.any:
            self.reports.extend(self.chunk.reports.cut("t", 1))


STEPS = ["feed", "advance", "advance", "take_back", "crash", "recall", "stop", "cut"]
STEPS += ["withdraw", "withdraw", "shorten"]


@settings(max_examples=150, deadline=None)
@given(runs, st.lists(st.sampled_from(STEPS), max_size=40), st.data())
def test_each_position_is_told_once(
    gaps: list[tuple[int, int]], steps: list[str], data: Any
) -> None:
    positions = positions_of(gaps)
    history = History(positions, data)
    chunk = history.chunk
    for step in steps:
        getattr(history, step)()
        pieces = list(chunk.pieces)
        assert all(piece.begin <= piece.base <= piece.end for piece in pieces)
        gapless = pairwise(pieces)
        assert all(first.end <= second.begin for first, second in gapless)
    chunk.return_all()
    history.cut()
    assert chunk.over
    assert not chunk.left
    told = Ranges()
    values: dict[int, Any] = {}
    failed: set[int] = set()
    for number, report in enumerate(history.reports, 1):
        assert report.number == number
        wrong = Ranges.of_positions(position for position, _, _ in report.failed)
        for part in (report.succeeded, wrong, report.returned):
            assert told.isdisjoint(part)
            told |= part
        named = report.succeeded | wrong | report.returned
        assert named
        assert len(list(named.blocks(BLOCK))) <= MAX_BLOCKS
        size = sum(len(value) for run in report.runs for value in run.values)
        assert size <= MAX_BYTES or len(named) == 1 or size - MAX_BYTES < 8
        for run in report.runs:
            assert run.first // BLOCK == (run.first + len(run.values) - 1) // BLOCK
            for position, value in enumerate(run.values, run.first):
                assert position in report.succeeded
                values[position] = (run.kind, value)
        failed |= {position for position, _, _ in report.failed}
        assert all(position not in history.ended for position in report.returned)
    assert told == positions
    assert values == {at: end for at, end in history.ended.items() if end and end[0] != "failed"}
    assert failed == {at for at, end in history.ended.items() if end and end[0] == "failed"}


@given(runs, st.data())
def test_parts_of_a_chunk_are_its_positions_in_order(gaps: list[tuple[int, int]], data: Any):
    positions = positions_of(gaps)
    chunk = Chunk("j", positions, first_index=7, index_step=2)
    flat = list(positions)
    begin = data.draw(st.integers(0, len(flat)))
    end = data.draw(st.integers(0, len(flat)))
    assert list(chunk.part(begin, end)) == flat[begin:end]
    assert chunk.offsets.offset(max(flat) + 1) == -1
    if begin < len(flat):
        assert chunk.offsets.offset(flat[begin]) == begin
        assert chunk.offsets.position(begin) == flat[begin]
        assert chunk.index(begin) == 7 + 2 * flat[begin]
