"""Whatever the network does, what was applied is what was appended: once, whole and in order.

Hypothesis draws events, faults of single Txns, late deliveries and a usurper; the journal runs on a
loop whose time jumps to the next timer, so that back-off costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.etcd.api import Delete, EtcdUnavailable, Op, Put
from quorate.etcd.journal.journal import Deposed, Journal
from quorate.internal.v1.records_pb2 import HeadRecord
from tests.support.fake_store import ErrorKind, FakeStore
from tests.support.jumping_loop import JumpingLoop
from tests.support.term import HEAD, PREFIX, Outcomes, stand

KEYS = [PREFIX + name for name in (b"a", b"b", b"c")]
FAULTS = [
    ErrorKind.NONE,
    ErrorKind.LOST_REQUEST,
    ErrorKind.LOST_REPLY,
    ErrorKind.LATE,
    ErrorKind.TWICE,
    ErrorKind.NO_SPACE,
    ErrorKind.NO_SPACE_BUT_APPLIED,
]

key = st.sampled_from(KEYS)
# Every event that writes puts at least one key, with a value of its own: so it can be recognised.
step = st.one_of(
    st.tuples(st.just("write"), key, st.none() | key),
    st.tuples(st.just("read")),
    st.tuples(st.just("purge"), key),
    st.tuples(st.just("fault"), st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4)),
    st.tuples(st.just("blind")),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("turns"), st.integers(1, 12)),
)


@dataclass
class History:
    """What one example did."""

    # Appended events and purges: name -> writes, in order.
    events: dict[str, list[Put | Delete]] = field(default_factory=dict)
    purges: dict[str, list[Delete]] = field(default_factory=dict)
    seen: Outcomes = field(default_factory=Outcomes)
    # The writes of each applied Txn that moved our head, in order.
    applied: list[dict[bytes, Put | Delete]] = field(default_factory=list)

    def note_applied(self, epoch: int, txns: Sequence[Sequence[Op]]) -> None:
        """Keep the Txns that moved our head; check that the heads count up by one."""
        for ops in txns:
            heads = [op for op in ops if isinstance(op, Put) and op.key == HEAD]
            if not heads:
                continue
            head = HeadRecord.FromString(heads[0].value)
            if head.epoch != epoch:
                continue
            assert head.sequence == len(self.applied)
            self.applied.append({op.key: op for op in ops if op.key != HEAD})  # type: ignore[misc]

    def applied_events(self) -> list[str]:
        """The events behind the applied Txns, each Txn being the whole of some, in order."""
        left = list(self.events.items())
        names: list[str] = []
        for txn in self.applied[1:]:  # The first is the claim.
            merged: dict[bytes, Put | Delete] = {}
            while merged != txn:
                assert left, f"no run of events makes {txn}"
                name, writes = left.pop(0)
                merged |= {write.key: write for write in writes}
                names.append(name)
        return names


async def play(steps: Sequence[tuple], usurped_at: int | None, loop: JumpingLoop) -> None:
    """One example: run the steps, then check what became of every event."""
    store, history = FakeStore(), History()
    seen = history.seen
    journal = stand(store, "a", loop, max_txn_ops=4, stall_after=1e6)
    epoch = store.revision
    await journal.claim()
    task = asyncio.create_task(journal.run())
    for number, (kind, *args) in enumerate(steps):
        if number == usurped_at:
            usurp(store)
        name = f"{number}"
        if kind == "write":
            writes: list[Put | Delete] = [Put(args[0], name.encode())]
            if args[1] is not None and args[1] != args[0]:
                writes.append(Delete(args[1]))
            history.events[name] = writes
            seen.append(journal, name, *writes)
        elif kind == "read":
            history.events[name] = []
            seen.append(journal, name)
        elif kind == "purge":
            history.purges[name] = [Delete(args[0])]
            seen.purge(journal, name, args[0])
        elif kind == "fault":
            store.script.extend(args[0])
        elif kind == "blind":
            store.range_errors.append(EtcdUnavailable("scripted"))
        elif kind == "deliver" and store.late:
            store.deliver_late()
        elif kind == "turns":
            for _ in range(args[0]):
                await asyncio.sleep(0)
    await settle(journal, task, usurped=usurped_at is not None and usurped_at < len(steps))
    while store.late:
        store.deliver_late()
    history.note_applied(epoch, store.applied)
    check(history, store, deposed=task.done() and not task.cancelled())
    task.cancel()
    await asyncio.wait([task])


def usurp(store: FakeStore) -> None:
    """The leader's lease ends and another one claims the log."""
    store.delete(PREFIX + b"election/scheduler/a")
    store.put(HEAD, HeadRecord(epoch=10**9, sequence=0).SerializeToString())


async def settle(journal: Journal, task: asyncio.Task, *, usurped: bool) -> None:
    """Wait until every event has an outcome."""
    flush = asyncio.create_task(journal.flush())
    await asyncio.wait([flush])
    error = flush.exception()
    assert error is None or (usurped and isinstance(error, Deposed))
    if error is not None:
        await asyncio.wait([task])
        assert task.exception() is error


def check(history: History, store: FakeStore, *, deposed: bool) -> None:
    """Exactly once, whole, in order; after-effects of what was applied only, and in order."""
    names = list(history.events)
    committed = [name for name in history.seen.names if name in history.events]
    outcomes = history.seen.names + history.seen.failures
    assert sorted(outcomes) == sorted([*names, *history.purges]), "each event has one outcome"
    assert committed == names[: len(committed)], "after-effects run in the order of append"
    applied = history.applied_events()
    assert applied == names[: len(applied)], "applied once, in the order of append"
    writing = [name for name in committed if history.events[name]]
    assert set(writing) <= set(applied), "no after-effect without the commit"
    if deposed:
        return
    assert history.seen.failures == []
    expected: dict[bytes, bytes] = {}
    everything: dict[str, Sequence[Put | Delete]] = {**history.events, **history.purges}
    for name in sorted(everything, key=int):
        for write in everything[name]:
            if isinstance(write, Put):
                expected[write.key] = write.value
            else:
                expected.pop(write.key, None)
    assert {k: kv.value for k, kv in store.kvs.items() if k in KEYS} == expected


@settings(max_examples=400, deadline=None)
@given(
    steps=st.lists(step, max_size=40),
    usurped_at=st.none() | st.integers(0, 40),
)
def test_what_is_applied_is_what_was_appended_once_whole_and_in_order(steps, usurped_at):
    loop = JumpingLoop()
    try:
        loop.run_until_complete(play(steps, usurped_at, loop))
    finally:
        loop.close()
