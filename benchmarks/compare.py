"""`python -m benchmarks.compare --old DIR`: this tree against another one, in one run.

Each tree has a cluster of its own, of its own code and with its own SDK (`benchmarks.compared`
under the interpreter of that tree's `.venv`), and both are up all the time. Rounds alternate, and
so does who begins one: whatever else the machine does meets both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.table import Table

from benchmarks.figures import median, percentile

# Of the old one's.
MOST_LATENCY, LEAST_RATE = 0.9, 0.95
_CHILD = Path(__file__).with_name("compared.py")
_ROOT = Path(__file__).parent.parent


class Tree:
    """A tree's cluster, in a process of its own while the `with` block lasts."""

    def __init__(self, root: Path, nice: int) -> None:
        python = root / ".venv" / "bin" / "python"
        environment = {**os.environ, "PYTHONPATH": str(root), "QUORATE_BENCH_NICE": str(nice)}
        self._process = subprocess.Popen(
            # -P: the tree's own package of benchmarks, not this one's.
            [python, "-P", str(_CHILD)],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # It ends its cluster when nothing more is asked.
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def measure(self, what: str, count: int) -> Any:
        """The figures of one round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what} {count}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def main() -> int:
    """Measure; 1 when the new one misses a bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--old", type=Path, required=True, metavar="DIR", help="the other tree")
    parser.add_argument("--rounds", type=int, default=12, help="of each tree (default 12)")
    parser.add_argument("--tasks", type=int, default=100, help="idle tasks a round (default 100)")
    parser.add_argument(
        "--bulk", type=int, default=5_000, help="no-op tasks a round (default 5000)"
    )
    parser.add_argument("--watches", type=int, default=0, help="also create beside so many watches")
    parser.add_argument("--quiet", type=int, default=0, help="also create so many beside a wait")
    parser.add_argument("--nice", type=int, default=0, help="of all that is measured (default 0)")
    arguments = parser.parse_args()
    latencies: dict[str, list[float]] = {"old": [], "new": []}
    rates: dict[str, list[float]] = {"old": [], "new": []}
    with ExitStack() as stack:
        trees = {
            "old": stack.enter_context(Tree(arguments.old.resolve(), arguments.nice)),
            "new": stack.enter_context(Tree(_ROOT, arguments.nice)),
        }
        for number in range(-1, arguments.rounds):
            for name in ("old", "new") if number % 2 else ("new", "old"):
                took = trees[name].measure("latency", arguments.tasks)
                rate = trees[name].measure("throughput", arguments.bulk)
                # The first one warms up.
                if number >= 0:
                    latencies[name] += took
                    rates[name].append(rate)
        others = _others(trees, arguments.watches, arguments.quiet)
    return _report(latencies, rates, others)


def _others(trees: dict[str, Tree], watches: int, quiet: int) -> list[tuple[str, float, float]]:
    """What is measured once, of each tree behind the other."""
    rows: list[tuple[str, float, float]] = []
    if quiet:
        found = {name: tree.measure("quiet", quiet) for name, tree in trees.items()}
        for what in found["old"]:
            name = f"{quiet:,} created beside a wait: {what}"
            rows.append((name, found["old"][what], found["new"][what]))
    for number in (0, watches) if watches else ():
        rates = {name: float(tree.measure("creates", number)) for name, tree in trees.items()}
        rows.append((f"creates a second beside {number} watches", rates["old"], rates["new"]))
    return rows


def _report(
    latencies: dict[str, list[float]],
    rates: dict[str, list[float]],
    others: list[tuple[str, float, float]],
) -> int:
    rows: list[tuple[str, float, float]] = [
        (
            f"submit -> result, p{share * 100:.0f}, ms",
            percentile(latencies["old"], share),
            percentile(latencies["new"], share),
        )
        for share in (0.5, 0.9, 0.99)
    ]
    rows.append(("no-op tasks a second", median(rates["old"]), median(rates["new"])))
    table = Table("", "old", "new", "new / old")
    for what, old, new in rows + others:
        table.add_row(what, f"{old:,.2f}", f"{new:,.2f}", f"{new / old:.3f}")
    Console(highlight=False).print(table)
    (_, old_p50, new_p50), (_, old_rate, new_rate) = rows[0], rows[-1]
    return int(new_p50 > MOST_LATENCY * old_p50 or new_rate < LEAST_RATE * old_rate)


if __name__ == "__main__":
    sys.exit(main())
