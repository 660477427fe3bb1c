"""Options that say how a task is run, and what the SDK takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from quorate.cli.words import count, pairs, size_in_bytes
from quorate.client.work.options import OptionArgs

_PANEL = "Execution"
Queue = Annotated[str, typer.Option("--queue", "-q", help="Queue to submit to.")]
Name = Annotated[
    str,
    typer.Option(
        help="Name of the task, for people. \\[default: the program or function]",
        rich_help_panel=_PANEL,
    ),
]
Priority = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Priority, -1000 to 1000. Higher priority starts first.",
        rich_help_panel=_PANEL,
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Maximum number of retries after failed attempts.",
        min=0,
        rich_help_panel=_PANEL,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Maximum run time of one attempt, in seconds. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Delay = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="Time until the task may start, in seconds. \\[default: 0]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
StartDeadline = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Time in which the task must start, in seconds; otherwise it is EXPIRED. "
        "\\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Label = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Label, for people and filters; may be repeated. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Cpu = Annotated[
    float,
    typer.Option(
        metavar="CORES",
        help="Number of cores that one attempt needs, such as 0.5. \\[default: 0]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="Memory that one attempt needs, such as 512M or 2G. \\[default: 0]",
        rich_help_panel=_PANEL,
    ),
]
Resource = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=COUNT",
        help="Counter that one attempt needs, such as gpu=1; may be repeated. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Secret = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=REF",
        help="Environment variable with a secret of the node: NAME=file:PATH, a file below the "
        "--secrets-dir of the node agent, or NAME=env:VARIABLE, an environment variable of the "
        "node agent; may be repeated. "
        "\\[default: none]",
    ),
]
Env = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE", help="Environment variable; may be repeated. \\[default: none]"
    ),
]
RequestId = Annotated[
    str,
    typer.Option(
        "--request-id",
        metavar="ID",
        help="Request id. A second submission with the same request id creates no second task. "
        "\\[default: a new one]",
        rich_help_panel=_PANEL,
    ),
]
WaitTimeout = Annotated[
    float | None,
    typer.Option(
        "--wait-timeout",
        metavar="SECONDS",
        help="Maximum wait, in seconds. Then the exit code is 6. \\[default: none]",
    ),
]


def secrets(words: list[str] | None) -> dict[str, str]:
    """The references that --secret names. Raises BadParameter."""
    for word in words or ():
        if "=" not in word:
            # Not what was given, which may be the secret itself by mistake.
            raise typer.BadParameter("--secret: must be NAME=file:PATH or NAME=env:VARIABLE")
    return pairs("--secret", words)


@dataclass(frozen=True, slots=True)
class Execution:
    """How each attempt is run."""

    name: Name = ""
    priority: Priority = 0
    retries: Retries = 0
    timeout: Timeout = None
    start_deadline: StartDeadline = None
    label: Label = None
    cpu: Cpu = 0.0
    memory: Memory = ""
    resource: Resource = None

    def args(self) -> OptionArgs:
        """What the SDK takes. Raises BadParameter."""
        resources = pairs("--resource", self.resource).items()
        return OptionArgs(
            name=self.name,
            priority=self.priority,
            retries=self.retries,
            timeout=self.timeout,
            start_deadline=self.start_deadline,
            labels=pairs("--label", self.label),
            cpu=self.cpu,
            memory=size_in_bytes("--memory", self.memory),
            resources={key: count("--resource", value) for key, value in resources},
        )
