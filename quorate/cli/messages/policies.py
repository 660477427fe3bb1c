"""`quorate mq policy list | set | delete`: what queues and exchanges have whose names match."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.messages import queues
from quorate.cli.messages.options import VirtualHost
from quorate.cli.output import render
from quorate.client.client import Client
from quorate.client.messages.values.policies import definition_of

Name = Annotated[str, typer.Argument(metavar="NAME", help="The policy's name.")]
Operator = Annotated[
    bool, typer.Option("--operator", help="An operator policy, which only lowers limits.")
]

group = typer.Typer(
    help="List, set or delete policies: options of queues and exchanges whose names match.",
    no_args_is_help=True,
)


@group.command("list")
@with_client
def list_(client: Client, virtual_host: VirtualHost = "", as_json: Json = False) -> None:
    """List the policies, the highest priority first."""
    found = client.policies(virtual_host=virtual_host)
    if as_json:
        render.print_messages(found)
        return
    if not found:
        render.hint(
            "No policies. Set one: quorate mq policy set NAME PATTERN '{\"max-length\": 9}'"
        )
        return
    table = render.table(
        *("POLICY", "PATTERN", "APPLY TO", "PRIORITY", "DEFINITION"),
        right=("PRIORITY",),
        elastic=("PATTERN", "DEFINITION"),
    )
    for one in found:
        name = f"{one.name} (operator)" if one.operator else one.name
        text = json.dumps(definition_of(one), ensure_ascii=False)
        table.add_row(name, one.pattern, one.apply_to, f"{one.priority:,}", text)
    render.show(table)


@group.command("set")
@with_client
def set_(
    client: Client,
    name: Name,
    pattern: Annotated[
        str,
        typer.Argument(metavar="PATTERN", help="Regular expression for a part of the names."),
    ],
    definition: Annotated[
        str,
        typer.Argument(
            metavar="JSON", help='Options as in RabbitMQ, such as {"max-length": 1000}.'
        ),
    ],
    priority: Annotated[
        int, typer.Option(metavar="N", help="Of several that match, the highest applies.")
    ] = 0,
    apply_to: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="all, queues, classic_queues, quorum_queues, streams or exchanges.",
        ),
    ] = "all",
    operator: Operator = False,
    virtual_host: VirtualHost = "",
) -> None:
    """Create or change a policy. Queues and exchanges that exist follow it, too.

    [dim]quorate mq policy set limits '^orders' '{"max-length": 1000}'[/dim]
    """
    try:
        options = json.loads(definition)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"the definition is not JSON: {error}") from None
    if not isinstance(options, dict):
        raise typer.BadParameter("the definition is no JSON object")
    client.set_policy(
        *(name, pattern, options),
        priority=priority,
        apply_to=apply_to,
        operator=operator,
        virtual_host=virtual_host,
    )
    sys.stdout.write(f"policy {name} set\n")


@group.command("delete")
@with_client
def delete(
    client: Client, name: Name, operator: Operator = False, virtual_host: VirtualHost = ""
) -> None:
    """Delete a policy. Then the next one that matches applies, or what was declared."""
    client.delete_policy(name, operator=operator, virtual_host=virtual_host)
    sys.stdout.write(f"policy {name} deleted\n")


# Here, not in `register`: that is called for each command line of a process.
queues.group.add_typer(group, name="policy")


def register(app: typer.Typer) -> None:
    """Nothing is left to add: the commands are `mq policy ...`."""
