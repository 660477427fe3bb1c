"""What a channel knows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.amqp.protocol.effects import Consumer, Publication
from gateway.amqp.protocol.limits import MOST_TRANSACTING
from gateway.amqp.protocol.unsettled import Claims, Unsettled
from gateway.amqp.wire.replies import AmqpError, Reply


@dataclass(slots=True)
class Transactions:
    """Bytes of messages in transactions that are not committed, of all channels of a connection,
    and how many there may be; one transaction always has room."""

    held: int = 0
    most: int = MOST_TRANSACTING


@dataclass(slots=True)
class State:
    """Of one channel.

    Attributes:
        number: of the channel; `frame_max`: agreed with the client.
        shared_prefetch: basic.qos without `global` is one limit for all consumers of the channel,
            which holds for those that run, too: what kombu expects.
        cancels: the client knows basic.cancel from the broker.
        numbers: of consumers, each once in the connection.
        owned: names of the exclusive queues of the connection.
        last_queue: declared last.
        consumers: by tag.
        prefetch: of consumers to come; `limit`: of the channel. 0: none.
        confirms: confirm.select came; `published`: messages so far; `unconfirmed_at`: of those,
            before it did.
        transacts: tx.select came; `publications`, `claims`: of the transaction; `transacted`:
            bytes of its messages; `transacting`: what they count in `transactions` of the
            connection, also while they are committed.
        user: who logged in, with a name; a message's user-id has to be the same.
        replies_to: the address of the channel's consumer of amq.rabbitmq.reply-to.
    """

    number: int
    virtual_host: str
    frame_max: int
    shared_prefetch: bool
    cancels: bool
    numbers: Iterator[int]
    owned: set[str]
    last_queue: str = ""
    consumers: dict[str, Consumer] = field(default_factory=dict)
    unsettled: Unsettled = field(default_factory=Unsettled)
    tags: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    prefetch: int = 0
    limit: int = 0
    confirms: bool = False
    published: int = 0
    unconfirmed_at: int = 0
    transacts: bool = False
    publications: list[Publication] = field(default_factory=list)
    claims: Claims = field(default_factory=Claims)
    transacted: int = 0
    transacting: int = 0
    transactions: Transactions = field(default_factory=Transactions)
    replies_to: str = ""
    user: str = ""

    def queue_named(self, name: str) -> str:
        """A queue's name; empty means the one that was declared last. Raises AmqpError 404."""
        if name or self.last_queue:
            return name or self.last_queue
        raise AmqpError(Reply.NOT_FOUND, "no previously declared queue")
