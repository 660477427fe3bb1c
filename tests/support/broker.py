"""A broker for tests: its machine, with each step committed at once, and what callers got."""

from __future__ import annotations

from collections import deque
from typing import Any

from quorate.etcd.journal.batch import conflicting
from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.runtime.errors import QuorateError
from quorate.v1.message_pb2 import MessageProperties
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.routing.rows import Destination, DestinationKind, Exchange, ExchangeType
from scheduler.core.broker.rows import MessageQueueSpec, QueueUid, SessionId
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.bodies import BodyRef
from scheduler.core.broker.storage.format import chunked
from scheduler.core.broker.storage.records import DeleteChunks, PutChunk
from scheduler.storage.records.broker.writes import BrokerCodec

NOW = 1_700_000_000.0
HOST = "/"
_CODEC = BrokerCodec(b"", {})


def check_writes(out: fx.BrokerEffects) -> None:
    """Fail for a step that the journal and etcd refuse."""
    writes = _CODEC.encode(out, lambda _uid, _sub_log: lambda _chunks, _revision: None).writes
    assert not conflicting(writes), "a Txn takes no put in a deleted range"


class Waiting:
    """A caller that waits for an answer."""

    answer: Any = None
    answered = False

    def done(self) -> bool:
        return self.answered

    def set_result(self, result: Any, /) -> None:
        assert not self.answered, "answered twice"
        self.answer, self.answered = result, True

    def set_exception(self, exception: BaseException, /) -> None:
        self.set_result(exception)


def publication(
    body: bytes = b"body",
    key: str = "",
    exchange: str = "",
    *,
    mandatory: bool = False,
    number: int = 0,
    **properties: Any,
) -> e.Publication:
    """A message on its way; `properties` as in `MessageProperties`."""
    packed = MessageProperties(**properties).SerializeToString()
    envelope = MessageEnvelope(exchange=exchange, routing_key=key, properties=packed, body=body)
    return e.Publication(
        envelope.SerializeToString(), exchange, key.encode(), packed, mandatory, number, len(body)
    )


class Broker:
    """The leader's machine over a log that commits at once.

    Attributes:
        stored: the chunks, by (uid, sub-log, first).
        effects: those of all steps since `clear`.
    """

    def __init__(self, limits: BrokerLimits | None = None) -> None:
        self.limits = limits or BrokerLimits()
        self.state = BrokerState(self.limits)
        self.machine = BrokerMachine(self.state, self.limits)
        self.now = NOW
        self.uids = 0
        self.stored: dict[tuple[str, str, int], bytes] = {}
        self.effects: list[fx.BrokerEffects] = []
        self.next_due = 0.0
        # Chunks are not read until this is set again.
        self.loads = True
        self.wanted: list[Any] = []
        self.wanted_bodies: list[BodyRef] = []
        # Bodies that are stored apart, by id and part.
        self.parts: dict[int, dict[int, bytes]] = {}

    def step(self, event: object) -> list[fx.BrokerEffects]:
        """Step an event and all that follows; each is committed at once."""
        done: list[fx.BrokerEffects] = []
        events = deque([event])
        while events:
            out = self.machine.step(events.popleft(), self.now)
            self.next_due = out.next_due
            done.append(out)
            follows = self.commit(out)
            events.extendleft(reversed([*follows, *out.then]))
        self.effects += done
        return done

    def commit(self, out: fx.BrokerEffects) -> list[object]:
        """The log takes it; the events that follow from that."""
        check_writes(out)
        weight = sum(len(m.data) for added in out.additions for m in added.messages)
        weight += sum(len(one.data) for one in out.writes if isinstance(one, fx.PutBodyPart))
        assert weight <= self.limits.commit_bytes, "etcd takes it"
        most = max((len(m.data) for added in out.additions for m in added.messages), default=0)
        assert weight <= self.limits.step_bytes + most, "a step is bounded"
        assert len(out.writes) + len(out.additions) <= 2 * self.limits.step_writes
        follows: list[object] = []
        for write in out.writes:
            self.write(write)
        for added in out.additions:
            chunks = [builder.build() for builder in chunked(added.messages)]
            for summary, value in chunks:
                self.stored[added.uid, added.sub_log, summary.first] = value
            follows.append(e.ChunksCommitted(added.uid, added.sub_log, chunks))
        for effect in out.after:
            if isinstance(effect, fx.Reply):
                effect.token.set_result(effect.answer)
        for now in out.now:
            if isinstance(now, fx.LoadChunks):
                self.wanted += now.chunks
            elif isinstance(now, fx.LoadBody):
                self.wanted_bodies.append(now.ref)
            elif isinstance(now, fx.ReadToMerge):
                found = [
                    (first, self.stored[now.uid, now.sub_log, first])
                    for first in now.firsts
                    if (now.uid, now.sub_log, first) in self.stored
                ]
                follows.append(e.MergeRead(now.uid, now.sub_log, found))
        if self.loads:
            follows += [
                e.ChunkLoaded(uid, sub_log, first, self.stored.get((uid, sub_log, first)))
                for uid, sub_log, first in self.wanted
            ]
            self.wanted.clear()
            follows += [e.BodyLoaded(ref, self.body(ref)) for ref in self.wanted_bodies]
            self.wanted_bodies.clear()
        return follows

    def body(self, ref: BodyRef) -> bytes | None:
        """A body that is stored apart, as it is read back; None: it is not whole."""
        parts = self.parts.get(ref.id, {})
        assert list(parts) == list(range(len(parts)))
        found = b"".join(parts.values())
        return found if len(found) == ref.size else None

    def write(self, write: fx.Write) -> None:
        if isinstance(write, fx.PutBodyPart):
            self.parts.setdefault(write.body, {})[write.part] = write.data
        elif isinstance(write, fx.DropBody):
            # Fewer are on record if it was given up before the last one.
            assert len(self.parts.pop(write.body, {})) <= write.parts or not write.parts
        elif isinstance(write, fx.DropMessageQueue):
            for place in [place for place in self.stored if place[0] == write.uid]:
                del self.stored[place]
        if not isinstance(write, fx.ChangeSubLog):
            return
        changed = (write.uid, write.sub_log)
        for one in write.writes:
            if isinstance(one, DeleteChunks):
                for place in list(self.stored):
                    if place[:2] == changed and one.first <= place[2] <= one.last:
                        del self.stored[place]
            elif isinstance(one, PutChunk):
                self.stored[(*changed, one.first)] = one.value

    def ask(self, kind: type, *args: Any, **more: Any) -> Any:
        """Step an event whose token is the last argument; its answer. Raises a refusal."""
        token = Waiting()
        self.step(kind(*args, **more, token=token))
        assert token.answered, "nobody answered"
        if isinstance(token.answer, QuorateError):
            raise token.answer
        return token.answer

    # -- what clients do -------------------------------------------------------------------------

    def declare(self, name: str, session: str = "", host: str = HOST, **spec: Any) -> MessageQueue:
        self.uids += 1
        uid = QueueUid(f"{self.uids:016x}")
        self.ask(
            e.MessageQueueDeclared, host, name, MessageQueueSpec(**spec), SessionId(session), uid
        )
        return self.state.queue(host, name)

    def exchange(self, name: str, kind: str = "direct", **more: Any) -> None:
        self.ask(e.ExchangeDeclared, Exchange(HOST, name, ExchangeType(kind), **more))

    def bind(self, source: str, queue: str, key: str = "", arguments: Any = ()) -> None:
        destination = Destination(DestinationKind.QUEUE, queue)
        self.ask(e.BindingAsked, HOST, source, destination, key.encode(), arguments)

    def pass_time(self, seconds: float) -> None:
        """Time passes, and what is due in it happens at its instants."""
        end = self.now + seconds
        while self.next_due <= end:
            self.now = max(self.now, self.next_due)
            self.step(e.TimePassed())
        self.now = end
        self.step(e.TimePassed())

    def publish(self, *publications: e.Publication, producer: str = "", host: str = HOST) -> Any:
        return self.ask(e.MessagesPublished, host, producer, publications)

    def receive(self, name: str, most: int = 1_000) -> Any:
        """Take messages: deliveries."""
        return self.ask(e.ReceiveAsked, HOST, name, SessionId(""), most).deliveries

    def bodies(self, name: str) -> list[bytes]:
        """The bodies of what is ready, in order; it stays."""
        answer = self.ask(e.PeekAsked, HOST, name, 1_000, 0)
        return [MessageEnvelope.FromString(one.payload).body for one in answer.deliveries]
