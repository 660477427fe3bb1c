"""What happens to the broker. `token` is answered with `effects.Reply`.

What a caller asks for is answered with a value of `answers`, or with a `QuorateError`: nothing has
changed then.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from scheduler.core.broker.routing.fields import Table
from scheduler.core.broker.routing.rows import Destination, Exchange
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueSpec,
    QueueUid,
    SessionId,
    SubscribeSpec,
)
from scheduler.core.broker.storage.bodies import BodyRef
from scheduler.core.broker.storage.format import Summary
from scheduler.core.broker.storage.places import SubLogName
from scheduler.core.values.reply_token import Pending

Token: TypeAlias = Pending[object]


class VirtualHostAsked(NamedTuple):
    """Create a name space. Answer: None, also when there is one."""

    name: str
    token: Token


class VirtualHostDeleteAsked(NamedTuple):
    """Delete a name space, which has no message queues."""

    name: str
    token: Token


class ExchangeDeclared(NamedTuple):
    """Answer: the row on record."""

    row: Exchange
    token: Token


class ExchangeDeleteAsked(NamedTuple):
    virtual_host: str
    name: str
    if_unused: bool
    token: Token


class BindingAsked(NamedTuple):
    """`session`: of the caller, for exclusive queues."""

    virtual_host: str
    source: str
    destination: Destination
    key: bytes
    arguments: Table
    token: Token
    session: SessionId = SessionId("")


class UnbindAsked(NamedTuple):
    """`session`: of the caller, for exclusive queues."""

    virtual_host: str
    source: str
    destination: Destination
    key: bytes
    arguments: Table
    token: Token
    session: SessionId = SessionId("")


class MessageQueueDeclared(NamedTuple):
    """Answer: `answers.QueueAnswer`. `uid`: that of the queue if it is new. A caller that wants a
    name made up makes it."""

    virtual_host: str
    name: str
    spec: MessageQueueSpec
    session: SessionId
    uid: QueueUid
    token: Token


class MessageQueueDeleteAsked(NamedTuple):
    """Answer: `answers.Count` of messages that were ready."""

    virtual_host: str
    name: str
    session: SessionId
    if_unused: bool
    if_empty: bool
    token: Token


class PurgeAsked(NamedTuple):
    """Delete the messages that are ready. Answer: `answers.Count`."""

    virtual_host: str
    name: str
    session: SessionId
    token: Token


class MoveAsked(NamedTuple):
    """Move ready messages to another queue. Answer: `answers.Moved`."""

    virtual_host: str
    name: str
    destination: str
    most: int
    token: Token
    session: SessionId = SessionId("")


class OffsetAsked(NamedTuple):
    """Store a named offset of a stream. Answer: its `rows.NamedOffset`.

    `expected`: only if it is this one now, where 0 stands for none; None: whatever it is.
    """

    virtual_host: str
    queue: str
    name: str
    offset: int
    expected: int | None
    token: Token


class OffsetDropAsked(NamedTuple):
    """Delete a named offset."""

    virtual_host: str
    queue: str
    name: str
    token: Token


class PeekAsked(NamedTuple):
    """Read ready messages; of a stream from `offset` on. Answer: `answers.Received`.

    `found`: how many there were when it was stepped last, if it waited for bodies since.
    """

    virtual_host: str
    name: str
    most: int
    offset: int
    token: Token
    session: SessionId = SessionId("")
    found: int = -1


class ReceiveAsked(NamedTuple):
    """Take ready messages: acknowledged before they are answered. Answer: `answers.Received`."""

    virtual_host: str
    name: str
    session: SessionId
    most: int
    token: Token


class Publication(NamedTuple):
    """One message on its way.

    Attributes:
        payload: the serialized `quorate.v1.Message`, as the producer sent it.
        exchange, routing_key, properties: of it; `properties` is serialized, too.
        number: of the message among those of its producer; 0: not looked at.
        body_size: bytes of the body.
    """

    payload: bytes
    exchange: str
    routing_key: bytes
    properties: bytes = b""
    mandatory: bool = False
    number: int = 0
    body_size: int = 0


class MessagesPublished(NamedTuple):
    """Answer: `answers.PublishAnswer`.

    Attributes:
        producer: caller and name; empty: numbers say nothing.
        stream: names the stream of publishes that it is one of, if that has no producer: they are
            queued in their order.
        digest: of a call that is known by its request id, which stands for the producer: of what it
            asks for.
        caller: `<role>:<name>`, who creates the tasks that messages become; empty: nobody says.
    """

    virtual_host: str
    producer: str
    publications: Sequence[Publication]
    token: Token
    stream: str = ""
    digest: bytes = b""
    caller: str = ""

    @property
    def turn(self) -> str:
        """Whose publishes are stepped in their order; empty: it needs none."""
        return self.producer or self.stream


class SessionOpened(NamedTuple):
    """A client begins to consume, or goes on after a change of leaders.

    `unsettled`: (queue name, consumer, delivery ids). Answer: `answers.SessionAnswer`; notices of
    consumers that could not go on follow."""

    session: SessionId
    caller: str
    virtual_host: str
    consumers: Sequence[SubscribeSpec]
    unsettled: Sequence[tuple[str, ConsumerNumber, Sequence[int]]]
    token: Token


class SessionClosed(NamedTuple):
    """A client ended its session."""

    session: SessionId


class SessionLost(NamedTuple):
    """The stream of a session broke: it may come back for a while."""

    session: SessionId


class SessionPaused(NamedTuple):
    """The stream of a session has no room for more deliveries, or has room again."""

    session: SessionId
    paused: bool


class Subscribed(NamedTuple):
    """A session consumes from a queue. Answer: `answers.SubscribedAnswer`."""

    session: SessionId
    spec: SubscribeSpec
    token: Token


class Unsubscribed(NamedTuple):
    session: SessionId
    consumer: ConsumerNumber


class CreditChanged(NamedTuple):
    """`consumer` 0: the limit that all consumers of the session share."""

    session: SessionId
    consumer: ConsumerNumber
    prefetch: int


class Outcome(StrEnum):
    """How a consumer settles a delivery: `quorate.v1.Outcome`."""

    ACK = "ack"
    NACK = "nack"
    REQUEUE = "requeue"
    REJECT = "reject"
    TOUCH = "touch"


class Settled(NamedTuple):
    """`queue`: the name, of Fetch; `delay` in seconds, of NACK and REQUEUE."""

    session: SessionId
    number: int
    consumer: ConsumerNumber
    queue: str
    ids: Sequence[int]
    outcome: Outcome
    delay: float = 0.0


class Fetched(NamedTuple):
    """A session asks for one message of a queue."""

    session: SessionId
    number: int
    queue: str
    automatic_ack: bool


class Transacted(NamedTuple):
    """Publish and settle in one commit. Answer: `answers.PublishAnswer` without results.

    Attributes:
        session: whose deliveries are settled; it is the caller's. `number` of `settles` says
            nothing here.
        producer: caller and name, for the numbers of publications; empty: they say nothing.
        request: caller and request id, by which a repeated call is known; `digest`: of what it
            asks for.
    """

    virtual_host: str
    publications: Sequence[Publication]
    session: SessionId
    settles: Sequence[Settled]
    token: Token
    caller: str = ""
    producer: str = ""
    request: str = ""
    digest: bytes = b""


class ChunksCommitted(NamedTuple):
    """Chunks that `AddMessages` asked for are committed; stepped before the after-effects of their
    commit."""

    uid: QueueUid
    sub_log: SubLogName
    chunks: Sequence[tuple[Summary, bytes]]


class ChunkLoaded(NamedTuple):
    """A chunk of `LoadChunks` was read. `value` None: it is not there; it may be merged by now."""

    uid: QueueUid
    sub_log: SubLogName
    first: int
    value: bytes | None


class BodyLoaded(NamedTuple):
    """A body of `LoadBody` was read. `value` None: it is not there, or not whole."""

    ref: BodyRef
    value: bytes | None


class OutgoingTaken(NamedTuple):
    """A client has taken a large message that was on its way: others may be sent. `session`: it has
    taken all of its own; empty: there are more."""

    session: SessionId = SessionId("")


class MergeRead(NamedTuple):
    """The chunks of `ReadToMerge`, those that are still there: first sequence and bytes."""

    uid: QueueUid
    sub_log: SubLogName
    chunks: Sequence[tuple[int, bytes]]


class TimePassed(NamedTuple):
    """An instant of `next_due` is there, or some time has passed."""


class Elected(NamedTuple):
    """The term of a leader begins: the state is what its log holds."""


# -- the machine's own, in `then` ----------------------------------------------------------------


class ExchangeDeleteContinued(NamedTuple):
    """More bindings of an exchange that is being deleted."""

    virtual_host: str
    name: str
    token: Token


class QueueDropped(NamedTuple):
    """A message queue goes: it was deleted, expired, or its session is gone. In parts if it has
    many bindings."""

    uid: QueueUid
    token: Token | None = None
    messages: int = 0
