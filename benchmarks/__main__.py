"""`python -m benchmarks [NAME...]`: measure, print one table, exit 1 when a target is missed.

When a benchmark fails, its traceback is printed, the others are measured and shown, and the exit
code is 1.

Without names everything is measured that needs no programs beside ours, what TLS costs included.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.broker import comparing, queued, routing, spread
from benchmarks.failures import failover, rates
from benchmarks.figures import Findings
from benchmarks.gateway import dashboard, live, proxy
from benchmarks.scheduling import explaining, idle_schedules, makespan
from benchmarks.tasks import (
    arrays,
    cancelling,
    commands,
    fairness,
    floods,
    latency,
    memory,
    programs,
    throughput,
    tls,
    workers,
)

BENCHMARKS: Mapping[str, Callable[..., Findings]] = {
    "throughput": throughput.run,
    "arrays": arrays.run,
    "tls": tls.run,
    "latency": latency.run,
    "commands": commands.run,
    "programs": programs.run,
    "workers": workers.run,
    "memory": memory.run,
    "failover": failover.run,
    "rates": rates.run,
    "makespan": makespan.run,
    "explain": explaining.run,
    "schedules": idle_schedules.run,
    "floods": floods.run,
    "fairness": fairness.run,
    "cancelling": cancelling.run,
    "proxy": proxy.run,
    "live": live.run,
    "routing": routing.run,
    "broker": comparing.run,
    "queued": queued.run,
    "spread": spread.run,
    "dashboard": dashboard.run,
}

# Those that need programs of the system (RabbitMQ, nginx, wrk, Chromium), flood the machine, or
# take minutes: they are measured when they are named.
ON_REQUEST = (
    "broker",
    "queued",
    "spread",
    "proxy",
    "dashboard",
    "floods",
    "fairness",
    "cancelling",
    "rates",
    "programs",
    "makespan",
    "explain",
    "schedules",
)


def main() -> int:
    """Run the benchmarks that were named, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one round")
    parser.add_argument("--nodes", type=int, default=1, help="node agents")
    parser.add_argument("--slots", type=int, default=2, help="slots of each")
    parser.add_argument(
        "--pending",
        type=int,
        default=0,
        help="tasks that wait when the leader is killed (failover)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    console = Console(highlight=False)
    if not console.is_terminal:
        # A log file wraps nothing.
        console = Console(highlight=False, width=150)
    results: dict[str, Findings] = {}
    failed: list[str] = []
    for name in arguments.names or (one for one in BENCHMARKS if one not in ON_REQUEST):
        options = {"pending": arguments.pending} if name == "failover" else {}
        try:
            with console.status(f"measuring {name}"):
                results[name] = BENCHMARKS[name](
                    quick=arguments.quick, nodes=arguments.nodes, slots=arguments.slots, **options
                )
        except Exception:  # noqa: BLE001 (shown; the other benchmarks keep their figures)
            failed.append(name)
            console.print_exception()
    report.show(console, results)
    if failed:
        console.print(f"failed, see above: {', '.join(failed)}", style="bold red")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report.document(results), indent=2) + "\n")
    figures = [figure for findings in results.values() for figure in findings.figures]
    missed = any(f.target is not None and not f.target.met(f.value) for f in figures)
    return int(missed or bool(failed))


if __name__ == "__main__":
    sys.exit(main())
