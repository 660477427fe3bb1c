"""`quorate map`: calls a Python function for each line of a file."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from quorate.cli.common import with_client
from quorate.cli.groups import HIDDEN, given, refuse, with_groups
from quorate.cli.inputs import Function, item, lines
from quorate.cli.output.progress import map_progress
from quorate.cli.output.render import hint
from quorate.cli.tasks import options as o
from quorate.cli.tasks.ending import report_failure
from quorate.cli.tasks.waits import saying_why_none
from quorate.cli.tasks.warned import warned
from quorate.client.client import Client
from quorate.client.errors import TaskFailed
from quorate.client.work.options import OptionArgs
from quorate.runtime.visible import visible_json


@with_client
@warned
@with_groups
def map_(
    client: Client,
    function: Function,
    items: Annotated[
        str,
        typer.Option(metavar="FILE", help="File with one item per line. '-' is standard input."),
    ],
    json_items: Annotated[
        bool, typer.Option("--json-items", help="Read each line as a JSON value, not as a string.")
    ] = False,
    chunk: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Number of items per task. \\[default: chosen by how long items take]",
            show_default=False,
        ),
    ] = None,
    unordered: Annotated[
        bool, typer.Option("--unordered", help="Print each result when its task ends.")
    ] = False,
    queue: o.Queue = "default",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    *,
    execution: o.Execution,
    keys: o.Keys,
    unique: Annotated[o.Unique, HIDDEN],
    placing: o.Placing,
) -> int:
    """Call a Python function for each line of a file. Prints one JSON result per line, in order.

    [dim]seq 1000 | quorate map --items - --json-items math:sqrt[/dim]

    If an item fails, the command ends. It cancels the items that are not finished.
    """
    refuse(given(unique), "is for one task; a map creates many, and only one could have the key")
    options = OptionArgs(queue=queue)
    for group in (execution, keys, placing):
        options.update(group.args())
    total, found = lines(items)
    values = (item(line, number) for number, line in enumerate(found, 1)) if json_items else found
    bound = client.options(**options)
    run = bound.map_unordered if unordered else bound.map
    number = 0
    try:
        with (
            map_progress(total, quiet=quiet) as progress,
            saying_why_none(client, queue, progress.say) as started,
        ):
            for result in run(function, values, chunk=chunk):
                started()
                number += 1
                progress.print(visible_json(json.dumps(result, ensure_ascii=False, default=repr)))
    except Exception as error:
        # The function's own exception: its task and its traceback are in the cause.
        failed = error if isinstance(error, TaskFailed) else error.__cause__
        if not isinstance(failed, TaskFailed):
            raise
        code = report_failure(failed)
        if not unordered:
            hint(f"The first line of that task is line {number + 1} of the items.")
        if failed.type == "TypeError" and not json_items:
            hint("Items are strings; did you mean --json-items?")
        return code
    return 0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("map")(map_)
