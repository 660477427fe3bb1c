"""pika over the AMQP door: one connection, which has to stay open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

from tests.support.amqp import Door
from tests.support.traffic.record import Traffic
from tests.support.traffic.tasks import running

_PERSISTENT = pika.BasicProperties(delivery_mode=2)


class PikaTraffic(Traffic):
    """A channel that publishes with confirms, and one that acknowledges each delivery.

    AMQP does not confirm acknowledgements. The gateway keeps each until it is durable, so on a
    connection that stays open a message that was acknowledged may not come again: it is settled
    once its acknowledgement is written.
    """

    def __init__(self, door: Door, rate: float) -> None:
        super().__init__("pika", rate)
        self._door = door
        # The delivery tags of publications are 1, 2, 3..., as the numbers are.
        self._unconfirmed: deque[int] = deque()
        self._leaving = False

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        connection = await _opened(self._door)
        connection.add_on_close_callback(self._closed)
        publishing, consuming = [await self._channel(connection) for _ in range(2)]
        await _called(lambda done: consuming.queue_declare(self.queue, durable=True, callback=done))
        await _called(lambda done: consuming.basic_qos(prefetch_count=200, callback=done))
        consuming.basic_consume(self.queue, self._on_message)
        publishing.confirm_delivery(self._on_confirm)
        try:
            async with running(self._publish(publishing)):
                yield
        finally:
            self._leaving = True
            if connection.is_open:
                await _called(lambda done: _close(connection, done))

    async def _channel(self, connection: AsyncioConnection) -> Any:
        channel = await _called(lambda done: connection.channel(on_open_callback=done))
        channel.add_on_close_callback(self._closed)
        channel.add_on_return_callback(lambda *why: self.record.trouble.append(f"returned {why}"))
        return channel

    async def _publish(self, channel: Any) -> None:
        async for numbers in self.numbers():
            for number in numbers:
                channel.basic_publish("", self.queue, b"%d" % number, _PERSISTENT, mandatory=True)
                self._unconfirmed.append(number)

    def _on_confirm(self, frame: Any) -> None:
        confirm = frame.method
        if not isinstance(confirm, pika.spec.Basic.Ack):
            self.record.trouble.append(f"{confirm}")
        elif confirm.multiple:
            while self._unconfirmed and self._unconfirmed[0] <= confirm.delivery_tag:
                self.record.on_confirmed(self._unconfirmed.popleft())
        else:
            self._unconfirmed.remove(confirm.delivery_tag)
            self.record.on_confirmed(confirm.delivery_tag)

    def _on_message(self, channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self.record.on_delivered(int(body))
        channel.basic_ack(method.delivery_tag)
        self.record.on_settled([int(body)])

    def _closed(self, what: object, why: object) -> None:
        if not self._leaving:
            self.record.trouble.append(f"{what} was closed: {why!r}")


async def _opened(door: Door) -> AsyncioConnection:
    opened: asyncio.Future[AsyncioConnection] = asyncio.get_running_loop().create_future()
    AsyncioConnection(
        door.parameters(),
        on_open_callback=opened.set_result,
        on_open_error_callback=lambda _, error: opened.set_exception(error),
    )
    return await asyncio.wait_for(opened, 30)


async def _called(call: Callable[[Callable[[Any], None]], object]) -> Any:
    """Call with a callback; what that is called with."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    call(done.set_result)
    return await asyncio.wait_for(done, 30)


def _close(connection: AsyncioConnection, done: Callable[[Any], None]) -> None:
    connection.add_on_close_callback(lambda _, why: done(why))
    connection.close()
