"""What the broker wants done.

    writes, additions   durable in one Txn
    after               done in order once they are; of a step without writes, once all earlier
                        writes are
    now                 done at once, as long as the leader is trusted
    then                events that are stepped next, each with a commit of its own
    next_due            when to step `TimePassed` at the latest; infinity: no need
    in_order            what is deleted stays behind earlier writes, also while etcd has no space

The driver encodes writes before the next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple, TypeAlias

from quorate.runtime.errors import QuorateError
from scheduler.core.broker.events import Token
from scheduler.core.broker.routing.rows import Binding, Exchange
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueRow,
    NamedOffset,
    PolicyRow,
    ProducerRow,
    QueueUid,
    SessionId,
    SessionRow,
)
from scheduler.core.broker.storage.bodies import BodyRef
from scheduler.core.broker.storage.format import Packed
from scheduler.core.broker.storage.places import SubLogName
from scheduler.core.broker.storage.records import Write as SubLogWrite


class PutVirtualHost(NamedTuple):
    name: str


class DropVirtualHost(NamedTuple):
    """Its exchanges and bindings go, too, each with a write of its own."""

    name: str


class PutExchange(NamedTuple):
    row: Exchange


class DropExchange(NamedTuple):
    virtual_host: str
    name: str


class PutBinding(NamedTuple):
    row: Binding


class DropBinding(NamedTuple):
    row: Binding


class PutMessageQueue(NamedTuple):
    row: MessageQueueRow


class DropMessageQueue(NamedTuple):
    """The record and all keys below `mq/<uid>/`."""

    uid: QueueUid


class PutOffset(NamedTuple):
    """A named offset of a stream."""

    uid: QueueUid
    row: NamedOffset


class DropOffset(NamedTuple):
    uid: QueueUid
    name: str


class PutPolicy(NamedTuple):
    row: PolicyRow


class DropPolicy(NamedTuple):
    row: PolicyRow


class PutSession(NamedTuple):
    row: SessionRow


class DropSession(NamedTuple):
    id: SessionId


class PutProducer(NamedTuple):
    row: ProducerRow


class DropProducer(NamedTuple):
    key: str


class PutBodyPart(NamedTuple):
    """A part of a body that is stored apart, counted from 0."""

    body: int
    part: int
    data: bytes


class DropBody(NamedTuple):
    """All parts of a body. `parts`: how many there are; 0: not known."""

    body: int
    parts: int


class ChangeSubLog(NamedTuple):
    """At most one for each sub-log and step."""

    uid: QueueUid
    sub_log: SubLogName
    writes: tuple[SubLogWrite, ...]


Write: TypeAlias = (
    PutVirtualHost
    | DropVirtualHost
    | PutExchange
    | DropExchange
    | PutBinding
    | DropBinding
    | PutMessageQueue
    | DropMessageQueue
    | PutOffset
    | DropOffset
    | PutPolicy
    | DropPolicy
    | PutSession
    | DropSession
    | PutProducer
    | DropProducer
    | PutBodyPart
    | DropBody
    | ChangeSubLog
)


class AddMessages(NamedTuple):
    """Messages of ascending sequences, joined to the chunk of their sub-log and commit. Once they
    are committed, `ChunksCommitted` is stepped."""

    uid: QueueUid
    sub_log: SubLogName
    messages: Sequence[Packed]


class Reply(NamedTuple):
    """Answer a caller: a value of `answers`, a row or None; a `QuorateError` for a refusal."""

    token: Token
    answer: object


class SettleDone(NamedTuple):
    """All settlements of the session up to this number are durable."""

    session: SessionId
    number: int


class Delivery(NamedTuple):
    """One message that a consumer gets. `id`: see `queues.ids`; `failed`: deliveries in vain;
    `instant`: of publishing."""

    id: int
    redelivered: bool
    failed: int
    instant: float
    payload: bytes


class Deliver(NamedTuple):
    """`skipped`: of a stream, messages that were gone before they could be read."""

    session: SessionId
    consumer: ConsumerNumber
    deliveries: Sequence[Delivery]
    skipped: int = 0


class SendFetched(NamedTuple):
    """The answer to `events.Fetched`."""

    session: SessionId
    number: int
    delivery: Delivery | None
    ready: int
    error: QuorateError | None = None


class EndConsumer(NamedTuple):
    session: SessionId
    consumer: ConsumerNumber
    reason: str
    text: str


class SettleRefused(NamedTuple):
    """`ids`: the deliveries that were not settled."""

    session: SessionId
    number: int
    reason: str
    text: str
    ids: Sequence[int]


class TasksDone(NamedTuple):
    """Do what follows the commit of tasks that messages became: effects of the task machine, which
    the broker does not look into."""

    effects: Sequence[Any]


class StepOnceCommitted(NamedTuple):
    """Step an event once all writes before it are committed; in its place among the effects of
    `after`."""

    event: object


class LoadChunks(NamedTuple):
    """Read chunks; each is stepped as `ChunkLoaded`. (uid, sub-log, first sequence)"""

    chunks: Sequence[tuple[QueueUid, SubLogName, int]]


class LoadBody(NamedTuple):
    """Read a body that is stored apart; it is stepped as `BodyLoaded`."""

    ref: BodyRef


class ReadToMerge(NamedTuple):
    """Read chunks that are next to each other; they are stepped as one `MergeRead`."""

    uid: QueueUid
    sub_log: SubLogName
    firsts: Sequence[int]


After: TypeAlias = (
    Reply | SettleDone | Deliver | SendFetched | EndConsumer | StepOnceCommitted | TasksDone
)
Now: TypeAlias = (
    Deliver | SendFetched | EndConsumer | SettleRefused | LoadChunks | LoadBody | ReadToMerge
)


@dataclass(slots=True)
class BrokerEffects:
    """What one step wants."""

    writes: list[Write] = field(default_factory=list)
    additions: list[AddMessages] = field(default_factory=list)
    after: list[After] = field(default_factory=list)
    now: list[Now] = field(default_factory=list)
    then: list[object] = field(default_factory=list)
    next_due: float = inf
    in_order: bool = False
