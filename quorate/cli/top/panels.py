"""The panels of `quorate top`: what each shows, sorted as chosen. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text

from quorate.cli.cluster.nodes import running
from quorate.cli.cluster.queues import paused_words
from quorate.cli.jobs.show import name_of, state_line
from quorate.cli.output import render
from quorate.cli.output.listing import Listing
from quorate.cli.top.sample import MOST_JOBS, MOST_TASKS, Rates, Sample
from quorate.cli.top.view import View
from quorate.client.jobs.progress import progress_of
from quorate.client.tracking.outcome import shown_state
from quorate.v1 import job_pb2, node_pb2, queue_pb2, task_pb2

_BAR = 10


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows of one kind, ready to be drawn."""

    name: str
    title: str
    listing: Callable[[int, int], Listing]
    """The table of so many rows, after so many others."""
    rows: int


def panels(sample: Sample, rates: Rates, view: View) -> list[Panel]:
    """Those that are not hidden, from top to bottom."""
    made = (
        _queues(sample, rates, view),
        _nodes(sample, view),
        _jobs(sample, rates, view),
        _tasks(sample, view),
    )
    return [panel for panel in made if panel.name not in view.hidden]


def bar(share: float, width: int = _BAR) -> str:
    """A bar of `width` characters."""
    filled = round(min(1.0, max(0.0, share)) * width)
    return "█" * filled + "░" * (width - filled)


def _queues(sample: Sample, rates: Rates, view: View) -> Panel:
    by: dict[str, Callable[[queue_pb2.Queue], Any]] = {
        "QUEUE": lambda queue: queue.name,
        "PENDING": lambda queue: queue.counts.pending,
        "RUNNING": lambda queue: queue.counts.running,
        "DONE/S": lambda queue: rates.queues.get(queue.name, 0.0),
        "LONGEST WAIT": lambda queue: _age(queue.oldest_pending_time, sample.now),
    }

    def cells(queue: queue_pb2.Queue) -> list[str | Text]:
        name = Text(queue.name)
        if words := paused_words(queue):
            name.append(f" ({words})", style="yellow")
        counts, rate = queue.counts, rates.queues.get(queue.name)
        return [
            name,
            f"{counts.pending:,}",
            f"{counts.running:,}",
            f"{counts.scheduled:,}",
            "-" if rate is None else f"{rate:,.0f}",
            Text(f"{counts.failed:,}", style="red" if counts.failed else ""),
            _ago(queue.oldest_pending_time, sample.now),
        ]

    return _panel(
        view,
        "queues",
        _counted("Queues", len(sample.queues)),
        _sorted(view, "queues", sample.queues, by, lambda queue: queue.name),
        cells,
        ("QUEUE", "PENDING", "RUNNING", "SCHEDULED", "DONE/S", "FAILED", "LONGEST WAIT"),
        right=("PENDING", "RUNNING", "SCHEDULED", "DONE/S", "FAILED"),
        elastic=("QUEUE",),
        drop=("SCHEDULED", "FAILED", "LONGEST WAIT", "DONE/S"),
    )


def _nodes(sample: Sample, view: View) -> Panel:
    by: dict[str, Callable[[node_pb2.Node], Any]] = {
        "NODE": lambda node: node.name,
        "RUNNING": lambda node: node.running,
        "CPU": lambda node: node.stats.cpu,
        "MEM": _memory,
    }

    def cells(node: node_pb2.Node) -> list[str | Text]:
        known = bool(node.stats.memory_total)
        return [
            node.name,
            render.state_text(render.node_state(node)),
            running(node),
            str(node.slots),
            f"{bar(node.stats.cpu)} {node.stats.cpu:4.0%}" if known else "-",
            f"{_memory(node):.0%}" if known else "-",
            _ago(node.register_time, sample.now),
        ]

    return _panel(
        view,
        "nodes",
        _counted("Nodes", len(sample.nodes)),
        _sorted(view, "nodes", sample.nodes, by, lambda node: node.name),
        cells,
        ("NODE", "STATE", "RUNNING", "SLOTS", "CPU", "MEM", "UP"),
        right=("RUNNING", "SLOTS", "MEM"),
        elastic=("NODE",),
        drop=("UP", "MEM", "CPU"),
    )


def _jobs(sample: Sample, rates: Rates, view: View) -> Panel:
    by: dict[str, Callable[[job_pb2.Job], Any]] = {
        "AGE": lambda job: _age(job.create_time, sample.now),
        "DONE": lambda job: progress_of(job, sample.now).share,
        "SUBTASKS/S": lambda job: rates.jobs.get(job.id, 0.0),
        "NAME": name_of,
    }

    def cells(job: job_pb2.Job) -> list[str | Text]:
        progress, rate = progress_of(job, sample.now), rates.jobs.get(job.id)
        left = progress.seconds_left
        return [
            job.id,
            name_of(job),
            job.queue,
            render.state_text(state_line(job)),
            # Rounded down: it is 100 % once the last one has finished.
            f"{bar(progress.share)} {int(progress.share * 100):3d}%",
            f"{progress.total:,}",
            f"{progress.running:,}",
            Text(f"{progress.failed:,}", style="red" if progress.failed else ""),
            "-" if rate is None else f"{rate:,.0f}",
            "-" if left is None else render.seconds(left),
        ]

    more = ", more are not listed" if len(sample.jobs) == MOST_JOBS else ""
    return _panel(
        view,
        "jobs",
        f"{_counted('Unfinished jobs', len(sample.jobs))}{more}",
        _sorted(view, "jobs", sample.jobs, by, lambda job: job.id),
        cells,
        (
            "ID",
            "NAME",
            "QUEUE",
            "STATE",
            "DONE",
            "TOTAL",
            "RUNNING",
            "FAILED",
            "SUBTASKS/S",
            "LEFT",
        ),
        right=("TOTAL", "RUNNING", "FAILED", "SUBTASKS/S"),
        short={"ID": render.short_ids},
        elastic=("NAME",),
        drop=("QUEUE", "RUNNING", "STATE", "FAILED", "LEFT", "TOTAL", "SUBTASKS/S"),
    )


def _tasks(sample: Sample, view: View) -> Panel:
    by: dict[str, Callable[[task_pb2.Task], Any]] = {
        "RAN": lambda task: _ran(task, sample.now),
        "NAME": lambda task: task.spec.name,
        "QUEUE": lambda task: task.queue,
        "NODE": render.task_node,
    }

    def cells(task: task_pb2.Task) -> list[str | Text]:
        ran = _ran(task, sample.now)
        return [
            task.id,
            task.spec.name or "-",
            task.queue,
            render.task_node(task),
            render.state_text(shown_state(task)),
            str(task.attempt),
            "-" if ran < 0 else render.seconds(ran),
        ]

    # Queues count the subtasks of jobs, too; this list has none.
    more = ", more are not listed" if len(sample.tasks) == MOST_TASKS else ""
    return _panel(
        view,
        "tasks",
        f"{_counted('Running tasks', len(sample.tasks))}{more}",
        _sorted(view, "tasks", sample.tasks, by, lambda task: task.id),
        cells,
        ("ID", "NAME", "QUEUE", "NODE", "STATE", "ATTEMPT", "RAN"),
        right=("ATTEMPT",),
        short={"ID": render.short_ids},
        elastic=("NAME", "QUEUE"),
        drop=("ATTEMPT", "QUEUE", "STATE", "NODE"),
    )


def _panel(
    view: View,
    name: str,
    title: str,
    found: list[Any],
    cells: Callable[[Any], list[str | Text]],
    columns: tuple[str, ...],
    **form: Any,
) -> Panel:
    def listing(rows: int, after: int) -> Listing:
        table = render.table(*columns, **form)
        # Only what is shown is formatted: a redraw costs the same with 10 rows as with 1,000.
        for one in found[after : after + rows]:
            table.add_row(*cells(one))
        return table

    arrow = "▼" if view.descending(name) else "▲"
    return Panel(name, f"{title}, by {view.sort_of(name)} {arrow}", listing, len(found))


def _sorted(
    view: View,
    panel: str,
    found: Iterable[Any],
    by: dict[str, Callable[[Any], Any]],
    then: Callable[[Any], str],
) -> list[Any]:
    """In the order that was chosen; equal ones by name or id."""
    made = sorted(found, key=then)
    return sorted(made, key=by[view.sort_of(panel)], reverse=view.descending(panel))


def _counted(word: str, count: int) -> str:
    return f"{word} {count:,}"


def _memory(node: node_pb2.Node) -> float:
    total = node.stats.memory_total
    return node.stats.memory_used / total if total else 0.0


def _age(value: Timestamp, now: float) -> float:
    """Seconds since an instant; negative when it is unset."""
    when = render.stamp(value)
    return max(0.0, now - when) if when else -1.0


def _ago(value: Timestamp, now: float) -> str:
    return render.seconds(_age(value, now))


def _ran(task: task_pb2.Task, now: float) -> float:
    """Seconds since its attempt started; negative before that."""
    return _age(task.attempts[-1].start_time, now) if task.attempts else -1.0


HIDDEN: Final = "This caller may not read them."
