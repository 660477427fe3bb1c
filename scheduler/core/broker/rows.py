"""What is on record of message queues, sessions and producers: values only.

Exchanges and bindings have rows of their own: `routing.rows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final, NamedTuple, NewType, TypeAlias

from scheduler.core.broker.routing.fields import Table

# 16 hexadecimal characters; a queue that is created again has another one.
QueueUid = NewType("QueueUid", str)
SessionId = NewType("SessionId", str)
# Chosen by the client, from 1 on; 0 stands for Fetch.
ConsumerNumber = NewType("ConsumerNumber", int)
# Virtual host and name.
QueueKey: TypeAlias = tuple[str, str]

NO_SESSION: Final = SessionId("")
DEFAULT_DELIVERY_LIMIT: Final = 20
DEFAULT_CONSUMER_TIMEOUT: Final = 1_800.0


class QueueType(StrEnum):
    """What becomes of a message that a consumer got."""

    # It goes when it is acknowledged.
    QUEUE = "queue"
    # It stays until it is old or there are too many; consumers read from an offset.
    STREAM = "stream"


class Overflow(StrEnum):
    """What happens when a queue is full."""

    DROP_HEAD = "drop-head"
    REJECT_PUBLISH = "reject-publish"
    REJECT_PUBLISH_DEAD_LETTER = "reject-publish-dlx"


@dataclass(frozen=True, slots=True)
class MessageQueueSpec:
    """What was declared of a message queue. Seconds and bytes; 0 or infinity: none.

    Attributes:
        message_ttl: how old a message may get; `expires`: how long the queue may be unused.
        max_length: of messages that are ready; `max_length_bytes`: of what they take, of a stream
            of all.
        dead_letter_exchange: None: none; "": the default exchange.
        no_backlog: no message stays ready: as a `max_length` of 0 would say.
        delivery_limit: deliveries in vain after which a message is dead lettered; 0: no limit.
        max_age: of a stream.
        arguments: as an AMQP client declared them, sorted by name.
    """

    type: QueueType = QueueType.QUEUE
    exclusive: bool = False
    auto_delete: bool = False
    message_ttl: float = inf
    expires: float = inf
    max_length: int = 0
    max_length_bytes: int = 0
    overflow: Overflow = Overflow.DROP_HEAD
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    max_priority: int = 0
    delivery_limit: int = DEFAULT_DELIVERY_LIMIT
    single_active_consumer: bool = False
    max_age: float = inf
    durable: bool = True
    arguments: Table = ()
    consumer_timeout: float = DEFAULT_CONSUMER_TIMEOUT
    no_backlog: bool = False


class ApplyTo(StrEnum):
    """What a policy is for. https://www.rabbitmq.com/docs/policies#targets"""

    ALL = "all"
    QUEUES = "queues"
    CLASSIC = "classic_queues"
    QUORUM = "quorum_queues"
    STREAMS = "streams"
    EXCHANGES = "exchanges"


@dataclass(frozen=True, slots=True)
class PolicyDefinition:
    """What a policy sets; None: nothing. As in `MessageQueueSpec`, but for `delivery_limit`: 0 is
    no limit."""

    message_ttl: float | None = None
    expires: float | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    overflow: Overflow | None = None
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    delivery_limit: int | None = None
    max_age: float | None = None
    alternate_exchange: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A policy. `pattern`: of names; `operator`: it only lowers limits, whatever others say."""

    virtual_host: str
    name: str
    pattern: str
    definition: PolicyDefinition
    apply_to: ApplyTo = ApplyTo.ALL
    priority: int = 0
    operator: bool = False

    @property
    def key(self) -> tuple[str, bool, str]:
        return self.virtual_host, self.operator, self.name


class AppliedPolicy(NamedTuple):
    """What policies make of a message queue.

    Attributes:
        policy, operator: their names; "": none.
        definition: of both together.
        declared: what the queue would be without them.
    """

    policy: str
    operator: str
    definition: PolicyDefinition
    declared: MessageQueueSpec


@dataclass(frozen=True, slots=True)
class MessageQueueRow:
    """A message queue or stream.

    Attributes:
        spec: what is in force.
        owner: the session of an exclusive one.
        policy: what has made another spec of the declared one.
    """

    uid: QueueUid
    virtual_host: str
    name: str
    spec: MessageQueueSpec
    create_time: float
    owner: SessionId = NO_SESSION
    policy: AppliedPolicy | None = None

    @property
    def declared(self) -> MessageQueueSpec:
        """What was declared, whatever policies make of it."""
        return self.spec if self.policy is None else self.policy.declared

    @property
    def key(self) -> QueueKey:
        return self.virtual_host, self.name


class PositionKind(StrEnum):
    """Where a reader of a stream begins."""

    OFFSET = "offset"
    TIME = "time"
    FIRST = "first"
    LAST = "last"
    NEXT = "next"
    NAMED = "named"


class StreamPosition(NamedTuple):
    """Where a reader of a stream begins: `offset` of OFFSET, `time` (seconds since the epoch) of
    TIME, `name` of NAMED."""

    kind: PositionKind = PositionKind.NEXT
    offset: int = 0
    time: float = 0.0
    name: str = ""


FROM_NOW_ON: Final = StreamPosition()


class NamedOffset(NamedTuple):
    """Where the readers of a stream that use a name go on: the next message that is to be read.
    `instant`: when that was stored."""

    name: str
    offset: int
    instant: float


@dataclass(frozen=True, slots=True)
class SubscribeSpec:
    """A consumer as its client asked for it. `active`: it was the active one under the leader
    before. `queue`: the name, in the session's virtual host. `prefetch`: 0 for no limit but that of
    bytes."""

    consumer: ConsumerNumber
    queue: str
    name: str = ""
    prefetch: int = 0
    automatic_ack: bool = False
    exclusive: bool = False
    priority: int = 0
    position: StreamPosition = FROM_NOW_ON
    arguments: Table = ()
    active: bool = False


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A consuming session. On record as long as `queues` (uids, sorted) names any."""

    id: SessionId
    caller: str
    virtual_host: str
    queues: tuple[QueueUid, ...]
    create_time: float


class Refused(NamedTuple):
    """Publications `first` to `last` of a producer that are in no queue.

    Attributes:
        returned: they were mandatory and reached no queue; otherwise they were rejected.
        code, reason: of the error; `code` is the number of a gRPC status code.
    """

    first: int
    last: int
    returned: bool
    code: int
    reason: str


class ProducerRow(NamedTuple):
    """How far a producer is: publications up to `number` are settled.

    Those in `refused` are in no queue. Those up to `forgotten` may be in none, either: what became
    of them is not on record any more. All others are durable.

    Attributes:
        key: caller and name; of a call, caller and request id.
        digest: of a call that is known by its request id: what it asked for.
        refused: in ascending order. Those above `number` are of transactions, which may be done
            when they are repeated. Bounds: see `handlers.publishing.rejections`.
    """

    key: str
    number: int
    instant: float
    digest: bytes = b""
    refused: tuple[Refused, ...] = ()
    forgotten: int = 0
