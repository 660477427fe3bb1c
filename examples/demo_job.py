"""The demo's job: one function, called for each number of a range, watched while it runs; then a
reduce adds up what it returned, in two levels."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from examples.demo_cluster import FileProgress, console
from quorate import Client
from quorate.client.jobs.progress import phase_of
from quorate.v1 import job_pb2

SUBTASKS = 50_000
# Results that one reduce gets: 10 reduces in the first level, and one of their results.
FAN_IN = 5_000
# Seconds.
JOB_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class JobFindings:
    """What became of it."""

    subtasks: int
    seconds: float
    differences: int
    total: int = 0


def digits(number: int) -> int:
    """The sum of the decimal digits of a number's square."""
    return sum(map(int, str(number * number)))


def total(numbers: Iterable[int]) -> int:
    """What the reduces do: they get results, or sums of results."""
    return sum(numbers)


def run_job(client: Client, subtasks: int = SUBTASKS) -> JobFindings:
    """Have the cluster run the job, show how far it is, and compute the same here."""
    start = time.perf_counter()
    job = client.map_reduce(digits, None, total, fan_in=FAN_IN, count=subtasks, name="digits")
    with FileProgress("subtasks of one job", subtasks) as progress:
        shown, said = 0, ""

        def notify(found: job_pb2.Job) -> None:
            nonlocal shown, said
            progress.advance(found.counts.succeeded - shown)
            shown = found.counts.succeeded
            phase = phase_of(found)
            if phase != said:
                said = phase
                progress.say(phase)

        done = job.wait(JOB_TIMEOUT, notify=notify)
    found = job.result(JOB_TIMEOUT)
    seconds = time.perf_counter() - start
    results = list(job.results(failures="return"))
    expected = [digits(number) for number in range(subtasks)]
    differences = sum(a != b for a, b in zip(results, expected, strict=False))
    differences += abs(len(results) - len(expected))
    differences += found != sum(expected)
    levels = " and ".join(f"{level.count:,}" for level in done.reduce.started)
    console.print(
        f"job {job.id}: {job.status()}, {done.counts.succeeded:,} subtasks in {seconds:.1f} s"
    )
    console.print(f"{levels} reduces: {found:,}")
    return JobFindings(subtasks, seconds, differences, found)
