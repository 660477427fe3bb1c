"""What is on record of routing, and what a route is: values only."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple, TypeAlias

from scheduler.core.broker.routing.fields import Table, Value, exact

# The exchange without a name: every queue is bound to it by its own name.
DEFAULT_EXCHANGE: Final = ""


class ExchangeType(StrEnum):
    """How an exchange chooses among its bindings."""

    DIRECT = "direct"
    FANOUT = "fanout"
    TOPIC = "topic"
    HEADERS = "headers"
    CONSISTENT_HASH = "x-consistent-hash"


class DestinationKind(IntEnum):
    """What a binding leads to."""

    QUEUE = 1
    EXCHANGE = 2
    TASK_QUEUE = 3


class Destination(NamedTuple):
    """What a binding leads to: a message queue or an exchange in the virtual host of its source, or
    a task queue, which belongs to no virtual host."""

    kind: DestinationKind
    name: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A declared exchange.

    Attributes:
        arguments: those of its declaration.
        create_time: seconds since the epoch; 0: not known, or it was there from the beginning.
    """

    virtual_host: str
    name: str
    type: ExchangeType
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Table = ()
    # The alternate exchange that a policy names; None: no policy does. An argument overrules it.
    policy_alternate: str | None = None
    create_time: float = 0.0


# (source, destination, key, arguments): one binding differs from another by all of them.
BindingId: TypeAlias = tuple[str, Destination, bytes, Hashable]


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding. `arguments` are sorted by name.

    `ordinal`: bindings of a virtual host in the order in which they were made; consistent hashing
    depends on it.
    """

    virtual_host: str
    source: str
    destination: Destination
    key: bytes = b""
    arguments: Table = ()
    ordinal: int = 0

    @property
    def id(self) -> BindingId:
        """What it differs by from the other bindings of its virtual host."""
        return self.source, self.destination, self.key, exact(self.arguments)


@dataclass(frozen=True, slots=True)
class Message:
    """What routing reads of a message.

    `headers` may be a mapping that decodes when it is read: routing by key reads "CC" and "BCC"
    alone. When a name stands twice in the table on the wire, the last one counts.
    """

    routing_key: bytes
    headers: Mapping[str, Value] = field(default_factory=dict)
    correlation_id: bytes | None = None
    message_id: bytes | None = None
    timestamp: int | None = None


class Route(NamedTuple):
    """The message queues that a message reaches, sorted by name, each once; and the task queues.

    `returned`: it reaches none of both and was published as `mandatory`.
    """

    queues: tuple[str, ...]
    returned: bool = False
    task_queues: tuple[str, ...] = ()


class Removed(NamedTuple):
    """What a deletion took with it, itself included, in the order of removal."""

    exchanges: tuple[Exchange, ...] = ()
    bindings: tuple[Binding, ...] = ()
