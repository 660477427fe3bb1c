"""What it costs to find the queues of a message, by the number of bindings of its exchange.

In this process, without a cluster: routing is a part of the leader that does no I/O. Each message
matches one binding (fanout: all of them), and its key is not in the cache of the topic exchange
unless the name of the figure says so.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

from benchmarks.figures import Figure, Findings, at_most
from benchmarks.usage import load_average
from scheduler.core.broker.routing.fields import FieldType, Table, Value, text
from scheduler.core.broker.routing.router import Router
from scheduler.core.broker.routing.rows import (
    Destination,
    DestinationKind,
    Exchange,
    ExchangeType,
    Message,
)

SIZES = (10, 1_000, 10_000)
# A thousand times the bindings may cost this many times as much.
GROWTH = at_most(10.0)
_HOST = "/"
_ROUTES = 5_000


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Each type of exchange, with more and more bindings."""
    findings = Findings()
    for name, (type_, case) in _CASES.items():
        sizes: tuple[int, ...] = SIZES
        if name == "direct" and not quick:
            sizes = (*SIZES, 100_000)
        costs = []
        for count in sizes:
            cost, kib = _measure(type_, case, count, quick=quick)
            costs.append(cost)
            note = f"{kib / count:.1f} KiB for each binding with its queue"
            label = f"{name}, {count:,} bindings"
            findings.figures.append(Figure(label, cost, "us", None, note, load_average()))
        findings.figures.append(
            Figure(f"{name}, growth", costs[-1] / costs[0], "times", GROWTH, "", load_average())
        )
    return findings


# The binding with that number: its key and arguments, and a message that matches it; messages with
# another serial have another key.
_Case = Callable[[int, int], tuple[bytes, Table, Message]]


def _direct(number: int, serial: int) -> tuple[bytes, Table, Message]:
    key = b"key.%d" % number
    return key, (), Message(key)


def _topic(number: int, serial: int) -> tuple[bytes, Table, Message]:
    pattern = (b"site.%d.*.load.#", b"site.%d.#.cpu", b"*.%d.*.load.cpu")[number % 3] % number
    return pattern, (), Message(b"site.%d.rack %d.load.cpu" % (number, serial))


def _topic_cached(number: int, serial: int) -> tuple[bytes, Table, Message]:
    return _topic(number, number)


def _headers(number: int, serial: int) -> tuple[bytes, Table, Message]:
    headers = {"kind": text("report"), "customer": Value(FieldType.INT64, number)}
    return b"", tuple(headers.items()), Message(b"", headers)


def _hash(number: int, serial: int) -> tuple[bytes, Table, Message]:
    return b"1", (), Message(b"key.%d" % serial)


_CASES: dict[str, tuple[ExchangeType, _Case]] = {
    "direct": (ExchangeType.DIRECT, _direct),
    "topic": (ExchangeType.TOPIC, _topic),
    "topic, cached": (ExchangeType.TOPIC, _topic_cached),
    "fanout": (ExchangeType.FANOUT, _direct),
    "headers": (ExchangeType.HEADERS, _headers),
    "consistent hash": (ExchangeType.CONSISTENT_HASH, _hash),
}


def _measure(type_: ExchangeType, case: _Case, count: int, *, quick: bool) -> tuple[float, float]:
    """Microseconds of a route, the best round, and KiB of all bindings."""
    tracemalloc.start()
    router = Router()
    router.create_virtual_host(_HOST)
    router.declare(Exchange(_HOST, "measured", type_))
    empty, _ = tracemalloc.get_traced_memory()
    for number in range(count):
        name = f"queue {number}"
        router.add_queue(_HOST, name)
        key, arguments, _ = case(number, 0)
        router.bind(_HOST, "measured", Destination(DestinationKind.QUEUE, name), key, arguments)
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    best = float("inf")
    for turn in range(2 if quick else 7):
        first = turn * _ROUTES
        # A thousand bindings are used, so that the cache has room for them in the cached case.
        messages = [
            case(serial * 7919 % min(count, 1_000), serial)[2]
            for serial in range(first, first + _ROUTES)
        ]
        router.route(_HOST, "measured", messages[0])
        began = time.process_time()
        for message in messages:
            router.route(_HOST, "measured", message)
        best = min(best, time.process_time() - began)
    return best / _ROUTES * 1e6, (memory - empty) / 1024
