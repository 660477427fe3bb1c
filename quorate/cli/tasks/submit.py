"""Commands that create tasks: `submit`, `call`, `map`."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.output.progress import map_progress
from quorate.cli.output.render import as_dict, err, hint, print_json, warn
from quorate.cli.tasks.ending import report, report_failure, wait_many, wait_one
from quorate.cli.words import count, pairs, size_in_bytes
from quorate.client.client import Client
from quorate.client.errors import TaskFailed
from quorate.client.handle import TaskHandle
from quorate.client.unplaceable import UnplaceableWarning
from quorate.client.work.options import OptionArgs
from quorate.client.work.specs import command_spec
from quorate.runtime.visible import visible_json
from quorate.v1 import task_pb2

P = ParamSpec("P")
R = TypeVar("R")

_PANEL = "Execution"
Queue = Annotated[str, typer.Option("--queue", "-q", help="Queue of the task.")]
Name = Annotated[str, typer.Option(help="Name of the task, for people.", rich_help_panel=_PANEL)]
Priority = Annotated[
    int,
    typer.Option(
        help="Priority, -1000 to 1000; higher priority starts first.", rich_help_panel=_PANEL
    ),
]
Retries = Annotated[
    int, typer.Option(help="Maximum retries after failures.", min=0, rich_help_panel=_PANEL)
]
Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Maximum duration of one attempt, in seconds.",
        rich_help_panel=_PANEL,
    ),
]
Delay = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", help="Seconds until the task may start.", rich_help_panel=_PANEL
    ),
]
Label = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Label; may be repeated.", rich_help_panel=_PANEL),
]
Cpu = Annotated[
    float, typer.Option(metavar="CORES", help="Cores that the task needs.", rich_help_panel=_PANEL)
]
Memory = Annotated[
    str,
    typer.Option(
        metavar="SIZE", help="Memory that the task needs, such as 512M.", rich_help_panel=_PANEL
    ),
]
Resource = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=COUNT",
        help="Counter that the task needs, such as gpu=1; may be repeated.",
        rich_help_panel=_PANEL,
    ),
]
Secret = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=REF",
        help="Secret as an environment variable: NAME=file:PATH below the node's "
        "secrets directory, or NAME=env:VARIABLE of its agent; may be repeated.",
    ),
]
RequestId = Annotated[
    str,
    typer.Option(
        "--request-id",
        metavar="ID",
        help="Request id: a repeated submission with the same id and work is the same task.",
        rich_help_panel=_PANEL,
    ),
]
WaitTimeout = Annotated[
    float | None,
    typer.Option(
        "--wait-timeout", metavar="SECONDS", help="Maximum wait, in seconds; then exit code 6."
    ),
]


def _warned(command: Callable[P, R]) -> Callable[P, R]:
    """Have the SDK's warnings on standard error, each sentence once."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        reported: set[str] = set()

        def report(message: Warning | str, *_: object, **__: object) -> None:
            if str(message) not in reported:
                reported.add(str(message))
                warn(str(message))

        with warnings.catch_warnings():
            warnings.simplefilter("always", UnplaceableWarning)
            warnings.showwarning = report
            return command(*args, **kwargs)

    return run


@with_client
@_warned
def submit(
    client: Client,
    argv: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="Program and arguments.")],
    queue: Queue = "default",
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Show the task's output and wait until it ends.")
    ] = False,
    times: Annotated[int, typer.Option(help="Number of copies to submit.", min=1, max=10_000)] = 1,
    name: Name = "",
    priority: Priority = 0,
    retries: Retries = 0,
    timeout: Timeout = None,
    delay: Delay = 0.0,
    label: Label = None,
    cpu: Cpu = 0.0,
    memory: Memory = "",
    resource: Resource = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Environment variable; may be repeated."),
    ] = None,
    secret: Secret = None,
    cwd: Annotated[
        str, typer.Option(metavar="DIR", help="Working directory on the node (absolute).")
    ] = "",
    stdin: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="File for the task's standard input; '-' is the standard input of this command.",
        ),
    ] = "",
    request_id: RequestId = "",
    wait_timeout: WaitTimeout = None,
    as_json: Json = False,
) -> int:
    """Run a program on the cluster. Prints the task's id.

    [dim]quorate submit --wait -- echo hello[/dim]
    """
    options = _options(queue, name, priority, retries, timeout, delay, label, cpu, memory, resource)
    options["request_id"] = request_id
    bound = client.options(**options)
    spec = command_spec(
        argv,
        bound.task_options,
        time.time(),
        env=pairs("--env", env),
        cwd=cwd,
        stdin=_read(stdin) if stdin else b"",
        secrets=_secrets(secret),
    )
    handles = bound.submit_batch([spec] * times) if times > 1 else [bound.submit_spec(spec)]
    if not wait:
        _print_ids(handles, as_json)
        return 0
    if times > 1:
        return wait_many(client, handles, queue, wait_timeout, as_json)
    return wait_one(handles[0], wait_timeout, as_json)


@with_client
@_warned
def call(
    client: Client,
    function: Annotated[str, typer.Argument(metavar="MODULE:FUNCTION")],
    arguments: Annotated[
        str,
        typer.Argument(
            metavar="[JSON]",
            help='Arguments as JSON: a list of positional arguments, or an object {"args": [...], '
            '"kwargs": {...}}; any other value is the only argument.',
            show_default=False,
        ),
    ] = "[]",
    queue: Queue = "default",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Print the task's id, not the result.")
    ] = False,
    name: Name = "",
    priority: Priority = 0,
    retries: Retries = 0,
    timeout: Timeout = None,
    delay: Delay = 0.0,
    label: Label = None,
    cpu: Cpu = 0.0,
    memory: Memory = "",
    resource: Resource = None,
    secret: Secret = None,
    request_id: RequestId = "",
    wait_timeout: WaitTimeout = None,
    as_json: Json = False,
) -> int:
    """Call a Python function on the cluster and print its result as JSON.

    [dim]quorate call math:hypot '[3, 4]'[/dim]
    """
    options = _options(queue, name, priority, retries, timeout, delay, label, cpu, memory, resource)
    options["secrets"] = _secrets(secret)
    options["request_id"] = request_id
    handle = client.options(**options).submit_json(function, _arguments(arguments))
    if no_wait:
        _print_ids([handle], as_json)
        return 0
    with err.status(f"task {handle.id}"):
        task = handle.wait(wait_timeout)
    if as_json:
        print_json(as_dict(task))
    if task.state != task_pb2.TASK_STATE_SUCCEEDED:
        return report(task)
    if not as_json:
        sys.stdout.write(task.result.json + "\n")
    return 0


@with_client
@_warned
def map_(
    client: Client,
    function: Annotated[str, typer.Argument(metavar="MODULE:FUNCTION")],
    items: Annotated[
        str, typer.Option(metavar="FILE", help="File with one item a line; '-' is standard input.")
    ],
    json_items: Annotated[
        bool, typer.Option("--json-items", help="Read each line as a JSON value, not as a string.")
    ] = False,
    chunk: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of items per task. \\[default: measured]", show_default=False
        ),
    ] = None,
    unordered: Annotated[
        bool, typer.Option("--unordered", help="Print each result when its task ends.")
    ] = False,
    queue: Queue = "default",
    name: Name = "",
    priority: Priority = 0,
    retries: Retries = 0,
    timeout: Timeout = None,
    label: Label = None,
    cpu: Cpu = 0.0,
    memory: Memory = "",
    resource: Resource = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> int:
    """Call a Python function for each line of a file; prints one JSON result a line, in order.

    [dim]seq 1000 | quorate map --items - --json-items math:sqrt[/dim]
    """
    options = _options(queue, name, priority, retries, timeout, 0.0, label, cpu, memory, resource)
    total, lines = _lines(items)
    values = (_item(line, number) for number, line in enumerate(lines, 1)) if json_items else lines
    bound = client.options(**options)
    run = bound.map_unordered if unordered else bound.map
    try:
        with map_progress(total, quiet=quiet) as progress:
            for result in run(function, values, chunk=chunk):
                progress.print(visible_json(json.dumps(result, ensure_ascii=False, default=repr)))
    except Exception as error:
        # The function's own exception: its task and its traceback are in the cause.
        failed = error if isinstance(error, TaskFailed) else error.__cause__
        if not isinstance(failed, TaskFailed):
            raise
        return report_failure(failed)
    return 0


def _secrets(words: list[str] | None) -> dict[str, str]:
    for word in words or ():
        if "=" not in word:
            # Not what was given, which may be the secret itself by mistake.
            raise typer.BadParameter("--secret: must be NAME=file:PATH or NAME=env:VARIABLE")
    return pairs("--secret", words)


def _print_ids(handles: list[TaskHandle[Any]], as_json: bool) -> None:
    if as_json:
        print_json([{"id": handle.id} for handle in handles])
        return
    sys.stdout.write("".join(f"{handle.id}\n" for handle in handles))
    if sys.stdout.isatty():
        hint(f"Follow it: quorate logs -f {handles[0].id}")


def _options(
    queue: str,
    name: str,
    priority: int,
    retries: int,
    timeout: float | None,
    delay: float,
    labels: list[str] | None,
    cpu: float,
    memory: str,
    resources: list[str] | None,
) -> OptionArgs:
    return OptionArgs(
        queue=queue,
        name=name,
        priority=priority,
        retries=retries,
        timeout=timeout,
        delay=delay,
        labels=pairs("--label", labels),
        cpu=cpu,
        memory=size_in_bytes("--memory", memory),
        resources={
            key: count("--resource", value) for key, value in pairs("--resource", resources).items()
        },
    )


def _arguments(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"the arguments are not JSON: {error}") from None
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and value and set(value) <= {"args", "kwargs"}:
        return value
    return [value]


def _item(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise typer.BadParameter(f"line {number} of the items is not JSON: {error}") from None


def _lines(source: str) -> tuple[int | None, Iterator[str]]:
    """Number of lines where it can be known, and the lines as they are read."""
    if source == "-":
        return None, _stripped(sys.stdin)
    path = Path(source)
    try:
        with path.open() as counted:
            total = sum(1 for _ in counted)
    except OSError as error:
        raise typer.BadParameter(f"--items {source}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"--items {source}: {error}") from None
    return total, _lines_of(path)


def _lines_of(path: Path) -> Iterator[str]:
    with path.open() as file:
        yield from _stripped(file)


def _stripped(lines: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in lines)


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"--stdin {source}: {error.strerror}") from None


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("submit", context_settings={"allow_interspersed_args": False})(submit)
    app.command("call")(call)
    app.command("map")(map_)
