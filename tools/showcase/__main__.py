"""`python -m tools.showcase`: make each fault, see who says so and when, mend it.

Exit code 1 if something did not say so, or said so for too long.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from quorate.v1 import cluster_pb2
from tools.showcase.cluster import Showcase, wait_until
from tools.showcase.faults import FAULTS, QUEUES, Fault, doctor_says

console = Console(highlight=False)


class Seen(NamedTuple):
    """What said so of a fault. Seconds; "": it did."""

    appeared: float
    doctor: bool
    gone: float
    missed: str


def main() -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.showcase", description=__doc__)
    names = [fault.name for fault in FAULTS]
    parser.add_argument(
        "--only", action="append", choices=names, metavar="FAULT", help=f"of {', '.join(names)}"
    )
    parser.add_argument(
        "--tasks", type=int, default=200_000, help="that wait meanwhile (default 200000)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the cluster up until Ctrl-C, to look at it"
    )
    arguments = parser.parse_args()
    faults = [one for one in FAULTS if not arguments.only or one.name in arguments.only]
    with Showcase() as showcase:
        console.print(f"dashboard: {showcase.gateway}")
        _occupy(showcase, arguments.tasks)
        seen = {fault: _play(showcase, fault) for fault in faults}
        _print(seen)
        if arguments.keep:
            console.print("up until Ctrl-C; dashboard: " + showcase.gateway)
            try:
                while True:
                    time.sleep(3600.0)
            except KeyboardInterrupt:
                pass
    return int(any(one.missed for one in seen.values()))


def _occupy(showcase: Showcase, tasks: int) -> None:
    """Many tasks that run a while each, so that all slots are busy."""
    began = time.monotonic()
    for name in QUEUES:
        showcase.cli("queue", "create", name)
    with showcase.client() as client:
        queue = client.options(queue="sweep")
        left = tasks
        while left > 0:
            some = min(left, 5_000)
            queue.submit_many(time.sleep, [(0.2,)] * some)
            left -= some
    console.print(f"{tasks:,} tasks were submitted in {time.monotonic() - began:.1f} s")


def _play(showcase: Showcase, fault: Fault) -> Seen:
    console.print(f"{fault.name}: {fault.what}")
    fault.make(showcase)
    missed = ""
    appeared = gone = -1.0
    said = False
    try:
        appeared = wait_until(
            lambda: _problem(showcase, fault) is not None, fault.bound, "the verdict has it not"
        )
        said = doctor_says(showcase, fault)
        if not said:
            missed = "doctor does not say so"
    except TimeoutError as error:
        missed = str(error)
    fault.mend(showcase)
    try:
        gone = wait_until(
            lambda: _problem(showcase, fault) is None, 2 * fault.bound, "it does not go"
        )
    except TimeoutError as error:
        missed = missed or str(error)
    console.print(f"  {missed or 'seen, and gone when mended'}")
    return Seen(appeared, said, gone, missed)


def _problem(showcase: Showcase, fault: Fault) -> cluster_pb2.Problem | None:
    for one in showcase.state().problems:
        if one.code == fault.code and fault.about in f"{one.name} {one.sentence}":
            return one
    return None


def _print(seen: dict[Fault, Seen]) -> None:
    table = Table("fault and its alert", "problem", "seen", "bound", "doctor", "gone")
    for fault, one in seen.items():
        table.add_row(
            f"{fault.what}\n[dim]{fault.alert}[/]",
            fault.code,
            f"{one.appeared:.1f} s" if one.appeared >= 0.0 else "[red]no[/]",
            f"{fault.bound:.0f} s",
            "yes" if one.doctor else "[red]no[/]",
            f"{one.gone:.1f} s" if one.gone >= 0.0 else "[red]no[/]",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
