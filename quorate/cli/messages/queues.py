"""Commands about message queues: `mq list | create | delete`."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.messages.options import Arguments, QueueName, VirtualHost
from quorate.cli.output import render
from quorate.cli.words import size_in_bytes, values
from quorate.client.client import Client
from quorate.runtime.sizes import plural, size_text
from quorate.v1 import message_pb2

group = typer.Typer(
    help="List, create or delete message queues. They hold messages for consumers, not tasks.",
    no_args_is_help=True,
)
STREAM = message_pb2.MESSAGE_QUEUE_TYPE_STREAM


class Overflow(enum.StrEnum):
    """What happens at a limit of a message queue."""

    DROP_HEAD = "drop-head"
    REJECT_PUBLISH = "reject-publish"
    REJECT_PUBLISH_DEAD_LETTER = "reject-publish-dead-letter"


@group.command("list")
@with_client
def list_(client: Client, virtual_host: VirtualHost = "", as_json: Json = False) -> None:
    """List the message queues and how many messages they have.

    READY messages wait for a consumer. UNACKED ones are with consumers. DELAYED ones are not due
    yet.
    """
    found = [
        one for one in client.message_queues(virtual_host=virtual_host) if one.spec.type != STREAM
    ]
    if as_json:
        render.print_messages(found)
        return
    if not found:
        render.hint("No message queues. Create one: quorate mq create NAME")
        return
    render.show(queue_table(found))


def queue_table(found: Sequence[message_pb2.MessageQueue]) -> Any:
    """Message queues with their counts."""
    counts = ("READY", "UNACKED", "DELAYED", "CONSUMERS", "SIZE")
    table = render.table(
        *("MESSAGE QUEUE", *counts, "DEAD LETTERS TO"),
        right=counts,
        elastic=("MESSAGE QUEUE",),
        drop=("DEAD LETTERS TO", "SIZE", "DELAYED"),
    )
    for one in found:
        table.add_row(
            one.name,
            f"{one.ready:,}",
            f"{one.unacknowledged:,}",
            f"{one.delayed:,}",
            f"{one.consumers:,}",
            size_text(one.bytes),
            _dead_letters(one.spec),
        )
    return table


def _dead_letters(spec: message_pb2.MessageQueueSpec) -> str:
    if not spec.HasField("dead_letter_exchange"):
        return "-"
    key = spec.dead_letter_routing_key if spec.HasField("dead_letter_routing_key") else ""
    if spec.dead_letter_exchange:
        return spec.dead_letter_exchange + (f" {key}" if key else "")
    return key or "(default)"


SECONDS = "SECONDS"


@group.command("create")
@with_client
def create(
    client: Client,
    queue: QueueName,
    message_ttl: Annotated[
        float | None,
        typer.Option(
            metavar=SECONDS, help="Age at which messages expire, in seconds. \\[default: none]"
        ),
    ] = None,
    expires: Annotated[
        float | None,
        typer.Option(
            metavar=SECONDS,
            help="Time without use after which the queue is deleted, in seconds. \\[default: none]",
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Maximum number of ready messages; 0: only consumers that wait get messages. "
            "\\[default: no limit]",
        ),
    ] = None,
    max_bytes: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="Maximum size of their bodies, such as 64M. \\[default: no limit]",
            show_default=False,
        ),
    ] = "",
    overflow: Annotated[
        Overflow,
        typer.Option(
            help="What happens at a limit: the oldest messages go, or new ones are refused."
        ),
    ] = Overflow.DROP_HEAD,
    dead_letter_exchange: Annotated[
        str | None,
        typer.Option(
            metavar="EXCHANGE",
            help="Exchange for rejected, expired and dropped messages; '' is the default exchange. "
            "\\[default: they are deleted]",
        ),
    ] = None,
    dead_letter_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Routing key of dead letters. \\[default: unchanged]"),
    ] = None,
    max_priority: Annotated[
        int, typer.Option(min=0, max=31, metavar="N", help="Highest priority that counts; 0: none.")
    ] = 0,
    delivery_limit: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Failed deliveries of a message until it is a dead letter; 0: no limit. "
            "\\[default: 20]",
        ),
    ] = None,
    single_active_consumer: Annotated[
        bool,
        typer.Option(
            "--one-consumer", help="Only one consumer at a time (single active consumer)."
        ),
    ] = False,
    auto_delete: Annotated[
        bool, typer.Option("--auto-delete", help="Delete it when its last consumer goes.")
    ] = False,
    consumer_timeout: Annotated[
        float | None,
        typer.Option(
            metavar=SECONDS,
            help="Time that a consumer has for a message, in seconds. \\[default: 1800]",
        ),
    ] = None,
    argument: Arguments = None,
    virtual_host: VirtualHost = "",
) -> None:
    """Create a message queue. One that exists with the same options is left as it is.

    [dim]quorate mq create mail --dead-letter-exchange '' --dead-letter-key mail.failed[/dim]
    """
    options: dict[str, Any] = {
        "message_ttl": message_ttl,
        "expires": expires,
        "max_length": max_length,
        "max_length_bytes": size_in_bytes("--max-bytes", max_bytes) or None,
        "overflow": None if overflow is Overflow.DROP_HEAD else overflow.value,
        "dead_letter_exchange": dead_letter_exchange,
        "dead_letter_routing_key": dead_letter_key,
        "max_priority": max_priority or None,
        "delivery_limit": delivery_limit,
        "single_active_consumer": single_active_consumer,
        "auto_delete": auto_delete,
        "consumer_timeout": consumer_timeout,
        "arguments": values("--argument", argument),
    }
    made = client.declare_queue(queue, virtual_host=virtual_host, **options)
    sys.stdout.write(f"{made.name} created\n")


@group.command("delete")
@with_client
def delete(
    client: Client,
    queue: QueueName,
    if_unused: Annotated[
        bool, typer.Option("--if-unused", help="Refuse while it has consumers.")
    ] = False,
    if_empty: Annotated[
        bool, typer.Option("--if-empty", help="Refuse while messages wait in it.")
    ] = False,
    virtual_host: VirtualHost = "",
) -> None:
    """Delete a message queue with its messages and bindings."""
    messages = client.delete_message_queue(
        queue, if_unused=if_unused, if_empty=if_empty, virtual_host=virtual_host
    )
    sys.stdout.write(f"{queue} deleted with {plural(messages, 'ready message')}\n")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="mq")
