"""What mutual TLS costs: two clusters, one with it, in turns, so that both see the same load."""

from __future__ import annotations

from benchmarks.cluster import BenchCluster
from benchmarks.figures import Figure, Findings, at_least, median, spread
from benchmarks.load import durably, warm_up
from benchmarks.usage import CpuMeter, load_average

TARGET = at_least(0.85)


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Pairs of rounds; each gives a ratio, and the first of a pair changes from round to round."""
    count, rounds = (5_000, 2) if quick else (50_000, 6)
    findings = Findings()
    names = ("no-op tasks, plaintext", "no-op tasks, mutual TLS")
    rates: tuple[list[float], list[float]] = ([], [])
    with (
        BenchCluster(nodes=nodes, slots=slots) as plain,
        BenchCluster(nodes=nodes, slots=slots, tls=True) as locked,
    ):
        clusters = (plain, locked)
        for cluster in clusters:
            warm_up(cluster)
        for number in range(rounds):
            for which in (0, 1) if number % 2 else (1, 0):
                meter = CpuMeter(clusters[which])
                rates[which].append(durably(clusters[which], f"round{number}", count))
                if number == rounds - 1:
                    findings.costs.append(meter.cost(names[which], count))
    for name, measured in zip(names, rates, strict=True):
        note = f"{count:,} tasks, leader + standby; {spread(measured)}"
        findings.figures.append(
            Figure(name, median(measured), "tasks/s", None, note, load_average())
        )
    ratios = [tls / plain for plain, tls in zip(*rates, strict=True)]
    note = f"of {rounds} pairs of rounds, {min(ratios):.2f} to {max(ratios):.2f}"
    findings.figures.append(
        Figure("throughput with TLS / without", median(ratios), "", TARGET, note)
    )
    return findings
