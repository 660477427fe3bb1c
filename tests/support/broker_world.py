"""A leader of the broker with a log, clients of it, and what they may find.

Bodies are numbers, so each message is known by its body.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from google.protobuf.duration_pb2 import Duration

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.runtime.errors import QuorateError
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.handlers.dead_letters import DeadLetterAsked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.routing.rows import Destination, DestinationKind, Exchange, ExchangeType
from scheduler.core.broker.rows import NO_SESSION, MessageQueueSpec, QueueUid
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.bodies import BodyRef
from tests.support.broker import NOW, Waiting, publication
from tests.support.broker_log import Log

DEAD = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
QUEUES: dict[str, dict[str, Any]] = {
    "plain": {},
    "letters": DEAD,
    "short": {"message_ttl": 40.0, **DEAD},
    "ranked": {"max_priority": 3},
    "bounded": {"max_length": 6, **DEAD},
    "dead": {},
    "moved": {},
}
# Where clients publish to; a message is in each of them once.
ROUTED = ("plain", "letters", "short", "ranked", "bounded")


@dataclass
class Sent:
    """A publication that the producer repeats until it is confirmed."""

    event: list[e.Publication]
    bodies: list[str]
    token: Waiting = field(default_factory=Waiting)


class World:
    """A leader, its log, a producer, and what is known of each message."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.limits = BrokerLimits(
            step_bytes=self.random.choice((1_500, 1 << 19)),
            step_messages=self.random.choice((3, 1_000)),
            step_chunks=self.random.choice((2, 1_000)),
            window_bytes=self.random.choice((0, 3_000, 1 << 20)),
            inline_bytes=self.random.choice((3, 1 << 20)),
            least_shared_bytes=self.random.choice((0, 1 << 10)),
            unused_bodies=self.random.choice((1, 64)),
        )
        self.log = Log(self.limits)
        self.now = NOW
        self.number = 0
        self.sent: deque[Sent] = deque()
        # Body -> the queues that it was published to; its expiry.
        self.routes: dict[str, tuple[str, ...]] = {}
        self.expiries: dict[str, float] = {}
        self.lives: dict[str, float] = {}
        self.confirmed: set[str] = set()
        # (queue, body) that are gone, as the leader confirmed.
        self.consumed: Counter[tuple[str, str]] = Counter()
        self.rejected: set[tuple[str, str]] = set()
        # Confirmed or not: rejected, received, purged or moved by a leader that died since.
        self.unsure: set[tuple[str, str]] = set()
        self.purged: set[str] = set()
        self.moved: set[str] = set()
        self.delayed: set[str] = set()
        self.calls: list[tuple[str, Waiting, Any]] = []
        self.lead(BrokerState(self.limits))
        for place, (name, spec) in enumerate(QUEUES.items()):
            token = Waiting()
            uid = QueueUid(f"{place + 1:016x}")
            declared = e.MessageQueueDeclared(
                "/", name, MessageQueueSpec(**spec), NO_SESSION, uid, token
            )
            self.step(declared)
        self.step(e.ExchangeDeclared(Exchange("/", "all", ExchangeType.FANOUT), Waiting()))
        for name in ROUTED:
            destination = Destination(DestinationKind.QUEUE, name)
            self.step(e.BindingAsked("/", "all", destination, b"", (), Waiting()))
        self.flush()

    def lead(self, state: BrokerState) -> None:
        self.state = state
        self.machine = BrokerMachine(state, self.limits)
        self.wanted: list[Any] = []
        self.merges: list[fx.ReadToMerge] = []
        self.out: dict[str, list[fx.Delivery]] = {name: [] for name in QUEUES}
        self.step(e.Elected())

    def queue(self, name: str) -> MessageQueue:
        return self.state.queue("/", name)

    # -- the machine -----------------------------------------------------------------------------

    def step(self, *events: object) -> None:
        left = deque(events)
        turns = 0
        while left:
            turns += 1
            assert turns < 10_000, "it turns in a circle"
            out = self.machine.step(left.popleft(), self.now)
            self.due = out.next_due
            self.log.waiting.append(out)
            for now in out.now:
                if isinstance(now, fx.LoadChunks):
                    self.wanted += now.chunks
                elif isinstance(now, fx.LoadBody):
                    self.wanted.append(now.ref)
                elif isinstance(now, fx.ReadToMerge):
                    self.merges.append(now)
            left.extendleft(reversed(out.then))

    def commit(self, count: int) -> None:
        found = self.log.commit(count)
        place = found.index(None)
        for committed in found[:place]:
            self.step(committed)
        for after in found[place + 1 :]:
            if isinstance(after, fx.Reply):
                after.token.set_result(after.answer)
        self.look()

    def load(self, count: int) -> None:
        for _ in range(count):
            if self.wanted:
                wanted = self.wanted.pop(self.random.randrange(len(self.wanted)))
                if isinstance(wanted, BodyRef):
                    self.step(e.BodyLoaded(wanted, self.log.body(wanted)))
                    continue
                uid, sub_log, first = wanted
                value = self.log.store.get(("chunk", uid, sub_log, first))
                self.step(e.ChunkLoaded(uid, sub_log, first, value))
        if self.merges:
            merge = self.merges.pop(0)
            found = [
                (first, self.log.store["chunk", merge.uid, merge.sub_log, first])
                for first in merge.firsts
                if ("chunk", merge.uid, merge.sub_log, first) in self.log.store
            ]
            self.step(e.MergeRead(merge.uid, merge.sub_log, found))

    # -- what clients do -------------------------------------------------------------------------

    def publish(self) -> None:
        publications, bodies = [], []
        for _ in range(self.random.choice((1, 1, 1, 3, 12))):
            self.number += 1
            body = f"{self.number:05d}"
            exchange = self.random.choice(("", "", "all"))
            key = self.random.choice([*ROUTED, "nowhere"])
            more: dict[str, Any] = {"priority": self.random.randint(0, 4)}
            life = float("inf")
            if self.random.random() < 0.2:
                seconds = self.random.randint(1, 60)
                more["expiration"] = Duration(seconds=seconds)
                life = float(seconds)
            if self.random.random() < 0.2:
                more["deliver_after"] = Duration(seconds=self.random.randint(1, 60))
                self.delayed.add(body)
            publications.append(
                publication(body.encode(), key, exchange, number=self.number, **more)
            )
            bodies.append(body)
            names = ROUTED if exchange else (key,)
            self.routes[body] = tuple(name for name in names if name in QUEUES)
            self.lives[body], self.expiries[body] = life, self.now + life
        sent = Sent(publications, bodies)
        self.sent.append(sent)
        self.step(e.MessagesPublished("/", "producer", publications, sent.token))

    def receive(self, name: str) -> None:
        token = Waiting()
        self.calls.append((name, token, None))
        most = self.random.randint(1, 5)
        self.step(e.ReceiveAsked("/", name, NO_SESSION, most, token))

    def take(self, name: str) -> None:
        taken = self.queue(name).next_ready(self.random.randint(1, 5), self.now)
        for delivery in taken.deliveries:
            self.seen(name, delivery)
        self.out[name] += taken.deliveries
        if taken.missing is not None:
            queue = self.queue(name)
            out = fx.BrokerEffects()
            self.state.load(queue, taken.missing, out)
            for load in out.now:
                self.wanted += load.chunks if isinstance(load, fx.LoadChunks) else [load.ref]  # type: ignore[union-attr]

    def put_back(self, name: str) -> None:
        back, self.out[name] = self.out[name], []
        assert self.queue(name).put_back([one.id for one in back]) == len(back)
        self.state.touched[self.queue(name).row.uid] = None

    def reject(self, name: str) -> None:
        gone, self.out[name] = self.out[name], []
        token = Waiting()
        bodies = [body_of(one.payload) for one in gone]
        self.calls.append((name, token, bodies))
        ids = tuple(one.id for one in gone)
        after = (fx.Reply(token, "rejected"),)
        self.step(DeadLetterAsked(self.queue(name).row.uid, ids, Reason.REJECTED, after))

    # -- what is known ---------------------------------------------------------------------------

    def seen(self, name: str, delivery: fx.Delivery) -> None:
        """A message is given out: it was not acknowledged, and has not expired."""
        body = body_of(delivery.payload)
        if name in ROUTED:
            assert self.consumed[name, body] == 0, f"{body} of {name} was acknowledged"
            assert (name, body) not in self.rejected, f"{body} of {name} was rejected"
            assert self.now < self.expiries[body], f"{body} has expired"

    def look(self) -> None:
        """Take the answers that have come."""
        for sent in [sent for sent in self.sent if sent.token.answered]:
            self.sent.remove(sent)
            assert not isinstance(sent.token.answer, QuorateError)
            assert not sent.token.answer.results
            self.confirmed.update(sent.bodies)
        for call in [call for call in self.calls if call[1].answered]:
            self.calls.remove(call)
            name, token, bodies = call
            if bodies is not None:
                self.rejected.update((name, body) for body in bodies)
                continue
            for delivery in token.answer.deliveries:
                body = body_of(delivery.payload)
                assert self.consumed[name, body] == 0 or name not in ROUTED, "received once"
                self.consumed[name, body] += 1

    def flush(self) -> None:
        """Everything is committed and loaded."""
        for _ in range(1_000):
            if not self.log.waiting and not self.wanted and not self.merges:
                break
            self.commit(len(self.log.waiting))
            self.load(100)
        else:
            raise AssertionError("it does not come to rest")
        assert not self.calls
        assert not self.sent
        standby = self.log.load(self.random)
        for uid, queue in self.state.queues.items():
            there = dict(standby.queues[uid].sub_logs())
            for sub_log, lane in queue.sub_logs():
                assert lane.in_flight == 0
                if lane.log.next:
                    assert there[sub_log].log.facts() == lane.log.facts(), (queue.row.name, sub_log)
        assert standby.producers == self.state.producers
        assert standby.names == self.state.names
        # What is on record of bodies is what messages refer to: nothing is lost, nothing is left.
        standby.lead(self.now)
        assert standby.bodies.facts() == self.state.bodies.facts()
        assert not standby.bodies.has_unused
        assert not self.state.bodies.writing
        self.check_counts()

    def check_counts(self) -> None:
        for queue in self.state.queues.values():
            for lane in queue.lanes.values():
                ready = [sequence for _, sequence in lane.ready_sequences()]
                assert len(ready) == len(set(ready)) == lane.ready, queue.row.name
                assert ready == sorted(ready)

    def crash(self) -> None:
        """The leader dies with what it had not committed; the producer repeats what was not
        confirmed."""
        # Some of it is committed, and nobody hears of that.
        self.log.commit(self.random.randint(0, len(self.log.waiting)))
        self.log.waiting.clear()
        for name, token, bodies in self.calls:
            for body in bodies or ():
                self.unsure.add((name, body))
            if bodies is None:
                # What it took may be acknowledged: its answer is lost.
                self.unsure.update((name, body) for body in self.routes)
            token.answered = True
        self.calls.clear()
        repeated, self.sent = list(self.sent), deque()
        self.lead(self.log.load(self.random))
        for sent in repeated:
            again = Sent(sent.event, sent.bodies)
            for body in sent.bodies:
                # Published now, if nothing of it is stored.
                self.expiries[body] = self.now + self.lives[body]
            self.sent.append(again)
            self.step(e.MessagesPublished("/", "producer", sent.event, again.token))

    def end(self) -> None:
        """Nothing is lost, nothing is there twice, and each queue is in order."""
        self.flush()
        for name in QUEUES:
            if self.out[name]:
                self.put_back(name)
        # All that is delayed is due.
        self.now += 61.0
        self.step(e.TimePassed())
        self.flush()
        assert not any(queue.waiting_for_due for queue in self.state.queues.values())
        ready: dict[str, list[str]] = {}
        for name in QUEUES:
            bodies: list[str] = []
            while True:
                token = Waiting()
                self.step(e.ReceiveAsked("/", name, NO_SESSION, 1_000, token))
                for _ in range(1_000):
                    if token.answered:
                        break
                    self.load(100)
                    self.commit(len(self.log.waiting))
                bodies += [body_of(one.payload) for one in token.answer.deliveries]
                if not token.answer.deliveries:
                    break
            ready[name] = bodies
        for name, bodies in ready.items():
            if name not in ROUTED:
                continue
            if not self.splits():
                assert len(bodies) == len(set(bodies)), f"twice in {name}"
                in_order = [body for body in bodies if body not in self.delayed]
                assert name == "ranked" or in_order == sorted(in_order), "in order"
            for body in bodies:
                assert self.consumed[name, body] == 0, f"{body} is back in {name}"
        for body in self.confirmed:
            for name in self.routes[body]:
                if self.accounted(name, body, ready):
                    continue
                raise AssertionError(f"{body} is not in {name}")

    def splits(self) -> bool:
        """A publication to all queues is more than a step takes: a repeat may store it twice."""
        return self.limits.step_bytes < 10_000

    def accounted(self, name: str, body: str, ready: dict[str, list[str]]) -> bool:
        """A confirmed message is where it has to be, or went in a way that it may go."""
        if "dead_letter_exchange" in QUEUES[name]:
            gone = self.buried(body, ready)
        else:
            gone = (name, body) in self.rejected or self.expiries[body] <= self.now
        return (
            gone
            or body in ready[name]
            or body in ready["moved"]
            or self.consumed["moved", body] > 0
            or self.consumed[name, body] > 0
            or (name, body) in self.unsure
            or ("moved", body) in self.rejected | self.unsure
            or name in self.purged
            or "moved" in self.purged
            or (name in self.moved and self.expiries[body] <= self.now)
        )

    def buried(self, body: str, ready: dict[str, list[str]]) -> bool:
        return (
            body in ready["dead"]
            or self.consumed["dead", body] > 0
            or ("dead", body) in self.rejected
            or ("dead", body) in self.unsure
            or "dead" in self.purged
        )


def body_of(payload: bytes) -> str:
    return MessageEnvelope.FromString(payload).body.decode()
