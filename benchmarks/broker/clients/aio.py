"""Programs that use aio-pika: the same against Quorate's AMQP and RabbitMQ's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from benchmarks.broker.clients.sdk import arrived, at_rate, looped, since, together
from benchmarks.broker.clients.work import (
    BODY,
    CONCURRENT,
    OUTSTANDING,
    Found,
    Programs,
    Work,
)


@asynccontextmanager
async def _channel(work: Work) -> AsyncIterator[AbstractChannel]:
    connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{work.target}/")
    async with connection:
        yield await connection.channel()


async def _confirmed(work: Work, outstanding: int) -> Found:
    """So many at a time, each confirmed before the next takes its place."""
    async with _channel(work) as channel:
        exchange = channel.default_exchange

        async def publish() -> None:
            message = aio_pika.Message(BODY, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await exchange.publish(message, work.queue)

        await publish()
        return await together(publish, outstanding, work.seconds)


async def _consume(work: Work) -> Found:
    """One consumer, an ack for each; the channel is closed behind them."""
    count, end, done = 0, float("inf"), asyncio.Event()

    async def on_message(message: AbstractIncomingMessage) -> None:
        nonlocal count
        if done.is_set():
            return
        await message.ack()
        count += 1
        if count >= work.count or time.monotonic() > end:
            done.set()

    async with _channel(work) as channel:
        await channel.set_qos(OUTSTANDING)
        queue = await channel.get_queue(work.queue)
        began = time.monotonic()
        end = began + work.seconds
        await queue.consume(on_message)
        await done.wait()
        await channel.close()
        return Found(count, time.monotonic() - began)


async def _paced(work: Work) -> Found:
    """Milliseconds from publishing to delivery, at a fixed rate."""
    took: list[float] = []
    confirms: set[asyncio.Task[object]] = set()

    async def on_message(message: AbstractIncomingMessage) -> None:
        took.append(since(message.body))
        await message.ack()

    async with _channel(work) as channel:
        await channel.set_qos(OUTSTANDING)
        await (await channel.get_queue(work.queue)).consume(on_message)
        exchange = channel.default_exchange

        async def publish(body: bytes) -> None:
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            confirms.add(task := asyncio.create_task(exchange.publish(message, work.queue)))
            task.add_done_callback(confirms.discard)

        count = await at_rate(publish, work.seconds)
        await arrived(took, count)
        await asyncio.gather(*confirms)
    return Found(count, work.seconds, took)


PROGRAMS: Programs = {
    "aio-confirmed": looped(partial(_confirmed, outstanding=OUTSTANDING)),
    "aio-concurrent": looped(partial(_confirmed, outstanding=CONCURRENT)),
    "aio-consume": looped(_consume),
    "aio-paced": looped(_paced),
}
