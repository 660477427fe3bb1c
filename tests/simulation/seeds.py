"""`python -m tests.simulation.seeds --seeds N`: many seeded histories of a whole cluster.

Each core has a process of its own. Each seed that failed is printed with the command that repeats
it, and the exit code is then 1. What a seed plays is in `tests.simulation.world`; whether the
simulation finds faults at all is tested by `test_planted_faults`.
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


class Plan(NamedTuple):
    """One seed and for how many virtual seconds it is played."""

    seed: int
    seconds: float


def quiet() -> None:
    """Drop the log lines of this process: leaders of a simulation lose etcd all the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def played(plan: Plan) -> Played:
    """Play one seed."""
    try:
        world = play(World, plan.seed, plan.seconds)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is what the seed found)
        notes = "; ".join(getattr(error, "__notes__", ()))
        return Played(plan.seed, 0, 0, f"{type(error).__name__}: {error} ({notes})")
    return Played(plan.seed, world.steps, world.terms, "")


def run(seeds: Sequence[int], seconds: float, processes: int) -> list[Played]:
    """Play all seeds, with a line of progress where a person looks; in no order."""
    done: list[Played] = []
    began, shows = time.monotonic(), sys.stderr.isatty()
    with multiprocessing.get_context("spawn").Pool(processes, quiet) as pool:
        plans = [Plan(seed, seconds) for seed in seeds]
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
    given = parser.parse_args()
    if given.seeds < 1 or given.first < 0 or given.seconds <= 0 or given.processes < 1:
        parser.error("numbers must be positive")
    began = time.monotonic()
    numbers = range(given.first, given.first + given.seeds)
    done = run(numbers, given.seconds, given.processes)
    failures = sum(1 for one in done if one.failure)
    steps, terms = (sum(getattr(one, name) for one in done) for name in ("steps", "terms"))
    print(
        f"{len(done):,} seeds in {time.monotonic() - began:.0f} s: {steps:,} events, "
        f"{terms:,} leadership terms, {failures} failed"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    # By its own name: the pool's processes find it by that.
    from tests.simulation import seeds as named

    sys.exit(named.main())
