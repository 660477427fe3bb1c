"""One connection: bytes in, events and bytes out.

```
 header --> start --start-ok--> login --accept--> tune --tune-ok, open--> opening --opened--> OPEN
                                  '--refuse--> closed                                          |
 OPEN --the client closes--> draining --`closed`--> closed                                     |
 OPEN --an error, or `close`--> closing --close-ok, or nothing for 5 s--> closed  <------------'
```

The caller acts on the events in their order and says what came of it; it writes what `output`
returns. Whatever comes in, nothing but events comes out: a mistake of the client ends in
connection.close (hard) or ChannelFailed (soft).

Heartbeats: one is sent when nothing else was for half of the agreed time; the connection is dead
after twice the agreed time of silence (section 4.2.7).
"""

from __future__ import annotations

from math import inf
from typing import Final

from gateway.amqp.protocol import events as e
from gateway.amqp.protocol import handshake, limits
from gateway.amqp.protocol.assembly import Assembly
from gateway.amqp.protocol.handshake import EXPECTED, Phase
from gateway.amqp.wire import frames, methods
from gateway.amqp.wire.buffers import Malformed
from gateway.amqp.wire.frames import Frame, FrameReader
from gateway.amqp.wire.replies import AmqpError, Reply

_CHANNEL_OPEN: Final = b"\x00\x14\x00\x0a"
_CHANNEL_CLOSE: Final = b"\x00\x14\x00\x28"
_CHANNEL_CLOSE_OK: Final = b"\x00\x14\x00\x29"


class Connection:
    """See above.

    Attributes:
        phase: CLOSED: write the output, then close the socket.
        cancels, blocks: the client knows basic.cancel and connection.blocked from the broker.
        frame_max: agreed with the client.
        most_assembling: bytes of bodies not complete, of all channels; `most_body`: of any one.

    Args:
        now: monotonic seconds, as everywhere here.
        version: of the gateway.
    """

    def __init__(self, now: float, version: str) -> None:
        self.phase = Phase.HEADER
        self.cancels = self.blocks = False
        self.frame_max = limits.FRAME_MAX
        self.most_assembling = limits.MOST_ASSEMBLING
        self.most_body = limits.MOST_BODY
        self._version = version
        self._closes = False
        self._channel_max = limits.CHANNEL_MAX
        self._heartbeat = 0.0
        self._reader = FrameReader(limits.FIRST_FRAMES)
        self._begin = b""
        self._channels: dict[int, Assembly] = {}
        self._assembling = 0
        self._output: list[bytes] = []
        self._received = self._sent = now
        self._deadline = now + limits.HANDSHAKE

    # -- in

    def receive(self, data: bytes, now: float) -> list[e.Event]:
        """What became of bytes that arrived."""
        self._received = now
        found: list[e.Event] = []
        try:
            if self.phase is Phase.HEADER:
                data = self._protocol(data)
            for frame in self._reader.feed(data):
                if self.phase is Phase.CLOSED:
                    break
                self._frame(frame, found, now)
        except Malformed as error:
            self.close(AmqpError(Reply.SYNTAX_ERROR, str(error)), now)
        except AmqpError as error:
            self.close(error, now)
        return found

    def _protocol(self, data: bytes) -> bytes:
        """The eight bytes before the first frame. Another protocol: the client learns which one is
        spoken here."""
        self._begin += data
        wanted = frames.PROTOCOL_HEADER
        if self._begin[: len(wanted)] != wanted[: len(self._begin)]:
            self._output.append(wanted)
            self.phase = Phase.CLOSED
            return b""
        if len(self._begin) < len(wanted):
            return b""
        rest, self._begin = self._begin[len(wanted) :], b""
        self.phase = Phase.START
        self.send(
            0,
            "connection.start",
            version_major=0,
            version_minor=9,
            server_properties=handshake.server_properties(self._version),
            mechanisms=f"{handshake.PLAIN} {handshake.EXTERNAL}".encode(),
            locales=b"en_US",
        )
        return rest

    def _frame(self, frame: Frame, found: list[e.Event], now: float) -> None:
        if frame.type == frames.HEARTBEAT:
            if frame.channel:
                raise AmqpError(Reply.FRAME_ERROR, "a heartbeat belongs to channel 0")
        elif frame.channel == 0:
            self._on_channel_0(frame, found, now)
        elif self.phase is Phase.OPEN:
            self._on_channel(frame, found)
        elif self.phase not in (Phase.CLOSING, Phase.DRAINING):
            raise AmqpError(Reply.CHANNEL_ERROR, "the connection is not open yet")

    # -- channel 0

    def _on_channel_0(self, frame: Frame, found: list[e.Event], now: float) -> None:
        if frame.type != frames.METHOD:
            raise AmqpError(Reply.UNEXPECTED_FRAME, "channel 0 carries methods of a connection")
        if self.phase in (Phase.CLOSING, Phase.DRAINING):
            if frame.payload[:4] == b"\x00\x0a\x00\x33":
                self.phase = Phase.CLOSED
            elif frame.payload[:4] == b"\x00\x0a\x00\x32" and self.phase is Phase.CLOSING:
                # Both sides close at the same time.
                self.send(0, "connection.close-ok")
                self.phase = Phase.CLOSED
            return
        method = methods.decode(frame.payload)
        if method.name == "connection.close":
            self.phase = Phase.DRAINING
            found.append(e.Closing())
            return
        if method.name not in EXPECTED.get(self.phase, ()):
            text = f"{method.name} is not expected on channel 0 now"
            raise AmqpError(Reply.COMMAND_INVALID, text, method.id)
        match method.name:
            case "connection.start-ok":
                properties = method["client_properties"]
                self._closes = handshake.is_able(properties, "authentication_failure_close")
                self.cancels = handshake.is_able(properties, "consumer_cancel_notify")
                self.blocks = handshake.is_able(properties, "connection.blocked")
                self.phase = Phase.LOGIN
                found.append(handshake.login_of(method))
            case "connection.tune-ok":
                self._channel_max, self.frame_max, heartbeat = handshake.tuned(method)
                self._reader.most = self.frame_max
                self._heartbeat = float(heartbeat)
                self.phase = Phase.AGREED
            case "connection.open":
                self.phase = Phase.OPENING
                found.append(e.HostAsked(method["virtual_host"] or "/"))
            case _:
                found.append(e.SecretUpdated(method["new_secret"].decode(errors="replace")))

    # -- other channels

    def _on_channel(self, frame: Frame, found: list[e.Event]) -> None:
        number = frame.channel
        assembly = self._channels.get(number)
        if assembly is None:
            self._open_channel(frame, found)
            return
        if assembly.closing:
            self._ignore(assembly, frame, found)
            return
        try:
            self._use_channel(number, assembly, frame, found)
        except AmqpError as error:
            if error.hard:
                raise
            assembly.closing = True
            self._forget(assembly)
            found.append(e.ChannelFailed(number, error))

    def _open_channel(self, frame: Frame, found: list[e.Event]) -> None:
        if frame.type != frames.METHOD or frame.payload[:4] != _CHANNEL_OPEN:
            raise AmqpError(Reply.CHANNEL_ERROR, f"channel {frame.channel} is not open")
        methods.decode(frame.payload)
        if frame.channel > self._channel_max:
            text = f"channel number {frame.channel} is above the agreed {self._channel_max}"
            raise AmqpError(Reply.NOT_ALLOWED, text, (20, 10))
        self._channels[frame.channel] = Assembly(self.most_body)
        self.send(frame.channel, "channel.open-ok")
        found.append(e.ChannelOpened(frame.channel))

    def _ignore(self, assembly: Assembly, frame: Frame, found: list[e.Event]) -> None:
        """The channel is being closed: only how that ends is of interest. If both sides close it,
        each answers the other, and the number is free when the client has answered."""
        head = frame.payload[:4] if frame.type == frames.METHOD else b""
        if head == _CHANNEL_CLOSE:
            if assembly.close_sent:
                self.send(frame.channel, "channel.close-ok")
            # Otherwise the answer is `channel_closed`, or `close_channel`.
            assembly.close_came = True
        elif assembly.close_sent and head == _CHANNEL_CLOSE_OK:
            self._gone(frame.channel, found)
        elif assembly.close_sent and assembly.close_came and head == _CHANNEL_OPEN:
            # A client for which the channel ended with its own close.
            self._gone(frame.channel, found)
            self._open_channel(frame, found)

    def _gone(self, number: int, found: list[e.Event]) -> None:
        del self._channels[number]
        found.append(e.ChannelGone(number))

    def _use_channel(
        self, number: int, assembly: Assembly, frame: Frame, found: list[e.Event]
    ) -> None:
        payload = frame.payload
        if frame.type == frames.METHOD:
            if not assembly.idle:
                text = "expected content header or body, got a method"
                raise AmqpError(Reply.UNEXPECTED_FRAME, text)
            head = payload[:4]
            if head == frames.BASIC_PUBLISH:
                assembly.begin(frames.read_publish(payload))
            elif head == frames.BASIC_ACK:
                found.append(e.Acked(number, *frames.read_ack(payload)))
            else:
                self._method(number, assembly, payload, found)
            return
        before = assembly.held
        header = frame.type == frames.HEADER
        complete = assembly.header(payload) if header else assembly.body(payload)
        self._assembling += assembly.held - before
        # One header more: a body of the largest size always has room.
        most = max(self.most_assembling, self.most_body)
        if self._assembling > most + limits.FRAME_MAX:
            raise AmqpError(Reply.RESOURCE_ERROR, f"over {most} bytes of messages not complete")
        if complete:
            self._assembling -= assembly.held
            found.append(e.Published(number, *assembly.take()))

    def _method(
        self, number: int, assembly: Assembly, payload: bytes, found: list[e.Event]
    ) -> None:
        method = methods.decode(payload)
        if method.id[0] == 10:
            text = f"{method.name} belongs to channel 0"
            raise AmqpError(Reply.COMMAND_INVALID, text, method.id)
        if method.name == "channel.open":
            text = "second 'channel.open' seen"
            raise AmqpError(Reply.CHANNEL_ERROR, text, method.id)
        if method.name == "channel.close":
            assembly.closing = assembly.close_came = True
            found.append(e.ChannelClosed(number))
        else:
            found.append(e.MethodCame(number, method, len(payload)))

    def _forget(self, assembly: Assembly) -> None:
        self._assembling -= assembly.held
        assembly.reset()

    # -- answers of the caller

    def accept(self) -> None:
        """The client is who it says."""
        if self.phase is not Phase.LOGIN:
            # It closes already, or is closed.
            return
        self.phase = Phase.TUNE
        self.send(
            0,
            "connection.tune",
            channel_max=limits.CHANNEL_MAX,
            frame_max=limits.FRAME_MAX,
            heartbeat=limits.HEARTBEAT,
        )

    def refuse(self, text: str, now: float) -> None:
        """The client may not come in.

        https://www.rabbitmq.com/docs/auth-notification
        """
        if self._closes:
            self.close(AmqpError(Reply.ACCESS_REFUSED, text), now)
        else:
            self.phase = Phase.CLOSED

    def opened(self) -> None:
        """The virtual host is there."""
        if self.phase is not Phase.OPENING:
            return
        self.phase = Phase.OPEN
        self._deadline = inf
        self.send(0, "connection.open-ok")

    def secret_updated(self) -> None:
        """The new secret holds."""
        if self.phase is Phase.OPEN:
            self.send(0, "connection.update-secret-ok")

    def block(self, reason: str | None) -> None:
        """Publishing waits for this reason; None: it goes on."""
        if self.blocks and self.phase is Phase.OPEN:
            if reason is None:
                self.send(0, "connection.unblocked")
            else:
                self.send(0, "connection.blocked", reason=reason)

    def close_channel(self, number: int, error: AmqpError) -> None:
        """Close a channel because of an error, or answer the client that closes it already."""
        assembly = self._channels.get(number)
        if assembly is None or self.phase is not Phase.OPEN:
            return
        if assembly.close_came:
            self.channel_closed(number)
            return
        assembly.closing = assembly.close_sent = True
        self._forget(assembly)
        self.send(
            number,
            "channel.close",
            reply_code=int(error.reply),
            reply_text=error.reply_text,
            class_id=error.method[0],
            method_id=error.method[1],
        )

    def channel_closed(self, number: int) -> None:
        """All that the client sent on a channel before it closed it is done."""
        if self._channels.pop(number, None) is not None:
            self.send(number, "channel.close-ok")

    def closed(self) -> None:
        """All that the client sent before it closed the connection is done."""
        self.send(0, "connection.close-ok")
        self.phase = Phase.CLOSED

    def close(self, error: AmqpError, now: float) -> None:
        """Close the connection because of an error."""
        if self.phase in (Phase.CLOSING, Phase.CLOSED):
            return
        if self.phase in (Phase.HEADER, Phase.DRAINING):
            self.phase = Phase.CLOSED
            return
        self.phase = Phase.CLOSING
        self._deadline = now + limits.CLOSE
        if error.reply is Reply.FRAME_ERROR:
            # Nobody knows where the next frame begins.
            self.phase = Phase.CLOSED
        self._channels.clear()
        self.send(
            0,
            "connection.close",
            reply_code=int(error.reply),
            reply_text=error.reply_text,
            class_id=error.method[0],
            method_id=error.method[1],
        )

    # -- out

    def send(self, channel: int, name: str, **arguments: object) -> None:
        """A method for the client."""
        self._output.append(frames.method(channel, name, **arguments))

    def send_raw(self, data: bytes) -> None:
        """Frames for the client."""
        self._output.append(data)

    def output(self, now: float) -> bytes:
        """Bytes to write."""
        if not self._output:
            return b""
        self._sent = now
        found = self._output[0] if len(self._output) == 1 else b"".join(self._output)
        self._output.clear()
        return found

    # -- time

    def tick(self, now: float, *, reading: bool) -> float:
        """What is due; when to come again, monotonic seconds.

        Args:
            reading: the socket is read: silence is the client's.
        """
        if now >= self._deadline:
            self.phase = Phase.CLOSED
        if not reading:
            self._received = now
        if not self._heartbeat or self.phase is Phase.CLOSED:
            return self._deadline
        dead = self._received + 2 * self._heartbeat
        if now >= dead:
            self.phase = Phase.CLOSED
            return self._deadline
        if now >= self._sent + self._heartbeat / 2:
            self._output.append(frames.HEARTBEAT_FRAME)
            self._sent = now
        return min(self._deadline, dead, self._sent + self._heartbeat / 2)
