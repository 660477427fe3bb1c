"""Direct replies: messages that go straight to who asked, past all queues.

Who asks subscribes to `amq.rabbitmq.reply-to`. It gets an address, which it names in `reply_to` of
its requests; what is published to that address goes straight to it.

https://www.rabbitmq.com/docs/direct-reply-to

Nothing of it is stored: a reply is delivered once, when the commit of its publish is there, or is
gone. It is gone if the session is not there at that moment, also while a new leader has not heard
of it, or if its stream has no room.

The address is made of the session, whose id nobody can guess, and of the consumer's number: the
next leader knows it again when the session goes on.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from scheduler.core.broker.rows import ConsumerNumber, SessionId

# What one subscribes to. There is no such queue.
REPLY_TO: Final = "amq.rabbitmq.reply-to"
# Addresses begin so; no queue can have such a name, as it is reserved.
PREFIX: Final = REPLY_TO + "."
PREFIX_BYTES: Final = PREFIX.encode()


def address(session: SessionId, consumer: ConsumerNumber) -> str:
    """Where replies to a consumer go: the routing key, with the default exchange."""
    whose = f"{consumer} {session}".encode(errors="surrogatepass")
    return PREFIX + blake2b(whose, digest_size=16).hexdigest()
