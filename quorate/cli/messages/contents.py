"""What is in message queues: `peek`, `purge`, `move`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.exits import FAILED, OK
from quorate.cli.messages.options import QueueName, VirtualHost, message_table
from quorate.cli.output import render
from quorate.client.client import Client
from quorate.runtime.sizes import plural


@with_client
def peek(
    client: Client,
    queue: QueueName,
    count: Annotated[
        int,
        typer.Option(
            "--count", "-n", min=1, max=100, metavar="N", help="Maximum number of messages."
        ),
    ] = 10,
    offset: Annotated[
        int, typer.Option(min=0, metavar="N", help="Of a stream, the first offset.")
    ] = 0,
    virtual_host: VirtualHost = "",
    as_json: Json = False,
) -> None:
    """Show the oldest ready messages of a message queue, and leave them there."""
    found = client.peek(queue, count, offset=offset, virtual_host=virtual_host)
    if as_json:
        render.print_messages([one.proto for one in found])
        return
    if not found:
        render.hint(
            f"No messages are ready in {queue}. Publish one: quorate publish --queue {queue} BODY"
        )
        return
    render.show(message_table(found))


@with_client
def purge(
    client: Client,
    queue: QueueName,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Delete them; without --yes the command only counts them."),
    ] = False,
    virtual_host: VirtualHost = "",
) -> int:
    """Delete the ready messages of a message queue. Messages that a consumer holds are kept."""
    if yes:
        count = client.purge(queue, virtual_host=virtual_host)
        sys.stdout.write(f"{plural(count, 'message')} deleted\n")
        return OK
    ready = client.message_queue(queue, virtual_host=virtual_host).ready
    sys.stdout.write(f"{plural(ready, 'ready message')}\n")
    if ready:
        render.err.print("Repeat the command with --yes to delete them.", markup=False)
        return FAILED
    return OK


@with_client
def move(
    client: Client,
    queue: QueueName,
    destination: Annotated[
        str, typer.Argument(metavar="DESTINATION", help="The message queue that gets them.")
    ],
    count: Annotated[
        int,
        typer.Option(
            "--count", "-n", min=1, max=10_000, metavar="N", help="Maximum number of messages."
        ),
    ] = 1_000,
    virtual_host: VirtualHost = "",
) -> None:
    """Move ready messages to another queue, oldest first: dead letters back to work, say.

    [dim]quorate move mail.failed mail --count 100[/dim]
    """
    moved = client.move(queue, destination, count, virtual_host=virtual_host)
    sys.stdout.write(f"{plural(moved, 'message')} moved\n")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("peek")(peek)
    app.command("purge")(purge)
    app.command("move")(move)
