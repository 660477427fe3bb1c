"""Commands about exchanges: `exchange list | create | delete`."""

from __future__ import annotations

import enum
import sys
from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.messages.options import Arguments, VirtualHost
from quorate.cli.output import render
from quorate.cli.words import values
from quorate.client.client import Client
from quorate.v1 import message_pb2

Name = Annotated[str, typer.Argument(metavar="EXCHANGE", help="The exchange's name.")]

group = typer.Typer(
    help="List, create or delete exchanges: where messages are published.", no_args_is_help=True
)


class Kind(enum.StrEnum):
    """Which messages a binding passes on."""

    DIRECT = "direct"
    FANOUT = "fanout"
    TOPIC = "topic"
    HEADERS = "headers"
    CONSISTENT_HASH = "consistent-hash"


@group.command("list")
@with_client
def list_(client: Client, virtual_host: VirtualHost = "", as_json: Json = False) -> None:
    """List the exchanges by name, the predeclared ones too."""
    found = list(client.exchanges(virtual_host=virtual_host))
    if as_json:
        render.print_messages(found)
        return
    table = render.table("EXCHANGE", "TYPE", "OPTIONS", elastic=("EXCHANGE",))
    for one in found:
        options = [name for name in ("internal", "auto_delete") if getattr(one, name)]
        table.add_row(
            one.name or "(default)", kind_word(one.type), ", ".join(options).replace("_", "-")
        )
    render.show(table)
    if all(one.name.startswith("amq.") or not one.name for one in found):
        render.hint("Create one: quorate exchange create NAME --type topic")


def kind_word(kind: message_pb2.ExchangeType) -> str:
    """As `exchange create --type` takes it."""
    name = message_pb2.ExchangeType.Name(kind).removeprefix("EXCHANGE_TYPE_")
    return name.lower().replace("_", "-")


@group.command("create")
@with_client
def create(
    client: Client,
    exchange: Name,
    kind: Annotated[
        Kind,
        typer.Option(
            "--type",
            help="Which messages a binding passes on: direct (the same routing key), fanout "
            "(all), topic (a pattern), headers, or consistent-hash (each to one queue).",
        ),
    ] = Kind.DIRECT,
    alternate: Annotated[
        str,
        typer.Option(
            metavar="EXCHANGE",
            help="Exchange for messages that reach no queue. \\[default: none]",
            show_default=False,
        ),
    ] = "",
    auto_delete: Annotated[
        bool, typer.Option("--auto-delete", help="Delete it when its last binding goes.")
    ] = False,
    internal: Annotated[
        bool, typer.Option("--internal", help="Only other exchanges can publish to it.")
    ] = False,
    argument: Arguments = None,
    virtual_host: VirtualHost = "",
) -> None:
    """Create an exchange. One that exists with the same options is left as it is.

    [dim]quorate exchange create shop --type topic[/dim]
    """
    client.declare_exchange(
        exchange,
        kind.value,
        auto_delete=auto_delete,
        internal=internal,
        alternate=alternate,
        arguments=values("--argument", argument),
        virtual_host=virtual_host,
    )
    sys.stdout.write(f"{exchange} created\n")


@group.command("delete")
@with_client
def delete(
    client: Client,
    exchange: Name,
    if_unused: Annotated[
        bool, typer.Option("--if-unused", help="Refuse while something is bound to it.")
    ] = False,
    virtual_host: VirtualHost = "",
) -> None:
    """Delete an exchange and its bindings."""
    client.delete_exchange(exchange, if_unused=if_unused, virtual_host=virtual_host)
    sys.stdout.write(f"{exchange} deleted\n")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="exchange")
