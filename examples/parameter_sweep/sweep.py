"""Runs a program once for each row of a CSV file, as one job, and puts the results together.

    python examples/parameter_sweep/sweep.py parameters.csv OUTPUT [--max-parallel 50]

Each row is one item. As JSON it takes the place of `{}` in the program's arguments, and its index
the place of `{index}`. The program writes a file for each row; `OUTPUT/results.csv` has them all.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import quorate

PROGRAM = Path(__file__).absolute().with_name("epidemic.py")


def main(arguments: list[str] | None = None) -> int:
    """Submit the job, wait for it, gather the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parameters", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--max-parallel", type=int, default=0, help="runs at once (0: no limit)")
    options = parser.parse_args(arguments)
    output = options.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    with quorate.Client() as client:
        job = client.array(
            [sys.executable, PROGRAM, "{}", f"{output}/{{index}}.json"],
            rows(options.parameters),
            name="epidemics",
            max_parallel=options.max_parallel,
            timeout=60,
        )
        print(f"job {job.id}")
        done = job.wait()
        print(f"{job.progress} in {done.finish_time.seconds - done.create_time.seconds} s")
        for one in job.ranges(["failed"]):
            print(f"rows {one.first_index} to {one.last_index} failed", file=sys.stderr)
        if not done.counts.succeeded:
            return 1
    gather(output, done.count)
    return 0 if done.counts.succeeded == done.count else 1


def rows(path: Path) -> Iterator[str]:
    """The rows of the file, each as JSON."""
    with path.open(newline="") as file:
        yield from (json.dumps(row) for row in csv.DictReader(file))


def gather(output: Path, count: int) -> None:
    """Write the results of all rows that have one into one file."""
    found = [output / f"{index}.json" for index in range(count)]
    results = [json.loads(path.read_text()) for path in found if path.exists()]
    with (output / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(results[0]))
        writer.writeheader()
        writer.writerows(results)
    print(f"{len(results)} results in {output / 'results.csv'}")


if __name__ == "__main__":
    sys.exit(main())
