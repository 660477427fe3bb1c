"""Content of several frames: basic.publish, a content header, the body.

idle --publish--> header expected --header--> body expected --all of it--> idle
                                      '--too large--> ignored until the channel is closed
"""

from __future__ import annotations

from gateway.amqp.protocol.limits import MOST_BODY
from gateway.amqp.wire import frames
from gateway.amqp.wire.frames import Publish
from gateway.amqp.wire.replies import AmqpError, Reply


class Assembly:
    """Of one channel. Raises AmqpError and Malformed. `most_body`: bytes of one body.

    Attributes:
        closing: the channel is being closed: what its client sends is ignored.
        close_sent: the gateway sent channel.close and waits for channel.close-ok.
        close_came: the client sent channel.close and waits for channel.close-ok.
        held: bytes of the header and of the body so far.
    """

    __slots__ = (
        *("_body", "_came", "_most_body", "_properties", "_publish", "_size"),
        *("close_came", "close_sent", "closing", "held"),
    )

    def __init__(self, most_body: int = MOST_BODY) -> None:
        self._most_body = most_body
        self.closing = self.close_sent = self.close_came = False
        self.held = 0
        # Bytes of the body.
        self._came = 0
        self._publish: Publish | None = None
        self._properties: bytes | None = None
        self._size = 0
        # The body so far. Not a list of parts: many small ones would be much larger than the body.
        self._body: bytes | bytearray = b""

    @property
    def idle(self) -> bool:
        """Whether a method may come."""
        return self._publish is None

    def begin(self, publish: Publish) -> None:
        """basic.publish came."""
        if publish.immediate:
            raise AmqpError(Reply.NOT_IMPLEMENTED, "immediate=true", (60, 40))
        self._publish = publish

    def header(self, payload: bytes) -> bool:
        """A content header; whether the content is complete."""
        if self._publish is None or self._properties is not None:
            raise AmqpError(Reply.UNEXPECTED_FRAME, "expected method frame, got content header")
        self._size, self._properties = frames.read_content(payload)
        self.held = len(payload)
        if self._size > self._most_body:
            # Before any of it is held.
            size = self._size
            self.reset()
            raise AmqpError(
                Reply.PRECONDITION_FAILED,
                f"message size {size} is larger than configured max size {self._most_body}",
                (60, 40),
            )
        return not self._size

    def body(self, payload: bytes) -> bool:
        """A part of the body; whether the content is complete."""
        if self._properties is None:
            raise AmqpError(Reply.UNEXPECTED_FRAME, "got a content body, and no header before it")
        self.held += len(payload)
        self._came += len(payload)
        if self._came > self._size:
            raise AmqpError(
                Reply.UNEXPECTED_FRAME,
                f"the body is longer than the {self._size} bytes that its header announced",
            )
        if not self._body:
            self._body = payload
        elif isinstance(self._body, bytes):
            self._body = bytearray(self._body) + payload
        else:
            self._body += payload
        return self._came == self._size

    def take(self) -> tuple[Publish, bytes, bytes]:
        """What is complete: the method, its properties, its body."""
        assert self._publish is not None
        assert self._properties is not None
        found = self._publish, self._properties, bytes(self._body)
        self.reset()
        return found

    def reset(self) -> None:
        """Forget what came so far."""
        self._publish = self._properties = None
        self._body = b""
        self._size = self._came = self.held = 0
