"""What is compacted is older than what is kept, also when leaders change more often than that."""

from __future__ import annotations

import asyncio

from quorate.etcd.api import Compacted, Range
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.timing.clock import SimulatedClock
from scheduler.storage.compaction_checkpoints import (
    EVERY,
    EVERY_BYTES,
    HISTORY,
    LEAST,
    MOST_BYTES,
    CompactionCheckpoints,
)
from tests.support.memory_term import standing_by


def test_an_old_revision_is_told_once_and_is_the_newest_of_the_old() -> None:
    clock = SimulatedClock()
    marks = CompactionCheckpoints(clock, history=60.0, every=10.0)
    assert marks.take_old() is None
    for revision in range(1, 8):
        marks.note(revision)
        # Too soon after the last one, or not known: it is left out.
        clock.advance(4.0)
        marks.note(1_000)
        clock.advance(6.0)
        marks.note(0)
    # 70 s after the first, 60 s after the second.
    assert marks.take_old() == 2
    assert marks.take_old() is None
    clock.advance(9.0)
    assert marks.take_old() is None
    clock.advance(1.0)
    assert marks.take_old() == 3


def test_a_standby_keeps_a_bounded_number_and_one_that_is_old() -> None:
    clock = SimulatedClock()
    marks = CompactionCheckpoints(clock)
    for revision in range(1, 1_001):
        marks.note(revision)
        clock.advance(EVERY)
    assert len(marks._checkpoints) <= HISTORY / EVERY + 2
    assert marks.take_old() == 1_000 - HISTORY / EVERY + 1


def test_of_a_log_that_grows_fast_no_more_than_256_mib_is_kept() -> None:
    clock = SimulatedClock()
    marks = CompactionCheckpoints(clock)
    for revision in range(1, 101):
        marks.note(revision)
        # Half of what makes another checkpoint: each second revision has one.
        marks.wrote(EVERY_BYTES // 2)
        clock.advance(0.1)
    old = marks.take_old()
    kept = MOST_BYTES // (EVERY_BYTES // 2)
    assert old == 101 - kept
    assert marks.take_old() is None


def test_a_minute_is_kept_while_etcd_has_plenty_of_space() -> None:
    clock = SimulatedClock()
    marks = CompactionCheckpoints(clock)
    marks.note(1)
    marks.wrote(2 * MOST_BYTES)
    clock.advance(LEAST - 1)
    assert marks.take_old(plenty=True) is None
    clock.advance(1)
    assert marks.take_old(plenty=True) == 1
    marks.note(2)
    marks.wrote(2 * MOST_BYTES)
    assert marks.take_old() == 2


def test_a_standby_counts_what_others_write_and_keeps_a_bounded_number() -> None:
    clock = SimulatedClock()
    marks = CompactionCheckpoints(clock)
    for revision in range(1, 5_001):
        marks.wrote(EVERY_BYTES)
        marks.note(revision)
        clock.advance(1.0)
    assert len(marks._checkpoints) <= LEAST + MOST_BYTES / EVERY_BYTES + 3


async def test_a_replica_counts_the_log_that_it_follows() -> None:
    clock, etcd = SimulatedClock(), MemoryEtcd()
    marks = CompactionCheckpoints(clock, every=0.001)
    async with standing_by(etcd, checkpoints=marks) as replica, asyncio.timeout(60):
        prefix = replica.settings.prefix
        while not replica.term.loaded.is_set():
            await asyncio.sleep(0)
        await etcd.put(prefix + b"queues-of-nobody/a", b"x" * 1_000)
        while marks._written < 1_000:
            await asyncio.sleep(0)


async def test_a_cluster_whose_leader_changes_all_the_time_compacts() -> None:
    clock, etcd = SimulatedClock(), MemoryEtcd()
    first = await etcd.put(b"/something", b"")
    checkpoints = CompactionCheckpoints(clock, every=0.01)
    async with standing_by(etcd, checkpoints=checkpoints) as replica:
        terms = 0
        while not await compacted(etcd, first):
            # Each leads for a third of what is kept, and looks once.
            clock.advance(HISTORY / 3)
            terms += 1
            assert terms < 10
            async with replica.leading(), asyncio.timeout(60):
                parts = replica.term.parts
                assert parts is not None
                while parts.overview.status is None:
                    await asyncio.sleep(0)
                # What follows the answer.
                for _ in range(10):
                    await asyncio.sleep(0)
    assert terms >= 4


async def test_a_standby_keeps_marks_for_when_it_leads() -> None:
    clock, etcd = SimulatedClock(), MemoryEtcd()
    first = await etcd.put(b"/something", b"")
    marks = CompactionCheckpoints(clock, every=0.001)
    async with standing_by(etcd, checkpoints=marks), asyncio.timeout(60):
        while (old := marks.take_old()) is None:
            clock.advance(HISTORY)
            await asyncio.sleep(0)
    assert old == first


async def compacted(etcd: MemoryEtcd, revision: int) -> bool:
    """Whether etcd has forgotten a revision."""
    try:
        await etcd.range(Range(b"/something", revision=revision))
    except Compacted:
        return True
    return False
