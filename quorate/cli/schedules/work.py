"""What the runs of a schedule are, from the options of `schedule create`."""

from __future__ import annotations

import time
from typing import Any

import typer

from quorate.cli.inputs import option_arguments
from quorate.cli.jobs.creating import array_args, call_template, lines_of
from quorate.cli.jobs.options import ArrayJob
from quorate.cli.schedules.options import Work
from quorate.cli.tasks.options import Conflict, Unique
from quorate.cli.words import pairs
from quorate.client.jobs.specs import ArraySpec, array_of
from quorate.client.schedules.requests import MOST_BYTES, bounded, with_items
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.specs import command_spec, json_spec
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import job_pb2, task_pb2


def task_options(*groups: Any) -> OptionArgs:
    """The options of tasks that these groups are. Raises BadParameter, QuorateError."""
    found = OptionArgs()
    for group in groups:
        found.update(group.args())
    return found


def task_of(
    argv: list[str] | None, work: Work, options: TaskOptions, *, template: bool = False
) -> task_pb2.TaskSpec | None:
    """The task of a run, or the template of its subtasks; None where no work is given.

    Raises BadParameter, QuorateError.
    """
    if argv and work.call:
        raise typer.BadParameter("only one of -- COMMAND and --call is possible")
    if work.arguments and not work.call:
        raise invalid("--arguments", "needs --call")
    now = time.time()
    if work.call:
        if work.env:
            raise invalid("--env", "is for programs; a function has no environment of its own")
        arguments = option_arguments(work.arguments)
        if template:
            return call_template(work.call, arguments, options)
        return json_spec(work.call, arguments, options, now)
    if not argv:
        return None
    return command_spec(argv, options, now, env=pairs("--env", work.env))


def array_job(
    template: task_pb2.TaskSpec, jobs: ArrayJob, options: TaskOptions, *, json_items: bool
) -> job_pb2.JobSpec:
    """The job of a run. Raises BadParameter, QuorateError."""
    found = array_args(options, jobs, json_items=json_items, counts=True)
    array = array_of(
        template, found.items, found.count, found.options, limit=MOST_BYTES, reduce=found.reduce
    )
    return stored(array)


def stored(array: ArraySpec) -> job_pb2.JobSpec:
    """The job with its items. Raises QuorateError where a schedule cannot store them."""
    try:
        return with_items(array)
    except QuorateError as error:
        raise _of_lines(error) from None


def few_lines(source: str) -> list[str]:
    """The lines of --each-line. Raises QuorateError where a schedule cannot store them."""
    try:
        return list(bounded(lines_of(source)))
    except QuorateError as error:
        raise _of_lines(error) from None


def _of_lines(error: QuorateError) -> QuorateError:
    if error.field != "items":
        return error
    return invalid("--each-line", error.message.removeprefix("items: "), limit=MOST_BYTES)


def refuse_conflicts(unique: Unique) -> None:
    """Raise QuorateError for what nobody would get an answer about."""
    if unique.on_conflict in (Conflict.RETURN, Conflict.REJECT):
        raise invalid(
            "--on-conflict",
            f"{unique.on_conflict} makes no sense for a schedule: a tick whose key is taken waits "
            "for it, up to --catch-up-window; leave it out, or give replace",
        )
