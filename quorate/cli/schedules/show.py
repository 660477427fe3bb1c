"""How schedules look: what `quorate schedules` and `quorate schedule show` print."""

from __future__ import annotations

import datetime as dt
import re
import shlex
import sys
import time
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table
from rich.text import Text

from quorate.cli.hints import command
from quorate.cli.output import render
from quorate.cli.output.listing import Details
from quorate.cli.output.render import hint
from quorate.cli.output.work import hook_rows
from quorate.client.tracking.outcome import value_name
from quorate.runtime.sizes import plural
from quorate.v1 import schedule_pb2 as pb
from quorate.v1 import task_pb2

_DEFAULT_WINDOW = 3_600.0
_DEFAULT_COUNT = 100
_LESSER_UNIT = re.compile(r"(?<=[a-z]) \d+ [a-z]+ ago$")
_STYLES = {"ACTIVE": "green", "PAUSED": "yellow", "ENDED": "dim"}


def schedule_table(found: Sequence[pb.Schedule]) -> Table:
    """Schedules, one a line."""
    table = render.table(
        *("SCHEDULE", "STATE", "WHEN", "NEXT", "LAST RUN", "RUNS", "MISSED", "QUEUE"),
        right=("RUNS", "MISSED"),
        # `SUCCEEDED 19 h ago` of `SUCCEEDED 19 h 26 min ago`.
        short={"LAST RUN": lambda text: _LESSER_UNIT.sub(" ago", text)},
        elastic=("WHEN",),
        wrapped=("WHEN",),
        drop=("RUNS", "QUEUE", "WHEN", "MISSED"),
    )
    for schedule in found:
        table.add_row(
            schedule.name,
            state(schedule),
            timing(schedule.spec),
            f"in {_ahead(schedule.next_ticks[0])}" if schedule.next_ticks else "-",
            _last(schedule),
            f"{schedule.runs:,}",
            f"{schedule.missed_ticks:,}",
            schedule.spec.queue or "default",
        )
    return table


def show(schedule: pb.Schedule) -> None:
    """Print everything about a schedule."""
    render.show(_details(schedule))
    if schedule.next_ticks:
        render.show("")
        render.show(next_table(schedule))
    if schedule.last_runs:
        render.show("")
        render.show(_runs(schedule))
    if schedule.last_misses:
        render.show("")
        render.show(_misses(schedule))
    if schedule.blocked_reason:
        render.warn(f"a tick is due and its task cannot be created: {schedule.blocked_reason}")
    if schedule.last_runs and schedule.last_runs[0].task:
        hint(f"Output of the last run: {command(f'logs {schedule.last_runs[0].task}')}")


def done(schedule: pb.Schedule, what: str, as_json: bool) -> None:
    """Say what was done with a schedule, and when its next tick is."""
    if as_json:
        render.print_json(render.as_dict(schedule))
        return
    sys.stdout.write(f"{schedule.name} {what}\n")
    if schedule.next_ticks:
        hint(f"Next tick: {render.zoned(schedule.next_ticks[0])}")


def state(schedule: pb.Schedule) -> Text:
    """Its state in its colour."""
    name = value_name(pb.ScheduleState.DESCRIPTOR, schedule.state, "SCHEDULE_STATE_")
    return Text(name, style=_STYLES.get(name, ""))


def timing(spec: pb.ScheduleSpec) -> str:
    """When it fires: `30 2 * * * Europe/Berlin`, `every 5 min`, `at 2026-12-31 ...`."""
    match spec.WhichOneof("timing"):
        case "cron":
            return f"{spec.cron} {spec.time_zone or 'UTC'}"
        case "interval":
            every = render.span(spec.interval.every).replace(".0 s", " s")
            return f"every {every}"
        case "at":
            return f"at {render.moment(spec.at)}"
        case _:
            return "-"


def _details(schedule: pb.Schedule) -> Table:
    spec = schedule.spec
    details = Details()
    details.add_row("Schedule", schedule.name)
    details.add_row("State", _state_with_reason(schedule))
    details.add_row("When", timing(spec))
    if spec.job.HasField("graph"):
        details.add_row("Job", f"a graph of {plural(len(spec.job.graph.tasks), 'task')}")
    elif spec.HasField("job"):
        count = len(spec.job.items) or spec.job.count
        details.add_row("Job", f"{count:,} subtasks of {_work(spec.job.template)}")
    else:
        details.add_row("Task", _work(spec.task))
        for name, hook in hook_rows(spec.task):
            details.add_row(name, hook)
    details.add_row("Queue", spec.queue or "default")
    details.add_row(
        "Overlap", _word(pb.OverlapPolicy.DESCRIPTOR, spec.overlap, "skip").replace("_", "-")
    )
    window = _DEFAULT_WINDOW
    if spec.HasField("catch_up_window"):
        window = spec.catch_up_window.seconds + spec.catch_up_window.nanos / 1e9
    count = spec.catch_up_count or _DEFAULT_COUNT
    details.add_row("Catch-up", _caught_up(count, render.seconds(window)))
    if spec.HasField("jitter"):
        details.add_row("Jitter", f"up to {render.span(spec.jitter)}")
    for name, value in (("Start", spec.start_time), ("End", spec.end_time)):
        if value.seconds:
            details.add_row(name, render.zoned(value))
    for blackout in spec.blackouts:
        details.add_row("Blackout", _blackout(blackout))
    if schedule.HasField("remaining_runs"):
        details.add_row("Remaining runs", f"{schedule.remaining_runs:,} of {spec.max_runs:,}")
    if spec.pause_on_failure:
        details.add_row("Pause on failure", "yes")
    details.add_row("Runs", f"{schedule.runs:,} ({schedule.live_runs:,} unfinished)")
    details.add_row("Missed ticks", f"{schedule.missed_ticks:,}")
    if schedule.waiting_ticks:
        details.add_row("Waiting ticks", f"{len(schedule.waiting_ticks):,}, for a run to end")
    if schedule.HasField("backfill"):
        left = schedule.backfill
        details.add_row(
            "Backfill",
            f"{render.moment(left.start_time)} to {render.moment(left.end_time)} is left",
        )
    details.add_row("Created", render.zoned(schedule.create_time))
    if schedule.created_by:
        details.add_row("Created by", schedule.created_by)
    return details


def _state_with_reason(schedule: pb.Schedule) -> Text:
    words = state(schedule).copy()
    if schedule.state != pb.SCHEDULE_STATE_PAUSED:
        return words
    if schedule.paused_by:
        words.append(f" by {schedule.paused_by}")
    if schedule.HasField("pause_until"):
        words.append(f" until {render.zoned(schedule.pause_until)}")
    if schedule.pause_reason:
        words.append(f": {schedule.pause_reason}")
    return words


def next_table(schedule: pb.Schedule) -> Table:
    """The next ticks; also in the schedule's time zone, where the clock shows something else."""
    ticks = schedule.next_ticks
    there = [_in_zone(tick, schedule.spec.time_zone) for tick in ticks]
    if all(one is None for one in there):
        table = render.table("NEXT TICK", "IN")
        for tick in ticks:
            table.add_row(render.zoned(tick), _ahead(tick))
        return table
    table = render.table("NEXT TICK", "IN THE SCHEDULE'S ZONE", "IN")
    for tick, shown in zip(ticks, there, strict=True):
        table.add_row(render.zoned(tick), shown or render.zoned(tick), _ahead(tick))
    return table


def _in_zone(tick: Timestamp, name: str) -> str | None:
    """`2026-12-01 02:30:00 CET`; None when this machine's clock shows the same time."""
    if not name:
        return None
    here = dt.datetime.fromtimestamp(render.stamp(tick), dt.UTC).astimezone()
    try:
        there = here.astimezone(ZoneInfo(name))
    except (OSError, ValueError, LookupError):
        # A zone that this machine does not know.
        return None
    if there.utcoffset() == here.utcoffset():
        return None
    return f"{there:%Y-%m-%d %H:%M:%S %Z}"


def _runs(schedule: pb.Schedule) -> Table:
    table = render.table("TASK OR JOB", "STATE", "TICK", "CAUSE", drop=("CAUSE",))
    for run in schedule.last_runs:
        table.add_row(
            run.task or run.job,
            _run_state(run),
            render.zoned(run.tick_time),
            _word(task_pb2.ScheduleCause.DESCRIPTOR, run.cause, "tick").replace("_", " "),
        )
    return table


def _misses(schedule: pb.Schedule) -> Table:
    table = render.table("MISSED", "FROM", "TO", "REASON", right=("MISSED",))
    for miss in schedule.last_misses:
        reason = _word(pb.MissReason.DESCRIPTOR, miss.reason, "").replace("_", " ")
        table.add_row(
            f"{miss.ticks:,}" if miss.ticks >= 0 else "over 200",
            render.zoned(miss.first_time),
            render.zoned(miss.last_time),
            f"{reason}: {miss.detail}" if miss.detail else reason,
        )
    return table


def _last(schedule: pb.Schedule) -> Text:
    """The state of the last run, and how long ago its tick was."""
    if not schedule.last_runs:
        return Text("-")
    run = schedule.last_runs[0]
    return _run_state(run).copy().append(f" {render.since(run.tick_time)}")


def _run_state(run: pb.ScheduleRun) -> Text:
    if not run.state:
        return Text("-")
    return render.state_text(value_name(task_pb2.TaskState.DESCRIPTOR, run.state, "TASK_STATE_"))


def _ahead(tick: Timestamp) -> str:
    return render.seconds(max(0.0, render.stamp(tick) - time.time()))


def _work(task: task_pb2.TaskSpec) -> str:
    if task.WhichOneof("work") == "command":
        return shlex.join(task.command.argv)
    name = task.python.entrypoint or task.name or "pickled function"
    return f"{name} (Python)"


def _blackout(blackout: pb.Blackout) -> str:
    if blackout.cron:
        return f"{render.span(blackout.duration)} from each {blackout.cron}"
    return f"{render.zoned(blackout.start_time)} to {render.zoned(blackout.end_time)}"


def _word(enum: object, number: int, default: str) -> str:
    """An enum's value as options take it, without its prefix."""
    if not number:
        return default
    name: str = enum.values_by_number[number].name  # type: ignore[attr-defined]
    prefix = {
        "OverlapPolicy": "OVERLAP_POLICY_",
        "ScheduleCause": "SCHEDULE_CAUSE_",
        "MissReason": "MISS_REASON_",
    }[enum.name]  # type: ignore[attr-defined]
    return name.removeprefix(prefix).lower()


def _caught_up(count: int, window: str) -> str:
    return (
        f"after an outage, ticks of the last {window} run (up to {count}); older ones are skipped"
    )
