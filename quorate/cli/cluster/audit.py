"""The command about who changed what: `audit`."""

from __future__ import annotations

import itertools
import shlex
import time
from collections.abc import Sequence
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text

from quorate.cli.common import Json, with_client
from quorate.cli.output import render
from quorate.cli.output.listing import Listing
from quorate.cli.words import instant
from quorate.client.client import Client
from quorate.client.pages import list_audit_entries
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import size_text
from quorate.v1 import audit_pb2, scheduler_pb2

_WHEN = "such as 2h (2 hours ago; also s, m, d) or 2026-01-31T12:00 (local time)."


@with_client
def audit(
    client: Client,
    caller: Annotated[
        str,
        typer.Option(
            help="Caller who made the changes, such as alice or operator:alice. \\[default: all]"
        ),
    ] = "",
    resource: Annotated[
        str,
        typer.Option(
            metavar="TYPE[/NAME]",
            help="Resource that was changed, such as queue/mail, or a type: queue, node, service, "
            "task, job, schedule, quota, limit, pause, exchange, message_queue or virtual_host. "
            "\\[default: all]",
        ),
    ] = "",
    rpc: Annotated[
        str,
        typer.Option(
            metavar="RPC", help="Call that made the change, such as PauseQueue. \\[default: all]"
        ),
    ] = "",
    since: Annotated[
        str, typer.Option(metavar="WHEN", help=f"Earliest time of the changes, {_WHEN}")
    ] = "",
    until: Annotated[
        str,
        typer.Option(
            metavar="WHEN", help="Latest time of the changes, written like that of --since."
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number of lines.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """List who changed what, newest first.

    The audit log has changes of queues, nodes, services, schedules and quotas. Of tasks it has
    cancel, retry and delete, but not their submission. Schedulers keep at most 10,000 entries
    (--audit-keep), for 90 days (--audit-keep-for).
    """
    kind, _, name = resource.partition("/")
    now = time.time()
    request = scheduler_pb2.ListAuditEntriesRequest(
        page_size=min(limit + 1, 1000),
        caller=caller,
        resource_type=kind,
        resource_name=name,
        method=rpc,
        since=_timestamp("--since", since, now),
        until=_timestamp("--until", until, now),
    )
    try:
        found = list(itertools.islice(list_audit_entries(client.calls, request), limit + 1))
    except QuorateError as error:
        raise _of_option(error) from None
    shown, more = found[:limit], len(found) > limit
    if as_json:
        render.print_messages(shown)
        return
    options = {
        "--caller": caller,
        "--resource": resource,
        "--rpc": rpc,
        "--since": since,
        "--until": until,
    }
    chosen = [word for option, value in options.items() if value for word in (option, value)]
    if not shown:
        render.hint(
            "No such changes. Show all of them with: quorate audit"
            if chosen
            else "No changes yet, or the schedulers keep none (--audit-keep 0). "
            "Try: quorate queue create mail"
        )
        return
    render.show_tasks(_table(shown))
    if more:
        words = shlex.join(["quorate", "audit", *chosen, "--limit", str(limit * 10)])
        render.hint(f"There are more. Show them with: {words}")


def _of_option(error: QuorateError) -> Exception:
    """A mistake in a field of the request, as one in the option that it came from."""
    for field, option in (("resource_type", "--resource"), ("method", "--rpc")):
        if error.message.startswith(f"{field}: "):
            return typer.BadParameter(f"{option}: {error.message.removeprefix(f'{field}: ')}")
    return error


def _timestamp(option: str, text: str, now: float) -> Timestamp | None:
    if not text:
        return None
    made = Timestamp()
    made.FromMicroseconds(int(instant(option, text, now) * 1e6))
    return made


def _table(shown: Sequence[audit_pb2.AuditEntry]) -> Listing:
    table = render.table(
        "TIME",
        "WHO",
        "FROM",
        "DID",
        "TO",
        "CHANGED",
        # Without the year and milliseconds.
        short={"TIME": lambda text: text[5:19], "TO": render.short_ids},
        elastic=("CHANGED", "TO"),
        wrapped=("CHANGED", "TO"),
        drop=("FROM", "TIME"),
    )
    for entry in shown:
        words = (
            render.moment(entry.time),
            f"{entry.role}:{entry.caller}" if entry.role else entry.caller,
            entry.peer or "-",
            entry.method.rpartition("/")[2],
            f"{entry.resource_type}/{entry.resource_name}",
            ", ".join(_change(change, entry.resource_type) for change in entry.changes) or "-",
        )
        # Not markup, whatever brackets are in it.
        table.add_row(*map(Text, words))
    return table


def _change(change: audit_pb2.AuditChange, kind: str) -> str:
    if (change.field, change.after) == ("cancel_requested", "true"):
        return "cancelled"
    before, after = (_value(change.field, value) for value in (change.before, change.after))
    if kind == "quota":
        before, after = before or "default", after or "default"
    if before and after:
        return f"{change.field} {before} -> {after}"
    if before:
        return f"{change.field} was {before}"
    return f"{change.field} {after}" if after else change.field


def _value(field: str, text: str) -> str:
    return size_text(int(text)) if field.endswith("_bytes") and text.isdigit() else text


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit")(audit)
