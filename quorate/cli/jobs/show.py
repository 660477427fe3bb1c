"""How jobs look in a terminal. No I/O."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from rich.text import Text

from quorate.cli.graphs.show import is_graph
from quorate.cli.output import render
from quorate.cli.output.listing import Details, Listing, one_line
from quorate.cli.output.rules import limit_words, placement_text
from quorate.cli.output.waiting import needs
from quorate.cli.output.work import work_text
from quorate.client.jobs.progress import JobProgress, phase_of, progress_of
from quorate.client.jobs.states import is_finished, state_name, subtask_state_name
from quorate.runtime.sizes import plural, size_text
from quorate.runtime.visible import visible_json
from quorate.v1 import job_pb2

_BAR = 24
# Characters of an error in a table.
_MESSAGE = 200
_COUNTS = ("blocked", "pending", "running", "succeeded", "failed", "cancelled", "skipped")


def name_of(job: job_pb2.Job) -> str:
    """The name that people gave it, or that of what it runs."""
    name = one_line(job.spec.name or job.spec.template.name)
    return name or ("(graph)" if is_graph(job) else "-")


def state_line(job: job_pb2.Job) -> str:
    """Its state, and what else is known of it."""
    state = state_name(job)
    if job.cancel_requested and not is_finished(job):
        return f"{state} (cancelling)"
    if phase := phase_of(job):
        return f"{state} ({phase})"
    return f"{state} (open)" if job.open and not is_finished(job) else state


def run_time(job: job_pb2.Job) -> str:
    """From its first subtask's start to its end, or until now; `-` before it began.

    Of a graph from its creation.
    """
    began, ended = render.stamp(job.start_time), render.stamp(job.finish_time)
    if not began and is_graph(job):
        began = render.stamp(job.create_time)
    return render.seconds(max(0.0, (ended or time.time()) - began)) if began else "-"


def table_of(jobs: Iterable[job_pb2.Job]) -> Listing:
    """Jobs, a line each."""
    listing = render.table(
        *("ID", "NAME", "QUEUE", "STATE", "FINISHED", "FAILED", "AGE", "RAN"),
        right=("FINISHED", "FAILED"),
        short={"ID": render.short_ids},
        elastic=("NAME",),
        drop=("QUEUE", "RAN", "AGE", "NAME"),
    )
    for job in jobs:
        counts, progress = job.counts, progress_of(job, 0.0)
        listing.add_row(
            job.id,
            name_of(job),
            job.queue,
            render.state_text(state_name(job)),
            f"{progress.finished:,} of {progress.total:,}"
            + ("+" if job.open and not is_finished(job) else ""),
            Text(f"{counts.failed:,}", style="red" if counts.failed else ""),
            render.ago(job.create_time),
            run_time(job),
        )
    return listing


def progress_text(progress: JobProgress) -> str:
    """`812 of 1,000 (81 %)` with a bar; never 100 % before the last one has finished."""
    # Rounded down.
    share = int(progress.share * 100)
    filled = int(progress.share * _BAR)
    bar = "█" * filled + "░" * (_BAR - filled)
    return f"{bar} {progress.finished:,} of {progress.total:,} ({share} %)"


def details_of(job: job_pb2.Job) -> Details:
    """One job."""
    spec, template = job.spec, job.spec.template
    progress = progress_of(job, time.time())
    table = Details()
    table.add_row("Job", job.id)
    table.add_row("State", render.state_text(state_line(job)))
    if job.reason:
        table.add_row("Reason", job.reason)
    table.add_row("Name", name_of(job))
    table.add_row("Queue", job.queue)
    if not is_graph(job):
        label = "Function" if template.WhichOneof("work") == "python" else "Command"
        table.add_row(label, work_text(template))
    if wanted := needs(template.resources):
        table.add_row("Needs", ", ".join(wanted))
    if labels := {**template.labels, **spec.labels}:
        table.add_row("Labels", ", ".join(f"{k}={v}" for k, v in sorted(labels.items())))
    if is_graph(job):
        added = progress.total - job.count
        table.add_row("Tasks", f"{job.count:,}, a graph" + (f"; {added:,} added" if added else ""))
    else:
        table.add_row("Subtasks", _subtasks(job))
    table.add_row("Done", progress_text(progress))
    table.add_row("", ", ".join(_counts(job.counts)) or "nothing yet")
    if job.HasField("reduce"):
        _add_reduce(table, job)
    if job.parent:
        called = f', where it is "{one_line(job.graph_task)}"' if job.graph_task else ""
        table.add_row("Part of", f"job {job.parent}{called}")
    if placement := placement_text(template.placement):
        table.add_row("Placement", placement)
    if limits := _limits(spec):
        table.add_row("Limits", ", ".join(limits))
    creator = f" by {job.created_by}" if job.created_by else ""
    table.add_row("Created", render.zoned(job.create_time) + creator)
    if job.HasField("start_time"):
        table.add_row("Started", render.zoned(job.start_time))
    if is_finished(job):
        table.add_row("Finished", f"{render.zoned(job.finish_time)}, after {run_time(job)}")
    if (speed := _speed(job, progress)) and not is_graph(job):
        table.add_row("Speed", speed)
    if job.round:
        table.add_row("Retried", "once" if job.round == 1 else f"{job.round} times")
    return table


def _add_reduce(table: Details, job: job_pb2.Job) -> None:
    """Where its reduces are, a line a level, and what the last one gave."""
    reduce, phase = job.spec.reduce, job.reduce
    fan_in = f", {reduce.fan_in:,} results each" if reduce.fan_in else ""
    table.add_row("Reduce", f"{work_text(reduce.template)}{fan_in}")
    for number, level in enumerate(phase.started, 1):
        label = "Reduces" if phase.levels <= 1 else f"Level {number} of {phase.levels}"
        counts = ", ".join(_counts(level.counts)) or "nothing yet"
        table.add_row(label, f"{counts} (job {level.id})")
    if job.state == job_pb2.JOB_STATE_SUCCEEDED:
        table.add_row("Result", one_line(result_text(job)))


def result_text(job: job_pb2.Job) -> str:
    """What its last reduce gave: JSON, or the size of a pickle, which is never unpickled."""
    if job.result.WhichOneof("value") == "pickle":
        return f"a pickle of {size_text(len(job.result.pickle))}"
    return visible_json(job.result.json) if job.result.json else "null"


def _subtasks(job: job_pb2.Job) -> str:
    step = job.spec.index_step or 1
    if not job.count:
        return "none"
    last = job.spec.first_index + step * (job.count - 1)
    every = f", every {step}" if step > 1 else ""
    more = ", more may follow" if job.open and not is_finished(job) else ""
    return f"{job.count:,}, indexes {job.spec.first_index} to {last}{every}{more}"


def _counts(counts: job_pb2.JobCounts) -> list[str]:
    return [f"{getattr(counts, name):,} {name}" for name in _COUNTS if getattr(counts, name)]


def _limits(spec: job_pb2.JobSpec) -> list[str]:
    words = [f"{spec.max_parallel:,} at once"] if spec.max_parallel else []
    if spec.HasField("max_failures"):
        words.append(f"ends after {plural(spec.max_failures + 1, 'failure')}")
    if spec.max_failure_share:
        words.append(f"ends when more than {spec.max_failure_share:.3g} of all failed")
    return words + limit_words(spec.template)


def _speed(job: job_pb2.Job, progress: JobProgress) -> str:
    words = [f"{_rate(progress.rate)} subtasks/s"] if progress.rate else []
    if microseconds := job.average_duration.ToMicroseconds():
        each = f"{microseconds} µs" if microseconds < 1_000 else render.span(job.average_duration)
        words.append(f"each ran {each} on average")
    if progress.seconds_left is not None and job.state == job_pb2.JOB_STATE_ACTIVE:
        words.append(f"about {render.seconds(progress.seconds_left)} left")
    return ", ".join(words)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def errors_table(groups: Sequence[job_pb2.JobErrorGroup]) -> Listing:
    """Failures by error, a line each."""
    listing = render.table(
        *("COUNT", "ERROR", "INDEXES", "MESSAGE"),
        right=("COUNT",),
        elastic=("MESSAGE",),
        wrapped=("MESSAGE",),
        drop=("INDEXES",),
    )
    for group in groups:
        indexes = f"{group.first_index}"
        if group.last_index != group.first_index:
            # Between them there may be others.
            indexes += f" .. {group.last_index}"
        listing.add_row(f"{group.count:,}", group.type, indexes, _message(group))
    return listing


def _message(group: job_pb2.JobErrorGroup) -> str:
    """A real message of the group: that of the group has `#` for digits."""
    message = one_line(group.example.message[:_MESSAGE]) or group.message
    return (
        f"{message} (numbers may differ)" if group.count > 1 and "#" in group.message else message
    )


def ranges_text(ranges: Iterable[job_pb2.SubtaskRange], step: int) -> dict[str, str]:
    """Indexes by state, as in `1-3,7`; with `:STEP` behind a range that has one."""
    found: dict[str, list[str]] = {}
    for one in ranges:
        text = str(one.first_index)
        if one.count > 1:
            text += f"-{one.last_index}" + (f":{step}" if step > 1 else "")
        found.setdefault(subtask_state_name(one.state), []).append(text)
    return {state: ",".join(texts) for state, texts in found.items()}
