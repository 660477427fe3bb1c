"""Commands about streams: `stream list | create | delete`, `stream offset list | set | delete`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.messages.options import VirtualHost
from quorate.cli.messages.queues import STREAM
from quorate.cli.output import render
from quorate.cli.words import size_in_bytes
from quorate.client.client import Client
from quorate.client.messages import rpcs
from quorate.client.messages.values import requests
from quorate.runtime.sizes import size_text

Name = Annotated[str, typer.Argument(metavar="STREAM", help="The stream's name.")]

group = typer.Typer(
    help="List, create or delete streams. They keep messages for any number of readers.",
    no_args_is_help=True,
)


@group.command("list")
@with_client
def list_(client: Client, virtual_host: VirtualHost = "", as_json: Json = False) -> None:
    """List the streams. FIRST and NEXT are offsets: of the oldest message and of the next one."""
    found = [
        one for one in client.message_queues(virtual_host=virtual_host) if one.spec.type == STREAM
    ]
    if as_json:
        render.print_messages(found)
        return
    if not found:
        render.hint("No streams. Create one: quorate stream create NAME --max-age 86400")
        return
    counts = ("FIRST", "NEXT", "CONSUMERS", "SIZE")
    table = render.table(
        *("STREAM", *counts, "MAX AGE", "MAX SIZE"),
        right=counts,
        elastic=("STREAM",),
        drop=("MAX SIZE", "MAX AGE", "CONSUMERS"),
    )
    for one in found:
        limit = one.spec.max_length_bytes
        table.add_row(
            one.name,
            f"{one.first_offset:,}",
            f"{one.next_offset:,}",
            f"{one.consumers:,}",
            size_text(one.bytes),
            render.span(one.spec.max_age),
            size_text(limit) if limit else "-",
        )
    render.show(table)


@group.command("create")
@with_client
def create(
    client: Client,
    stream: Name,
    max_age: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Age at which messages go, in seconds. \\[default: no limit]"
        ),
    ] = None,
    max_bytes: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="Size at which the oldest messages go, such as 64M. \\[default: no limit]",
            show_default=False,
        ),
    ] = "",
    virtual_host: VirtualHost = "",
) -> None:
    """Create a stream. One that exists with the same options is left as it is.

    [dim]quorate stream create events --max-age 86400[/dim]
    """
    options: dict[str, Any] = {
        "max_age": max_age,
        "max_length_bytes": size_in_bytes("--max-bytes", max_bytes) or None,
    }
    client.declare_stream(stream, virtual_host=virtual_host, **options)
    sys.stdout.write(f"{stream} created\n")


@group.command("delete")
@with_client
def delete(client: Client, stream: Name, virtual_host: VirtualHost = "") -> None:
    """Delete a stream with its messages and bindings."""
    client.delete_message_queue(stream, virtual_host=virtual_host)
    sys.stdout.write(f"{stream} deleted\n")


offsets = typer.Typer(
    help="List, set or delete named offsets of streams: where the readers that use a name go on.",
    no_args_is_help=True,
)
OffsetName = Annotated[str, typer.Argument(metavar="NAME", help="The offset's name.")]


@offsets.command("list")
@with_client
def list_offsets(
    client: Client, stream: Name, virtual_host: VirtualHost = "", as_json: Json = False
) -> None:
    """List the named offsets of a stream. BEHIND is how many messages were published since."""
    request = requests.list_offsets(stream, virtual_host)
    found = client.calls.call(rpcs.LIST_STREAM_OFFSETS, request).stream_offsets
    if as_json:
        render.print_messages(found)
        return
    if not found:
        render.hint(f"No named offsets. Set one: quorate stream offset set {stream} NAME 0")
        return
    end = client.message_queue(stream, virtual_host=virtual_host).next_offset
    counts = ("OFFSET", "BEHIND")
    table = render.table(*("NAME", *counts, "STORED"), right=counts, elastic=("NAME",))
    for one in found:
        behind = f"{max(0, end - one.offset):,}"
        table.add_row(one.name, f"{one.offset:,}", behind, render.ago(one.update_time))
    render.show(table)


@offsets.command("set")
@with_client
def set_offset(
    client: Client,
    stream: Name,
    name: OffsetName,
    offset: Annotated[
        int, typer.Argument(min=0, metavar="OFFSET", help="The next message that is to be read.")
    ],
    virtual_host: VirtualHost = "",
) -> None:
    """Set where the readers of a stream that use a name go on when they start again."""
    client.store_offset(stream, name, offset, virtual_host=virtual_host)
    sys.stdout.write(f"{name} of {stream} is {offset}\n")


@offsets.command("delete")
@with_client
def delete_offset(
    client: Client, stream: Name, name: OffsetName, virtual_host: VirtualHost = ""
) -> None:
    """Delete a named offset. Readers that use it begin at the first message."""
    client.delete_offset(stream, name, virtual_host=virtual_host)
    sys.stdout.write(f"{name} of {stream} deleted\n")


# Here, not in `register`: that is called for each command line of a process.
group.add_typer(offsets, name="offset")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="stream")
