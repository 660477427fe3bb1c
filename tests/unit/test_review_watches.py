"""A watch ends with the tenure of the leader that serves it."""

from __future__ import annotations

import asyncio

import pytest

from quorate.etcd.memory import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from tests.support.watching import Followed, running, watches_of


async def test_a_watch_ends_with_the_tenure() -> None:
    etcd = MemoryEtcd()
    head = await etcd.put(b"/quorate/test/head", b"")
    watches = watches_of(etcd, b"/quorate/test/", head=head)
    answers = Followed(watches, pb.WatchTasksRequest())
    async with asyncio.timeout(5), running(watches):
        first = await anext(answers)
        assert first.resume_token
        waiting = asyncio.ensure_future(anext(answers))
        await asyncio.sleep(0)
        assert not waiting.done()
        watches.close()
        with pytest.raises(QuorateError) as told:
            await waiting
    assert told.value.reason == "LEADER_LOST"
