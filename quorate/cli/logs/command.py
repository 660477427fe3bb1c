"""`quorate logs`: what a task wrote, from the node that has it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.exits import FAILED, NOT_FOUND, OK
from quorate.cli.output import render
from quorate.cli.output.logs import clock, write_chunks
from quorate.cli.output.render import err, hint
from quorate.cli.tasks.ids import WHICH, task_id
from quorate.cli.tasks.waits import say_no_attempt, saying_why, stored_attempts
from quorate.client.client import Client
from quorate.client.handle import TaskHandle
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2

_STDERR = scheduler_pb2.LOG_STREAM_STDERR


@with_client
def logs(
    client: Client,
    id: Annotated[str, typer.Argument(metavar="ID", help=f"Id of the task: {WHICH}.")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the output until the attempt ends.")
    ] = False,
    attempt: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Number of the attempt. \\[default: the latest]",
            show_default=False,
        ),
    ] = 0,
    tail: Annotated[
        int,
        typer.Option(
            "--tail",
            min=0,
            help="Number of lines from the end of each stream. \\[default: all]",
            show_default=False,
        ),
    ] = 0,
    head: Annotated[
        int,
        typer.Option(
            "--head",
            min=0,
            help="Number of lines from the beginning of each stream. \\[default: all]",
            show_default=False,
        ),
    ] = 0,
    search: Annotated[
        str,
        typer.Option(
            "--search",
            metavar="TEXT",
            help="Print only lines in which this text is, and the byte at which each begins.",
            show_default=False,
        ),
    ] = "",
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Print when each line was written.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Print the output of a task's latest attempt: its stdout to stdout, its stderr to stderr.

    With --json both go to standard output, one JSON object a line: the stream, the attempt, the
    offset in the stream in bytes, and the data in base64. With --search the exit code is 1 when
    nothing was found.
    """
    if search and (follow or tail or head):
        raise typer.BadParameter(
            "cannot be used with --follow, --tail or --head", param_hint="--search"
        )
    if head and (follow or tail):
        raise typer.BadParameter("cannot be used with --follow or --tail", param_hint="--head")
    handle = client.get(task_id(client, id))
    try:
        if search:
            return _search(handle, search, attempt, timestamps=timestamps, as_json=as_json)
        if as_json:
            for chunk in handle.logs(follow, attempt=attempt, tail=tail, head=head):
                render.print_line(chunk)
            return OK
        with saying_why(handle):
            chunks = handle.logs(follow, attempt=attempt, tail=tail, head=head)
            wrote = write_chunks(chunks, timestamps=timestamps)
    except QuorateError as error:
        if error.reason != "ATTEMPT_NOT_FOUND":
            raise
        say_no_attempt(handle, attempt)
        return NOT_FOUND
    if not wrote:
        state = handle.status()
        hint(f"No output yet; the task is {state}." if not handle.done() else "No output.")
    if err.is_terminal and len(known := stored_attempts(handle.task())) > 1:
        shown = attempt or known[-1]
        others = ", ".join(str(number) for number in known if number != shown)
        hint(f"This is the output of attempt {shown}. Other attempts: {others} (--attempt N)")
    return OK


def _search(
    handle: TaskHandle[Any], text: str, attempt: int, *, timestamps: bool, as_json: bool
) -> int:
    found = 0
    for match in handle.search_logs(text, attempt=attempt):
        found += 1
        if as_json:
            render.print_line(match)
            continue
        stream = "stderr" if match.stream == _STDERR else "stdout"
        time = f"{clock(match.time)} " if timestamps else ""
        sys.stdout.buffer.write(f"{time}{stream}:{match.offset}: ".encode() + match.line + b"\n")
        sys.stdout.buffer.flush()
    if not found:
        hint("No line has this text.")
    return OK if found else FAILED


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs")(logs)
