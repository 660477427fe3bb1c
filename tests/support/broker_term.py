"""One leader's broker on a store: the real driver, journal and fold, and what sessions get.

async with leading(MemoryEtcd()) as term:
    await term.broker.call(lambda token: events.MessageQueueDeclared(..., token))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from quorate.etcd.api import Etcd, prefix_end
from quorate.etcd.journal.journal import Journal
from quorate.etcd.memory.store import MemoryEtcd
from quorate.etcd.paging import pages
from quorate.runtime.ids import TaskIds
from quorate.runtime.timing.clock import Clock, SystemClock, TermClock
from scheduler.agents.links import Links
from scheduler.api.asking import refused
from scheduler.core.broker import effects as fx
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.rows import SessionId
from scheduler.core.handlers.tasks.from_messages import MessageTasks
from scheduler.core.machine import Machine
from scheduler.core.model.limits.bounds import Limits
from scheduler.engine.broker.driver import BrokerDriver
from scheduler.engine.driver import Driver
from scheduler.storage import keys, records
from scheduler.storage.records.broker.stored import StoredChunks
from scheduler.storage.records.broker.writes import BrokerCodec
from scheduler.storage.replica.fold import Fold

PREFIX = b"/quorate/test/"
LEADER = PREFIX + b"election/scheduler/a"


class NotingSessions:
    """Notes what sessions get, in order."""

    outgoing = 0

    def __init__(self) -> None:
        self.got: list[Any] = []

    def deliver(self, effect: fx.Deliver) -> None:
        self.got.append(effect)

    def fetched(self, effect: fx.SendFetched) -> None:
        self.got.append(effect)

    def ended(self, effect: fx.EndConsumer) -> None:
        self.got.append(effect)

    def refused(self, effect: fx.SettleRefused) -> None:
        self.got.append(effect)

    def settled(self, session: SessionId, number: int) -> None:
        self.got.append(fx.SettleDone(session, number))

    @property
    def deliveries(self) -> list[fx.Delivery]:
        """All messages that were delivered."""
        return [
            delivery
            for effect in self.got
            if isinstance(effect, fx.Deliver)
            for delivery in effect.deliveries
        ]


class Follower:
    """A standby's fold of the in-memory store."""

    def __init__(self, store: MemoryEtcd) -> None:
        self._store = store
        self.fold = Fold()
        self.revision = 1

    def follow(self) -> Fold:
        """Fold all that is in the store."""
        for revision, events in self._store.since(self.revision + 1):
            for event in events:
                key = event.kv.key.removeprefix(PREFIX)
                if not key.startswith(keys.SNAPSHOT_ORDER):
                    continue
                if event.deleted:
                    self.fold.deleted(key, revision)
                else:
                    self.fold.put(key, event.kv.value, revision, event.kv.lease)
            self.fold.at(revision)
            self.revision = revision
        return self.fold


class BrokerTerm:
    """A leader with its journal. `trusted` may be changed."""

    def __init__(
        self,
        etcd: Etcd,
        journal: Journal,
        fold: Fold,
        machine: Any = None,
        ops: int = 128,
        clock: Clock | None = None,
    ) -> None:
        self.etcd = etcd
        self.journal = journal
        self.trusted = True
        self.full: str | None = None
        self.plenty = True
        self.sessions = NotingSessions()
        ids = TaskIds(fold.state.last_id or None)
        self.driver = Driver(
            Machine(fold.state),
            records.Codec(PREFIX, fold.state),
            journal,
            TermClock(clock or SystemClock()),
            lambda: self.trusted,
            ops,
            ids,
            agents=Links(),
        )
        state = (machine or fold.broker).state
        fold.state.bound = state.router.bound_task_queue
        self.machine: Any = machine or BrokerMachine(
            fold.broker.state, BrokerLimits(step_writes=ops // 3)
        )
        self.broker = BrokerDriver(
            self.machine,
            self.driver,
            BrokerCodec(PREFIX, fold.broker.later),
            StoredChunks(etcd, PREFIX),
            lambda: self.trusted,
            ops,
            full=lambda weight: self.full,
            plenty=lambda: self.plenty,
            tasks=MessageTasks(
                fold.state, Limits(), ids.next, refused, 256 << 10, records.message_template
            ),
        )
        self.broker.serve(self.sessions)
        self.tasks = [
            asyncio.create_task(journal.run()),
            asyncio.create_task(self.broker.run()),
        ]

    def run_bulk(self) -> None:
        """Calls about many tasks are done, too."""
        self.tasks.append(asyncio.create_task(self.driver.bulk.run()))

    async def end(self) -> None:
        """The process dies, with what it had not committed."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        self.broker.close()
        self.driver.close()
        for task in self.tasks:
            if not task.cancelled():
                # Retrieved: the tests that expect an error look at it before.
                task.exception()


async def begin(
    etcd: Any, fold: Fold, machine: Any = None, ops: int = 128, clock: Clock | None = None
) -> BrokerTerm:
    """A term begins, with the fold of all that is in the store."""
    await etcd.delete(LEADER)
    elected = await etcd.put(LEADER, b"")
    journal = Journal(
        etcd,
        prefix=PREFIX,
        leader_key=LEADER,
        elected=elected,
        clock=clock or SystemClock(),
        stall_after=30.0,
        max_txn_ops=ops,
    )
    await journal.claim()
    term = BrokerTerm(etcd, journal, fold, machine, ops, clock)
    term.broker.elected(fold.broker.orphans)
    return term


@asynccontextmanager
async def leading(
    etcd: Any, fold: Fold | None = None, machine: Any = None, ops: int = 128
) -> AsyncIterator[BrokerTerm]:
    """A leader until the block is left."""
    term = await begin(etcd, fold or Fold(), machine, ops)
    try:
        yield term
    finally:
        await term.end()


async def load(etcd: Etcd, fold: Fold) -> None:
    """Fold all that is in a store: what a standby does that begins."""
    revision = 0
    for part in keys.SNAPSHOT_ORDER:
        start = PREFIX + part
        assert prefix_end(start)
        async for page in pages(etcd, start, revision):
            revision = revision or page.revision
            for kv in page.kvs:
                fold.put(kv.key.removeprefix(PREFIX), kv.value, kv.mod_revision, kv.lease)
    fold.at(revision)
