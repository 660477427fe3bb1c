"""Commands about jobs: `jobs`, `job ID`, and `job cancel | pause | resume | ... ID`."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Callable
from typing import Annotated, Any

import grpc
import typer

from quorate.cli.common import Json, with_client
from quorate.cli.exits import OK, code_of, sentence_of
from quorate.cli.graphs import calls as graphs
from quorate.cli.graphs import show as graph_show
from quorate.cli.help import Group
from quorate.cli.hints import command
from quorate.cli.jobs import inside, show
from quorate.cli.jobs.appending import append
from quorate.cli.jobs.ids import WHICH, Id, job_id
from quorate.cli.jobs.waiting import SHOWN_ERRORS, finish
from quorate.cli.misnamed import misnamed
from quorate.cli.output import render
from quorate.cli.output.render import err, hint
from quorate.cli.words import pairs
from quorate.client.client import Client
from quorate.client.jobs.handle import JobHandle
from quorate.client.jobs.states import is_finished
from quorate.client.jobs.values import failed_part
from quorate.client.work.job_updates import JobUpdateArgs
from quorate.runtime.errors import QuorateError, invalid

Ids = Annotated[list[str], typer.Argument(metavar="ID", help=f"Ids of jobs: each {WHICH}.")]


class _Group(Group):
    """`job ID` is `job show ID`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


group = typer.Typer(
    cls=_Group,
    help="Show one job, or do something with it; list jobs.\n\n[dim]quorate job ID[/dim]",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@with_client
def jobs(
    client: Client,
    queue: Annotated[
        str, typer.Option("--queue", "-q", help="Queue of the jobs. \\[default: all queues]")
    ] = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            help="Only jobs in this state: active, paused, succeeded, failed or cancelled; may be "
            "repeated.",
        ),
    ] = None,
    search: Annotated[
        str,
        typer.Option(
            "--search",
            help="Only jobs with all of these words in name, program or function, or labels.",
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number of lines.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """List jobs, newest first, and how many of their subtasks are finished.

    FINISHED counts subtasks that succeeded, failed, were cancelled or skipped; FAILED is the number
    of those that failed. A + means that more subtasks may follow.

    In a narrow terminal, ids are shortened to their last 8 characters, as in …1565b145. Commands
    accept such ids. --json and a pipe show whole ids.
    """
    pages = client.jobs(
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
            "No such jobs."
            if chosen
            else "No jobs yet. Try: quorate submit --array 1-10 --wait -- echo {index}"
        )
        return
    render.show_tasks(show.table_of(shown))
    if more:
        chosen_by = [f"--queue {queue}"] if queue else []
        chosen_by += [f"--state {one}" for one in state or ()]
        chosen_by += [f"--search {shlex.quote(search)}"] if search else []
        words = " ".join(["quorate jobs", *chosen_by, f"--limit {limit * 10}"])
        hint(f"There are more. Show them with: {words}")


# The command of the same name, for those who try it.
group.command("list")(jobs)


@group.command("show")
@with_client
def show_job(client: Client, id: Id, as_json: Json = False) -> None:
    """Show one job: its progress, its limits, its errors; of a graph its tasks. 'quorate job ID'
    does the same."""
    handle = _handle(client, id)
    job = handle.job()
    if as_json:
        render.print_json(render.as_dict(job))
        return
    render.show(show.details_of(job))
    if graph_show.is_graph(job):
        graphs.show_graph(client.calls, job)
        if is_finished(job) and job.counts.failed + job.counts.cancelled:
            hint(f"Run the rest again: {command(f'job retry {job.id}')}")
        return
    if not job.counts.failed and failed_part(job) == job.id:
        return
    groups = handle.errors()
    render.show("")
    render.show(show.errors_table(groups[:SHOWN_ERRORS]))
    if len(groups) > SHOWN_ERRORS:
        hint(f"All errors: {command(f'job errors {job.id}')}")
    if is_finished(job):
        hint(f"Run the failed ones again: {command(f'job retry {job.id}')}")


for name, act in (
    ("append", append),
    ("errors", inside.errors),
    ("result", inside.result),
    ("results", inside.results),
    ("subtasks", inside.subtasks),
    ("tasks", inside.tasks),
):
    group.command(name)(with_client(act))


@group.command("wait")
@with_client
def wait(
    client: Client,
    id: Id,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", help="Maximum wait, in seconds; then exit code 6."
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Wait until a job is finished, with a progress bar on a terminal.

    Exit code: 0 when it succeeded, 1 when it failed or was cancelled, 6 after --timeout.
    """
    return finish(_handle(client, id), timeout, as_json)


@group.command("cancel")
@with_client
def cancel(client: Client, ids: Ids) -> int:
    """Cancel jobs. Waiting subtasks are cancelled at once, and subtasks on nodes are ended."""

    def act(handle: JobHandle[Any]) -> str:
        if not handle.cancel():
            raise QuorateError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "JOB_FINISHED",
                f"job {handle.id} is finished already ({handle.status()})",
            )
        return "cancelled" if handle.done() else "is being cancelled"

    return _each(client, ids, act)


@group.command("pause")
@with_client
def pause(client: Client, ids: Ids) -> int:
    """Pause jobs: no more subtasks start. Subtasks on nodes go on."""
    return _each(client, ids, _saying(JobHandle.pause, "paused"))


@group.command("resume")
@with_client
def resume(client: Client, ids: Ids) -> int:
    """Resume paused jobs."""
    return _each(client, ids, _saying(JobHandle.resume, "resumed"))


@group.command("update")
@with_client
def update(
    client: Client,
    ids: Ids,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Label; may be repeated. The labels given replace all old ones.",
        ),
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option(
            help="New priority of the subtasks, -1000 to 1000. Higher priority starts first."
        ),
    ] = None,
    max_parallel: Annotated[
        int | None,
        typer.Option(help="Maximum number of subtasks that run at once; 0 for no limit.", min=0),
    ] = None,
    max_failures: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of failed subtasks; one more ends the job. -1 for no limit.",
            min=-1,
        ),
    ] = None,
    max_failure_share: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Maximum share of failed subtasks, such as 0.05; more end the job. 0 for no "
            "limit.",
            min=0.0,
            max=1.0,
        ),
    ] = None,
    close_after_idle: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Time without new items after which an open job is closed, in seconds. 0 for the "
            "default, 24 hours.",
            min=0.0,
        ),
    ] = None,
) -> int:
    """Change jobs that are not finished. Subtasks on nodes go on.

    [dim]quorate job update ID --max-parallel 10 --priority 5[/dim]
    """
    changes = JobUpdateArgs()
    if name is not None:
        changes["name"] = name
    if label:
        changes["labels"] = pairs("--label", label)
    if priority is not None:
        changes["priority"] = priority
    if max_parallel is not None:
        changes["max_parallel"] = max_parallel
    if max_failures is not None:
        changes["max_failures"] = max_failures if max_failures >= 0 else None
    if max_failure_share is not None:
        changes["max_failure_share"] = max_failure_share or None
    if close_after_idle is not None:
        changes["close_after_idle"] = close_after_idle or None
    if not changes:
        raise invalid(
            "--name",
            "give at least one of --name, --label, --priority, --max-parallel, --max-failures, "
            "--max-failure-share, --close-after-idle",
        )
    return _each(client, ids, _saying(lambda handle: handle.update(**changes), "updated"))


@group.command("retry")
@with_client
def retry(client: Client, ids: Ids) -> int:
    """Run again, under the same id, the subtasks or tasks of finished jobs that failed or were
    cancelled."""
    return _each(client, ids, _saying(JobHandle.retry, "will run what failed again"))


@group.command("close")
@with_client
def close(client: Client, ids: Ids) -> int:
    """Close open arrays: they accept no more items, and end when all their subtasks have."""
    return _each(client, ids, _saying(JobHandle.close, "closed"))


@group.command("delete")
@with_client
def delete(client: Client, ids: Ids) -> int:
    """Delete finished jobs with their results and errors."""
    return _each(client, ids, _saying(JobHandle.delete, "deleted"))


def _handle(client: Client, given: str) -> JobHandle[Any]:
    return client.job(job_id(client, given))


def _saying(act: Callable[[JobHandle[Any]], object], word: str) -> Callable[[JobHandle[Any]], str]:
    def run(handle: JobHandle[Any]) -> str:
        act(handle)
        return word

    return run


def _each(client: Client, ids: list[str], act: Callable[[JobHandle[Any]], str]) -> int:
    """Do something to each; go on after a failure, and return the gravest code."""
    worst = OK
    for id in ids:
        try:
            handle = _handle(client, id)
            sys.stdout.write(f"{handle.id} {act(handle)}\n")
        except QuorateError as error:
            err.print(f"quorate: {sentence_of(misnamed(client, error))}", markup=False)
            worst = max(worst, code_of(error))
    return worst


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("jobs")(jobs)
    app.add_typer(group, name="job")
