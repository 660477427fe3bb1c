"""A watch ends with the term of the leader that serves it; watches of one caller share a pace."""

from __future__ import annotations

import asyncio

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from tests.support.watching import Followed, running, watches_of


async def test_a_watch_ends_with_the_term() -> None:
    etcd = MemoryEtcd()
    head = await etcd.put(b"/quorate/test/head", b"")
    watches = watches_of(etcd, b"/quorate/test/", head=head)
    answers = Followed(watches, pb.WatchTasksRequest())
    async with asyncio.timeout(60), running(watches):
        first = await anext(answers)
        assert first.resume_token
        waiting = asyncio.ensure_future(anext(answers))
        await asyncio.sleep(0)
        assert not waiting.done()
        watches.close()
        with pytest.raises(QuorateError) as told:
            await waiting
    assert told.value.reason == "LEADER_LOST"


TASK = "0198c0de000070008000000000000001"


async def test_many_watches_of_one_caller_do_not_keep_those_of_another_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Past its burst a caller gets nothing more for hours here; the others do."""
    monkeypatch.setattr("scheduler.api.tasks.watches.ANSWERS_OF_CALLER", 1e-4)
    monkeypatch.setattr("scheduler.api.tasks.watches.ANSWERS_A_SECOND", 1e9)
    etcd, prefix = MemoryEtcd(), b"/quorate/test/"
    watches = watches_of(etcd, prefix, head=await etcd.put(prefix + b"head", b""))
    many = [Followed(watches, pb.WatchTasksRequest(), "submitter:many") for _ in range(40)]
    one = Followed(watches, pb.WatchTasksRequest(), "submitter:one")
    async with asyncio.timeout(60), running(watches):
        for each in (*many, one):
            await anext(each)
        answers = [asyncio.ensure_future(anext(each)) for each in many]
        mine = asyncio.ensure_future(anext(one))
        await asyncio.sleep(0)
        await etcd.put(prefix + b"tasks/q/" + TASK.encode(), r.TaskRecord().SerializeToString())
        assert [event.task.id for event in (await mine).events] == [TASK]
        for _ in range(100):
            await asyncio.sleep(0)
        done = sum(answer.done() for answer in answers)
        assert done <= 8
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        for each in (*many, one):
            await each.aclose()
