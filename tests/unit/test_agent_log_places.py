"""Places in a log: first and last lines, what lies before, holes of the cap, a text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from node_agent.logs import finding, reader
from node_agent.logs.attempt_log import LogStore
from node_agent.logs.finding import Part, find_part, first_record, search, times_of
from node_agent.logs.reader import Chunk, Window, read_logs, search_logs
from node_agent.spawner.outputs.pump import RECORD

END = 1 << 62


@pytest.fixture(params=[1 << 20, 7])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where every block ends within a line."""
    monkeypatch.setattr(finding, "_BLOCK", request.param)


def opened(tmp_path: Path, content: bytes) -> int:
    (tmp_path / "log").write_bytes(content)
    return os.open(tmp_path / "log", os.O_RDWR)


def part(descriptor: int, begin: int = 0, end: int = END, **wanted: Any) -> Part:
    options = {"tail_lines": 0, "head_lines": 0, "measured": True, **wanted}
    return find_part(descriptor, begin, end, **options)


LINES = b"".join(b"line %d\n" % number for number in range(10))


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize(
    ("wanted", "begin", "end", "before"),
    [
        ({}, 0, END, 0),
        ({"tail_lines": 3}, 49, END, 7),
        ({"tail_lines": 100}, 0, END, 0),
        # Before what is shown already: "load earlier".
        ({"tail_lines": 2, "end": 49}, 35, 49, 5),
        ({"tail_lines": 2, "begin": 42, "end": 49}, 42, 49, 6),
        ({"tail_lines": 2, "end": 0}, 0, 0, 0),
        ({"head_lines": 2}, 0, 14, 0),
        ({"head_lines": 2, "begin": 7}, 7, 21, 1),
        ({"head_lines": 100}, 0, 70, 0),
        ({"begin": 35, "end": 49}, 35, 49, 5),
        ({"begin": 999, "tail_lines": 1}, 999, END, 10),
    ],
)
def test_parts_of_a_log(
    tmp_path: Path, wanted: dict[str, int], begin: int, end: int, before: int
) -> None:
    found = part(opened(tmp_path, LINES), **wanted)
    assert (found.begin, found.end, found.lines_before, found.size) == (begin, end, before, 70)


def test_a_line_without_an_end_is_one(tmp_path: Path) -> None:
    found = part(opened(tmp_path, b"a\nb"), tail_lines=1)
    assert (found.begin, found.lines_before) == (2, 1)


def test_what_the_cap_took_is_counted_and_no_lines_are_in_it(tmp_path: Path) -> None:
    logs = LogStore(tmp_path, cap=16_384)
    descriptor = opened(tmp_path, b"0123456\n" * 8_192)
    logs.trim(str(tmp_path / "log"))
    found = part(descriptor, tail_lines=1)
    assert found.dropped == 65_536 - 16_384
    assert found.lines_before == 16_384 // 8 - 1
    assert (found.begin, found.size) == (65_528, 65_536)


def test_too_much_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "COUNTED_BYTES", 20)
    assert part(opened(tmp_path, LINES), tail_lines=1).lines_before == -1
    assert part(opened(tmp_path, LINES), head_lines=1).lines_before == 0


def test_lines_are_not_looked_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "LINE_BYTES", 20)
    assert part(opened(tmp_path, LINES), tail_lines=9).begin == 50
    assert part(opened(tmp_path, LINES), head_lines=9).end == 20


@pytest.mark.usefixtures("blocks")
def test_a_text_is_found_in_each_line_once(tmp_path: Path) -> None:
    descriptor = opened(tmp_path, b"one\ntwo two\nno\nand two more\ntwo")
    found = search(descriptor, b"two", 0, 10, 1 << 20)
    assert [(m.offset, m.at, m.line) for m in found.matches] == [
        (4, 4, b"two two"),
        (15, 19, b"and two more"),
        (28, 28, b"two"),
    ]
    assert (found.complete, found.next) == (True, 31)


@pytest.mark.usefixtures("blocks")
def test_a_search_goes_on_where_it_ended(tmp_path: Path) -> None:
    descriptor = opened(tmp_path, b"".join(b"n %d hit\n" % n for n in range(50)))
    seen: list[bytes] = []
    place, calls = 0, 0
    while True:
        found = search(descriptor, b"hit", place, 3, 40)
        seen += [match.line for match in found.matches]
        calls += 1
        assert len(found.matches) <= 3
        if found.complete:
            break
        assert found.next > place
        place = found.next
    assert seen == [b"n %d hit" % n for n in range(50)]
    assert calls > 10


def test_of_a_long_line_what_is_around_the_text_is_shown(tmp_path: Path) -> None:
    descriptor = opened(
        tmp_path, b"a\n" + b"x" * 40_000 + b"needle" + b"y" * 90_000 + b"\nneedle\n"
    )
    first, second = search(descriptor, b"needle", 0, 10, 1 << 20).matches
    assert (first.offset, first.at, len(first.line)) == (2, 40_002, finding.SHOWN_BYTES)
    assert b"xneedley" in first.line
    assert second.line == b"needle"


def test_a_text_is_not_found_in_a_hole(tmp_path: Path) -> None:
    logs = LogStore(tmp_path, cap=16_384)
    descriptor = opened(tmp_path, b"0123456\n" * 8_192)
    logs.trim(str(tmp_path / "log"))
    found = search(descriptor, b"\0", 0, 10, 1 << 30)
    assert (found.matches, found.complete) == ([], True)
    assert found.looked == 16_384


def index_of(tmp_path: Path, records: list[tuple[int, int, int, int]]) -> int:
    (tmp_path / "index").write_bytes(b"".join(RECORD.pack(*one) for one in records) + b"cut")
    return os.open(tmp_path / "index", os.O_RDONLY)


def test_the_first_record_that_is_needed(tmp_path: Path) -> None:
    index = index_of(tmp_path, [(1, 0, 5, 0), (2, 0, 3, 1), (3, 5, 5, 0), (4, 3, 3, 1)])
    assert first_record(index, (0, 0), END) == 0
    assert first_record(index, (5, 0), END) == 1
    assert first_record(index, (5, 3), END) == 2
    assert first_record(index, (10, 6), END) == 4
    assert first_record(index, (10, 6), 1) == 1
    assert first_record(index, (0, 0), END, 2) == 2


def test_when_a_byte_was_written(tmp_path: Path) -> None:
    index = index_of(tmp_path, [(1, 0, 5, 0), (2, 0, 3, 1), (3, 5, 5, 0), (4, 20, 3, 0)])
    assert times_of(index, 0, [0, 4, 5, 12, 22, 40]) == [1, 1, 3, 0, 4, 0]
    assert times_of(index, 1, [1]) == [2]


async def test_a_window_comes_in_the_order_of_writing(tmp_path: Path) -> None:
    logs = LogStore(tmp_path)
    directory = logs.directory("a", 1)
    directory.mkdir(parents=True)
    (directory / "stdout").write_bytes(b"1\n3\n5\n7\n")
    (directory / "stderr").write_bytes(b"2\n4\n6\n8\n")
    records = [(10 * n, (n - 1) // 2 * 2, 2, (n - 1) % 2) for n in range(1, 9)]
    (directory / "index").write_bytes(b"".join(RECORD.pack(*one) for one in records))

    async def read(**window: Any) -> tuple[list[Part], list[bytes]]:
        answers = read_logs(logs, "a", 1, Window(**window), runs=lambda: False)
        first, *rest = [answer async for answer in answers]
        assert isinstance(first, list)
        return first, [chunk.data for chunk in rest if isinstance(chunk, Chunk)]

    parts, data = await read(tail_lines=2, measured=True)
    assert data == [b"5\n", b"6\n", b"7\n", b"8\n"]
    assert [(one.begin, one.lines_before) for one in parts] == [(4, 2), (4, 2)]
    # What is earlier than that.
    _, data = await read(tail_lines=1, ends=(4, 4))
    assert data == [b"3\n", b"4\n"]
    _, data = await read(head_lines=1)
    assert data == [b"1\n", b"2\n"]
    _, data = await read(begins=(2, 4), ends=(6, 0))
    assert data == [b"3\n", b"5\n", b"6\n", b"8\n"]
    out, err = await search_logs(logs, "a", 1, b"4", (0, 0), 10)
    assert (out.matches, out.complete) == ([], True)
    assert ([match.line for match in err.matches], err.times) == ([b"4"], [40])


async def test_a_search_of_an_attempt_that_wrote_nothing(tmp_path: Path) -> None:
    out, err = await search_logs(LogStore(tmp_path), "a", 1, b"x", (0, 0), 10)
    assert out.complete
    assert err.complete


@pytest.mark.parametrize(
    "window",
    [
        Window(head_lines=2),
        Window(begins=(0, 0), ends=(4, 4)),
        Window(begins=(79_998, 0), ends=(0, 2)),
    ],
)
async def test_records_behind_or_between_parts_are_not_read_on_the_loop(
    tmp_path: Path, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = LogStore(tmp_path)
    directory = logs.directory("t", 1)
    directory.mkdir(parents=True)
    records = [RECORD.pack(time + 1, 2 * time, 2, 0) for time in range(40_000)]
    records.append(RECORD.pack(50_000, 0, 4, 1))
    (directory / "stdout").write_bytes(b"x\n" * 40_000)
    (directory / "stderr").write_bytes(b"e\nf\n")
    (directory / "index").write_bytes(b"".join(records))
    monkeypatch.setattr(reader, "_PASSED", 512)
    fetches = 0
    fetch = reader._Reader._fetch

    def counting(self: Any) -> None:
        nonlocal fetches
        fetches += 1
        fetch(self)

    monkeypatch.setattr(reader._Reader, "_fetch", counting)
    found = [
        chunk
        async for chunk in read_logs(logs, "t", 1, window, runs=lambda: False)
        if isinstance(chunk, Chunk)
    ]
    assert [(chunk.stream, chunk.time) for chunk in found if chunk.stream == "stderr"] == [
        ("stderr", 50_000)
    ]
    assert {chunk.time for chunk in found} > {50_000}
    # 160 of them have all records.
    assert fetches < 10
