"""Programs that use pika: the same against Quorate's AMQP and RabbitMQ's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika

from benchmarks.broker.clients.work import BODY, OUTSTANDING, Found, Programs, Work

_PERSISTENT = pika.BasicProperties(delivery_mode=2)
# An ack covers so many deliveries.
_TOGETHER = 100


@contextmanager
def channel(port: str | int) -> Iterator[Any]:
    """A channel of its own connection."""
    parameters = pika.ConnectionParameters("127.0.0.1", int(port), heartbeat=0)
    with pika.BlockingConnection(parameters) as connection:
        yield connection.channel()


def _publish(found: Any, queue: str) -> None:
    found.basic_publish("", queue, BODY, _PERSISTENT)


def _stream(work: Work) -> Found:
    """Without confirms; counted when all are in the queue."""
    with channel(work.target) as found:
        sent, began = 0, time.monotonic()
        end = began + work.seconds
        while time.monotonic() < end:
            for _ in range(100):
                _publish(found, work.queue)
            sent += 100
        _arrived(found, work.queue, sent)
        return Found(sent, time.monotonic() - began)


def _fill(work: Work) -> Found:
    with channel(work.target) as found:
        began = time.monotonic()
        for _ in range(work.count):
            _publish(found, work.queue)
        _arrived(found, work.queue, work.count)
        return Found(work.count, time.monotonic() - began)


def _arrived(found: Any, queue: str, count: int) -> None:
    while found.queue_declare(queue, passive=True).method.message_count < count:
        time.sleep(0.01)


def _single(work: Work) -> Found:
    """One after the other, each confirmed before the next."""
    with channel(work.target) as found:
        found.confirm_delivery()
        for _ in range(50):
            _publish(found, work.queue)
        took = []
        began = now = time.perf_counter()
        while now < began + work.seconds:
            _publish(found, work.queue)
            before, now = now, time.perf_counter()
            took.append((now - before) * 1000)
        return Found(len(took), now - began, took)


def _consume(work: Work) -> Found:
    """One consumer, an ack for each hundred deliveries; the channel is closed behind them."""
    with channel(work.target) as found:
        found.basic_qos(prefetch_count=OUTSTANDING)
        count, began = 0, time.monotonic()
        end = began + work.seconds
        for method, _, _ in found.consume(work.queue):
            count += 1
            if not count % _TOGETHER:
                found.basic_ack(method.delivery_tag, multiple=True)
                if count >= work.count or time.monotonic() > end:
                    break
        found.cancel()
        found.close()
        return Found(count, time.monotonic() - began)


PROGRAMS: Programs = {
    "pika-stream": _stream,
    "pika-fill": _fill,
    "pika-single": _single,
    "pika-consume": _consume,
}
