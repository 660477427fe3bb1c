"""Programs that use JetStream with nats-py. `target`: a port; the queue is a stream of a file."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from benchmarks.broker.clients.sdk import arrived, at_rate, looped, since, together
from benchmarks.broker.clients.work import (
    BODY,
    CONCURRENT,
    OUTSTANDING,
    Found,
    Programs,
    Work,
)

# Of one request for messages.
_FETCHED = 500
_PATIENCE = 5.0


@asynccontextmanager
async def _stream(work: Work) -> AsyncIterator[Any]:
    """The context of a stream, which is there from now on."""
    import nats

    connection = await nats.connect(f"nats://127.0.0.1:{work.target}")
    try:
        context = connection.jetstream()
        await context.add_stream(name=work.queue, subjects=[work.queue])
        yield context
    finally:
        await connection.close()


async def _confirmed(work: Work, outstanding: int) -> Found:
    """So many at a time, each acknowledged by the server before the next takes its place."""
    async with _stream(work) as context:

        async def publish() -> None:
            await context.publish(work.queue, BODY)

        await publish()
        return await together(publish, outstanding, work.seconds)


async def _consume(work: Work) -> Found:
    """Fill the stream; then one consumer, which asks for 500 at a time and acknowledges each."""
    async with _stream(work) as context:
        left = work.count

        async def publish() -> None:
            nonlocal left
            left -= 1
            await context.publish(work.queue, BODY)

        while left > 0:
            await together(publish, OUTSTANDING, 0.5)
        subscription = await context.pull_subscribe(work.queue, durable="bench")
        count, began = 0, time.monotonic()
        while count < work.count and time.monotonic() < began + work.seconds:
            for message in await subscription.fetch(_FETCHED, timeout=_PATIENCE):
                await message.ack()
                count += 1
        # The server has the acknowledgements that were written before this.
        await subscription.consumer_info()
        return Found(count, time.monotonic() - began)


async def _paced(work: Work) -> Found:
    """Milliseconds from publishing to delivery, at a fixed rate."""
    took: list[float] = []

    async def on_message(message: Any) -> None:
        took.append(since(message.data))
        await message.ack()

    async with _stream(work) as context:
        await context.subscribe(work.queue, cb=on_message, manual_ack=True)
        count = await at_rate(partial(context.publish, work.queue), work.seconds)
        await arrived(took, count)
    return Found(count, work.seconds, took)


PROGRAMS: Programs = {
    "jetstream-confirmed": looped(partial(_confirmed, outstanding=OUTSTANDING)),
    "jetstream-concurrent": looped(partial(_confirmed, outstanding=CONCURRENT)),
    "jetstream-single": looped(partial(_confirmed, outstanding=1)),
    "jetstream-consume": looped(_consume),
    "jetstream-paced": looped(_paced),
}
