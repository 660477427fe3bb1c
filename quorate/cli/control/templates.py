"""`quorate queue template set | show | remove`: what messages become in a task queue."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from quorate.cli.cluster import queues
from quorate.cli.common import Json, with_client
from quorate.cli.groups import with_groups
from quorate.cli.inputs import NEEDED, option_arguments
from quorate.cli.output import render
from quorate.cli.output.work import work_text
from quorate.cli.tasks import options as task
from quorate.cli.words import pairs
from quorate.client.client import Client
from quorate.client.work.options import OptionArgs
from quorate.client.work.specs import command_spec
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2

Call = Annotated[
    str,
    typer.Option(
        "--call",
        metavar="MODULE:FUNCTION",
        help="Python function that gets the body of a message, instead of a program.",
        show_default=False,
    ),
]
Arguments = Annotated[
    str,
    typer.Option(
        "--arguments",
        metavar="JSON",
        help="Arguments of --call behind the body: a JSON list, or an object with args and kwargs. "
        "\\[default: none]",
        show_default=False,
    ),
]

group = typer.Typer(
    help="Set, show or remove what a message becomes that is routed to a queue.",
    no_args_is_help=True,
)


@group.command("set")
@with_client
@with_groups
def set_(
    client: Client,
    queue: queues.Name,
    argv: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="Program that gets the body on standard input."),
    ] = None,
    *,
    call: Call = "",
    arguments: Arguments = "",
    env: task.Env = None,
    secret: task.Secret = None,
    execution: task.Execution,
    keys: task.Keys,
    unique: task.Unique,
    placing: task.Placing,
    hooks: task.Hooks,
) -> None:
    """Say what a message becomes that is routed to a queue: one task.

    [dim]quorate queue template set resize --retries 3 -- ./resize -[/dim]

    [dim]quorate queue template set mail --call jobs:send[/dim]

    A program gets the body of the message on standard input, a function as its first argument. Both
    get QUORATE_MESSAGE_ROUTING_KEY, QUORATE_MESSAGE_ID, QUORATE_MESSAGE_HEADERS and others in their
    environment. Arguments, labels and keys can hold placeholders such as {message.routing_key},
    {message.id} and {message.header.NAME}, which each message replaces.

    Then bind the queue: quorate binding create EXCHANGE QUEUE --to-task-queue
    """
    if bool(argv) == bool(call):
        raise typer.BadParameter("what messages become is missing; give -- COMMAND, or --call")
    if arguments and not call:
        raise invalid("--arguments", "needs --call")
    if call and env:
        raise invalid("--env", "is for programs; a function has no environment of its own")
    options = OptionArgs()
    for one in (execution, keys, unique, placing, hooks):
        options.update(one.args())
    options["secrets"] = task.secrets(secret)
    bound = client.options(**options)
    if argv:
        spec = command_spec(argv, bound.task_options, 0.0, env=pairs("--env", env))
        bound.set_message_template(queue, spec)
    else:
        args, kwargs = _arguments_of(arguments)
        bound.set_message_template(queue, call, args=args, kwargs=kwargs)
    sys.stdout.write(f"{queue} has a message template\n")


@group.command("show")
@with_client
def show(client: Client, queue: queues.Name, as_json: Json = False) -> None:
    """Show what a message becomes that is routed to a queue."""
    template = client.message_template(queue)
    if as_json:
        render.print_messages([template or task_pb2.TaskSpec()])
    elif template is None:
        render.hint(f"No message template. Set one: quorate queue template set {queue} -- COMMAND")
    else:
        sys.stdout.write(f"{_words_of(template)}\n")


@group.command("remove")
@with_client
def remove(client: Client, queue: queues.Name) -> None:
    """Remove the message template of a queue that is not bound to an exchange."""
    client.remove_message_template(queue)
    sys.stdout.write(f"{queue} has no message template\n")


def _words_of(spec: task_pb2.TaskSpec) -> str:
    """What a task runs, as a command line or a call."""
    if spec.HasField("command"):
        return work_text(spec)
    return f"{spec.python.entrypoint}(body, ...)" if spec.python.json else spec.python.entrypoint


def _arguments_of(text: str) -> tuple[list[Any], dict[str, Any]]:
    """What --arguments says. Raises BadParameter."""
    value = option_arguments(text)
    if isinstance(value, list):
        return value, {}
    if value.keys() - {"args", "kwargs"}:
        raise typer.BadParameter(NEEDED)
    return value.get("args", []), value.get("kwargs", {})


# Here, not in `register`: that is called for each command line of a process.
queues.group.add_typer(group, name="template")


def register(app: typer.Typer) -> None:
    """Nothing is left to add: the commands are `queue template ...`."""
