"""`python -m benchmarks.drills`: all drills, with all their rounds, and their figures.

The same drills as in `tests/e2e`, which run few rounds of each. What must hold (nothing lost,
nothing accepted twice, no commit under an epoch that is over) is asserted by the drills themselves:
a run that prints its table has proved it. Exit code 1 when a bound of the issue is missed.
"""

from __future__ import annotations

import os

# Before gRPC is imported: its fork handlers disturb the start of the clusters' processes.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.support import broker_drills, drills
from tests.support.cluster import Cluster

Drill = Callable[[Cluster, drills.Figures], Awaitable[None]]
LEADER_TTL, NODE_TTL = 2, 3
MESSAGES_A_SECOND = 2_000


class Plan(NamedTuple):
    """One drill: on what cluster, how often, and the bounds (milliseconds) of its figure, if any
    has bounds."""

    drill: Drill
    rounds: int
    cluster: Mapping[str, Any]
    figure: str
    p50: float | None
    longest: float | None


def plans(share: float) -> dict[str, Plan]:
    """All drills, with this share of their rounds."""

    def times(rounds: int) -> int:
        return max(1, round(rounds * share))

    def replaced(how: signal.Signals, rounds: int, figure: str) -> Drill:
        async def run(cluster: Cluster, figures: drills.Figures) -> None:
            await drills.replace_leader(
                cluster, rounds=rounds, pending=10_000, how=how, figures=figures, name=figure
            )

        return run

    def others(drill: Callable[..., Awaitable[None]], rounds: int, **more: object) -> Drill:
        async def run(cluster: Cluster, figures: drills.Figures) -> None:
            await drill(cluster, rounds=rounds, figures=figures, **more)

        return run

    busy = {"agents": 2, "slots": 3}
    wide = {"agents": 3, "slots": 4, "agent_ttl": NODE_TTL}
    killed = "SIGKILL of the leader -> first start under the next epoch"
    left = "SIGTERM of the leader -> first start under the next epoch"
    kill, leave, stop, node, halt, etcd, everything = map(times, (30, 10, 10, 20, 5, 10, 5))
    broker = times(20)
    return {
        "leader-killed": Plan(
            replaced(signal.SIGKILL, kill, killed), kill, busy, killed, 100, 1_000
        ),
        "leader-leaves": Plan(replaced(signal.SIGTERM, leave, left), leave, busy, left, None, 200),
        "leader-stopped": Plan(
            others(drills.stop_leader, stop, ttl=LEADER_TTL),
            stop,
            {"lease_ttl": LEADER_TTL},
            "stopped leader: woken until it serves",
            None,
            1_000,
        ),
        "node-killed": Plan(
            others(drills.kill_node, node),
            node,
            wide,
            "killed node: until its tasks run elsewhere",
            None,
            1_000,
        ),
        "node-stopped": Plan(
            others(drills.stop_node, halt),
            halt,
            wide,
            "stopped node: until its tasks run elsewhere",
            None,
            (NODE_TTL + 2) * 1_000,
        ),
        "etcd-killed": Plan(
            others(drills.kill_etcd, etcd),
            etcd,
            busy,
            "killed etcd: serves again until work starts",
            None,
            None,
        ),
        "all-killed": Plan(
            others(drills.kill_everything, everything),
            everything,
            busy,
            "all killed: all serve again until work starts",
            None,
            None,
        ),
        "broker-leader-killed": Plan(
            others(broker_drills.kill_broker_leader, broker, rate=MESSAGES_A_SECOND, steady=1_000),
            broker,
            # To import what a scheduler needs would take its standby longer than all the rest.
            {"agents": 0, "loaded": True},
            "",
            None,
            None,
        ),
    }


async def run(plan: Plan, folder: Path) -> drills.Figures:
    """One drill on a cluster of its own."""
    figures = drills.Figures()
    async with Cluster(folder, **{"loaded": False, **plan.cluster}) as cluster:
        await plan.drill(cluster, figures)
    return figures


def main() -> int:
    """Run the drills that were named, or all of them."""
    known = plans(1.0)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drills", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--share", type=float, default=1.0, help="of the rounds, such as 0.1")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in known:
            parser.error(f"no drill {name!r}; there are {', '.join(known)}")
    chosen = plans(arguments.share)
    console = Console(highlight=False, width=150)
    table = Table("drill", "rounds", "figure", "n", "p50", "max", "bound", "seconds")
    missed = False
    for name in arguments.names or chosen:
        plan = chosen[name]
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="quorate-drill-") as folder:
            figures = asyncio.run(run(plan, Path(folder)))
        took = f"{time.monotonic() - began:.0f}"
        for figure, seconds in figures.values.items():
            values = [value * 1_000 for value in seconds]
            middle, longest = statistics.median(values), max(values)
            bound = _bound(plan) if figure == plan.figure else ""
            if figure == plan.figure:
                missed |= plan.p50 is not None and middle > plan.p50
                missed |= plan.longest is not None and longest > plan.longest
            row = (name, f"{plan.rounds}", figure, f"{len(values)}")
            table.add_row(*row, f"{middle:.0f} ms", f"{longest:.0f} ms", bound, took)
        console.print(f"{name}: {took} s, all that must hold did")
        for note in figures.notes:
            console.print(f"  {note}")
    console.print(table)
    return int(missed)


def _bound(plan: Plan) -> str:
    bounds: Final = (("p50", plan.p50), ("max", plan.longest))
    return ", ".join(f"{what} <= {limit:g} ms" for what, limit in bounds if limit is not None)


if __name__ == "__main__":
    sys.exit(main())
