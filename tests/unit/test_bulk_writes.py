"""While others write, one caller's bulk is written a little at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskId
from scheduler.core.model import events as e
from scheduler.core.model.answers import BatchCreated, TaskCreated
from tests.support.core_specs import spec
from tests.unit.test_txn_bounds import QUEUE, LeadershipTerm, leading

SIZE = 20_000
COUNT = 200
# Whoever made the queue has no name either.
ALONE = ""


async def batch(term: LeadershipTerm, caller: str, count: int = COUNT) -> object:
    first = term.ids.next(term.driver.clock.now())
    specs = [spec(payload=b"x" * SIZE)] * count
    return await term.driver.call(
        lambda token: e.BatchSubmitted(QUEUE, first, specs, e.Request(), token, caller),
        SIZE * count,
        caller,
    )


async def one(term: LeadershipTerm, caller: str, size: int = 0) -> int:
    """Create a task; the bytes committed from when it was asked for to its answer."""
    task, counters = term.ids.next(term.driver.clock.now()), term.driver.journal.counters
    before = counters.bytes
    answer = await term.driver.call(
        lambda token: e.TaskSubmitted(
            QUEUE, task, spec(payload=b"x" * size), e.Request(), token, caller
        ),
        size,
        caller,
    )
    assert isinstance(answer, TaskCreated)
    return counters.bytes - before


async def test_a_neighbour_is_behind_a_small_part_of_a_batch_and_not_behind_all_of_it() -> None:
    async with leading(1_024) as term, asyncio.timeout(60):
        await one(term, "neighbour")
        flood = [asyncio.create_task(batch(term, "flooder")) for _ in range(2)]
        meanwhile = []
        while not all(each.done() for each in flood):
            meanwhile.append(await one(term, "neighbour"))
            await asyncio.sleep(0.001)
        assert all(isinstance(each.result(), BatchCreated) for each in flood)
        assert len(term.driver.state.tasks) == 2 * COUNT + 1 + len(meanwhile)
    assert max(meanwhile) < 4 * SIZE


async def test_large_calls_of_many_take_turns_too() -> None:
    async with leading(1_024) as term, asyncio.timeout(60):
        await one(term, "neighbour")
        flood = [asyncio.create_task(one(term, "flooder", SIZE)) for _ in range(200)]
        await asyncio.sleep(0)
        # Neither what is light nor what is heavy of another caller waits for all of them.
        assert await one(term, "neighbour") < 4 * SIZE
        assert await one(term, "neighbour", SIZE) < 8 * SIZE
        for each in flood:
            each.cancel()
        await asyncio.gather(*flood, return_exceptions=True)


async def test_a_caller_that_is_alone_has_all_of_the_journal() -> None:
    async with leading(1_024) as term, asyncio.timeout(60):
        before = term.driver.journal.counters.txns
        await batch(term, ALONE, 1_000)
        # 20 MB in Txns of a MiB at most, and not in parts of 32 KiB.
        assert term.driver.journal.counters.txns - before < 60


async def test_what_waits_in_the_background_is_one_txn_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with leading(1_024) as term, asyncio.timeout(60):
        commit = term.etcd.txn

        async def txn(*args: Any, **options: Any) -> Any:
            await asyncio.sleep(0.01)
            return await commit(*args, **options)

        monkeypatch.setattr(term.etcd, "txn", txn)
        made = asyncio.create_task(batch(term, ALONE, 1_000))
        most = 0
        while not made.done():
            most = max(most, term.driver.journal.pending_bytes)
            await asyncio.sleep(0)
        assert most < 4 << 20


async def test_who_waits_for_its_turn_learns_that_the_term_is_over() -> None:
    async with leading(1_024) as term, asyncio.timeout(60):
        await one(term, "neighbour")
        waiting = [asyncio.create_task(one(term, "flooder", SIZE)) for _ in range(9)]
        await asyncio.sleep(0)
        term.driver.close()
        told = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(error) for error in told} == {QuorateError}


async def test_who_waits_for_its_turn_is_refused_when_etcd_has_no_space() -> None:
    async with leading(1_024) as term, asyncio.timeout(60):
        await one(term, "neighbour")
        waiting = [asyncio.create_task(one(term, "flooder", SIZE)) for _ in range(9)]
        await asyncio.sleep(0)
        term.driver.admission.answer_waiting()
        with pytest.raises(QuorateError) as told:
            await waiting[-1]
        assert told.value.reason == "ETCD_SPACE_LOW"
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_bulk_cancel_is_written_in_small_parts_while_others_write() -> None:
    async with leading(1_024) as term, asyncio.timeout(60):
        tasks = [TaskId(task) for task in await term.batch(2_000)]
        asked = e.Request(caller="flooder")
        await one(term, "neighbour")
        made = asyncio.create_task(
            term.driver.call(
                lambda token: e.BulkAsked(tasks, frozenset(), asked, token), 0, "flooder"
            )
        )
        await asyncio.sleep(0)
        assert await one(term, "neighbour") < 100_000
        assert not made.done()
        await made
