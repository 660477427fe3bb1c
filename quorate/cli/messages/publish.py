"""`quorate publish`: one message, or one for each line of standard input."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from quorate.cli.common import with_client
from quorate.cli.messages.options import VirtualHost
from quorate.cli.words import values
from quorate.client.client import Client
from quorate.runtime.sizes import plural


@with_client
def publish(
    client: Client,
    body: Annotated[
        str | None,
        typer.Argument(metavar="BODY", help="The body; - or nothing: standard input."),
    ] = None,
    queue: Annotated[
        str,
        typer.Option("--queue", "-q", metavar="QUEUE", help="Message queue to publish to."),
    ] = "",
    exchange: Annotated[
        str, typer.Option("--exchange", "-e", metavar="EXCHANGE", help="Exchange to publish to.")
    ] = "",
    key: Annotated[
        str,
        typer.Option(
            "--key", "-k", metavar="KEY", help="Routing key. \\[default: empty]", show_default=False
        ),
    ] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            "-H",
            metavar="KEY=VALUE",
            help="Header; the value is JSON or text. May be repeated. \\[default: none]",
        ),
    ] = None,
    content_type: Annotated[
        str, typer.Option(metavar="TYPE", help="Such as application/json. \\[default: none]")
    ] = "",
    priority: Annotated[
        int, typer.Option(min=0, max=255, metavar="N", help="Priority, 0 to 255.")
    ] = 0,
    delay: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Time before it is delivered, in seconds."),
    ] = 0.0,
    expiration: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Time after which it is not delivered any more, in seconds. \\[default: none]",
        ),
    ] = None,
    lines: Annotated[
        bool,
        typer.Option("--lines", help="Publish each line of standard input as a message."),
    ] = False,
    virtual_host: VirtualHost = "",
) -> None:
    """Publish a message. It is durable when the command returns.

    A message that reaches no queue is an error.

    [dim]quorate publish --queue mail '{"to": "a@example.org"}'[/dim]
    """
    if bool(queue) == bool(exchange) or (queue and key):
        raise typer.BadParameter("give --queue QUEUE, or --exchange EXCHANGE and --key KEY")
    if lines and body not in (None, "-"):
        raise typer.BadParameter("--lines reads standard input; leave BODY out")
    properties: dict[str, Any] = {}
    if header:
        properties["headers"] = values("--header", header)
    if content_type:
        properties["content_type"] = content_type
    if priority:
        properties["priority"] = priority
    if delay:
        properties["deliver_after"] = delay
    if expiration is not None:
        properties["expiration"] = expiration
    if lines:
        count = 0
        made = client.producer(
            exchange, queue=queue, routing_key=key, mandatory=True, virtual_host=virtual_host
        )
        with made as producer:
            for line in sys.stdin.buffer:
                producer.send(line.removesuffix(b"\n"), **properties)
                count += 1
        sys.stdout.write(f"{plural(count, 'message')} published\n")
        return
    data = sys.stdin.buffer.read() if body in (None, "-") else body
    client.publish(
        exchange,
        data,
        routing_key=queue or key,
        mandatory=True,
        virtual_host=virtual_host,
        **properties,
    )
    sys.stdout.write("Message published\n")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("publish")(publish)
