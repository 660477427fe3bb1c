"""A subtask's part of its chunk's log: found wherever the log is cut, and nothing of others."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from quorate.runtime.subtask_frames import SubtaskPart, frame

LOG = frame(7) + b"seven\n" + frame(8) + b"eight\nno end" + frame(80) + b"eighty\n"


def part(index: int, pieces: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    found = SubtaskPart(index)
    return [*(one for piece in pieces for one in found.feed(*piece)), *found.end()]


def text(found: list[tuple[int, bytes]]) -> bytes:
    data = b""
    for offset, piece in found:
        assert offset == len(data)
        data += piece
    return data


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 19, 20, 21, 1_000])
def test_each_part_is_found_however_the_log_is_cut(size: int):
    pieces = [(at, LOG[at : at + size]) for at in range(0, len(LOG), size)]
    assert text(part(7, pieces)) == b"seven\n"
    assert text(part(8, pieces)) == b"eight\nno end"
    assert text(part(80, pieces)) == b"eighty\n"
    assert part(0, pieces) == []


def test_what_only_looks_like_a_frame_is_output():
    output = b"a\x1eb \x1equorate subtask x\n\x1equorate subtask 12"
    log = frame(1) + output
    for size in (1, 4, len(log)):
        pieces = [(at, log[at : at + size]) for at in range(0, len(log), size)]
        assert text(part(1, pieces)) == output


def test_what_comes_again_is_left_out():
    assert text(part(7, [(0, LOG[:30]), (10, LOG[10:]), (0, LOG)])) == b"seven\n"


def test_behind_a_gap_nothing_counts_up_to_the_next_frame():
    log = frame(1) + b"begin"
    found = part(1, [(0, log), (1_000, b"whose?" + frame(2) + b"two" + frame(1) + b"again")])
    assert text(found) == b"beginagain"
