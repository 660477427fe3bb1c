"""A client that does steps and writes down what came of each, for two brokers to be compared.

An outcome is a text without anything that two runs of one broker would write differently: error
codes and not their words, no times, no server-made names. A channel or connection that the broker
closed is opened again for the next step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pika
from pika import exceptions

# Seconds that a state is waited for, and that nothing more is waited for.
PATIENCE: Final = 5.0
_LOOK: Final = 0.02
_QUIET: Final = 0.3
_CODE: Final = (exceptions.ChannelClosedByBroker, exceptions.ConnectionClosedByBroker)


class Step(NamedTuple):
    """What was done, and what came of it."""

    label: str
    outcome: str


class Session:
    """One connection and its current channel; sessions of `other` write into the same list.

    Args:
        port: of the broker, on 127.0.0.1.
        prefix: of all names, so that scripts do not meet.
    """

    def __init__(self, port: int, prefix: str, steps: list[Step] | None = None) -> None:
        self._port = port
        self.prefix = prefix
        self.steps: list[Step] = [] if steps is None else steps
        self._side = "" if steps is None else "other: "
        self._connect()

    def _connect(self) -> None:
        self.connection: Any = pika.BlockingConnection(
            pika.ConnectionParameters(
                "127.0.0.1", self._port, heartbeat=0, blocked_connection_timeout=30
            )
        )
        self._open()

    def _open(self, *, confirms: bool = True) -> None:
        self.channel: Any = self.connection.channel()
        if confirms:
            self.channel.confirm_delivery()

    def close(self) -> None:
        """End the connection, if it is not ended."""
        if self.connection.is_open:
            self.connection.close()

    def plain(self) -> Any:
        """A new channel without confirms, the current one from now on."""
        self._open(confirms=False)
        return self.channel

    @contextmanager
    def other(self) -> Iterator[Session]:
        """Another connection."""
        session = Session(self._port, self.prefix, self.steps)
        try:
            yield session
        finally:
            session.close()

    def name(self, name: str) -> str:
        """A name of this script; "" and names of the broker stay."""
        return name if not name or name.startswith("amq.") else self.prefix + name

    # -- steps

    def step(self, label: str, call: Callable[[], object]) -> None:
        """Do something and write down what came of it."""
        self.steps.append(Step(self._side + label, self._outcome(call)))

    def _outcome(self, call: Callable[[], object]) -> str:
        try:
            found = call()
        except exceptions.UnroutableError as error:
            codes = [f"{one.method.reply_code} {one.method.reply_text}" for one in error.messages]
            return f"returned {', '.join(codes)}"
        except exceptions.NackError:
            return "nacked"
        except _CODE as error:
            kind = "channel" if isinstance(error, _CODE[0]) else "connection"
            outcome = f"{kind} closed with {error.reply_code}"
        except (exceptions.AMQPError, ValueError, TypeError, AssertionError) as error:
            outcome = f"client: {type(error).__name__}"
        else:
            return self._shown(found)
        if not self.connection.is_open:
            self._connect()
        elif not self.channel.is_open:
            self._open()
        return outcome

    def _shown(self, found: object) -> str:
        method = getattr(found, "method", None)
        if method is None or not hasattr(method, "NAME"):
            return "ok" if found is None else str(found)
        fields = {key: value for key, value in vars(method).items() if key != "consumer_tag"}
        if str(fields.get("queue", "")).startswith("amq.gen-"):
            fields["queue"] = "amq.gen-..."
        shown = ", ".join(f"{key}={value}" for key, value in fields.items())
        return f"{method.NAME} {shown}".strip()

    def declare(self, queue: str, arguments: dict[str, Any] | None = None, **how: Any) -> None:
        """Declare a queue; durable unless it says otherwise."""
        how = {"durable": True, **how}
        self.step(
            f"declare {queue} {arguments or ''} {_told(how)}",
            lambda: self.channel.queue_declare(self.name(queue), arguments=arguments, **how),
        )

    def exchange(self, exchange: str, kind: str = "direct", **how: Any) -> None:
        """Declare an exchange."""
        self.step(
            f"declare exchange {exchange} {kind} {_told(how)}",
            lambda: self.channel.exchange_declare(self.name(exchange), kind, **how),
        )

    def bind(
        self, queue: str, exchange: str, key: str = "", arguments: dict[str, Any] | None = None
    ) -> None:
        """Bind a queue."""
        self.step(
            f"bind {queue} to {exchange} {key!r} {arguments or ''}",
            lambda: self.channel.queue_bind(
                self.name(queue), self.name(exchange), key, arguments=arguments
            ),
        )

    def bind_exchange(self, destination: str, source: str, key: str = "") -> None:
        """Bind an exchange to another."""
        self.step(
            f"bind exchange {destination} to {source} {key!r}",
            lambda: self.channel.exchange_bind(self.name(destination), self.name(source), key),
        )

    def publish(
        self,
        exchange: str,
        key: str,
        body: bytes = b"m",
        *,
        mandatory: bool = False,
        **properties: Any,
    ) -> None:
        """Publish; with confirms the outcome is confirmed, returned or nacked."""
        to = self.name(key) if not exchange else key
        self.step(
            f"publish to {exchange!r} {key!r} {body[:20]!r} {_told(properties)}"
            f"{' mandatory' if mandatory else ''}",
            lambda: self.channel.basic_publish(
                self.name(exchange), to, body, pika.BasicProperties(**properties), mandatory
            ),
        )

    def get(self, queue: str, then: str = "ack", *, shown: Callable[..., str] | None = None) -> int:
        """Get one message, waited for, and settle it: ack, requeue, reject, keep or auto.

        Returns its delivery tag (0: there was none).
        """
        tag = 0

        def take() -> str:
            nonlocal tag
            method, properties, body = self._await_message(queue, auto=then == "auto")
            if method is None:
                return "empty"
            tag = method.delivery_tag
            if then == "ack":
                self.channel.basic_ack(tag)
            elif then in ("requeue", "reject"):
                self.channel.basic_reject(tag, requeue=then == "requeue")
            return (shown or self.message)(method, properties, body)

        self.step(f"get {queue}, {then}", take)
        return tag

    def _await_message(self, queue: str, *, auto: bool) -> tuple[Any, Any, Any]:
        end = time.monotonic() + PATIENCE
        while True:
            found = self.channel.basic_get(self.name(queue), auto_ack=auto)
            if found[0] is not None or time.monotonic() > end:
                return tuple(found)
            time.sleep(_LOOK)

    def empty(self, queue: str) -> None:
        """Get at once from a queue that should have nothing."""
        self.step(
            f"get {queue} at once",
            lambda: "empty" if self.channel.basic_get(self.name(queue))[0] is None else "a message",
        )

    def count(self, queue: str, expected: int) -> None:
        """Wait until a queue has so many ready messages; the outcome is what it has at last."""

        def look() -> str:
            end = time.monotonic() + PATIENCE
            while True:
                found = self.channel.queue_declare(self.name(queue), passive=True).method
                if found.message_count == expected or time.monotonic() > end:
                    return f"{found.message_count} ready"
                time.sleep(_LOOK)

        self.step(f"count {queue}", look)

    def gone(self, queue: str) -> None:
        """Wait until a queue does not exist."""

        def look() -> str:
            end = time.monotonic() + PATIENCE
            with self.other() as other:
                while time.monotonic() < end:
                    try:
                        other.channel.queue_declare(self.name(queue), passive=True)
                    except exceptions.ChannelClosedByBroker as error:
                        if error.reply_code == 404:
                            return "gone"
                        other._open()
                    time.sleep(_LOOK)
            return "still there"

        self.step(f"wait until {queue} is gone", look)

    def drain(self, seconds: float = _QUIET) -> None:
        """Let deliveries and notices come."""
        self.connection.process_data_events(seconds)

    def until(self, condition: Callable[[], bool]) -> bool:
        """Let deliveries come until a condition holds; whether it does."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                return False
            self.connection.process_data_events(_LOOK)
        return True

    # -- texts

    def message(self, method: Any, properties: Any, body: bytes) -> str:
        """A message as both brokers should give it."""
        text = body.decode(errors="replace")
        shown = f"{text[:40]!r} from {self._short(method.exchange)!r} {method.routing_key!r}"
        if method.redelivered:
            shown += " redelivered"
        given = {key: value for key, value in vars(properties).items() if value is not None}
        if given:
            shown += f" {self.value(given)}"
        return shown.replace(self.prefix, "")

    def _short(self, name: str) -> str:
        return name.removeprefix(self.prefix)

    def value(self, value: Any) -> str:
        """A table, ordered, without instants."""
        if isinstance(value, dict):
            parts = (f"{k}: {self.value(v)}" for k, v in sorted(value.items()) if k != "time")
            return "{" + ", ".join(parts) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self.value, value)) + "]"
        return repr(value)


def _told(how: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in how.items())
