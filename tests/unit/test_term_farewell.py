"""A leader that is asked to go says what it can say, and goes when its trust is over."""

from __future__ import annotations

import asyncio

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.ids import TaskIds
from scheduler.core.model import events as e
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.leadership.trust import Trust
from tests.support.core_specs import spec
from tests.support.memory_term import standing_by


async def test_a_leader_that_committed_and_is_trusted_never_again_ends_with_its_trust() -> None:
    """It was stopped with a commit under way: the answer is there when it wakes, its lease is not.

    What it committed may not be told any longer, so nothing that waits for it must hold it up.
    """
    async with standing_by(MemoryEtcd()) as replica, replica.candidate() as (candidate, lease):
        trust = Trust(lease, 0.0)
        leading = asyncio.create_task(
            replica.term.lead(candidate.create_revision, candidate.key, trust)
        )
        driver = await replica.serves(leading)
        lease.trusted_until = 0.0
        told = asyncio.get_running_loop().create_future()
        submitted = e.TaskSubmitted(DEFAULT_QUEUE, TaskIds().next(1.0), spec(), e.Request(), told)
        driver.handle((submitted,))

        leading.cancel()
        await asyncio.wait({leading}, timeout=0.05)
        assert not leading.done(), "its callers' answers were not waited for"
        trust.end()
        await asyncio.wait({leading}, timeout=60)
        assert leading.cancelled()
        # The caller was not told that it worked.
        assert told.done()
        assert told.exception() is not None
        # It stands by, and leads again.
        async with replica.leading():
            pass
