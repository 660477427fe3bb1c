"""`quorate schedule update`: what is given of a schedule changes, and of the task that it runs.

The schedule is read, changed here, and written with the etag that it had, so that a change that
somebody else makes meanwhile is not lost: then all is done again. A change of the times alone needs
no reading.
"""

from __future__ import annotations

from typing import Annotated, Final

import grpc
import typer

from quorate.cli.common import Json, with_client
from quorate.cli.graphs.file import read_graph
from quorate.cli.groups import HIDDEN, Changes, Of, refuse, with_groups
from quorate.cli.jobs.options import ArrayJob, JsonItems
from quorate.cli.schedules import options as o
from quorate.cli.schedules.changing import Runs
from quorate.cli.schedules.create import IN_THE_FILE
from quorate.cli.schedules.naming import named_options
from quorate.cli.schedules.show import done
from quorate.cli.tasks import options as task
from quorate.client.client import Client
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import schedule_pb2 as pb

# Changes by others that one command waits for the end of.
_TRIES: Final = 8
_OF_RUNS: Final = (
    *(o.Work, task.Execution, task.Keys, task.Unique, task.Placing, task.Hooks, ArrayJob),
)


@with_client
@with_groups
@named_options()
def update(
    client: Client,
    schedule: o.Name,
    argv: o.Argv = None,
    *,
    queue: Annotated[
        str,
        typer.Option("--queue", "-q", help="Queue of later runs.", show_default=False),
    ] = "",
    changes: Annotated[Changes, Of(o.When, *_OF_RUNS)],
    json_items: JsonItems = False,
    graph: o.Graph = "",
    others: Annotated[o.NotOfSchedules, HIDDEN],
    as_json: Json = False,
) -> None:
    """Change a schedule. Options that you leave out change nothing.

    [dim]quorate schedule update nightly --cron "0 3 * * *"[/dim]

    [dim]quorate schedule update nightly --retries 3 --prefer disk=ssd[/dim]

    [dim]quorate schedule update nightly -- ./other-report[/dim]

    Runs that were created stay as they are. Ticks that are due but have not run yet get no runs.

    An empty text or 0 removes an option of the runs, as in --timeout 0, --label '' or --array ''.
    --where and --prefer are one list of rules, which either of them replaces; --placement and
    --spread are one strategy.
    """
    others.refuse()
    when = changes.part(o.When).args()
    of_runs = changes.names(*_OF_RUNS)
    if json_items and not changes.given.get("each_line"):
        raise invalid("--json-items", "needs --each-line")
    if graph:
        if argv:
            raise invalid("-- COMMAND", IN_THE_FILE)
        refuse(of_runs, IN_THE_FILE)
        found = read_graph(graph)
        queue = queue or found.queue
        done(client.schedules.update(schedule, found.spec, queue=queue, **when), "changed", as_json)
        return
    if not (argv or of_runs):
        if not (when or queue):
            raise typer.BadParameter("nothing to change; give an option, such as --cron")
        done(client.schedules.update(schedule, queue=queue, **when), "changed", as_json)
        return
    runs = Runs(argv, changes, json_items=json_items)

    def change() -> pb.Schedule:
        there = client.schedules.get(schedule)
        return client.schedules.update(
            schedule, runs.changed(there.spec), etag=there.etag, queue=queue, **when
        )

    for _ in range(_TRIES - 1):
        try:
            done(change(), "changed", as_json)
        except QuorateError as error:
            if error.code is not grpc.StatusCode.ABORTED:
                raise
        else:
            return
    done(change(), "changed", as_json)
