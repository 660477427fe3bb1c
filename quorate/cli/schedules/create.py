"""`quorate schedule create`."""

from __future__ import annotations

from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.graphs.file import read_graph
from quorate.cli.groups import HIDDEN, given, refuse, with_groups
from quorate.cli.jobs.creating import check_array
from quorate.cli.jobs.options import ArrayJob, JsonItems
from quorate.cli.schedules import options as o
from quorate.cli.schedules.naming import named_options
from quorate.cli.schedules.show import done
from quorate.cli.schedules.work import array_job, refuse_conflicts, task_of, task_options
from quorate.cli.tasks import options as task
from quorate.client.client import Client
from quorate.runtime.errors import invalid
from quorate.v1 import job_pb2, task_pb2

IN_THE_FILE = "goes not together with --graph: what runs, and its options, are in the file"


@with_client
@with_groups
@named_options()
def create(
    client: Client,
    schedule: o.Name,
    argv: o.Argv = None,
    *,
    work: o.Work,
    queue: task.Queue = "default",
    when: o.When,
    execution: task.Execution,
    keys: task.Keys,
    unique: task.Unique,
    placing: task.Placing,
    hooks: task.Hooks,
    jobs: ArrayJob,
    json_items: JsonItems = False,
    graph: o.Graph = "",
    others: Annotated[o.NotOfSchedules, HIDDEN],
    as_json: Json = False,
) -> None:
    """Create a schedule. The cluster creates a task at each of its ticks.

    [dim]quorate schedule create nightly --cron "30 2 * * *" --zone Europe/Berlin -- ./report[/dim]

    [dim]quorate schedule create sync --every 5m --call jobs:sync[/dim]

    A run gets the time of its tick in the environment variable QUORATE_SCHEDULED_TIME.

    With --array or --each-line each run is a job of many subtasks:

    [dim]quorate schedule create parts --cron @daily --array 1-100 -- ./part {index}[/dim]

    The lines of --each-line are read now, and stored in the schedule.

    If another task has the --unique-key of a run, the tick waits until the key is free, up to
    --catch-up-window. With --on-conflict replace the run takes the place of that task.
    """
    others.refuse()
    groups = (execution, keys, unique, placing, hooks)
    if graph:
        if argv:
            raise invalid("-- COMMAND", IN_THE_FILE)
        refuse(given(work, *groups, jobs), IN_THE_FILE)
        found = read_graph(graph)
        bound = client.options(queue=found.queue or queue)
        done(bound.schedules.create(schedule, found.spec, **when.args()), "created", as_json)
        return
    refuse_conflicts(unique)
    is_job = bool(jobs.array or jobs.each_line)
    if is_job:
        check_array(jobs, *groups)
    else:
        refuse(given(jobs), "needs --array or --each-line")
    if json_items and not (jobs.each_line and work.call):
        raise invalid("--json-items", "needs --each-line and --call")
    options = task_options(*groups)
    options["queue"], options["secrets"] = queue, task.secrets(work.secret)
    bound = client.options(**options)
    runs: task_pb2.TaskSpec | job_pb2.JobSpec | None
    runs = task_of(argv, work, bound.task_options, template=is_job)
    if runs is None:
        raise typer.BadParameter("what the schedule runs is missing; give -- COMMAND, or --call")
    if is_job:
        runs = array_job(runs, jobs, bound.task_options, json_items=json_items)
    done(bound.schedules.create(schedule, runs, **when.args()), "created", as_json)
