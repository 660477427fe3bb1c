"""`quorate consume`: print the messages of a queue or stream as they come."""

from __future__ import annotations

import datetime as dt
import sys
import time
from typing import Annotated, Any

import typer

from quorate.cli.common import with_client
from quorate.cli.messages.options import QueueName, VirtualHost, print_body
from quorate.cli.output import render
from quorate.cli.words import instant
from quorate.client.client import Client


@with_client
def consume(
    client: Client,
    queue: QueueName,
    count: Annotated[
        int,
        typer.Option("--count", "-n", min=0, metavar="N", help="End after N messages; 0: never."),
    ] = 0,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="End when no message came for so long, in seconds. \\[default: never]",
        ),
    ] = None,
    prefetch: Annotated[
        int,
        typer.Option(
            min=0, max=65_535, metavar="N", help="Maximum number of messages on their way."
        ),
    ] = 100,
    offset: Annotated[
        str,
        typer.Option(
            metavar="OFFSET",
            help="Of a stream, where to begin: first, last, next, or a number. \\[default: next]",
            show_default=False,
        ),
    ] = "",
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Of a stream, where to begin: a time such as 30m ago, or an ISO 8601 date. "
            "\\[default: none]",
            show_default=False,
        ),
    ] = "",
    offset_name: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of a stream: begin at this named offset, and store it at the end. "
            "\\[default: none]",
            show_default=False,
        ),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each message.")
    ] = False,
    virtual_host: VirtualHost = "",
) -> None:
    """Print new and waiting messages, one line each. Each is acknowledged after it is printed.

    Ctrl-C ends it. To look at messages without taking them use quorate peek.

    [dim]quorate consume mail --count 10[/dim]
    """
    position: Any = int(offset) if offset.isdigit() else offset or None
    made = client.consume(
        queue,
        prefetch=min(prefetch, count) if count and prefetch else prefetch,
        offset=position,
        since=_time(since),
        offset_name=offset_name,
        timeout=wait,
        name="quorate consume",
        virtual_host=virtual_host,
    )
    taken, following = 0, None
    try:
        with made as consumer:
            for delivery in consumer:
                if as_json:
                    render.print_line(delivery.proto)
                else:
                    print_body(delivery.body)
                delivery.ack()
                following = delivery.id + 1
                taken += 1
                if taken == count:
                    break
    finally:
        sys.stdout.flush()
        if offset_name and following is not None:
            client.store_offset(queue, offset_name, following, virtual_host=virtual_host)


def _time(text: str) -> dt.datetime | None:
    if not text:
        return None
    found = instant("--since", text.removesuffix(" ago"), time.time())
    return dt.datetime.fromtimestamp(found, dt.UTC)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("consume")(consume)
