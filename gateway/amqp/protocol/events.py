"""What a connection makes of what its client sent, in its order."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from gateway.amqp.wire.frames import Publish
from gateway.amqp.wire.methods import Method
from gateway.amqp.wire.replies import AmqpError

# What an event counts beside its bytes; and what a byte of a method counts: tables grow.
_EVENT_BYTES: Final = 512
_DECODED: Final = 4


class Login(NamedTuple):
    """connection.start-ok: answered by `Connection.accept` or `refuse`.

    Attributes:
        user, password: of PLAIN; empty with EXTERNAL.
        product: of the client, as it calls itself.
        caller: what the cluster calls the user (`submitter:ci`); empty until it was asked, and
            where anybody may come in.
    """

    mechanism: str
    user: str
    password: str
    product: str
    caller: str = ""


class HostAsked(NamedTuple):
    """connection.open: answered by `Connection.opened` or `close`."""

    virtual_host: str


class ChannelOpened(NamedTuple):
    channel: int


class MethodCame(NamedTuple):
    """A method of an open channel, without content. `size`: bytes of its frame."""

    channel: int
    method: Method
    size: int = 0


class Acked(NamedTuple):
    """basic.ack."""

    channel: int
    tag: int
    multiple: bool


class Published(NamedTuple):
    """basic.publish with all of its content. `properties`: of the content header."""

    channel: int
    publish: Publish
    properties: bytes
    body: bytes


class ChannelFailed(NamedTuple):
    """The client did what a channel does not survive: answered by `Connection.close_channel`."""

    channel: int
    error: AmqpError


class ChannelClosed(NamedTuple):
    """channel.close: answered by `Connection.channel_closed`."""

    channel: int


class ChannelGone(NamedTuple):
    """The client has answered channel.close: its number may be used again."""

    channel: int


class SecretUpdated(NamedTuple):
    """connection.update-secret: answered by `Connection.secret_updated` or `close`."""

    secret: str


class Closing(NamedTuple):
    """connection.close: answered by `Connection.closed`."""


Event: TypeAlias = (
    Login
    | HostAsked
    | ChannelOpened
    | MethodCame
    | Acked
    | Published
    | ChannelFailed
    | ChannelClosed
    | ChannelGone
    | SecretUpdated
    | Closing
)


def size_of(event: Event) -> int:
    """Bytes that an event counts while it waits."""
    match event:
        case Published():
            return _EVENT_BYTES + len(event.body) + len(event.properties)
        case MethodCame():
            return _EVENT_BYTES + _DECODED * event.size
    return _EVENT_BYTES
