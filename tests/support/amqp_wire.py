"""A client of AMQP 0-9-1 by hand, for the state machine of the gateway's connections."""

from __future__ import annotations

from typing import Any

from gateway.amqp.protocol import events as e
from gateway.amqp.protocol.connection import Connection
from gateway.amqp.wire import frames, methods
from gateway.amqp.wire.frames import PROTOCOL_HEADER, FrameReader
from gateway.amqp.wire.methods import Method
from quorate.v1.message_pb2 import HeaderTable

CAPABLE = ("authentication_failure_close", "consumer_cancel_notify", "connection.blocked")


class Client:
    """What a client sends, and what it gets.

    Attributes:
        connection: the gateway's side.
        events: all of them; `got`: methods that it got, with their channels.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.connection = Connection(self.now, "1.2.3")
        self.events: list[e.Event] = []
        self.got: list[tuple[int, Method]] = []
        self.heartbeats = 0
        self.raw = b""
        self._reader = FrameReader(1 << 20)

    def send(self, data: bytes) -> list[e.Event]:
        """Bytes; what became of them."""
        found = self.connection.receive(data, self.now)
        self.events += found
        self.read()
        return found

    def method(self, channel: int, name: str, **arguments: Any) -> list[e.Event]:
        return self.send(frames.method(channel, name, **arguments))

    def read(self) -> None:
        """What the gateway wrote."""
        data = self.connection.output(self.now)
        if data.startswith(b"AMQP"):
            self.raw += data
            return
        for frame in self._reader.feed(data):
            if frame.type == frames.METHOD:
                self.got.append((frame.channel, methods.decode(frame.payload)))
            self.heartbeats += frame.type == frames.HEARTBEAT

    def last(self) -> Method:
        """The last method that it got."""
        return self.got[-1][1]

    def names(self) -> list[str]:
        return [method.name for _, method in self.got]

    # -- as far as it is open

    def start(self, *able: str, mechanism: str = "PLAIN") -> None:
        """Up to connection.start-ok."""
        self.send(PROTOCOL_HEADER)
        table = HeaderTable()
        table.entries["product"].text = "test"
        for name in able:
            table.entries["capabilities"].table.entries[name].boolean = True
        self.method(
            0,
            "connection.start-ok",
            client_properties=table.entries,
            mechanism=mechanism,
            response=b"\0guest\0secret",
            locale="en_US",
        )

    def tune(self, *able: str, heartbeat: int = 0, **agreed: int) -> None:
        """Up to connection.tune-ok."""
        self.start(*able)
        self.connection.accept()
        self.read()
        self.method(0, "connection.tune-ok", heartbeat=heartbeat, **agreed)

    def open(self, *able: str, heartbeat: int = 0, **agreed: int) -> None:
        """Up to an open channel 1."""
        self.tune(*able, heartbeat=heartbeat, **agreed)
        self.method(0, "connection.open", virtual_host="/")
        self.connection.opened()
        self.read()
        self.method(1, "channel.open")

    def publish(self, body: bytes, channel: int = 1, step: int = 100) -> list[e.Event]:
        """A message in body frames of so many bytes."""
        data = frames.method(channel, "basic.publish", exchange="x", routing_key="k")
        data += frames.content(channel, b"\0\0", body, step + frames.BESIDE)
        return self.send(data)
