"""Commands about quotas: `quotas`, and `quota set`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from quorate.cli.common import Json, with_client
from quorate.cli.output import render
from quorate.cli.words import size_in_bytes
from quorate.client.client import Client
from quorate.client.pages import list_quotas
from quorate.client.transport.rpcs import SET_QUOTA, new_request_id
from quorate.runtime.quotas import UNLIMITED
from quorate.runtime.sizes import size_text
from quorate.v1 import quota_pb2, scheduler_pb2

group = typer.Typer(
    help="List quotas, or set what one caller or queue may use.", no_args_is_help=True
)

_LIMITS: Final = {
    "live_tasks": "LIVE TASKS",
    "live_subtasks": "LIVE SUBTASKS",
    "blob_bytes": "LARGE VALUES",
    "stored_bytes": "STORED",
    "requests_per_second": "CALLS/S",
    "open_watches": "WATCHES",
    "open_waits": "WAITS",
    "open_streams": "STREAMS",
}
_LEGEND: Final = (
    "1 / 5: one is in use, five are allowed. -: no limit.\n"
    "*: each authenticated caller (or each queue) without a quota of its own.\n"
    "anonymous: everybody who calls without authentication.\n"
    "WATCHES, WAITS, STREAMS: calls that stay open: they follow changes, wait for the\n"
    "end of a task, or read logs. The dashboard has some open too."
)
_BYTES: Final = ("stored_bytes", "blob_bytes")
_DEFAULT: Final = "default"
_HELP: Final = 'a number, "unlimited", or "default"'


@with_client
def quotas(client: Client, as_json: Json = False) -> None:
    """List the quotas of callers and queues, and how much of them is in use.

    "2 / 10" means that 2 of 10 are in use. "-" is no limit. "n/a" is a limit that queues cannot
    have. "caller *" has the limits of each authenticated caller that has no quota of its own, and
    "queue *" those of each such queue.

    LIVE TASKS are unfinished tasks. STORED is the size of all stored tasks, also of finished
    ones. LARGE VALUES is the size of what these tasks have in the blob store. CALLS/S are calls
    per second. The others are calls that are open now: WATCHES of many tasks, WAITS for one task,
    and STREAMS such as logs -f. "caller anonymous" is everybody who calls without authentication.
    It has no limits until an admin sets some.
    """
    found = list(list_quotas(client.calls))
    if as_json:
        render.print_messages(found)
        return
    render.show(_table(found))
    render.hint(_LEGEND)


# The command of the same name, for those who try it.
group.command("list")(quotas)


def _table(found: Sequence[quota_pb2.Quota]) -> Table:
    table = render.table(
        "CALLER OR QUEUE",
        *_LIMITS.values(),
        right=tuple(_LIMITS.values()),
        drop=("LARGE VALUES", "LIVE SUBTASKS", "STREAMS", "WAITS", "WATCHES", "CALLS/S", "STORED"),
    )
    for quota in found:
        name = f"caller {quota.caller}" if quota.caller else f"queue {quota.queue}"
        table.add_row(Text(name), *(_cell(quota, limit) for limit in _LIMITS))
    return table


def _cell(quota: quota_pb2.Quota, limit: str) -> str:
    if not quota.in_force.HasField(limit):
        return "n/a"
    most = getattr(quota.in_force, limit)
    words = "-" if most == UNLIMITED else _amount(limit, most)
    if not quota.usage.HasField(limit):
        return words
    return f"{_amount(limit, getattr(quota.usage, limit))} / {words}"


def _amount(limit: str, value: int) -> str:
    return size_text(value) if limit in _BYTES else f"{value:,}"


@group.command("set")
@with_client
def set_quota(
    client: Client,
    caller: Annotated[
        str,
        typer.Option(
            metavar="ROLE:NAME",
            help='Caller, such as submitter:ci. "anonymous" is every caller without '
            'authentication. "*" is every caller without a quota of its own.',
        ),
    ] = "",
    queue: Annotated[
        str,
        typer.Option(metavar="QUEUE", help='Queue. "*" is every queue without a quota of its own.'),
    ] = "",
    live_tasks: Annotated[
        str, typer.Option(help=f"Maximum number of unfinished tasks: {_HELP}.")
    ] = "",
    live_subtasks: Annotated[
        str, typer.Option(help=f"Maximum number of unfinished subtasks of jobs: {_HELP}.")
    ] = "",
    blob_bytes: Annotated[
        str,
        typer.Option(help=f"Maximum size of large values in the blob store, such as 10G: {_HELP}."),
    ] = "",
    stored_bytes: Annotated[
        str, typer.Option(help=f"Maximum size of all stored tasks, such as 512M: {_HELP}.")
    ] = "",
    requests_per_second: Annotated[
        str, typer.Option(help=f"Maximum number of calls per second: {_HELP}.")
    ] = "",
    open_watches: Annotated[
        str, typer.Option(help=f"Maximum number of open watches: {_HELP}.")
    ] = "",
    open_waits: Annotated[
        str, typer.Option(help=f"Maximum number of open WaitTask calls: {_HELP}.")
    ] = "",
    open_streams: Annotated[
        str, typer.Option(help=f"Maximum number of other open streams: {_HELP}.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Set limits of a caller or a queue. The other limits stay as they are.

    "unlimited" means no limit. "default" removes the value that was set. Then the value for "*"
    holds, or else the default of the schedulers.

    [dim]quorate quota set --caller submitter:ci --live-tasks 10000[/dim]
    """
    if bool(caller) == bool(queue):
        raise typer.BadParameter("exactly one of --caller and --queue is required")
    given = {
        "live_tasks": live_tasks,
        "live_subtasks": live_subtasks,
        "blob_bytes": blob_bytes,
        "stored_bytes": stored_bytes,
        "requests_per_second": requests_per_second,
        "open_watches": open_watches,
        "open_waits": open_waits,
        "open_streams": open_streams,
    }
    if not any(given.values()):
        raise typer.BadParameter("nothing to set; give a limit, such as --live-tasks 10000")
    quota = quota_pb2.Quota(caller=caller, queue=queue)
    for known in list_quotas(client.calls):
        if (known.caller, known.queue) == (caller, queue):
            quota.limits.CopyFrom(known.limits)
    for limit, text in given.items():
        if text:
            _put(quota.limits, limit, text)
    request = scheduler_pb2.SetQuotaRequest(quota=quota, request_id=new_request_id())
    answer = client.calls.call(SET_QUOTA, request).quota
    if as_json:
        render.print_json(render.as_dict(answer))
        return
    render.show(_table([answer]))


def _put(limits: quota_pb2.QuotaLimits, limit: str, text: str) -> None:
    option = f"--{limit.replace('_', '-')}"
    if text == _DEFAULT:
        limits.ClearField(limit)
        return
    if text == "unlimited":
        value = UNLIMITED
    elif limit in _BYTES:
        value = size_in_bytes(option, text)
    elif text.isascii() and text.isdigit() and len(text) < 16:
        value = int(text)
    else:
        raise typer.BadParameter(f"{option} {text}: must be {_HELP}")
    setattr(limits, limit, value)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("quotas")(quotas)
    app.add_typer(group, name="quota")
