"""The demo's job: one function, called for each number of a range, watched while it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass

from examples.demo_cluster import FileProgress, console
from quorate import Client
from quorate.v1 import job_pb2

SUBTASKS = 50_000
# Seconds.
JOB_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class JobFindings:
    """What became of it."""

    subtasks: int
    seconds: float
    differences: int


def digits(number: int) -> int:
    """The sum of the decimal digits of a number's square."""
    return sum(map(int, str(number * number)))


def run_job(client: Client, subtasks: int = SUBTASKS) -> JobFindings:
    """Have the cluster run the job, show how far it is, and compute the same here."""
    start = time.perf_counter()
    job = client.array(digits, count=subtasks, name="digits")
    with FileProgress("subtasks of one job", subtasks) as progress:
        shown = 0

        def notify(found: job_pb2.Job) -> None:
            nonlocal shown
            progress.advance(found.counts.succeeded - shown)
            shown = found.counts.succeeded

        done = job.wait(JOB_TIMEOUT, notify=notify)
    seconds = time.perf_counter() - start
    results = list(job.results(failures="return"))
    expected = [digits(number) for number in range(subtasks)]
    differences = sum(a != b for a, b in zip(results, expected, strict=False))
    differences += abs(len(results) - len(expected))
    console.print(
        f"job {job.id}: {job.status()}, {done.counts.succeeded:,} subtasks in {seconds:.1f} s"
    )
    return JobFindings(subtasks, seconds, differences)
