"""Waiting for a job with a progress bar on standard error, and what is said at its end."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any

from rich.console import Console

from quorate.cli.exits import FAILED, OK
from quorate.cli.graphs.calls import report_graph, why_nothing_starts
from quorate.cli.graphs.show import is_graph
from quorate.cli.hints import command
from quorate.cli.jobs.show import errors_table, result_text, state_line
from quorate.cli.output.progress import bar
from quorate.cli.output.render import as_dict, err, hint, print_json
from quorate.cli.output.waiting import why_pending
from quorate.client.jobs.handle import JobHandle
from quorate.client.jobs.progress import progress_of
from quorate.client.jobs.states import state_name
from quorate.client.jobs.values import failed_part
from quorate.client.pages import list_nodes, list_queues
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import plural
from quorate.v1 import job_pb2, queue_pb2

# Groups of errors that are shown without being asked for.
SHOWN_ERRORS = 5
# Seconds after which a job of which nothing has started is worth a sentence.
_SOON = 2.0


def wait_for(handle: JobHandle[Any], timeout: float | None) -> job_pb2.Job:
    """Wait for a job, at most `timeout` seconds, with a bar on a terminal. Raises TimeoutError."""
    try:
        with bar(Console(stderr=True, highlight=False)) as progress:
            line = progress.add_task("job", total=None)

            why = _WhyNothing(handle, progress.console)

            def notify(job: job_pb2.Job) -> None:
                why.look(job)
                # Of what runs: the array or graph, or a level of its reduces.
                level = job.reduce.started[-1] if job.reduce.started else None
                part = job if level is None else job_pb2.Job(count=level.count, counts=level.counts)
                failed = f", {part.counts.failed:,} failed" if part.counts.failed else ""
                now = progress_of(part, time.time())
                progress.update(
                    line,
                    total=now.total,
                    completed=now.finished,
                    description=f"{state_line(job).lower()}{failed}",
                )

            return handle.wait(timeout, notify=notify)
    except KeyboardInterrupt:
        hint(f"\nThe job goes on. End it with: {command(f'job cancel {handle.id}')}")
        raise


class _WhyNothing:
    """Says once why no subtask of a job has started, after two seconds."""

    def __init__(self, handle: JobHandle[Any], console: Console) -> None:
        self._handle = handle
        self._console = console
        self._until: float | None = time.monotonic() + _SOON

    def look(self, job: job_pb2.Job) -> None:
        """The job as it is now."""
        if self._until is None or time.monotonic() < self._until:
            return
        self._until = None
        started = job.HasField("start_time") or job.counts.running or progress_of(job, 0.0).finished
        if (job.counts.pending or job.counts.blocked) and not started:
            with suppress(QuorateError):
                words = f"Waiting: {self._words(job)}"
                self._console.print(words, style="dim", markup=False, soft_wrap=True)

    def _words(self, job: job_pb2.Job) -> str:
        if job.state == job_pb2.JOB_STATE_PAUSED:
            return f"the job is paused; resume it with: quorate job resume {job.id}"
        if is_graph(job):
            return why_nothing_starts(self._handle.calls, job)
        calls = self._handle.calls
        queues = (queue for queue in list_queues(calls) if queue.name == job.queue)
        queue = next(queues, queue_pb2.Queue(name=job.queue))
        return why_pending(job.spec.template.resources, queue, list(list_nodes(calls)))


def report(handle: JobHandle[Any], job: job_pb2.Job) -> int:
    """Say on standard error what became of a job; the exit code."""
    counts = job.counts
    graph = is_graph(job)
    if job.state == job_pb2.JOB_STATE_SUCCEEDED:
        many = plural(counts.succeeded, "task") if graph else plural(job.count, "subtask")
        skipped = f", {counts.skipped:,} skipped" if counts.skipped else ""
        err.print(f"{many} succeeded{skipped}", style="dim", markup=False)
        if job.HasField("reduce"):
            sys.stdout.write(result_text(job) + "\n")
        return OK
    words = [f"{counts.succeeded:,} succeeded"]
    words += [f"{counts.failed:,} failed"] if counts.failed else []
    words += [f"{counts.cancelled:,} cancelled"] if counts.cancelled else []
    words += [f"{counts.skipped:,} skipped"] if counts.skipped else []
    why = f" ({job.reason})" if job.reason else ""
    line = f"quorate: job {job.id} is {state_name(job)}{why}: {', '.join(words)}"
    err.print(line, markup=False)
    if graph:
        report_graph(handle.calls, job)
    elif (counts.failed or failed_part(job) != job.id) and (groups := handle.errors()):
        err.print(errors_table(groups[:SHOWN_ERRORS]))
        hint(f"Run the failed ones again: {command(f'job retry {job.id}')}")
    return FAILED


def finish(handle: JobHandle[Any], timeout: float | None, as_json: bool) -> int:
    """Wait for a job and report it; the exit code. Raises TimeoutError."""
    job = wait_for(handle, timeout)
    if as_json:
        print_json(as_dict(job))
        return OK if job.state == job_pb2.JOB_STATE_SUCCEEDED else FAILED
    return report(handle, job)
