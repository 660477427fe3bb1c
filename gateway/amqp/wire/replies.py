"""Reply codes of AMQP 0-9-1 (section 1.5), and what the cluster's errors are among them.

A soft error closes its channel, a hard one the connection.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import grpc

from quorate.runtime.errors import QuorateError
from quorate.v1.broker_pb2 import Failure


class Reply(IntEnum):
    """A reply code; its name stands before each reply text, as RabbitMQ has it."""

    REPLY_SUCCESS = 200
    CONTENT_TOO_LARGE = 311
    NO_ROUTE = 312
    CONNECTION_FORCED = 320
    ACCESS_REFUSED = 403
    NOT_FOUND = 404
    RESOURCE_LOCKED = 405
    PRECONDITION_FAILED = 406
    FRAME_ERROR = 501
    SYNTAX_ERROR = 502
    COMMAND_INVALID = 503
    CHANNEL_ERROR = 504
    UNEXPECTED_FRAME = 505
    RESOURCE_ERROR = 506
    NOT_ALLOWED = 530
    NOT_IMPLEMENTED = 540
    INTERNAL_ERROR = 541


_HARD: Final = frozenset(
    (
        *(Reply.CONNECTION_FORCED, Reply.FRAME_ERROR, Reply.SYNTAX_ERROR, Reply.COMMAND_INVALID),
        *(Reply.CHANNEL_ERROR, Reply.UNEXPECTED_FRAME, Reply.RESOURCE_ERROR, Reply.NOT_ALLOWED),
        *(Reply.NOT_IMPLEMENTED, Reply.INTERNAL_ERROR),
    )
)
C = grpc.StatusCode
_CODES: Final = {code.value[0]: code for code in C}
_BY_REASON: Final = {
    "VIRTUAL_HOST_NOT_FOUND": Reply.NOT_ALLOWED,
    "MESSAGE_QUEUE_LOCKED": Reply.RESOURCE_LOCKED,
    "MESSAGE_QUEUE_IN_EXCLUSIVE_USE": Reply.ACCESS_REFUSED,
    "MESSAGE_QUEUE_HAS_CONSUMERS": Reply.ACCESS_REFUSED,
    "DEFAULT_EXCHANGE": Reply.ACCESS_REFUSED,
    "RESERVED_EXCHANGE": Reply.ACCESS_REFUSED,
    "RESERVED_NAME": Reply.ACCESS_REFUSED,
    "INTERNAL_EXCHANGE": Reply.ACCESS_REFUSED,
    "STREAM_NOT_FETCHED": Reply.NOT_IMPLEMENTED,
    "SINGLE_ACTIVE_CONSUMER": Reply.RESOURCE_LOCKED,
}
_BY_CODE: Final = {
    C.NOT_FOUND: Reply.NOT_FOUND,
    C.PERMISSION_DENIED: Reply.ACCESS_REFUSED,
    C.UNAUTHENTICATED: Reply.ACCESS_REFUSED,
    C.FAILED_PRECONDITION: Reply.PRECONDITION_FAILED,
    C.INVALID_ARGUMENT: Reply.PRECONDITION_FAILED,
    C.RESOURCE_EXHAUSTED: Reply.PRECONDITION_FAILED,
    C.UNIMPLEMENTED: Reply.NOT_IMPLEMENTED,
}


class AmqpError(Exception):
    """What closes a channel or a connection.

    Attributes:
        reply, text: as the client reads it, without the code's name.
        method: class and method id of what failed; (0, 0): none did.
    """

    def __init__(self, reply: Reply, text: str, method: tuple[int, int] = (0, 0)) -> None:
        super().__init__(text)
        self.reply = reply
        self.text = text
        self.method = method

    @property
    def hard(self) -> bool:
        """Whether the connection is closed, not the channel alone."""
        return self.reply in _HARD

    @property
    def reply_text(self) -> str:
        """`NOT_FOUND - no queue 'x' in vhost '/'`"""
        return f"{self.reply.name} - {self.text}"


def from_cluster(error: QuorateError, virtual_host: str) -> AmqpError:
    """An error of the cluster as an AMQP client knows it."""
    reply = _BY_REASON.get(error.reason) or _BY_CODE.get(error.code, Reply.INTERNAL_ERROR)
    host, said = f"in vhost '{virtual_host}'", error.metadata
    if error.reason == "MESSAGE_QUEUE_DIFFERS" and said.get("field") == "exclusive":
        reply = Reply.RESOURCE_LOCKED
    match error.reason:
        case "MESSAGE_QUEUE_NOT_FOUND":
            text = f"no queue '{said.get('message_queue', '')}' {host}"
        case "EXCHANGE_NOT_FOUND":
            text = f"no exchange '{said.get('exchange', '')}' {host}"
        case "MESSAGE_QUEUE_LOCKED":
            name = said.get("message_queue", "")
            text = f"cannot obtain exclusive access to locked queue '{name}' {host}"
        case "MESSAGE_QUEUE_IN_EXCLUSIVE_USE":
            text = f"queue '{said.get('message_queue', '')}' {host} in exclusive use"
        case "VIRTUAL_HOST_NOT_FOUND":
            text = f"vhost {said.get('virtual_host', virtual_host)} not found"
        case "MESSAGE_QUEUE_DIFFERS" | "EXCHANGE_DIFFERS":
            kind = "queue" if "message_queue" in said else "exchange"
            name = said.get("message_queue") or said.get("exchange", "")
            field = said.get("field", "").removeprefix("arguments.")
            text = (
                f"inequivalent arg '{field}' for {kind} '{name}' {host}: "
                f"received '{said.get('declared', '')}' but current is '{said.get('current', '')}'"
            )
        case "DEFAULT_EXCHANGE":
            text = "operation not permitted on the default exchange"
        case _:
            text = error.message
    return AmqpError(reply, text)


def from_failure(failure: Failure, virtual_host: str) -> AmqpError:
    """An error that the cluster reports within an answer, as an AMQP client knows it."""
    code = _CODES.get(failure.code, C.INTERNAL)
    error = QuorateError(code, failure.reason, failure.message, metadata=failure.metadata)
    return from_cluster(error, virtual_host)
