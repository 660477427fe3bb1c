"""Whatever is published, acknowledged, given back and merged, in whatever batches and with crashes:
what is on record folds to what the leader has, and that is what a naive model says.

The journal, its joined writes, the keys and the bytes are the real ones; the store is the twin of
etcd. A standby folds the writes of each revision in a random order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.etcd.api import Range
from quorate.etcd.journal.journal import Journal
from quorate.etcd.memory.store import MemoryEtcd
from scheduler.core.broker.storage import merging
from scheduler.core.broker.storage.format import Summary, pack, unpack
from scheduler.core.broker.storage.places import of_priority
from scheduler.core.broker.storage.records import Change
from scheduler.core.broker.storage.sub_log import SubLog
from scheduler.storage import keys
from scheduler.storage.records.broker import codec
from scheduler.storage.records.broker.joins import Publication
from tests.support.jumping_loop import JumpingLoop
from tests.support.sub_logs import QUEUE, alive_in
from tests.support.term import LEADER_A, PREFIX

PLACE = keys.message_sub_log(PREFIX, QUEUE, of_priority(3))
CHUNKS = keys.message_chunk_key(PLACE, 0)[:-12]
SIZES = (10, 1_000, 100_000, 300_000)

# How often each step is taken.
STEPS = {
    "publish": 8,
    "ack": 8,
    "give back": 3,
    "read": 3,
    "read planned": 2,
    "merge": 5,
    "trim": 0.3,
    "turns": 10,
    "flush": 3,
    "full": 0.7,
    "crash": 0.7,
}


@dataclass
class Model:
    """What an event does to the set of live sequences, with their deliveries."""

    publishes: dict[int, int] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)

    def apply(self, live: dict[int, int]) -> dict[int, int]:
        after = {**live, **self.publishes}
        after.update({sequence: n for sequence, n in self.counts.items() if sequence in after})
        for sequence in self.done:
            after.pop(sequence, None)
        return after


class World:
    """A leader, its journal, a standby, and the model."""

    def __init__(self, loop: JumpingLoop, seed: int) -> None:
        self.loop = loop
        self.random = Random(seed)
        self.store = MemoryEtcd(loop)
        # With few runs in `acks`, chunks soon have records of their own.
        self.most_runs = self.random.choice((3, 256))
        self.leader = SubLog(self.most_runs)
        self.standby = SubLog(self.most_runs)
        self.folded = 1
        self.now = 1_000.0
        # What the leader's memory has to say is alive.
        self.live: dict[int, int] = {}
        # What is on record when the term began, and the events since; how many are committed.
        self.base: dict[int, int] = {}
        self.events: list[Model] = []
        self.known = 0
        self.read: list[tuple[int, bytes]] = []
        self.payloads: dict[int, bytes] = {}

    async def begin(self) -> None:
        """A term begins."""
        await self.store.delete(LEADER_A)
        elected = await self.store.put(LEADER_A, b"")
        self.journal = Journal(
            self.store,
            prefix=PREFIX,
            leader_key=LEADER_A,
            elected=elected,
            clock=self.loop,
            stall_after=1e6,
        )
        await self.journal.claim()
        self.task = asyncio.create_task(self.journal.run())

    def spans(self, most: int) -> list[tuple[int, int]]:
        """Sequences and how many more behind each: mostly of messages that are alive."""
        known = sorted(self.live) or [0]
        return [
            (
                self.random.choice(known) + self.random.choice((0, 0, 0, 0, 1, -3)),
                self.random.choice((0, 0, 0, 1, most)),
            )
            for _ in range(self.random.randint(1, 4))
        ]

    # -- events ----------------------------------------------------------------------------------

    def append(self, model: Model, encoded: codec.Encoded) -> None:
        self.events.append(model)
        number = len(self.events)

        def after(_revision: int) -> None:
            self.known = number

        self.journal.append_joined(encoded.writes, encoded.additions, after)

    def publish(self, count: int, size: int) -> None:
        first = self.leader.reserve(count)
        self.now += 1
        messages = []
        for sequence in range(first, first + count):
            self.payloads[sequence] = b"%d:" % sequence + b"x" * SIZES[size]
            messages.append(pack(sequence, self.now, self.payloads[sequence]))
            if SIZES[size] > 10_000:
                break
        for sequence in range(first + len(messages), first + count):
            # The rest is small: an event has to fit into a Txn.
            self.payloads[sequence] = b"%d" % sequence
            messages.append(pack(sequence, self.now, self.payloads[sequence], expiry=self.now + 9))
        model = Model(publishes=dict.fromkeys(range(first, first + count), 0))
        publication = Publication(PLACE, messages, self.committed)
        self.append(model, codec.Encoded([], [publication]))

    def committed(self, chunks: Sequence[tuple[Summary, bytes]], _revision: int) -> None:
        for summary, value in chunks:
            self.leader.committed(summary)
            self.live.update({message.sequence: 0 for message in unpack(value)})

    def changed(self, change: Change, model: Model) -> None:
        """Check a change against the model, and commit it."""
        assert change.changed == len(model.done) + len(model.counts)
        if not change.writes:
            return
        self.live = Model(done=model.done, counts=model.counts).apply(self.live)
        if not self.store.no_space:
            self.append(model, codec.encode(PLACE, change.writes))
            return
        deletes, waiting = codec.encode_without_space(PLACE, change.writes)
        self.append(model, waiting)
        if deletes:
            self.journal.append_purge(deletes)

    def ack(self, spans: Sequence[tuple[int, int]]) -> None:
        pairs = [(first, first + more) for first, more in spans]
        change = self.leader.acknowledge(pairs, self.now, space=not self.store.no_space)
        done = [n for n in sorted(self.live) if any(a <= n <= b for a, b in pairs)]
        self.changed(change, Model(done=done))

    def give_back(self, spans: Sequence[tuple[int, int]]) -> None:
        if self.store.no_space:
            return
        counts = {first: self.live[first] + more + 1 for first, more in spans if first in self.live}
        change = self.leader.give_back(
            [(first, counts.get(first, 1)) for first, _ in spans], self.now
        )
        self.changed(change, Model(counts=counts))

    def trim(self, keep: int) -> None:
        if self.store.no_space:
            return
        before = set(alive_in(self.leader))
        change = self.leader.trim(self.now - keep, 10**9, self.now)
        done = sorted(before - set(alive_in(self.leader)))
        if change.writes:
            self.changed(change, Model(done=done))

    async def look(self, firsts: Sequence[int]) -> None:
        """Read chunks back, to be merged later."""
        found = [await self.store.range(Range(keys.message_chunk_key(PLACE, n))) for n in firsts]
        self.read = [
            (first, one.kvs[0].value) for first, one in zip(firsts, found, strict=True) if one.kvs
        ]

    def merge(self) -> None:
        if self.store.no_space:
            return
        before = self.leader.facts()
        change = merging.merge(self.leader, self.read, self.now)
        if change is None:
            assert self.leader.facts() == before
            return
        self.append(Model(), codec.encode(PLACE, change.writes))

    # -- checks ----------------------------------------------------------------------------------

    def check(self) -> None:
        """The leader's memory is what the model says, and settling changes nothing."""
        assert alive_in(self.leader) == self.live
        assert self.leader.alive == len(self.live)
        assert self.leader.cursor == min(self.live, default=self.leader.tail)
        facts = self.leader.facts()
        self.leader.settle()
        assert self.leader.facts() == facts
        lowest = max(0, self.leader.tail - 100)
        for sequence in range(lowest, self.leader.tail):
            assert (self.leader.find(sequence) >= 0) == (sequence in self.live)
            assert self.leader.deliveries(sequence) == self.live.get(sequence, 0)

    def follow(self) -> None:
        """The standby folds, each revision in some order."""
        for revision, events in self.store.since(self.folded + 1):
            self.folded = revision
            for event in self.random.sample(events, len(events)):
                value = None if event.deleted else event.kv.value
                codec.fold(self.standby, PLACE, event.kv.key, value)
            if self.random.random() < 0.3:
                self.standby.settle()
        self.standby.settle()

    async def flush(self) -> None:
        """Everything is committed: leader, standby, model and bytes agree."""
        self.store.no_space = False
        await self.journal.flush()
        self.follow()
        assert self.standby.facts() == self.leader.facts()
        live = self.base
        for model in self.events:
            live = model.apply(live)
        assert alive_in(self.standby) == live == self.live
        await self.check_bytes(self.standby)
        stored = await self.store.range(Range(PLACE, PLACE + b"z"))
        split = [keys.split_message_key(PLACE, kv.key) for kv in stored.kvs]
        chunks = [one[1] for one in split if one and one[0] == keys.CHUNK]
        own = [one[1] for one in split if one and one[0] == keys.CHUNK_DONE]
        assert chunks == list(self.leader.chunks.firsts)
        assert own == [first for first in chunks if self.leader.has_own_record(first)]

    async def check_bytes(self, log: SubLog) -> None:
        """Each message that is alive can be read, from the chunk that the index names."""
        stored = await self.store.range(Range(CHUNKS, CHUNKS + b"g"))
        messages = {
            (int(kv.key[-12:], 16), message.sequence): message.payload
            for kv in stored.kvs
            for message in unpack(kv.value)
        }
        for sequence in alive_in(log):
            assert messages[log.find(sequence), sequence] == self.payloads[sequence]

    async def crash(self, turns: bool) -> None:
        """The leader dies with what it had not committed; the standby goes on."""
        if turns:
            await asyncio.sleep(0)
        full = self.store.no_space
        self.task.cancel()
        await asyncio.wait([self.task])
        self.store.no_space = False
        used = self.leader.tail
        self.follow()
        states = [self.base]
        for model in self.events:
            states.append(model.apply(states[-1]))
        found = alive_in(self.standby)
        if full:
            # Purges went ahead: their messages were acknowledged, by events that are not on record.
            everything = states[-1].keys()
            assert any(
                found.keys() <= state.keys() and found.keys() >= state.keys() & everything
                for state in states[self.known :]
            )
        else:
            assert found in states[self.known :]
        assert self.standby.next >= used, "no sequence is given twice"
        await self.check_bytes(self.standby)
        self.leader, self.standby = self.standby, SubLog(self.most_runs)
        self.folded = 1
        self.base, self.events, self.known = found, [], 0
        self.live, self.read = dict(found), []
        await self.begin()


async def play(seed: int, loop: JumpingLoop) -> None:
    world = World(loop, seed)
    random = world.random
    await world.begin()
    for kind in random.choices(list(STEPS), list(STEPS.values()), k=150):
        if kind == "publish" and not world.store.no_space:
            world.publish(random.randint(1, 9), random.choice((0, 0, 0, 0, 1, 2, 3)))
        elif kind == "ack":
            world.ack(world.spans(6))
        elif kind == "give back":
            world.give_back(world.spans(3))
        elif kind == "trim":
            world.trim(random.randint(0, 60))
        elif kind == "read":
            begin = random.randint(0, len(world.leader.chunks))
            await world.look(list(world.leader.chunks.firsts)[begin : begin + random.randint(1, 8)])
        elif kind == "read planned":
            await world.look(merging.plan(world.leader).firsts)
        elif kind == "merge":
            world.merge()
        elif kind == "turns":
            for _ in range(random.randint(1, 8)):
                await asyncio.sleep(0)
        elif kind == "flush":
            await world.flush()
        elif kind == "full":
            world.store.no_space = True
        elif kind == "crash":
            await world.crash(random.random() < 0.5)
        world.check()
    await world.flush()
    world.task.cancel()
    await asyncio.wait([world.task])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_leader_standby_and_model_agree_about_what_is_alive(seed):
    loop = JumpingLoop()
    try:
        loop.run_until_complete(play(seed, loop))
    finally:
        loop.close()
