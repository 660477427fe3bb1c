"""Messages a second, beside a quorum queue of RabbitMQ on the same machine in the same run.

100-byte persistent messages; publisher and consumer are processes of their own; one replica each
(an etcd, a RabbitMQ node), which write to the same disk before they confirm. Rounds of both sides
alternate. Without RabbitMQ ours are shown alone. JetStream follows, without a bar, where there is
one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks.broker import jetstream, rabbitmq
from benchmarks.broker.clients.work import Found
from benchmarks.broker.sides import Side, amqp_of, process
from benchmarks.cluster import BenchCluster
from benchmarks.figures import (
    Figure,
    Findings,
    Target,
    at_least,
    at_most,
    median,
    percentile,
    spread,
)
from benchmarks.usage import load_average

_SDK, _AMQP, _RABBIT = "gRPC", "AMQP", "RabbitMQ"


@dataclass(frozen=True, slots=True)
class _Case:
    """One comparison. `least`: of ours as a multiple of RabbitMQ's; 0: no target.

    `filled`: messages for each second that our side and RabbitMQ's find in the queue.
    """

    name: str
    side: str
    ours: str
    theirs: str
    least: float
    filled: tuple[int, int] = (0, 0)


CASES: Final = (
    _Case("publish, confirmed", _SDK, "sdk-stream", "aio-confirmed", 5.0),
    _Case("publish, confirmed, 500 under way", _SDK, "sdk-stream-500", "aio-confirmed", 0.0),
    _Case("consume, ack each", _SDK, "sdk-consume", "aio-consume", 3.0, (40_000, 10_000)),
    _Case("16 one by one", _SDK, "sdk-concurrent", "aio-concurrent", 1.0),
    _Case("1 one by one", _SDK, "sdk-single", "pika-single", 0.6),
    _Case("1 one by one, a call each", _SDK, "sdk-unary", "pika-single", 0.0),
    _Case("pika, publish unconfirmed", _AMQP, "pika-stream", "pika-stream", 0.5),
    _Case("aio-pika, publish confirmed", _AMQP, "aio-confirmed", "aio-confirmed", 0.7),
    _Case(
        "aio-pika, consume, ack each", _AMQP, "aio-consume", "aio-consume", 0.7, (10_000, 10_000)
    ),
    _Case(
        "pika, consume, ack per 100", _AMQP, "pika-consume", "pika-consume", 0.0, (40_000, 30_000)
    ),
    _Case("aio-pika, 16 one by one", _AMQP, "aio-concurrent", "aio-concurrent", 0.8),
    _Case("pika, 1 one by one", _AMQP, "pika-single", "pika-single", 0.0),
)
# Milliseconds of a confirm beyond the bare transaction's.
_ABOVE_TXN: Final = 0.6


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Every case; then what a message takes from publisher to consumer at a steady rate."""
    rounds, seconds = (1, 2.0) if quick else (3, 4.0)
    findings = Findings()
    with ExitStack() as stack:
        cluster = stack.enter_context(BenchCluster(nodes=nodes, slots=slots))
        port = stack.enter_context(amqp_of(cluster))
        # The leader's address first.
        schedulers = ",".join(
            [cluster.leader().address, *(one.address for one in cluster.standbys())]
        )
        sides = {
            _SDK: Side(schedulers, port, "sdk-fill"),
            _AMQP: Side(str(port), port, "pika-fill"),
        }
        if rabbitmq.is_installed():
            there = stack.enter_context(rabbitmq.RabbitMq()).port
            sides[_RABBIT] = Side(str(there), there, "pika-fill")
        measured = _Measured(sides, rounds, seconds)
        for case in CASES:
            findings.figures += measured.rates(case)
        etcd = next(one.address for one in cluster.local.processes if one.role == "etcd")
        findings.figures += _bare(etcd, findings.figures, rounds, seconds)
        findings.figures += measured.paced()
    findings.figures += _jetstream(rounds, seconds)
    return findings


class _Measured:
    """Runs programs, both sides in turn. RabbitMQ's results are kept for cases that share them."""

    def __init__(self, sides: Mapping[str, Side], rounds: int, seconds: float) -> None:
        self._sides = sides
        self._rounds = rounds
        self._seconds = seconds

    def rates(self, case: _Case) -> list[Figure]:
        """The figures of one case: ours, RabbitMQ's, and how many times its rate ours is."""
        ours, theirs = self._rounds_of(case.side, case.ours, case.theirs, case.filled)
        label = f"{case.side}: {case.name}"
        figures = [self._figure(label, ours)]
        if theirs:
            figures.append(self._figure(f"RabbitMQ: {case.theirs}", theirs))
            times = median([one.rate for one in ours]) / median([one.rate for one in theirs])
            target = at_least(case.least) if case.least else None
            figures.append(Figure(f"{label}, of RabbitMQ's", times, "times", target))
        if ours[0].latencies:
            figures += _halves(label, ours)
            if theirs:
                figures += _halves(f"RabbitMQ: {case.theirs}", theirs)
        return figures

    def paced(self) -> list[Figure]:
        """Publish to deliver at a steady rate."""
        figures = []
        for side, program in ((_SDK, "sdk-paced"), (_AMQP, "aio-paced")):
            ours, theirs = self._rounds_of(side, program, "aio-paced", (0, 0))
            for name, founds in ((f"{side}: {program}", ours), (f"RabbitMQ: {program}", theirs)):
                if founds and not (name.startswith("RabbitMQ") and side == _SDK):
                    figures += _shares(f"{name}, 1,000/s, publish to deliver", founds, (0.5, 0.99))
        return figures

    def _rounds_of(
        self, side: str, ours: str, theirs: str, filled: tuple[int, int]
    ) -> tuple[list[Found], list[Found]]:
        found: tuple[list[Found], list[Found]] = ([], [])
        for _ in range(self._rounds):
            for place, name, program in ((0, side, ours), (1, _RABBIT, theirs)):
                if (one := self._sides.get(name)) is not None:
                    count = int(filled[place] * self._seconds)
                    found[place].append(one.run(program, self._seconds, count))
        return found

    def _figure(self, name: str, founds: Sequence[Found]) -> Figure:
        rates = [one.rate for one in founds]
        note = spread(rates)
        if not self._sides.get(_RABBIT):
            note = f"{note}; {rabbitmq.INSTALL}"
        return Figure(name, median(rates), "messages/s", None, note, load_average())


def _halves(name: str, founds: Sequence[Found]) -> list[Figure]:
    return _shares(name, founds, (0.5,))


def _shares(name: str, founds: Sequence[Found], shares: Sequence[float]) -> list[Figure]:
    took = [one for found in founds for one in found.latencies]
    return [
        Figure(f"{name}, p{share * 100:.0f}", percentile(took, share), "ms", None)
        for share in shares
    ]


def _bare(etcd: str, figures: Sequence[Figure], rounds: int, seconds: float) -> list[Figure]:
    """The bare transaction, and how much longer our confirm takes."""
    founds = [process("etcd-single", etcd, "", seconds, 0) for _ in range(rounds)]
    bare = _halves("etcd: bare transaction of a message", founds)
    single = next(f for f in figures if f.name == f"{_SDK}: 1 one by one, p50")
    above = single.value - bare[0].value
    target: Target = at_most(_ABOVE_TXN)
    return [*bare, Figure(f"{single.name}, above the bare one's", above, "ms", target)]


def _jetstream(rounds: int, seconds: float) -> list[Figure]:
    """The same with JetStream, which does not sync before it confirms."""
    if not jetstream.is_installed():
        return []
    figures = []
    with jetstream.serving() as port:
        for name, (program, filled) in jetstream.CASES.items():
            founds = [jetstream.run(port, program, seconds, filled) for _ in range(rounds)]
            rates = [one.rate for one in founds]
            note = f"{spread(rates)}; {jetstream.UNSYNCED}"
            label = f"JetStream: {name}"
            figures.append(Figure(label, median(rates), "messages/s", None, note, load_average()))
        founds = [jetstream.run(port, jetstream.PACED, seconds) for _ in range(rounds)]
        label = f"JetStream: {jetstream.PACED}, 1,000/s, publish to deliver"
        figures += _shares(label, founds, (0.5, 0.99))
    return figures
