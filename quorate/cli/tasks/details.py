"""One task for people: what it is, its attempts and how they ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table

from quorate.cli.output import render
from quorate.cli.output.listing import Details, one_line
from quorate.cli.output.rules import limit_words, placement_text
from quorate.cli.output.waiting import needs
from quorate.cli.output.work import hook_rows, work_text
from quorate.cli.tasks.progress import progress_text
from quorate.client.tracking.outcome import is_finished, is_snoozed, shown_state
from quorate.runtime.sizes import plural, size_text
from quorate.v1 import task_pb2

_MOST_SHOWN = 4_000
_RETURNED = "returned"
# Attempts of a task that stay stored.
STORED: Final = 10
_UNKNOWN = "not stored"
_HOOKS = (("setup", "set-up"), ("cleanup", "clean-up"))


def details_of(found: task_pb2.Task) -> Table:
    table = Details()
    table.add_row("Task", found.id)
    table.add_row("State", render.state_text(_state_line(found)))
    table.add_row("Name", one_line(found.spec.name) or "-")
    table.add_row("Queue", found.queue)
    if found.job_id:
        called = f', where it is "{one_line(found.graph_task)}"' if found.graph_task else ""
        table.add_row("Job", found.job_id + called)
    label = "Command" if found.spec.WhichOneof("work") != "python" else "Function"
    table.add_row(label, work_text(found.spec))
    for name, hook in hook_rows(found.spec):
        table.add_row(name, hook)
    if wanted := needs(found.spec.resources):
        table.add_row("Needs", ", ".join(wanted))
    if found.spec.labels:
        table.add_row("Labels", ", ".join(f"{k}={v}" for k, v in sorted(found.spec.labels.items())))
    if placement := placement_text(found.spec.placement):
        table.add_row("Placement", placement)
    if limits := limit_words(found.spec):
        table.add_row("Limits", ", ".join(limits))
    creator = f" by {found.created_by}" if found.created_by else ""
    table.add_row("Created", render.zoned(found.create_time) + creator)
    if found.spec.HasField("schedule"):
        run = found.spec.schedule
        table.add_row("Schedule", f"{one_line(run.name)}, for {render.zoned(run.tick_time)}")
    if found.state == task_pb2.TASK_STATE_SCHEDULED:
        table.add_row("Waits until", render.zoned(found.schedule_time))
    if found.snoozes:
        table.add_row("Snoozed", _snoozes(found))
    if found.HasField("expire_time"):
        table.add_row("Start deadline", _deadline(found))
    if found.HasField("progress"):
        ago = render.seconds(max(0.0, time.time() - render.stamp(found.progress.update_time)))
        table.add_row("Progress", f"{progress_text(found.progress)} ({ago} ago)")
    first = found.attempts[0] if found.attempts else task_pb2.Attempt()
    if first.number == 1 and render.began(first):
        # Of what is shown, so that the difference is that of the two lines.
        after = _shown(first.start_time) - _shown(found.create_time)
        waited = render.seconds(max(0, after) / 1000)
        when = f"{render.zoned(first.start_time)}, {waited} after it was created"
        table.add_row("First started" if found.attempt > 1 else "Started", when)
    if is_finished(found):
        table.add_row("Finished", render.zoned(found.finish_time))
    if found.failures or found.crashes:
        counts = ((found.failures, "failed attempt"), (found.crashes, "lost node"))
        words = [plural(count, what) for count, what in counts if count]
        failed = sum(bool(attempt.error.type) for attempt in found.attempts)
        since = " since the last retry by hand" if failed > found.failures + found.crashes else ""
        table.add_row("Failures", ", ".join(words) + since)
    if found.state == task_pb2.TASK_STATE_SUCCEEDED:
        table.add_row("Result", _result(found.result))
    if found.error.type:
        table.add_row("Error", f"{found.error.type}: {found.error.message}")
    return table


def _shown(value: Timestamp) -> int:
    """Milliseconds, cut as `render.moment` cuts them."""
    return value.seconds * 1000 + value.nanos // 1_000_000


def _snoozes(found: task_pb2.Task) -> str:
    """How often a task asked to run again later; and why it waits now."""
    times = plural(found.snoozes, "time")
    if not is_snoozed(found):
        return times
    last = found.attempts[-1].error.message
    return f"{times}; attempt {found.attempts[-1].number}: {one_line(last)}"


def _deadline(found: task_pb2.Task) -> str:
    left = render.stamp(found.expire_time) - time.time()
    until = f"in {render.seconds(left)}" if left > 0 else "now"
    return f"{render.zoned(found.expire_time)} (EXPIRED {until} unless it starts)"


def hook_errors(found: task_pb2.Task) -> Iterator[str]:
    """A line for each clean-up that failed; a set-up that failed is the error of its attempt."""
    for attempt in found.attempts:
        if attempt.hooks.cleanup.error:
            yield f"Attempt {attempt.number}: {one_line(attempt.hooks.cleanup.error)}"


def traceback_of(error: task_pb2.TaskError) -> str:
    """The traceback without a last line that repeats what stands above it."""
    text = error.traceback.rstrip()
    rest, _, last = text.rpartition("\n")
    return rest if rest and last == f"{error.type}: {error.message}" else text


def _state_line(found: task_pb2.Task) -> str:
    state = shown_state(found)
    if found.cancel_requested and not is_finished(found):
        return f"{state} (cancelling)"
    if is_snoozed(found):
        return f"{state} (snoozed)"
    return f"{state} (suspended)" if found.suspended else state


def attempts_of(found: task_pb2.Task) -> Table:
    table = render.table(
        *("ATTEMPT", "NODE", "ASSIGNED", "STARTUP", "RAN", "OUTCOME"),
        right=("ATTEMPT",),
        # Without the year.
        short={"ASSIGNED": lambda text: text[5:] or text},
        drop=("STARTUP", "ASSIGNED", "RAN", "NODE"),
    )
    first = found.attempts[0].number
    _add_missing(table, 1, first - 1, _UNKNOWN if has_unstored(found) else _RETURNED)
    known = first
    for attempt in found.attempts:
        # A node returned the attempts whose numbers are missing: that is no failure.
        _add_missing(table, known, attempt.number - 1, _RETURNED)
        known = attempt.number + 1
        began = render.began(attempt)
        assigned, ended = render.stamp(attempt.assign_time), render.stamp(attempt.finish_time)
        table.add_row(
            str(attempt.number),
            attempt.node,
            render.moment(attempt.assign_time),
            # From the assignment to the start, on the node.
            render.seconds(began - assigned) if began and assigned else "-",
            render.seconds(max(0.0, (ended or time.time()) - began)) if began else "-",
            _ended(attempt),
        )
    _add_missing(table, known, found.attempt, _RETURNED)
    return table


def has_unstored(found: task_pb2.Task) -> bool:
    """Whether it had attempts that are not stored any longer."""
    return found.attempts[0].number > 1 and found.attempt > STORED


def has_returned(found: task_pb2.Task) -> bool:
    """Whether a node returned attempts, as far as that can be seen."""
    numbers = [attempt.number for attempt in found.attempts]
    first = numbers[0] if has_unstored(found) else 1
    return found.attempt - first + 1 > len(numbers)


def _ended(attempt: task_pb2.Attempt) -> str:
    """How an attempt ended, and its hooks."""
    outcome = _outcome(attempt.error)
    if not outcome:
        outcome = "ok" if attempt.HasField("finish_time") else ""
    if not outcome:
        return "running" if attempt.HasField("start_time") else "assigned"
    hooks = [
        f"{name} {_hook_end(getattr(attempt.hooks, field))}"
        for field, name in _HOOKS
        if attempt.hooks.HasField(field)
    ]
    return f"{outcome} ({', '.join(hooks)})" if hooks else outcome


def _hook_end(end: task_pb2.HookResult) -> str:
    return "failed" if end.error else f"ok in {render.span(end.duration)}"


def _outcome(error: task_pb2.TaskError) -> str:
    """The error's type; of a program that ended, its message. (Past attempts have no code.)"""
    ended = error.type in ("EXIT_CODE", "SIGNAL")
    return (one_line(error.message) if ended else "") or error.type


def _add_missing(table: Table, first: int, last: int, why: str) -> None:
    if first <= last:
        numbers = str(last) if first == last else f"{first}-{last}"
        table.add_row(numbers, "-", "-", "-", "-", why)


def _result(result: task_pb2.TaskResult) -> str:
    kind = result.WhichOneof("value")
    if result.HasField("blob"):
        what = "a pickle" if kind == "pickle" else "JSON"
        return f"{what} of {size_text(result.blob.size)}, in the blob store: {result.blob.sha256}"
    if kind == "json":
        return result.json[:_MOST_SHOWN]
    if kind == "pickle":
        # Not unpickled: that would run code which came from elsewhere.
        return f"a pickle of {size_text(len(result.pickle))}"
    return f"exit code {result.exit_code}"
