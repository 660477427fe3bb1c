"""Consumers of a broker for tests: what clients get, and leaders that fail.

Each commit is folded into a standby. With `holding`, steps wait for `flush`: what is committed then
is seen, what is not is lost with `fail_over`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.v1.message_pb2 import MessageProperties
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.queues.combining import weight
from scheduler.core.broker.queues.flags import HAS_ORDERING_KEY
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import (
    SessionId,
)
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import chunked, pack, summarize
from scheduler.core.broker.storage.places import SubLogName, of_priority
from scheduler.core.broker.storage.records import (
    MOST_RUNS,
    DeleteChunkDone,
    DeleteChunks,
    PutAcks,
    PutChunk,
    PutChunkDone,
)
from scheduler.core.broker.storage.sub_log import SubLog
from tests.support.broker import HOST, Broker, Waiting, check_writes
from tests.support.consuming_client import CALLER, Client, body_of, session_id

__all__ = ["CALLER", "Client", "Consumers", "body_of", "fold_sub_log", "payload"]


def payload(body: bytes, **properties: Any) -> bytes:
    """A message as it lies in a chunk."""
    packed = MessageProperties(**properties).SerializeToString()
    return MessageEnvelope(properties=packed, body=body).SerializeToString()


class Consumers(Broker):
    """A broker with clients, and a standby that follows it."""

    def __init__(self, limits: BrokerLimits | None = None) -> None:
        super().__init__(limits)
        self.clients: dict[str, Client] = {}
        self.standby = BrokerState(self.limits)
        self.holding = False
        self.held: deque[fx.BrokerEffects] = deque()
        # What the network carries from the leader of now.
        self.reachable = True

    def client(self, name: str = "client", *, opened: bool = True) -> Client:
        client = self.clients[session_id(name)] = Client(self, name)
        if opened:
            client.open()
        return client

    def put(self, name: str, *bodies: str, key: str = "", priority: int = 0) -> None:
        """Messages are in a queue, as one commit of a producer."""
        queue = self.state.queue(HOST, name)
        lane = queue.of_priority(priority)
        flags = HAS_ORDERING_KEY if key else 0
        first = lane.log.reserve(len(bodies))
        packed = [
            pack(
                first + n,
                self.now,
                payload(body.encode(), ordering_key=key),
                flags=flags,
            )
            for n, body in enumerate(bodies)
        ]
        lane.in_flight += len(packed)
        chunks = [builder.build() for builder in chunked(packed)]
        sub_log = of_priority(priority)
        self.keep(queue.row.uid, sub_log, chunks)
        self.step(e.ChunksCommitted(queue.row.uid, sub_log, chunks))

    def keep(self, uid: Any, sub_log: SubLogName, chunks: Iterable[tuple[Any, bytes]]) -> None:
        """Chunks are on record."""
        for summary, value in chunks:
            self.stored[uid, sub_log, summary.first] = value
            self.standby.queues[uid].lane(sub_log).log.fold_chunk(summary)

    def step_delete(self, name: str) -> Waiting:
        """Somebody deletes a queue."""
        token = Waiting()
        self.step(e.MessageQueueDeleteAsked(HOST, name, SessionId(""), False, False, token))
        return token

    def pause(self, client: Client, paused: bool) -> None:
        """A client's stream is full, or has room again."""
        self.step(e.SessionPaused(client.id, paused))

    def load(self) -> None:
        """The chunks that were asked for are read."""
        for event in self._read():
            self.step(event)

    def miss(self) -> None:
        """The chunks that were asked for are not found."""
        wanted, self.wanted = self.wanted, []
        for uid, sub_log, first in wanted:
            self.step(e.ChunkLoaded(uid, sub_log, first, None))

    # -- steps and commits -------------------------------------------------------------------------

    def step(self, event: object) -> list[fx.BrokerEffects]:
        if not self.holding:
            return super().step(event)
        events = deque([event])
        done: list[fx.BrokerEffects] = []
        while events:
            out = self.machine.step(events.popleft(), self.now)
            self.next_due = out.next_due
            done.append(out)
            self.held.append(out)
            self._now(out)
            events.extendleft(reversed([*self._loads(out), *out.then]))
        return done

    def flush(self, most: int = 1 << 30) -> None:
        """The log takes what was held back, `most` steps of it."""
        holding, self.holding = self.holding, False
        while self.held and most > 0:
            most -= 1
            out = self.held.popleft()
            follows = self._committed(out)
            for event in follows:
                # What follows is stepped behind what is held already.
                self.holding = bool(self.held) or holding
                self.step(event)
            self.holding = False
        self.holding = holding

    def commit(self, out: fx.BrokerEffects) -> list[object]:
        self._now(out)
        return [*self._loads(out), *self._committed(out)]

    def _committed(self, out: fx.BrokerEffects) -> list[object]:
        """The log takes a step."""
        check_writes(out)
        places = [(w.uid, w.sub_log) for w in out.writes if isinstance(w, fx.ChangeSubLog)]
        assert len(places) == len(set(places)), "a sub-log is written once in a step"
        # What `acks` has no room for any more goes to records of its own, all at once.
        assert weight(out.writes) <= self.limits.step_writes + MOST_RUNS, "a step is bounded"
        for write in out.writes:
            self.write(write)
            self.fold(write)
        follows: list[object] = []
        for added in out.additions:
            chunks = [builder.build() for builder in chunked(added.messages)]
            self.keep(added.uid, added.sub_log, chunks)
            follows.append(e.ChunksCommitted(added.uid, added.sub_log, chunks))
        for effect in out.after:
            match effect:
                case fx.Reply():
                    effect.token.set_result(effect.answer)
                case fx.StepOnceCommitted():
                    follows.append(effect.event)
                case fx.SettleDone():
                    client = self.clients.get(effect.session)
                    if client is not None and self.reachable:
                        assert effect.number >= client.settled
                        client.settled = effect.number
                case _:
                    self._send(effect)
        return follows

    def _now(self, out: fx.BrokerEffects) -> None:
        for effect in out.now:
            if isinstance(effect, fx.LoadChunks):
                self.wanted += effect.chunks
            elif isinstance(effect, fx.LoadBody):
                self.wanted_bodies.append(effect.ref)
            else:
                self._send(effect)

    def _loads(self, _out: fx.BrokerEffects) -> list[object]:
        return self._read() if self.loads else []

    def _read(self) -> list[object]:
        wanted, self.wanted = self.wanted, []
        bodies, self.wanted_bodies = self.wanted_bodies, []
        chunks = [
            e.ChunkLoaded(uid, sub_log, first, self.stored.get((uid, sub_log, first)))
            for uid, sub_log, first in wanted
        ]
        return [*chunks, *(e.BodyLoaded(ref, self.body(ref)) for ref in bodies)]

    def _send(self, effect: object) -> None:
        """A message to a client's stream."""
        client = self.clients.get(getattr(effect, "session", ""))
        if client is None or not self.reachable:
            return
        match effect:
            case fx.Deliver():
                number = int(effect.consumer)
                client.got.setdefault(number, []).extend(effect.deliveries)
                client.skipped[number] = client.skipped.get(number, 0) + effect.skipped
                if not client.specs[number].automatic_ack:
                    has = client.has.setdefault(number, {})
                    for delivery in effect.deliveries:
                        has[delivery.id] = delivery
            case fx.SendFetched():
                client.fetched[effect.number] = effect
            case fx.EndConsumer():
                client.ended[int(effect.consumer)] = effect.reason
            case fx.SettleRefused():
                client.refused.append(effect.number)

    # -- the standby -------------------------------------------------------------------------------

    def fold(self, write: fx.Write) -> None:
        standby = self.standby
        match write:
            case fx.PutMessageQueue():
                standby.put_queue(write.row)
            case fx.DropMessageQueue():
                standby.drop_queue(write.uid)
            case fx.PutSession():
                standby.sessions[write.row.id] = write.row
            case fx.DropSession():
                standby.sessions.pop(write.id, None)
            case fx.PutBodyPart():
                standby.bodies.fold(write.body)
            case fx.DropBody():
                standby.bodies.fold_deleted(write.body)
            case fx.PutProducer():
                standby.producers[write.row.key] = write.row
            case fx.DropProducer():
                del standby.producers[write.key]
            case fx.ChangeSubLog():
                queue = standby.queues.get(write.uid)
                if queue is not None:
                    fold_sub_log(queue.lane(write.sub_log).log, write.writes)

    def fail_over(self) -> None:
        """The leader is gone, with what is not committed; the standby leads."""
        self.held.clear()
        self.wanted.clear()
        self.state, self.standby = self.standby, BrokerState(self.limits)
        self.machine = BrokerMachine(self.state, self.limits)
        for row in [queue.row for queue in self.state.queues.values()]:
            self.standby.put_queue(row)
        self.standby.sessions = dict(self.state.sessions)
        self.standby.producers = dict(self.state.producers)
        self.step(e.Elected())
        for uid, queue in self.state.queues.items():
            self._follow(uid, queue)

    def _follow(self, uid: Any, queue: MessageQueue) -> None:
        """A standby loads what is on record."""
        for sub_log, lane in queue.sub_logs():
            log = self.standby.queues[uid].lane(sub_log).log
            for (owner, place, _), value in self.stored.items():
                if (owner, place) == (uid, sub_log):
                    log.fold_chunk(summarize(value))
            log.fold_acks(lane.log._recorded)
            for done in lane.log._chunks_done.own.values():
                log.fold_chunk_done(done)


def fold_sub_log(log: SubLog, writes: Iterable[Any]) -> None:
    """Writes of a leader, as a standby folds them."""
    for write in writes:
        match write:
            case PutAcks():
                log.fold_acks(write.acks)
            case PutChunkDone():
                log.fold_chunk_done(write.done)
            case DeleteChunkDone():
                log.fold_deleted_chunk_done(write.first)
            case PutChunk():
                log.fold_chunk(summarize(write.value))
            case DeleteChunks():
                for first in [one for one in log.chunks.firsts if write.first <= one <= write.last]:
                    log.fold_deleted_chunk(first)
                    log.fold_deleted_chunk_done(first)
