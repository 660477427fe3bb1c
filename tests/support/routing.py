"""A router with one virtual host, and short ways to declare, bind and publish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker.routing.fields import FieldType, Table, Value
from scheduler.core.broker.routing.router import Router
from scheduler.core.broker.routing.rows import (
    Binding,
    Destination,
    DestinationKind,
    Exchange,
    ExchangeType,
    Message,
    Removed,
    Route,
)

HOST = "/"


def string(value: str) -> Value:
    """A string field."""
    return Value(FieldType.STRING, value.encode())


def strings(*values: str) -> Value:
    """An array of strings."""
    return Value(FieldType.ARRAY, items=tuple(string(value) for value in values))


def int64(value: int) -> Value:
    """A 64-bit integer field."""
    return Value(FieldType.INT64, value)


VOID = Value(FieldType.VOID)


def queue(name: str) -> Destination:
    """A message queue as the destination of a binding."""
    return Destination(DestinationKind.QUEUE, name)


def exchange(name: str) -> Destination:
    """An exchange as the destination of a binding."""
    return Destination(DestinationKind.EXCHANGE, name)


def refused(
    reason: str, call: Callable[..., object], *arguments: Any, **options: Any
) -> QuorateError:
    """Call it and expect an error with this reason."""
    with pytest.raises(QuorateError) as caught:
        call(*arguments, **options)
    assert caught.value.reason == reason
    return caught.value


class Routes:
    """One virtual host. What is bound is created first, unless it is there."""

    def __init__(self) -> None:
        self.router = Router()
        self.router.create_virtual_host(HOST)

    def declare(
        self,
        name: str,
        type_: str = "direct",
        *,
        durable: bool = True,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Table = (),
        alternate: str | None = None,
    ) -> Exchange | None:
        """Declare an exchange."""
        if alternate is not None:
            arguments = (*arguments, ("alternate-exchange", string(alternate)))
        row = Exchange(HOST, name, ExchangeType(type_), durable, auto_delete, internal, arguments)
        return self.router.declare(row)

    def bind(
        self,
        source: str,
        destination: Destination | str,
        key: str | bytes = b"",
        arguments: Table = (),
    ) -> Binding | None:
        """Bind to an exchange; a string is the name of a queue, which is created."""
        return self.router.bind(
            HOST, source, self._destination(destination), _bytes(key), arguments
        )

    def unbind(
        self,
        source: str,
        destination: Destination | str,
        key: str | bytes = b"",
        arguments: Table = (),
    ) -> Removed:
        """Remove a binding."""
        if isinstance(destination, str):
            destination = queue(destination)
        return self.router.unbind(HOST, source, destination, _bytes(key), arguments)

    def publish(
        self,
        name: str,
        key: str | bytes = b"",
        headers: Mapping[str, Value] | None = None,
        *,
        mandatory: bool = False,
    ) -> Route:
        """The route of a message."""
        message = Message(_bytes(key), headers or {})
        return self.router.route(HOST, name, message, mandatory=mandatory)

    def queues(
        self, name: str, key: str | bytes = b"", headers: Mapping[str, Value] | None = None
    ) -> list[str]:
        """The queues that a message reaches."""
        return list(self.publish(name, key, headers).queues)

    def _destination(self, destination: Destination | str) -> Destination:
        if isinstance(destination, str):
            self.router.add_queue(HOST, destination)
            return queue(destination)
        return destination


def _bytes(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key
