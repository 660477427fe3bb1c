"""What a worker answers about a piece, and writes into its marks, is read as a stranger's."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_agent.executors.workers.marks import Marks
from node_agent.protocol import pieces
from node_agent.protocol.pieces import (
    BASE,
    ERROR,
    HEAD,
    JSON,
    KEY,
    LENGTHS,
    MARK,
    PICKLE,
    RECORD,
    RECORDS,
    STOP,
    USED,
    Forged,
    payload_of,
    read_payload,
    record_of,
)
from node_agent.protocol.replies import Malformed, Reader, packets_of

ANSWERS = [
    ("json", '"zwölf"'),
    ("pickle", b"\x80\x05"),
    ("error", "ValueError", "why", "trace", b"p", "Exception\nBaseException"),
]


def test_records_are_read_as_they_were_written() -> None:
    records = [record_of(offset, answer) for offset, answer in zip((2, 5, 6), ANSWERS, strict=True)]
    upto, done, found = read_payload(payload_of(8, records, done=True), 2, 9)
    assert (upto, done) == (8, True)
    assert found == [
        (2, JSON, '"zwölf"'.encode()),
        (5, PICKLE, b"\x80\x05"),
        (6, ERROR, ("ValueError", "why", "trace", b"p", "Exception\nBaseException")),
    ]


def test_a_payload_passes_through_a_reply() -> None:
    payload = payload_of(3, [record_of(0, ("json", "x" * 100_000))], done=False)
    reader = Reader()
    replies = [reader.read(packet) for packet in packets_of(7, 0.0, 0.5, ("piece", payload))]
    key, _, seconds, answer, flags = replies[-1]  # type: ignore[misc]
    assert (key, seconds, answer, flags) == (7, 0.5, (payload,), 0)


def test_a_payload_that_is_too_long_is_malformed() -> None:
    reader = Reader()
    payload = bytes(pieces.MAX_PAYLOAD + 1)
    *first, last = packets_of(7, 0.0, 0.5, ("piece", payload))
    assert not any(reader.read(packet) for packet in first)
    with pytest.raises(Malformed):
        reader.read(last)


def raw(offset: int, kind: int, data: bytes, length: int | None = None) -> bytes:
    return RECORD.pack(offset, kind, len(data) if length is None else length) + data


@pytest.mark.parametrize(
    "records",
    [
        [raw(5, JSON, b"1")],
        [raw(1, JSON, b"1")],
        [raw(3, JSON, b"1"), raw(3, JSON, b"1")],
        [raw(4, JSON, b"1"), raw(3, JSON, b"1")],
        [raw(3, 9, b"1")],
        [raw(3, JSON, b"\xff")],
        [raw(3, JSON, b"1", 2)],
        [raw(3, JSON, b"x" * (pieces.MAX_SUBTASK_RESULT + 1))],
        [raw(3, ERROR, b"")],
        [raw(3, ERROR, LENGTHS.pack(1, 0, 0, 0, 0))],
        [raw(3, ERROR, LENGTHS.pack(5000, 0, 0, 0, 0) + b"x" * 5000)],
        [raw(3, ERROR, LENGTHS.pack(1, 0, 0, 0, 0) + b"\xff")],
        [raw(3, ERROR, LENGTHS.pack(0, 0, 0, 0, 40) + b"\n" * 40)],
        [b"\0\0\0"],
    ],
)
def test_records_that_no_worker_writes_are_refused(records: list[bytes]) -> None:
    with pytest.raises(Forged):
        read_payload(payload_of(5, records, done=False), 2, 9)


@pytest.mark.parametrize("payload", [b"", b"\0\0", HEAD.pack(1, False), HEAD.pack(10, True)])
def test_offsets_out_of_bounds_are_refused(payload: bytes) -> None:
    with pytest.raises(Forged):
        read_payload(payload, 2, 9)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    try:
        upto, _, records = read_payload(payload, 2, 9)
    except Forged:
        return
    assert 2 <= upto <= 9
    assert all(2 <= offset < upto for offset, _, _ in records)


class Shared:
    """Marks, and the worker's view of them."""

    def __init__(self) -> None:
        self.marks = Marks()
        self.memory = mmap.mmap(self.marks.fileno(), pieces.MARKS_BYTES)
        self.words = pieces.words_of(self.memory)

    def note(self, *records: bytes) -> None:
        data = b"".join(records)
        self.memory[RECORDS : RECORDS + len(data)] = data
        self.words[USED] = len(data)


@pytest.fixture
def shared() -> Iterator[Shared]:
    shared = Shared()
    yield shared
    shared.words.release()
    shared.memory.close()
    shared.marks.close()


def test_a_dead_workers_marks_say_what_ran_and_what_ended(shared: Shared) -> None:
    shared.words[KEY] = 7
    shared.words[MARK] = 4
    shared.words[BASE] = 2
    shared.note(record_of(3, ("json", "9")))
    assert shared.marks.unanswered(7, 2, 9) == (4, [(3, JSON, b"9")])
    shared.note(record_of(3, ("json", "9")), record_of(4, ("json", "8")))
    assert shared.marks.unanswered(7, 2, 9)[0] == 5
    assert shared.marks.unanswered(8, 2, 9) == (2, [])


@pytest.mark.parametrize("word", [KEY, MARK, BASE, USED])
@pytest.mark.parametrize("value", [-1, 10, 70_000, 1 << 62])
def test_marks_out_of_bounds_are_not_believed(shared: Shared, word: int, value: int) -> None:
    shared.words[KEY], shared.words[MARK], shared.words[BASE] = 7, 4, 2
    shared.note(record_of(3, ("json", "9")))
    shared.words[word] = value
    ran, records = shared.marks.unanswered(7, 2, 9)
    assert 2 <= ran <= 9
    assert all(2 <= offset < ran for offset, _, _ in records)


def test_records_in_the_marks_that_make_no_sense_are_not_believed(shared: Shared) -> None:
    shared.words[KEY], shared.words[MARK], shared.words[BASE] = 7, 4, 2
    shared.note(struct.pack("<IBI", 8, 1, 1 << 30))
    assert shared.marks.unanswered(7, 2, 9) == (2, [])


def test_marks_cannot_be_shrunk(shared: Shared) -> None:
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(shared.marks.fileno(), 0)


def test_a_stop_is_seen_by_the_worker(shared: Shared) -> None:
    shared.marks.stop(7)
    assert shared.words[STOP] == 7
