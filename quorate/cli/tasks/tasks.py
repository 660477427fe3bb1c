"""Commands about tasks that exist: `tasks`, `task`, `cancel`, `wait`."""

from __future__ import annotations

import itertools
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.exits import FAILED, OK, TIMED_OUT
from quorate.cli.hints import command
from quorate.cli.jobs.ids import job_id
from quorate.cli.output import render
from quorate.cli.output.render import err, hint
from quorate.cli.tasks.cancel import cancel
from quorate.cli.tasks.details import (
    STORED,
    attempts_of,
    details_of,
    has_returned,
    has_unstored,
    hook_errors,
    traceback_of,
)
from quorate.cli.tasks.ids import WHICH, task_id
from quorate.cli.tasks.progress import showing_progress
from quorate.cli.tasks.states import asked, picked, states
from quorate.cli.tasks.waits import MAY_WAIT, saying_why, waits_for
from quorate.client.client import Client
from quorate.client.pages import list_queues
from quorate.client.tracking.outcome import state_name
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import plural
from quorate.v1 import task_pb2

_PENDING = task_pb2.TASK_STATE_PENDING

Id = Annotated[str, typer.Argument(metavar="ID", help=f"Id of the task: {WHICH}.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help=f"Ids of tasks. Of each: {WHICH}.")]


@with_client
def tasks(
    client: Client,
    queue: Annotated[
        str, typer.Option("--queue", "-q", help="Queue of the tasks. \\[default: all queues]")
    ] = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            help="State of the tasks: blocked, scheduled, pending, paused, assigned, running "
            "(includes assigned ones), succeeded, failed, cancelled or expired; may be repeated. "
            "\\[default: all states]",
        ),
    ] = None,
    search: Annotated[
        str,
        typer.Option(
            "--search",
            help="Words that a task must have, all of them: in its name, program or function, "
            "labels, id or error. \\[default: none]",
        ),
    ] = "",
    job: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="Job of the tasks: those of a graph, and those that its tasks or subtasks added. "
            "\\[default: all tasks]",
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number of lines.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """List tasks, newest first.

    In a narrow terminal, ids are shortened to their last 8 characters, as in …1565b145. Commands
    accept such ids. --json and a pipe show whole ids.

    FAILURES counts failed attempts and lost nodes since the last retry by hand. AGE is the time
    since the submission, and RAN the run time of the newest attempt.
    """
    wanted = states(state)
    pages = client.tasks(
        queue=queue,
        states=asked(wanted),
        text=search,
        job=job_id(client, job) if job else "",
        page_size=min(limit + 1, 1000),
    )
    found = list(itertools.islice(picked(pages, wanted), limit + 1))
    shown, more = found[:limit], len(found) > limit
    if as_json:
        render.print_messages(shown)
        return
    if not shown:
        chosen = queue or state or search or job
        hint(
            "No such tasks." if chosen else "No tasks yet. Try: quorate submit --wait -- echo hello"
        )
        return
    table = render.table(
        *("ID", "NAME", "QUEUE", "STATE", "FAILURES", "AGE", "RAN", "NODE"),
        right=("FAILURES",),
        short={"ID": render.short_ids},
        elastic=("NAME",),
        drop=("FAILURES", "NODE", "QUEUE", "NAME", "RAN", "AGE"),
    )
    paused = _paused_queues(client) if any(task.state == _PENDING for task in shown) else ()
    for task in shown:
        table.add_row(*render.task_row(task, paused))
    render.show_tasks(table)
    if more:
        chosen_by = [f"--queue {queue}"] if queue else []
        chosen_by += [f"--state {one}" for one in state or ()]
        chosen_by += [f"--search {shlex.quote(search)}"] if search else []
        chosen_by += [f"--job {job}"] if job else []
        words = " ".join(["quorate tasks", *chosen_by, f"--limit {limit * 10}"])
        hint(f"There are more. Show them with: {words}")


def _paused_queues(client: Client) -> list[str]:
    """Queues of which no task starts; none where the caller may not know."""
    with suppress(QuorateError):
        return [queue.name for queue in list_queues(client.calls) if queue.paused]
    return []


@with_client
def task(client: Client, id: Id, as_json: Json = False) -> None:
    """Show one task: its state, attempts, result or error.

    STARTUP is the time from the assignment to the start of the attempt, and RAN is its run time
    since then.
    """
    found = client.get(task_id(client, id)).task(full=True)
    if as_json:
        render.print_json(render.as_dict(found))
        return
    details = details_of(found)
    if found.state in MAY_WAIT:
        details.add_row("Waiting", waits_for(client.calls, found))
    render.show(details)
    if found.attempts:
        render.show("")
        render.show(attempts_of(found))
        for line in hook_errors(found):
            render.out.print(line, markup=False, style="yellow")
        if has_unstored(found):
            hint(f"Not stored: attempts older than the last {STORED}, and some returned ones.")
        if has_returned(found):
            hint("Returned: the node returned the task without starting it. This is not a failure.")
    if traceback := traceback_of(found.error):
        render.show("")
        render.out.print(traceback, markup=False, style="dim")
    if steps := list(_next_steps(found)):
        hint("")
        for step in steps:
            hint(step)


def _next_steps(found: task_pb2.Task) -> Iterator[str]:
    """What a person may want to do who has seen a task."""
    # An attempt that could not start has no output. Of those not stored that is not known.
    if found.attempts and (any(map(render.began, found.attempts)) or has_unstored(found)):
        yield f"See its output: {command(f'logs {found.id}')}"
    if found.state in (task_pb2.TASK_STATE_FAILED, task_pb2.TASK_STATE_EXPIRED):
        yield f"Run it again: {command(f'retry {found.id}')}"


@with_client
def wait(
    client: Client,
    ids: Ids,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="Maximum wait for all of them together, in seconds. Then the exit code is 6. "
            "\\[default: none]",
        ),
    ] = None,
) -> int:
    """Wait until tasks are finished.

    Exit code: 0 when all of them succeeded, 1 when one failed or was cancelled, 6 after --timeout.
    """
    good, late = True, list[str]()
    end = None if timeout is None else time.monotonic() + timeout
    for id in [task_id(client, given) for given in ids]:
        handle = client.get(id)
        try:
            with showing_progress(handle), saying_why(handle):
                found = handle.wait(None if end is None else max(0.0, end - time.monotonic()))
        except TimeoutError:
            late.append(id)
            continue
        good &= found.state == task_pb2.TASK_STATE_SUCCEEDED
        sys.stdout.write(f"{id} {state_name(found)}\n")
    if late:
        sys.stdout.flush()
        err.print(
            f"quorate: {len(late)} of {plural(len(ids), 'task')} not finished after "
            f"{timeout:g} s: {', '.join(late)}",
            markup=False,
        )
        return TIMED_OUT
    return OK if good else FAILED


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("tasks")(tasks)
    app.command("task")(task)
    app.command("cancel")(cancel)
    app.command("wait")(wait)
