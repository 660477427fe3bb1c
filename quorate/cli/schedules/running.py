"""`quorate schedule run`: one run now, or a backfill."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.output import render
from quorate.cli.output.render import hint
from quorate.cli.schedules import options as o
from quorate.client.client import Client
from quorate.runtime.sizes import plural


@with_client
def run(
    client: Client,
    schedule: o.Name,
    since: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="DATE",
            help="Start of a backfill: the ticks since then run. A date without a time is 00:00, "
            "and it is in the zone of this machine unless it has an offset such as +01:00. "
            "\\[default: one run now]",
            show_default=False,
        ),
    ] = "",
    to: Annotated[
        str,
        typer.Option(
            metavar="DATE",
            help="End of the backfill, written as --from: 2026-11-30 is the start of that day. "
            "\\[default: now]",
            show_default=False,
        ),
    ] = "",
    overlap: Annotated[
        o.BackfillOverlap | None,
        typer.Option(
            metavar="POLICY",
            help="What happens to a tick of the backfill while another run is not finished: skip, "
            "queue-all or allow. \\[default: queue-all]",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only print the ticks that the backfill would run."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a schedule now, or its ticks of the past (a backfill).

    [dim]quorate schedule run nightly[/dim]

    [dim]quorate schedule run nightly --from 2026-11-01 --to 2026-12-01 --dry-run[/dim]
    """
    if not since:
        if to or overlap is not None or dry_run:
            raise typer.BadParameter("--to, --overlap and --dry-run need --from")
        handle = client.schedules.run(schedule)
        if as_json:
            render.print_json({"task": handle.id})
        else:
            sys.stdout.write(f"{handle.id}\n")
        return
    begin = o.date("--from", since)
    end = o.date("--to", to) if to else None
    if dry_run:
        found = client.schedules.preview_backfill(schedule, begin, end)
        if as_json:
            render.print_json({"ticks": [tick.isoformat() for tick in found]})
            return
        for tick in found:
            sys.stdout.write(f"{tick.astimezone():%Y-%m-%d %H:%M:%S %Z}\n")
        hint(f"{plural(len(found), 'tick')}; without --dry-run they run")
        return
    policy = overlap.replace("-", "_") if overlap is not None else None
    ticks = client.schedules.backfill(schedule, begin, end, policy)  # type: ignore[arg-type]
    if as_json:
        render.print_json({"ticks": ticks})
    else:
        sys.stdout.write(f"{schedule}: {plural(ticks, 'tick')} will run\n")
