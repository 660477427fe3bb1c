"""Commands about tasks that exist: `tasks`, `task`, `logs`, `cancel`, `retry`."""

from __future__ import annotations

import itertools
import shlex
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer
from rich.table import Table

from quorate.cli.common import Json, with_client
from quorate.cli.exits import FAILED, OK
from quorate.cli.output import render
from quorate.cli.output.listing import Details, one_line
from quorate.cli.output.render import err, hint
from quorate.cli.output.waiting import needs, why_pending
from quorate.cli.tasks.cancel import cancel, each
from quorate.cli.tasks.ids import task_id
from quorate.client.client import Client
from quorate.client.handle import TaskHandle
from quorate.client.pages import list_nodes, list_queues
from quorate.client.tracking.outcome import is_finished, shown_state, state_name
from quorate.client.transport.calls import Calls
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import size_text
from quorate.v1 import queue_pb2, scheduler_pb2, task_pb2

_MOST_SHOWN = 4_000
# Failed attempts that a task keeps beside the current one.
_KEPT = 9
# Seconds after which a task that has not started is worth a sentence.
_SOON = 2.0

Id = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the task; 6 or more first characters are enough.")
]
Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Ids of tasks; 6 or more first characters are enough."),
]


@with_client
def tasks(
    client: Client,
    queue: Annotated[str, typer.Option("--queue", "-q", help="Only tasks of this queue.")] = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            help="Only tasks in this state, such as running (includes assigned ones) or failed; "
            "may be repeated.",
        ),
    ] = None,
    search: Annotated[
        str,
        typer.Option(
            "--search",
            help="Only tasks with all of these words in name, work, labels, id or error.",
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number of lines.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """List tasks, newest first."""
    pages = client.tasks(
        queue=queue, states=state or (), text=search, page_size=min(limit + 1, 1000)
    )
    found = list(itertools.islice(pages, limit + 1))
    shown, more = found[:limit], len(found) > limit
    if as_json:
        render.print_messages(shown)
        return
    if not shown:
        chosen = queue or state or search
        hint(
            "No such tasks." if chosen else "No tasks yet. Try: quorate submit --wait -- echo hello"
        )
        return
    table = render.table(
        *("ID", "NAME", "QUEUE", "STATE", "FAILURES", "AGE", "RAN", "NODE"),
        right=("FAILURES",),
        elastic=("NAME",),
        drop=("NODE", "RAN", "FAILURES", "AGE", "QUEUE", "NAME"),
    )
    for task in shown:
        table.add_row(*render.task_row(task))
    render.show(table)
    if more:
        chosen_by = [f"--queue {queue}"] if queue else []
        chosen_by += [f"--state {one}" for one in state or ()]
        chosen_by += [f"--search {shlex.quote(search)}"] if search else []
        words = " ".join(["quorate tasks", *chosen_by, f"--limit {limit * 10}"])
        hint(f"There are more. Show them with: {words}")


@with_client
def task(client: Client, id: Id, as_json: Json = False) -> None:
    """Show one task: its state, attempts, result or error."""
    found = client.get(task_id(client, id)).task(full=True)
    if as_json:
        render.print_json(render.as_dict(found))
        return
    details = _details(found)
    if found.state == task_pb2.TASK_STATE_PENDING:
        details.add_row("Waiting", waits_for(client.calls, found))
    render.show(details)
    if found.attempts:
        render.show("")
        render.show(_attempts(found))
    if found.error.traceback:
        render.show("")
        render.out.print(found.error.traceback.rstrip(), markup=False, style="dim")
    if found.attempt:
        hint(f"\nOutput: quorate logs {found.id}")


@with_client
def logs(
    client: Client,
    id: Id,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the output until the attempt ends.")
    ] = False,
    attempt: Annotated[int, typer.Option(min=0, help="Number of the attempt; 0: the latest.")] = 0,
    tail: Annotated[
        int, typer.Option("--tail", min=0, help="Number of lines from the end; 0: all.")
    ] = 0,
    as_json: Json = False,
) -> int:
    """Print the output of a task, each stream to the same stream of this command.

    With --json both go to standard output, one JSON object a line: the stream, the attempt, the
    offset in the stream in bytes, and the data in base64.
    """
    handle = client.get(task_id(client, id))
    if as_json:
        for chunk in handle.logs(follow, attempt=attempt, tail=tail):
            render.print_line(chunk)
        return OK
    wrote = write_logs(handle, follow=follow, attempt=attempt, tail=tail)
    if not wrote:
        state = handle.status()
        hint(f"No output yet; the task is {state}." if not handle.done() else "No output.")
    return OK


@with_client
def retry(client: Client, ids: Ids) -> int:
    """Run FAILED or CANCELLED tasks again."""

    def again(id: str) -> str:
        client.get(task_id(client, id)).retry()
        return "will run again"

    return each(ids, again)


@with_client
def wait(
    client: Client,
    ids: Ids,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", help="Maximum wait, in seconds; then exit code 6."
        ),
    ] = None,
) -> int:
    """Wait until tasks are finished; exit code 0 when all of them succeeded."""
    good = True
    for id in [task_id(client, given) for given in ids]:
        handle = client.get(id)
        with err.status(f"task {id}"), saying_why(handle):
            found = handle.wait(timeout)
        good &= found.state == task_pb2.TASK_STATE_SUCCEEDED
        sys.stdout.write(f"{id} {state_name(found)}\n")
    return OK if good else FAILED


def write_logs(handle: TaskHandle[Any], *, follow: bool, attempt: int = 0, tail: int = 0) -> bool:
    """Copy a task's output to ours; False when there was none."""
    return write_chunks(handle.logs(follow, attempt=attempt, tail=tail))


def write_chunks(chunks: Iterable[scheduler_pb2.LogChunk]) -> bool:
    """Copy output to ours; False when there was none."""
    wrote = False
    for chunk in chunks:
        is_error = chunk.stream == scheduler_pb2.LOG_STREAM_STDERR
        target = sys.stderr.buffer if is_error else sys.stdout.buffer
        target.write(chunk.data)
        target.flush()
        wrote = True
    return wrote


def _details(found: task_pb2.Task) -> Table:
    table = Details()
    table.add_row("Task", found.id)
    table.add_row("State", render.state_text(_state_line(found)))
    table.add_row("Name", one_line(found.spec.name) or "-")
    table.add_row("Queue", found.queue)
    table.add_row("Work", _work(found.spec))
    if wanted := needs(found.spec.resources):
        table.add_row("Needs", ", ".join(wanted))
    if found.spec.labels:
        table.add_row("Labels", ", ".join(f"{k}={v}" for k, v in sorted(found.spec.labels.items())))
    creator = f" by {found.created_by}" if found.created_by else ""
    table.add_row("Created", render.moment(found.create_time) + creator)
    if found.state == task_pb2.TASK_STATE_SCHEDULED:
        table.add_row("Waits until", render.moment(found.schedule_time))
    if is_finished(found):
        table.add_row("Finished", render.moment(found.finish_time))
    if found.failures or found.crashes:
        table.add_row("Failures", f"{found.failures} failed attempts, {found.crashes} lost nodes")
    if found.state == task_pb2.TASK_STATE_SUCCEEDED:
        table.add_row("Result", _result(found.result))
    if found.error.type:
        table.add_row("Error", f"{found.error.type}: {found.error.message}")
    return table


def waits_for(calls: Calls, found: task_pb2.Task) -> str:
    """Why a PENDING task has not started."""
    if found.pending_reason:
        return found.pending_reason
    queues = (queue for queue in list_queues(calls) if queue.name == found.queue)
    queue = next(queues, queue_pb2.Queue(name=found.queue))
    return why_pending(found.spec.resources, queue, list(list_nodes(calls)))


@contextmanager
def saying_why(handle: TaskHandle[Any]) -> Iterator[None]:
    """Say on standard error why a task waits that has not started soon."""
    timer = threading.Timer(_SOON, _say_why, (handle,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say_why(handle: TaskHandle[Any]) -> None:
    # What it waits for is said, or not; whether it can be waited for shows elsewhere.
    with suppress(QuorateError):
        found = handle.task()
        if found.state == task_pb2.TASK_STATE_PENDING:
            hint(f"Waiting: {waits_for(handle.calls, found)}")


def _state_line(found: task_pb2.Task) -> str:
    state = shown_state(found)
    return f"{state} (cancelling)" if found.cancel_requested and not is_finished(found) else state


def _attempts(found: task_pb2.Task) -> Table:
    table = render.table(
        *("ATTEMPT", "NODE", "ASSIGNED", "WAITED", "RAN", "OUTCOME"),
        right=("ATTEMPT",),
        drop=("WAITED", "ASSIGNED", "RAN", "NODE"),
    )
    # A node returned the attempts whose numbers are missing, which is no failure and not on record.
    # Only the latest attempts are on record: before the first of them nothing is known.
    known = found.attempts[0].number if found.failures + found.crashes > _KEPT else 1
    for attempt in found.attempts:
        _add_returned(table, known, attempt.number - 1)
        known = attempt.number + 1
        assigned, began, ended = (
            render.stamp(value)
            for value in (attempt.assign_time, attempt.start_time, attempt.finish_time)
        )
        table.add_row(
            str(attempt.number),
            attempt.node,
            render.moment(attempt.assign_time),
            render.seconds(began - assigned) if began and assigned else "-",
            render.seconds(ended - began) if ended and began else "-",
            attempt.error.type or ("ok" if ended else "running" if began else "assigned"),
        )
    _add_returned(table, known, found.attempt)
    return table


def _add_returned(table: Table, first: int, last: int) -> None:
    if first <= last:
        numbers = str(last) if first == last else f"{first}-{last}"
        table.add_row(numbers, "-", "-", "-", "-", "returned before it started")


def _work(spec: task_pb2.TaskSpec) -> str:
    if spec.WhichOneof("work") == "command":
        return shlex.join(spec.command.argv)
    if spec.WhichOneof("work") == "service":
        service = spec.service
        return f"{shlex.join(service.command.argv)} (a replica of service {service.service})"
    python = spec.python
    function = python.entrypoint or "a pickled function"
    if python.WhichOneof("arguments") == "json":
        return f"{function} {python.json[:_MOST_SHOWN]}"
    return f"{function} (pickled arguments, {size_text(len(python.pickle))})"


def _result(result: task_pb2.TaskResult) -> str:
    kind = result.WhichOneof("value")
    if kind == "json":
        return result.json[:_MOST_SHOWN]
    if kind == "pickle":
        # Not unpickled: that would run code which came from elsewhere.
        return f"a pickle of {size_text(len(result.pickle))}"
    return f"exit code {result.exit_code}"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("tasks")(tasks)
    app.command("task")(task)
    app.command("logs")(logs)
    app.command("cancel")(cancel)
    app.command("retry")(retry)
    app.command("wait")(wait)
