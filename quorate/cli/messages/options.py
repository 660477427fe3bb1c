"""Options that several commands about messages have, and how messages look."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from quorate.cli.output import render
from quorate.client.messages.values.incoming import Received
from quorate.runtime.visible import visible
from quorate.v1 import message_pb2

QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="The message queue's name.")]
VirtualHost = Annotated[
    str,
    typer.Option(
        "--vhost", metavar="NAME", help="Virtual host. \\[default: /]", show_default=False
    ),
]
Count = Annotated[
    int, typer.Option("--count", "-n", min=1, metavar="N", help="Maximum number of messages.")
]
Arguments = Annotated[
    list[str] | None,
    typer.Option(
        "--argument",
        metavar="KEY=VALUE",
        help="Argument as AMQP clients give it; the value is JSON or text. May be repeated. "
        "\\[default: none]",
    ),
]


def message_table(found: list[Received]) -> Any:
    """Messages, oldest first."""
    table = render.table(
        *("ID", "EXCHANGE", "ROUTING KEY", "AGE", "BODY"),
        right=("ID",),
        elastic=("BODY", "ROUTING KEY"),
        drop=("EXCHANGE", "AGE", "ROUTING KEY"),
    )
    for one in found:
        age = render.seconds(max(0.0, time.time() - one.publish_time.timestamp()))
        table.add_row(
            str(one.id),
            one.exchange or "(default)",
            one.routing_key or "-",
            age,
            visible(shown(one.body)),
        )
    return table


def shown(body: bytes) -> str:
    """A body as text; bytes that are no UTF-8 in writing."""
    return body.decode(errors="backslashreplace")


def print_body(body: bytes) -> None:
    """A body in a line of its own: as it is, but for control characters in a terminal."""
    if sys.stdout.isatty():
        sys.stdout.write(visible(shown(body)) + "\n")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(body + b"\n")
    sys.stdout.flush()


def words_of(binding: message_pb2.Binding) -> str:
    """Where a binding leads."""
    if binding.WhichOneof("destination") == "exchange":
        return f"exchange {binding.exchange}"
    if binding.WhichOneof("destination") == "task_queue":
        return f"task queue {binding.task_queue}"
    return binding.message_queue
