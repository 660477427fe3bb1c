"""Whatever events add to joined writes, and whatever the network does: each addition is in the log
once, in order, and in the same Txn as everything else of its event."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.etcd.api import Compare, Delete, EtcdNoSpace, EtcdUnavailable, Op, Put, TxnResult
from quorate.etcd.journal.batch import covers
from quorate.etcd.journal.journal import Journal
from quorate.etcd.memory.store import MemoryEtcd
from tests.support.joins import Sealed, Word
from tests.support.jumping_loop import JumpingLoop
from tests.support.term import HEAD, LEADER_A, PREFIX, Outcomes

FAULTS = ["lost request", "lost reply", "twice", "no space", "no space but applied", "none"]
MOST = 3
TXN_OPS = 8

words = st.integers(0, 4)
event = st.fixed_dictionaries(
    {
        "chunk": words,
        "acks": words,
        "other chunk": st.integers(0, 1),
        "touch": st.sampled_from(["", "", "", "put acks", "delete acks", "chunks", "one chunk"]),
    }
)
step = st.one_of(
    event,
    event,
    st.sampled_from(FAULTS),
    st.just("purge"),
    st.integers(1, 12),
)


class FaultyEtcd(MemoryEtcd):
    """The twin of etcd behind a network with a script. `applied`: Txns whose compares held."""

    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__(loop, max_txn_ops=TXN_OPS)
        self.script: deque[str] = deque()
        self.applied: list[Sequence[Op]] = []

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        fault = self.script.popleft() if self.script else "none"
        puts = any(isinstance(op, Put) for op in success)
        if fault == "no space" and puts:
            raise EtcdNoSpace("scripted")
        if fault != "lost request":
            result = await super().txn(compares, success, failure)
            if result.succeeded:
                self.applied.append(list(success))
        if fault.startswith("lost"):
            raise EtcdUnavailable("scripted")
        if fault == "no space but applied" and puts:
            raise EtcdNoSpace("scripted")
        if fault == "twice":
            result = await super().txn(compares, success, failure)
        return result


@dataclass
class Appended:
    """One event: what it adds to each place, and its other writes."""

    added: dict[bytes, list[bytes]] = field(default_factory=dict)
    writes: list[Put | Delete] = field(default_factory=list)


def appended(name: int, drawn: dict) -> Appended:
    """An event that can be recognised by the key `m/<name>`."""
    made = Appended(writes=[Put(PREFIX + b"m/%04d" % name, b"")])
    places = ((b"c", "chunk"), (b"acks", "acks"), (b"d", "other chunk"))
    for place, kind in places:
        if drawn[kind]:
            made.added[place] = [b"%04d.%d" % (name, n) for n in range(drawn[kind])]
    touches: dict[str, tuple[bytes, Put | Delete]] = {
        "put acks": (b"acks", Put(PREFIX + b"acks", b"whole%04d" % name)),
        "delete acks": (b"acks", Delete(PREFIX + b"acks")),
        "chunks": (b"c", Delete(PREFIX + b"c/", PREFIX + b"c0")),
        "one chunk": (b"c", Delete(PREFIX + b"c/%04d.0" % (name - 1))),
    }
    touch = touches.get(drawn["touch"])
    if touch is not None and touch[0] not in made.added:
        made.writes.append(touch[1])
    return made


def expected(events: Sequence[Appended]) -> dict[tuple[bytes, bytes], bytes | None]:
    """What one Txn of these events writes: (key, range_end) -> value, or None for a deletion."""
    result: dict[tuple[bytes, bytes], bytes | None] = {}
    joined: dict[bytes, list[bytes]] = {}
    for one in events:
        for write in one.writes:
            if isinstance(write, Put):
                result[write.key, b""] = write.value
            else:
                result[write.key, write.range_end] = None
        for place, added in one.added.items():
            joined.setdefault(place, []).extend(added)
    for place, added in joined.items():
        if place == b"acks":
            assert (PREFIX + place, b"") not in result, "a joined key is not written otherwise"
            result[PREFIX + place, b""] = b" ".join(added)
            continue
        for first in range(0, len(added), MOST):
            key = PREFIX + place + b"/" + added[first]
            result[key, b""] = b" ".join(added[first : first + MOST])
    return result


async def play(steps: Sequence[dict | str | int], loop: JumpingLoop) -> None:
    """Run the steps, then compare each applied Txn with what its events say."""
    store, seen, sealed = FaultyEtcd(loop), Outcomes(), Sealed()
    elected = await store.put(LEADER_A, b"")
    journal = Journal(
        store,
        prefix=PREFIX,
        leader_key=LEADER_A,
        elected=elected,
        clock=loop,
        max_txn_ops=TXN_OPS,
        stall_after=1e6,
    )
    await journal.claim()
    task = asyncio.create_task(journal.run())
    events: dict[int, Appended] = {}
    for name, drawn in enumerate(steps):
        if isinstance(drawn, dict):
            events[name] = made = appended(name, drawn)
            additions = [
                Word(place, word, sealed, MOST if place != b"acks" else 1_000, place != b"acks")
                for place, added in made.added.items()
                for word in added
            ]
            seen.join(journal, str(name), additions, *made.writes)
        elif drawn == "purge":
            seen.purge(journal, f"purge {name}", Delete(PREFIX + b"c/", PREFIX + b"c0"))
        elif isinstance(drawn, str):
            store.script.append(drawn)
        else:
            for _ in range(drawn):
                await asyncio.sleep(0)
    await journal.flush()
    assert (journal.pending_events, journal.pending_bytes) == (0, 0)
    check(events, store, seen)
    task.cancel()
    await asyncio.wait([task])


def check(events: dict[int, Appended], store: FaultyEtcd, seen: Outcomes) -> None:
    assert [name for name in seen.names if "purge" not in name] == list(map(str, events))
    assert seen.failed == []
    order: list[int] = []
    for ops in store.applied:
        if not any(isinstance(op, Put) and op.key == HEAD for op in ops):
            continue
        writes = {
            (op.key, op.range_end if isinstance(op, Delete) else b""): (
                op.value if isinstance(op, Put) else None
            )
            for op in ops
            if isinstance(op, (Put, Delete)) and op.key != HEAD
        }
        names = [int(key[-4:]) for key, _ in writes if key.startswith(PREFIX + b"m/")]
        order += names
        assert writes == expected([events[name] for name in names])
        puts = [key for (key, _), value in writes.items() if value is not None]
        for (key, end), value in writes.items():
            assert value is not None or not any(covers(Delete(key, end), put) for put in puts)
    assert order == list(events), "each event once, whole, in order"


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(step, max_size=40))
def test_each_addition_is_in_the_log_once_in_order_and_with_its_event(steps):
    loop = JumpingLoop()
    try:
        loop.run_until_complete(play(steps, loop))
    finally:
        loop.close()
