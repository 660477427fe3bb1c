"""The cluster's generation: epochs, tokens and folded state across a restore from a backup."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_agent.core.epochs import StaleEpoch
from node_agent.core.machine import Machine
from quorate.cli.output import render
from quorate.etcd.api import Etcd, Put
from quorate.etcd.election import Election
from quorate.etcd.generation import (
    LAST_GENERATION,
    MAX_REVISION,
    epoch_of,
    read_standing,
    scoped,
    split,
)
from quorate.etcd.journal.journal import Journal, JournalEnded
from quorate.etcd.lease import LeaseSession
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.backup_pb2 import GenerationRecord, RestoreRecord
from quorate.internal.v1.records_pb2 import HeadRecord, QueueRecord
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import InstanceId
from quorate.runtime.timing.clock import SystemClock
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.forwarding.role import Local, Roles
from scheduler.api.tasks.watch_pick import Place, encode_token
from scheduler.api.tasks.watches import Watches
from scheduler.config import SchedulerSettings
from scheduler.leadership.term import LeadershipTerm
from scheduler.leadership.trust import Trust
from scheduler.storage import keys
from scheduler.storage.replica.fold import Fold
from scheduler.telemetry.health import InstanceHealth
from tests.support.watching import Followed, running, watches_of

CLOCK = SystemClock()
PREFIX = b"/quorate/default/"
GENERATIONS = st.integers(1, LAST_GENERATION)
REVISIONS = st.integers(0, MAX_REVISION)


@given(st.tuples(GENERATIONS, REVISIONS), st.tuples(GENERATIONS, REVISIONS))
def test_epochs_are_in_the_order_of_generation_then_revision(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    assert (scoped(*one) < scoped(*other)) == (one < other)
    assert split(scoped(*one)) == one
    assert 0 <= scoped(*one) < 1 << 63


def test_an_epoch_of_a_cluster_that_was_never_restored_is_its_revision() -> None:
    assert scoped(1, 4711) == 4711


def test_people_see_the_generation_only_of_a_restored_cluster() -> None:
    assert render.epoch(scoped(1, 4711)) == "4711"
    assert render.epoch(scoped(2, 12)) == "12 of generation 2"


@pytest.mark.parametrize(
    ("generation", "revision"), [(0, 1), (LAST_GENERATION + 1, 1), (1, -1), (1, MAX_REVISION + 1)]
)
def test_what_does_not_fit_is_refused(generation: int, revision: int) -> None:
    with pytest.raises(ValueError, match="is not between"):
        scoped(generation, revision)


def test_an_agent_that_lived_through_a_restore_takes_the_lower_revision() -> None:
    machine = Machine(slots=1)
    machine.on_session_opened(epoch_of(1, 90_000))
    machine.on_session_opened(epoch_of(2, 12))
    with pytest.raises(StaleEpoch):
        machine.on_session_opened(epoch_of(1, 90_001))


# -- watches


async def first_answer(watches: Watches, token: str) -> pb.WatchTasksResponse:
    async with aclosing(Followed(watches, pb.WatchTasksRequest(resume_token=token))) as answers:
        return await anext(answers)


@pytest.mark.parametrize("generation", [1, 3])
async def test_a_token_of_another_generation_is_gone(generation: int) -> None:
    etcd = MemoryEtcd()
    revision = await etcd.put(PREFIX + b"head", b"")
    watches = watches_of(etcd, PREFIX, 2, head=revision)
    with pytest.raises(QuorateError, match="list the tasks again") as rejection:
        await first_answer(watches, encode_token(Place(revision, 0, generation)))
    assert rejection.value.code is grpc.StatusCode.OUT_OF_RANGE
    assert rejection.value.reason == "RESUME_TOKEN_GONE"
    assert await first_answer(watches, encode_token(Place(revision, 0, 2)))


async def test_what_a_watch_tells_grows_over_a_restore() -> None:
    etcd = MemoryEtcd()
    begin = await etcd.put(PREFIX + b"head", b"")
    async with (
        asyncio.timeout(60),
        running(watches_of(etcd, PREFIX, 2, head=begin)) as watches,
        aclosing(Followed(watches, pb.WatchTasksRequest())) as answers,
    ):
        await anext(answers)
        await etcd.put(PREFIX + keys.task_key("default", "0" * 32), b"")
        answer = await anext(answers)
    assert split(answer.events[0].revision) == (2, begin + 1)


# -- leading


class Address:
    """Leads to a store that can be exchanged; open watches stay, silent, with the one before."""

    def __init__(self, etcd: MemoryEtcd) -> None:
        self.etcd = etcd

    def __getattr__(self, name: str) -> Any:
        return getattr(self.etcd, name)


class Candidate:
    """A LeadershipTerm over an in-memory store that can be exchanged, as etcd is by a restore."""

    def __init__(self, etcd: MemoryEtcd) -> None:
        self.etcd = etcd
        self._address = Address(etcd)
        settings = SchedulerSettings(_cli_parse_args=[], name="s1")  # type: ignore[call-arg]
        self.roles = Roles(InstanceId("s1"))
        self.term = LeadershipTerm(
            settings, cast(Etcd, self._address), CLOCK, self.roles, InstanceHealth(InstanceId("s1"))
        )

    def exchange(self, etcd: MemoryEtcd) -> None:
        """Another store is behind etcd's address."""
        self.etcd = self._address.etcd = etcd

    async def loaded(self) -> None:
        async with asyncio.timeout(60):
            await self.term.loaded.wait()

    @asynccontextmanager
    async def elected(self) -> AsyncIterator[asyncio.Task[None]]:
        """The task that leads, under a lease of its own."""
        lease = await LeaseSession.open(self.etcd, 2, clock=CLOCK)
        key = await Election(self.etcd, PREFIX + keys.ELECTION).campaign(lease.id, b"")
        leading = asyncio.create_task(
            self.term.lead(key.create_revision, key.key, Trust(lease, 0.0))
        )
        try:
            yield leading
        finally:
            leading.cancel()
            await asyncio.wait({leading})
            await lease.close()

    async def leads(self, leading: asyncio.Task[None]) -> None:
        async with asyncio.timeout(60):
            while not isinstance(self.roles.role, Local):
                assert not leading.done(), leading.result()
                await asyncio.sleep(0)

    async def head_epoch(self) -> tuple[int, int]:
        head = (await read_head(self.etcd)).epoch
        return split(head)

    async def rejection(self) -> str:
        """Why it does not lead."""
        async with self.elected() as leading:
            async with asyncio.timeout(60):
                await asyncio.wait({leading})
            with pytest.raises(JournalEnded) as why:
                leading.result()
        return str(why.value)

    @property
    def queues(self) -> set[str]:
        assert self.term.parts is not None
        return set(self.term.parts.driver.state.queues)


async def read_head(etcd: MemoryEtcd) -> HeadRecord:
    head, _, _ = await Journal.read_head(etcd, PREFIX)
    assert head is not None
    return head


@asynccontextmanager
async def standing_by(etcd: MemoryEtcd) -> AsyncIterator[Candidate]:
    candidate = Candidate(etcd)
    standing = asyncio.create_task(candidate.term.stand_by())
    yield candidate
    standing.cancel()
    await asyncio.wait({standing})


@pytest.fixture
async def candidate() -> AsyncIterator[Candidate]:
    async with standing_by(MemoryEtcd()) as candidate:
        yield candidate


def generation(number: int) -> Put:
    return Put(PREFIX + b"generation", GenerationRecord(generation=number).SerializeToString())


async def test_the_log_and_the_cluster_tell_the_scoped_epoch(candidate: Candidate) -> None:
    await candidate.etcd.txn((), [generation(3)])
    async with candidate.elected() as leading:
        await candidate.leads(leading)
        epoch, revision = await candidate.head_epoch()
        assert epoch == 3
        assert revision > 0
        assert candidate.term.parts is not None
        cluster = await candidate.term.parts.overview.cluster()
    assert split(cluster.epoch) == (3, revision)
    assert [replica.leader for replica in cluster.schedulers] == [True]


async def test_nobody_leads_while_a_restore_is_under_way(candidate: Candidate) -> None:
    marker = PREFIX + b"restoring"
    await candidate.etcd.put(marker, RestoreRecord(records=2).SerializeToString())
    assert "restore" in await candidate.rejection()
    assert (await read_standing(candidate.etcd, PREFIX)).head_mod == 0


async def test_nobody_leads_amid_a_restore_with_what_was_folded_before_it() -> None:
    """The new etcd may have come past the revision that a standby knows of the old one."""
    async with standing_by(MemoryEtcd(revision=9)) as candidate:
        await candidate.loaded()
        candidate.exchange(MemoryEtcd(revision=7))
        await candidate.etcd.put(PREFIX + b"restoring", RestoreRecord().SerializeToString())
        assert "restore" in await candidate.rejection()
        assert (await read_standing(candidate.etcd, PREFIX)).revision > 9


def test_what_a_restore_writes_is_not_folded() -> None:
    fold = Fold()
    fold.put(b"restoring", RestoreRecord().SerializeToString(), 1)
    fold.put(keys.queue_key("mine"), QueueRecord(name="mine").SerializeToString(), 2)
    fold.deleted(keys.queue_key("default"))
    assert fold.restoring
    assert not fold.state.queues
    fold.reset()
    assert not fold.restoring


async def test_what_was_seen_of_a_restore_is_folded_anew(candidate: Candidate) -> None:
    """A restore writes in the order of keys; a standby that looked on must not lead with that."""
    etcd, marker = candidate.etcd, PREFIX + b"restoring"
    await etcd.put(marker, RestoreRecord(records=1).SerializeToString())
    await candidate.rejection()
    queue = QueueRecord(name="mine").SerializeToString()
    await etcd.put(PREFIX + keys.queue_key("mine"), queue)
    await etcd.txn((), [generation(2)])
    await etcd.delete(marker)
    assert "restore" in await candidate.rejection()
    async with candidate.elected() as leading:
        await candidate.leads(leading)
        assert "mine" in candidate.queues


async def test_what_was_folded_from_another_generation_is_dropped() -> None:
    """Etcd was exchanged below a standby that knows higher revisions of the one before."""
    old = MemoryEtcd(revision=100)
    await old.txn((), [generation(7)])
    async with standing_by(old) as candidate:
        await candidate.loaded()
        candidate.exchange(MemoryEtcd())
        assert await candidate.rejection() == "folded from generation 7; this is 1"
        async with candidate.elected() as leading:
            await candidate.leads(leading)


async def test_what_was_folded_beyond_the_end_of_etcd_is_dropped() -> None:
    async with standing_by(MemoryEtcd(revision=1 << 40)) as candidate:
        await candidate.loaded()
        candidate.exchange(MemoryEtcd())
        assert "etcd is at" in await candidate.rejection()
        async with candidate.elected() as leading:
            await candidate.leads(leading)
