"""Commands about bindings: `binding list | create | delete`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.messages.options import Arguments, VirtualHost, words_of
from quorate.cli.output import render
from quorate.cli.words import values
from quorate.client.client import Client

Source = Annotated[str, typer.Argument(metavar="EXCHANGE", help="The exchange that is bound to.")]
Destination = Annotated[
    str, typer.Argument(metavar="QUEUE", help="The message queue that gets the messages.")
]
IsTaskQueue = Annotated[
    bool,
    typer.Option(
        "--to-task-queue",
        help="QUEUE is the name of a task queue with a message template: each message becomes a "
        "task.",
    ),
]
RoutingKey = Annotated[
    str,
    typer.Option(
        "--key",
        "-k",
        metavar="KEY",
        help="Routing key; of a topic exchange a pattern, such as orders.#. \\[default: empty]",
        show_default=False,
    ),
]
IsExchange = Annotated[
    bool, typer.Option("--to-exchange", help="QUEUE is the name of another exchange.")
]

group = typer.Typer(
    help="List, create or delete bindings: which messages of an exchange reach which queue.",
    no_args_is_help=True,
)


@group.command("list")
@with_client
def list_(
    client: Client,
    exchange: Annotated[
        str, typer.Option("--exchange", "-e", help="Only of this exchange. \\[default: all]")
    ] = "",
    queue: Annotated[
        str, typer.Option("--queue", "-q", help="Only to this message queue. \\[default: all]")
    ] = "",
    task_queue: Annotated[
        str, typer.Option("--task-queue", help="Only to this task queue. \\[default: all]")
    ] = "",
    to_exchange: Annotated[
        str, typer.Option("--to-exchange", help="Only to this exchange. \\[default: all]")
    ] = "",
    virtual_host: VirtualHost = "",
    as_json: Json = False,
) -> None:
    """List bindings."""
    found = list(
        client.bindings(
            exchange=exchange,
            queue=queue,
            task_queue=task_queue,
            to_exchange=to_exchange,
            virtual_host=virtual_host,
        )
    )
    if as_json:
        render.print_messages(found)
        return
    if not found:
        render.hint("No bindings. Create one: quorate binding create EXCHANGE QUEUE --key KEY")
        return
    table = render.table(
        *("EXCHANGE", "ROUTING KEY", "DESTINATION", "ARGUMENTS"),
        elastic=("ROUTING KEY", "DESTINATION", "EXCHANGE"),
    )
    for one in found:
        table.add_row(
            one.source or "(default)",
            one.routing_key or "-",
            words_of(one),
            ", ".join(sorted(one.arguments)) or "-",
        )
    render.show(table)


@group.command("create")
@with_client
def create(
    client: Client,
    exchange: Source,
    queue: Destination,
    key: RoutingKey = "",
    to_exchange: IsExchange = False,
    to_task_queue: IsTaskQueue = False,
    argument: Arguments = None,
    virtual_host: VirtualHost = "",
) -> None:
    """Bind a message queue to an exchange. Repeated, it changes nothing.

    [dim]quorate binding create shop invoices --key orders.#[/dim]

    A task queue makes a task of each message: see 'quorate queue template set --help'.

    [dim]quorate binding create shop resize --key photos.# --to-task-queue[/dim]
    """
    client.bind(
        exchange=exchange,
        routing_key=key,
        **_destination(queue, to_exchange=to_exchange, to_task_queue=to_task_queue),
        arguments=values("--argument", argument),
        virtual_host=virtual_host,
    )
    sys.stdout.write(f"{queue} bound to {exchange}\n")


@group.command("delete")
@with_client
def delete(
    client: Client,
    exchange: Source,
    queue: Destination,
    key: RoutingKey = "",
    to_exchange: IsExchange = False,
    to_task_queue: IsTaskQueue = False,
    argument: Arguments = None,
    virtual_host: VirtualHost = "",
) -> None:
    """Remove a binding. Give the options with which it was created."""
    client.unbind(
        exchange=exchange,
        routing_key=key,
        **_destination(queue, to_exchange=to_exchange, to_task_queue=to_task_queue),
        arguments=values("--argument", argument),
        virtual_host=virtual_host,
    )
    sys.stdout.write(f"{queue} is not bound to {exchange} by this key\n")


def _destination(queue: str, *, to_exchange: bool, to_task_queue: bool) -> dict[str, str]:
    """Where a binding leads, as the SDK takes it. Raises BadParameter."""
    if to_exchange and to_task_queue:
        raise typer.BadParameter("only one of --to-exchange and --to-task-queue is possible")
    if to_exchange or to_task_queue:
        return {"queue": "", "to_exchange" if to_exchange else "to_task_queue": queue}
    return {"queue": queue}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="binding")
