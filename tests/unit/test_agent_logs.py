"""Logs on disk: what is deleted first, what is known, names that are not names."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from node_agent.logs import attempt_log
from node_agent.logs import retention as log_retention
from node_agent.logs.attempt_log import LogStore
from node_agent.logs.reader import Chunk, Window, read_logs
from node_agent.logs.retention import Retention, clean
from node_agent.spawner.outputs.pump import RECORD
from quorate.runtime.timing.clock import SimulatedClock

NOW = 1_700_000_000.0


def write(logs: LogStore, task: str, age: float, size: int, number: int = 1) -> Path:
    directory = logs.directory(task, number)
    directory.mkdir(parents=True)
    file = directory / "stdout"
    file.write_bytes(b"x" * size)
    os.utime(file, (NOW - age, NOW - age))
    return directory


async def pieces_of(logs: LogStore, task: str, **window: Any) -> list[Chunk]:
    answers = read_logs(logs, task, 1, Window(**window), runs=lambda: False)
    return [answer async for answer in answers if isinstance(answer, Chunk)]


async def everything(logs: LogStore, task: str, **window: Any) -> bytes:
    return b"".join([chunk.data for chunk in await pieces_of(logs, task, **window)])


def test_logs_past_their_age_are_deleted(tmp_path: Path):
    logs = LogStore(tmp_path)
    old, young = write(logs, "old", 100, 10), write(logs, "young", 5, 10)
    assert clean(logs.root, Retention(age=50, total=1 << 30), NOW).deleted == 1
    assert not old.parent.exists()
    assert young.exists()


def test_the_oldest_logs_go_first_when_there_are_too_many(tmp_path: Path):
    logs = LogStore(tmp_path)
    kept = [write(logs, f"t{age}", age, 40_000) for age in (1, 2, 3, 4)]
    cleaned = clean(logs.root, Retention(age=1000, total=100_000), NOW)
    assert cleaned.deleted == 2
    on_disk = sum(f.stat().st_blocks * 512 for f in logs.root.rglob("*") if f.is_file())
    assert cleaned.left == on_disk <= 100_000
    assert [directory.exists() for directory in kept] == [True, True, False, False]


async def test_logs_of_a_program_that_runs_stay_however_long_it_says_nothing(tmp_path: Path):
    logs = LogStore(tmp_path)
    logs.begin("replica", 1)
    silent = write(logs, "replica", 100, 40_000)
    ended = write(logs, "ended", 99, 40_000)
    cleaning = asyncio.create_task(
        log_retention.run(logs, Retention(age=50, total=10_000, every=0.0), SimulatedClock(NOW))
    )
    async with asyncio.timeout(60):
        while ended.exists():
            await asyncio.sleep(0.005)
    assert silent.exists()
    logs.end("replica", 1)
    async with asyncio.timeout(60):
        while silent.exists():
            await asyncio.sleep(0.005)
    cleaning.cancel()
    await asyncio.gather(cleaning, return_exceptions=True)


def test_other_attempts_of_a_task_stay(tmp_path: Path):
    logs = LogStore(tmp_path)
    first = write(logs, "t", 100, 10, number=1)
    second = write(logs, "t", 1, 10, number=2)
    clean(logs.root, Retention(age=50, total=1 << 30), NOW)
    assert not first.exists()
    assert second.exists()


def test_the_latest_attempt_is_found_in_memory_or_on_disk(tmp_path: Path):
    logs = LogStore(tmp_path)
    write(logs, "a", 1, 10, number=2)
    write(logs, "a", 1, 10, number=10)
    logs.remember("b", 3)
    assert logs.latest("a") == 10
    assert logs.latest("b") == 3
    assert logs.latest("c") is None
    assert logs.knows("a", 2)
    assert not logs.knows("a", 3)


def test_of_silent_attempts_the_newest_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempt_log, "MAX_REMEMBERED", 8)
    logs = LogStore(tmp_path)
    logs.remember("again", 1)
    for number in range(50):
        logs.remember("again", number)
        logs.remember(str(number), 1)
        assert logs.latest("again") == number
        known = [one for one in range(number + 1) if logs.knows(str(one), 1)]
        assert known == list(range(number + 1))[-len(known) :]
        assert min(3, number + 1) <= len(known) <= 8


def test_a_path_is_not_a_task(tmp_path: Path):
    logs = LogStore(tmp_path)
    (tmp_path / "1").mkdir()
    for name in ("..", "../logs", "", "a/b", "x" * 1000):
        assert logs.latest(name) is None
        assert not logs.knows(name, 1)


def test_what_a_worker_wrote_becomes_the_attempts(tmp_path: Path):
    logs = LogStore(tmp_path)
    stem = logs.worker_stem(0)
    Path(f"{stem}.1").mkdir()
    Path(f"{stem}.1", "stdout").write_text("a's")
    logs.adopt(f"{stem}.1", "a", 1)
    assert Path(logs.path("a", 1, "stdout")).read_text() == "a's"
    assert not Path(f"{stem}.1").exists()
    # Nothing was written by the next, but for what it left behind.
    logs.adopt(f"{stem}.2", "b", 1)
    assert not logs.directory("b", 1).exists()
    Path(f"{stem}.2").mkdir()
    Path(f"{stem}.2", "stderr").write_text("late")
    logs.adopt_late(f"{stem}.2")
    assert Path(logs.path("b", 1, "stderr")).read_text() == "late"


def test_what_nobody_is_known_for_is_deleted(tmp_path: Path):
    logs = LogStore(tmp_path)
    unknown = Path(f"{logs.worker_stem(0)}.7")
    unknown.mkdir()
    logs.adopt_late(str(unknown))
    assert not unknown.exists()


def test_what_an_earlier_agent_left_in_the_spool_is_gone(tmp_path: Path):
    old = Path(f"{LogStore(tmp_path).worker_stem(0)}.1")
    old.mkdir()
    assert f"{LogStore(tmp_path).worker_stem(0)}.1" == str(old)
    assert not old.exists()


async def test_pieces_come_in_the_order_of_their_records_and_the_rest_behind(tmp_path: Path):
    logs = LogStore(tmp_path)
    directory = logs.directory("a", 1)
    directory.mkdir(parents=True)
    (directory / "stdout").write_bytes(b"135 and more")
    (directory / "stderr").write_bytes(b"24")
    pieces = ((10, 0, 1, 0), (20, 0, 1, 1), (30, 1, 1, 0), (40, 1, 1, 1), (50, 2, 1, 0))
    (directory / "index").write_bytes(b"".join(RECORD.pack(*piece) for piece in pieces))
    chunks = await pieces_of(logs, "a")
    assert [chunk.data for chunk in chunks] == [b"1", b"2", b"3", b"4", b"5", b" and more"]
    assert [chunk.time for chunk in chunks] == [10, 20, 30, 40, 50, 0]
    # A record that is cut, and one of bytes that are gone, stop nobody.
    broken = RECORD.pack(10, 0, 1, 0) + RECORD.pack(20, 90, 9, 1) + b"cut"
    (directory / "index").write_bytes(broken)
    assert await everything(logs, "a") == b"12435 and more"


async def test_what_was_read_of_a_call_that_had_ended_is_the_next_ones(tmp_path: Path):
    """The worker went on while its present output was being read."""
    logs = LogStore(tmp_path)
    stem = logs.worker_stem(0)
    Path(f"{stem}.1").mkdir()
    Path(f"{stem}.1", "stdout").write_text("the next one's")
    answers = iter([f"{stem}.1"])  # once at the open; then it has ended
    logs.follow_workers(lambda _task, _number: next(answers, None))
    assert await everything(logs, "a") == b""


async def test_the_tail_counts_a_last_line_without_an_end(tmp_path: Path):
    logs = LogStore(tmp_path)
    directory = logs.directory("a", 1)
    directory.mkdir(parents=True)
    for text, lines, expected in (
        (b"a\nb\nc\n", 1, b"c\n"),
        (b"a\nb\nc", 1, b"c"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc\n", 3, b"a\nb\nc\n"),
        (b"a\nb\nc\n", 9, b"a\nb\nc\n"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"", 2, b""),
        (b"x" * 200_000 + b"\nend\n", 1, b"end\n"),
    ):
        (directory / "stdout").write_bytes(text)
        assert await everything(logs, "a", tail_lines=lines) == expected


async def test_an_offset_leaves_out_the_beginning_and_bounds_the_tail(tmp_path: Path):
    logs = LogStore(tmp_path)
    directory = logs.directory("a", 1)
    directory.mkdir(parents=True)
    (directory / "stdout").write_bytes(b"a\nb\nc\n")
    assert await everything(logs, "a", begins=(3, 3)) == b"\nc\n"
    assert await everything(logs, "a", begins=(100, 100)) == b""
    assert await everything(logs, "a", begins=(4, 4), tail_lines=3) == b"c\n"
