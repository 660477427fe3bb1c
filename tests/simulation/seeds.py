"""`python -m tests.simulation.seeds --seeds N`: many seeded histories of a whole cluster.

Each core has a process of its own. Each seed that failed is printed with the command that repeats
it, and the exit code is then 1. What a seed plays is in `tests.simulation.kinds`; whether the
simulation finds faults at all is tested by `test_planted_faults` and its neighbours.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from tests.simulation.kinds import BY_NAME, kind_of
from tests.simulation.world import World, play

# Virtual seconds of faults in one history: long enough for a few leaders and lost nodes. What
# follows (everything ends, everything expires) takes minutes more of virtual time.
SECONDS = 4.0
# Failures in full, before only their seeds are printed.
SHOWN = 5


class Played(NamedTuple):
    """What came of one seed."""

    seed: int
    steps: int
    terms: int
    # Empty when every promise was kept.
    failure: str
    kind: str = ""
    # Of this process's time.
    seconds: float = 0.0


class Plan(NamedTuple):
    """One seed, for how many virtual seconds it is played, and in which kind of world; "": that
    of its number."""

    seed: int
    seconds: float
    kind: str = ""

    @property
    def world(self) -> type[World]:
        """What it plays."""
        return BY_NAME[self.kind] if self.kind else kind_of(self.seed)


def quiet() -> None:
    """Drop the log lines of this process: leaders of a simulation lose etcd all the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def played(plan: Plan) -> Played:
    """Play one seed."""
    kind = plan.world.__name__.lower()
    began = time.process_time()
    try:
        world = play(plan.world, plan.seed, plan.seconds)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is what the seed found)
        notes = "; ".join(getattr(error, "__notes__", ()))
        return Played(plan.seed, 0, 0, f"{type(error).__name__}: {error} ({notes})", kind)
    took = time.process_time() - began
    return Played(plan.seed, world.steps, world.terms, "", kind, took)


def run(seeds: Sequence[int], seconds: float, processes: int, kind: str = "") -> list[Played]:
    """Play all seeds, with a line of progress where a person looks; in no order."""
    done: list[Played] = []
    began, shows = time.monotonic(), sys.stderr.isatty()
    with multiprocessing.get_context("spawn").Pool(processes, quiet) as pool:
        plans = [Plan(seed, seconds, kind) for seed in seeds]
        for one in pool.imap_unordered(played, plans, chunksize=4):
            done.append(one)
            if one.failure:
                report(one, seconds, sum(1 for other in done if other.failure))
            if shows and len(done) % 10 == 0:
                rate = len(done) / (time.monotonic() - began)
                left = (len(seeds) - len(done)) / rate
                print(f"\r{len(done)} of {len(seeds)}, {left:.0f} s left ", end="", file=sys.stderr)
    if shows:
        print(file=sys.stderr)
    return done


def report(one: Played, seconds: float, failures: int) -> None:
    """Print a seed that failed and how to repeat it."""
    text = one.failure if failures <= SHOWN else "failed too"
    again = f"python -m tests.simulation.seeds --first {one.seed} --seeds 1 --seconds {seconds:g}"
    if one.kind != kind_of(one.seed).__name__.lower():
        again += f" --kind {one.kind}"
    print(f"seed {one.seed}: {text}\n  again: {again}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.seeds", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="number of seeds (default 200)")
    parser.add_argument("--first", type=int, default=0, help="first seed (default 0)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="virtual seconds of faults (default 4)"
    )
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="default: one for each core"
    )
    parser.add_argument(
        "--kind", choices=sorted(BY_NAME), default="", help="kind of world (default: by the seed)"
    )
    parser.add_argument("--times", action="store_true", help="print what each kind cost")
    given = parser.parse_args()
    if given.seeds < 1 or given.first < 0 or given.seconds <= 0 or given.processes < 1:
        parser.error("numbers must be positive")
    began = time.monotonic()
    numbers = range(given.first, given.first + given.seeds)
    done = run(numbers, given.seconds, given.processes, given.kind)
    failures = sum(1 for one in done if one.failure)
    steps, terms = (sum(getattr(one, name) for one in done) for name in ("steps", "terms"))
    print(
        f"{len(done):,} seeds in {time.monotonic() - began:.0f} s: {steps:,} events, "
        f"{terms:,} leadership terms, {failures} failed"
    )
    if given.times:
        _print_times(done)
    return 1 if failures else 0


def _print_times(done: Sequence[Played]) -> None:
    for kind in sorted({one.kind for one in done}):
        of_kind = [one for one in done if one.kind == kind and not one.failure]
        if of_kind:
            seconds = sum(one.seconds for one in of_kind)
            steps = sum(one.steps for one in of_kind)
            each = seconds / len(of_kind)
            print(f"{kind}: {each:.3f} s a seed, {steps / seconds:,.0f} events a second")


if __name__ == "__main__":
    # By its own name: the pool's processes find it by that.
    from tests.simulation import seeds as named

    sys.exit(named.main())
