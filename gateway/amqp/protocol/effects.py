"""What a channel asks for, in order.

`Say` and `Raw` go to the client. Those that are waited for (`Call`, `Subscribe`, `Cancel`, `Fetch`,
`Commit`, `Quiet`) are the last of their list: the channel's next method is looked at when they are
done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from google.protobuf.message import Message

from quorate.runtime.errors import QuorateError
from quorate.v1.message_pb2 import HeaderValue


class Source(NamedTuple):
    """Whose deliveries they are.

    Attributes:
        owned: of the session that owns the connection's exclusive queues, not the channel's own.
        consumer: 0: of basic.get.
    """

    owned: bool
    consumer: int
    queue: str


@dataclass(slots=True)
class Consumer:
    """A consumer of a channel.

    Attributes:
        number: within its session.
        offset: of a stream: what it gets next; None: not of a stream, or not known yet.
        stream, single_active: what its queue is.
        active: it has had deliveries.
        address: of amq.rabbitmq.reply-to: where its answers are published.
    """

    tag: str
    number: int
    queue: str
    automatic_ack: bool
    exclusive: bool
    priority: int
    prefetch: int
    arguments: Mapping[str, HeaderValue]
    owned: bool = False
    stream: bool = False
    single_active: bool = False
    active: bool = False
    offset: int | None = None
    no_wait: bool = False
    address: str = ""

    @property
    def source(self) -> Source:
        return Source(self.owned, self.number, self.queue)


class Publication(NamedTuple):
    """A message on its way to the cluster.

    Attributes:
        message: serialized `quorate.v1.Message`.
        returned: what the client gets back if the message reaches no queue: exchange, routing key,
            properties, body; None: it is not mandatory.
    """

    message: bytes
    returned: tuple[str, str, bytes, bytes] | None


class Say(NamedTuple):
    """A method for the client."""

    name: str
    arguments: Mapping[str, Any]


class Raw(NamedTuple):
    """Frames for the client."""

    data: bytes


class Publish(NamedTuple):
    publication: Publication


class Settle(NamedTuple):
    """Settle deliveries. `outcome`: of `quorate.v1.Outcome`."""

    source: Source
    ids: Sequence[int]
    outcome: int


class Limit(NamedTuple):
    """How many deliveries the channel may have unsettled, all consumers together; 0: no limit."""

    prefetch: int


@dataclass(frozen=True, slots=True)
class Call:
    """A unary call.

    Attributes:
        answered: what follows. May raise AmqpError.
        failed: what follows an error; None: the usual.
        owner: the session that owns exclusive queues has to be open.
    """

    rpc: str
    request: Message
    answered: Callable[[Any], list[Effect]]
    failed: Callable[[QuorateError], list[Effect] | None] = field(default=lambda error: None)
    owner: bool = False


class Subscribe(NamedTuple):
    """Answered with basic.consume-ok before its first delivery."""

    consumer: Consumer


class Cancel(NamedTuple):
    """Answered with basic.cancel-ok behind its last delivery."""

    consumer: Consumer
    no_wait: bool


class Fetch(NamedTuple):
    """Answered as `consuming.fetched` says."""

    queue: str
    owned: bool
    automatic_ack: bool

    @property
    def source(self) -> Source:
        return Source(self.owned, 0, self.queue)


class Commit(NamedTuple):
    """Answered as `publishing.committed` says.

    Attributes:
        settles: what is acknowledged, in one commit with the messages.
        others: what is settled afterwards.
        owned: `settles` are of the session that owns the connection's exclusive queues.
    """

    publications: Sequence[Publication]
    settles: Sequence[Settle]
    others: Sequence[Settle]
    owned: bool


class Quiet(NamedTuple):
    """What follows when all that was published and settled before is durable, or came back."""

    then: Sequence[Say]


Effect: TypeAlias = (
    Say | Raw | Publish | Settle | Limit | Call | Subscribe | Cancel | Fetch | Commit | Quiet
)


def say(name: str, **arguments: Any) -> Say:
    """A method for the client."""
    return Say(name, arguments)
