"""Many queues: a fanout to 100, a topic exchange with 10,000 bindings, 10,000 idle queues.

What routing alone costs is measured by `routing`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.broker.clients.work import BODY
from benchmarks.cluster import BenchCluster
from benchmarks.figures import Figure, Findings, percentile
from benchmarks.scheduling.idle_schedules import share
from benchmarks.usage import load_average, resident
from quorate import Client

FANOUT = 100
BINDINGS = 10_000
IDLE = 10_000
_THREADS = 16
_SECONDS = 4.0


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """All three, in one cluster."""
    part = 10 if quick else 1
    findings = Findings()

    def figure(name: str, value: float, unit: str, note: str = "") -> None:
        findings.figures.append(Figure(name, value, unit, None, note, load_average()))

    with BenchCluster(nodes=nodes, slots=slots) as cluster, cluster.client() as client:
        leader = cluster.leader().pid
        _fanout(client, figure)
        _topic(client, BINDINGS // part, figure)
        before, idle = resident(leader), share(leader, _SECONDS)
        alone = _single(client)
        count = IDLE // part
        began = time.monotonic()
        _each(range(count), lambda number: client.declare_queue(f"idle-{number}"))
        rate = count / (time.monotonic() - began)
        name = f"{count:,} idle queues"
        figure(f"{name}: declared", rate, "queues/s", f"by {_THREADS} threads")
        kib = (resident(leader) - before) / count * 1024
        figure(f"{name}: leader", kib, "KiB each", f"{before:,.0f} MiB before")
        note = f"of a core; {idle:.2f} % before"
        figure(f"{name}: leader", share(leader, _SECONDS), "%", note)
        note = f"{alone:.2f} ms before"
        figure(f"{name}: a confirm to another queue, p50", _single(client), "ms", note)
    return findings


_Show = Callable[[str, float, str, str], None]


def _fanout(client: Client, figure: _Show) -> None:
    client.declare_exchange("everybody", "fanout")
    for number in range(FANOUT):
        client.declare_queue(f"copy-{number}")
        client.bind(f"copy-{number}", "everybody")
    rate = _streamed(client, "everybody", lambda number: "")
    note = f"{rate * FANOUT:,.0f} copies/s, confirmed"
    figure(f"fanout to {FANOUT} queues", rate, "messages/s", note)
    client.delete_exchange("everybody")
    for number in range(FANOUT):
        client.delete_message_queue(f"copy-{number}")


def _topic(client: Client, bindings: int, figure: _Show) -> None:
    client.declare_queue("sites", max_length=1_000)
    done = 0
    client.declare_exchange("topics", "topic")
    for count in (10, bindings):
        _each(
            range(done, count),
            lambda number: client.bind("sites", "topics", f"site.{number}.*.load.#"),
        )
        done = count
        few = min(count, 1_000)
        rate = _streamed(
            client,
            "topics",
            lambda number, few=few: f"site.{number % few}.rack {number}.load.cpu",  # type: ignore[misc]
        )
        figure(f"topic, {count:,} bindings", rate, "messages/s", "each with a key of its own")


def _streamed(client: Client, exchange: str, key: Callable[[int], str]) -> float:
    """Messages a second, until the last is confirmed."""
    with client.producer(exchange, mandatory=True) as producer:
        producer.send(BODY, routing_key=key(0)).result()
        began, count = time.monotonic(), 0
        while time.monotonic() < began + _SECONDS:
            for _ in range(20):
                producer.send(BODY, routing_key=key(count))
                count += 1
        producer.flush()
        return count / (time.monotonic() - began)


def _single(client: Client) -> float:
    """Milliseconds of a confirm."""
    client.declare_queue("single", max_length=1_000)
    took = []
    with client.producer(queue="single") as producer:
        for _ in range(500):
            began = time.perf_counter()
            producer.send(BODY).result()
            took.append((time.perf_counter() - began) * 1000)
    return percentile(took, 0.5)


def _each(numbers: Iterable[int], call: Callable[[int], object]) -> None:
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(call, numbers))
