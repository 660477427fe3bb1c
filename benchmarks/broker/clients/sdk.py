"""Programs that use the SDK over gRPC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import uvloop

from benchmarks.broker.clients.work import (
    BODY,
    CONCURRENT,
    OUTSTANDING,
    PACED,
    Found,
    Program,
    Programs,
    Work,
)
from quorate import AsyncClient, Client


def _stream(work: Work, outstanding: int = 1_000) -> Found:
    """One producer of a synchronous program; counted when all are confirmed."""
    with (
        Client(work.target) as client,
        client.producer(queue=work.queue, max_messages=outstanding) as producer,
    ):
        send, sent = producer.send, 0
        send(BODY).result()
        began = time.monotonic()
        end = began + work.seconds
        while time.monotonic() < end:
            for _ in range(100):
                send(BODY)
            sent += 100
        producer.flush()
        return Found(sent, time.monotonic() - began)


def _fill(work: Work) -> Found:
    with Client(work.target) as client:
        began = time.monotonic()
        with client.producer(queue=work.queue, max_messages=10_000) as producer:
            for _ in range(work.count):
                producer.send(BODY)
            producer.flush()
        return Found(work.count, time.monotonic() - began)


def _consume(work: Work) -> Found:
    """One consumer, an ack for each; counted when the acks are durable."""
    with Client(work.target) as client, client.consume(work.queue, prefetch=OUTSTANDING) as got:
        count, began = 0, time.monotonic()
        end = began + work.seconds
        for delivery in got:
            delivery.ack()
            count += 1
            if count == work.count or (not count % 64 and time.monotonic() > end):
                break
        got.flush()
        return Found(count, time.monotonic() - began)


def _single(work: Work) -> Found:
    """One after the other on a stream, each confirmed before the next."""
    with Client(work.target) as client, client.producer(queue=work.queue) as producer:
        return _one_by_one(lambda: producer.send(BODY).result(), work.seconds)


def _unary(work: Work) -> Found:
    """One call for each."""
    with Client(work.target) as client:
        return _one_by_one(lambda: client.publish_to_queue(work.queue, BODY), work.seconds)


def _one_by_one(publish: Callable[[], object], seconds: float) -> Found:
    for _ in range(50):
        publish()
    took = []
    began = now = time.perf_counter()
    while now < began + seconds:
        publish()
        before, now = now, time.perf_counter()
        took.append((now - before) * 1000)
    return Found(len(took), now - began, took)


async def _concurrent(work: Work) -> Found:
    """Publishers that each wait for their confirm before they send again."""
    async with AsyncClient(work.target) as client, client.producer(queue=work.queue) as producer:

        async def publish() -> None:
            await (await producer.send(BODY))

        await publish()
        return await together(publish, CONCURRENT, work.seconds)


async def together(publish: Callable[[], Awaitable[object]], many: int, seconds: float) -> Found:
    """So many loops of one after the other."""
    began = time.monotonic()
    end = began + seconds

    async def loop() -> int:
        count = 0
        while time.monotonic() < end:
            await publish()
            count += 1
        return count

    counts = await asyncio.gather(*(loop() for _ in range(many)))
    return Found(sum(counts), time.monotonic() - began)


async def _paced(work: Work) -> Found:
    """Milliseconds from publishing to delivery, at a fixed rate."""
    took: list[float] = []
    async with (
        AsyncClient(work.target) as client,
        client.producer(queue=work.queue) as producer,
        client.consume(work.queue, prefetch=OUTSTANDING) as got,
    ):

        async def read() -> None:
            async for delivery in got:
                took.append(since(bytes(delivery.body)))
                await delivery.ack()

        reader = asyncio.create_task(read())
        count = await at_rate(producer.send, work.seconds)
        await producer.flush()
        await arrived(took, count)
        reader.cancel()
        await asyncio.wait((reader,))
    return Found(count, work.seconds, took)


async def at_rate(publish: Callable[[bytes], Awaitable[object]], seconds: float) -> int:
    """Publish `PACED` messages a second; each says when it was sent."""
    began = time.perf_counter()
    count = int(seconds * PACED)
    for number in range(count):
        late = began + number / PACED - time.perf_counter()
        if late > 0:
            await asyncio.sleep(late)
        await publish(b"%-100d" % time.perf_counter_ns())
    return count


async def arrived(took: Sequence[float], count: int) -> None:
    """Until so many were delivered."""
    while len(took) < count:  # noqa: ASYNC110 (to wake somebody for each would be measured)
        await asyncio.sleep(0.01)


def since(body: bytes) -> float:
    """Milliseconds since a message of `at_rate` was sent."""
    return (time.perf_counter_ns() - int(body)) / 1e6


def looped(program: Callable[[Work], Coroutine[Any, Any, Found]]) -> Program:
    """A coroutine as a program: on uvloop, as both clients' authors advise."""
    return lambda work: uvloop.run(program(work))


PROGRAMS: Programs = {
    "sdk-stream": _stream,
    "sdk-stream-500": partial(_stream, outstanding=OUTSTANDING),
    "sdk-fill": _fill,
    "sdk-consume": _consume,
    "sdk-single": _single,
    "sdk-unary": _unary,
    "sdk-concurrent": looped(_concurrent),
    "sdk-paced": looped(_paced),
}
