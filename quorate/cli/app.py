"""The command's entry point: every command, and what happens to errors.

No traceback reaches a terminal: an error is one sentence on standard error and an exit code.
`QUORATE_DEBUG=1` lets tracebacks through, for those who mend the command itself.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import re
import sys
from typing import Annotated, Any, Final

import typer

import quorate
from quorate.cli.exits import EPILOG, INTERRUPTED, PIPE_CLOSED, USAGE, code_of, sentence_of
from quorate.cli.help import Command, Group
from quorate.cli.hints import GROUPS
from quorate.cli.output.render import err

# The base of what a wrong command line raises: click's class, or that of the copy of click which
# newer versions of typer bring along.
_CommandLineError: type[Any] = typer.BadParameter.__mro__[2]

# What versions of typer say of a word that is no number.
_NOT_A_NUMBER: Final = re.compile(
    r"Input should be a valid (number|integer), unable to parse.*"
    r"|'[^']*' is not a valid (integer|float)( range)?\."
)
# As the help of an option has it.
_RANGE: Final = re.compile(r"(-?\d[\d,.]*) to (\d[\d,]*)")

# Commands that other tools have, and what is like them here.
_INSTEAD: Final = {
    **dict.fromkeys(("show", "describe", "get", "inspect", "info"), "task ID"),
    **dict.fromkeys(("list", "ls", "ps"), "tasks"),
    **dict.fromkeys(("run", "exec"), "submit --wait -- COMMAND"),
    **dict.fromkeys(("stop", "kill"), "cancel ID"),
}

# The modules of the commands, in the order of `quorate --help`. A command line loads the one that
# it names: a short command would spend most of its time on loading the others.
COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "admin.local": ("up", "down"),
    "tasks.submit": ("submit",),
    "tasks.call": ("call",),
    "tasks.map": ("map",),
    "tasks.tasks": ("tasks", "task", "cancel", "wait"),
    "logs.command": ("logs",),
    "control.retry": ("retry",),
    "control.update": ("update",),
    "control.delete": ("delete",),
    "control.dead": ("dead",),
    "control.explain": ("explain",),
    "control.pause": ("pause", "resume", "signal"),
    "jobs.jobs": ("jobs", "job"),
    "cluster.status": ("status",),
    "top.top": ("top",),
    "cluster.queues": ("queues", "queue"),
    # Adds `queue template`.
    "control.templates": ("queue",),
    "cluster.nodes": ("nodes", "cordon", "uncordon", "drain", "taint", "untaint", "node"),
    "services.services": ("service",),
    "cluster.limits": ("limits", "limit"),
    "cluster.pauses": ("pauses",),
    "schedules.schedules": ("schedules", "schedule"),
    "cluster.quotas": ("quotas", "quota"),
    "messages.exchanges": ("exchange",),
    "messages.bindings": ("binding",),
    "messages.queues": ("mq",),
    # Adds `mq policy`.
    "messages.policies": ("mq",),
    # Adds `mq import`.
    "messages.importing": ("mq",),
    "messages.streams": ("stream",),
    "messages.publish": ("publish",),
    "messages.consume": ("consume",),
    "messages.contents": ("peek", "purge", "move"),
    "cluster.audit": ("audit",),
    "apply.apply": ("apply",),
    "admin.certs": ("certs",),
    "admin.tokens": ("tokens",),
    "admin.doctor": ("doctor",),
    "admin.backup": ("backup", "restore", "etcd"),
    # Adds `etcd init-auth`.
    "admin.etcd_auth": ("etcd",),
}


# Where `quorate --help` has a command, by the folder of its module, or its module.
_PANELS: Final = {
    "admin.local": "Cluster",
    "cluster.status": "Cluster",
    "top.top": "Cluster",
    "tasks": "Tasks",
    "control": "Tasks",
    "logs": "Tasks",
    "jobs": "Jobs and schedules",
    "schedules": "Jobs and schedules",
    "cluster.queues": "Queues and limits",
    "cluster.limits": "Queues and limits",
    "cluster.pauses": "Queues and limits",
    "cluster.quotas": "Queues and limits",
    "cluster.nodes": "Nodes and services",
    "services": "Nodes and services",
    "messages": "Messages",
    "cluster.audit": "Administration",
    "apply": "Administration",
    "admin": "Administration",
}

# Commands that list, and those that change or show one of what they list.
_LISTS: Final = {
    "queues": "queue",
    "jobs": "job",
    "schedules": "schedule",
    "limits": "limit",
    "quotas": "quota",
    "tasks": "task",
}


def application(command: str = "") -> typer.Typer:
    """The command line, with the commands of the module that has `command`.

    With every command when no module has it: for help, and to say what there is.
    """
    app = typer.Typer(
        name="quorate",
        help="Run work on a highly available cluster.\n\n"
        "Start one on this machine with [bold]quorate up[/bold], then try:\n\n"
        "[bold]quorate submit --wait -- echo hello[/bold]",
        epilog=EPILOG,
        add_completion=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(cls=Group)(_root)
    named = [module for module, commands in COMMANDS.items() if command in commands]
    for module in named or (() if command == "--version" else COMMANDS):
        importlib.import_module(f"quorate.cli.{module}").register(app)
    _shape_help(app)
    for command_info in app.registered_commands:
        command_info.rich_help_panel = _panel(command_info.name)
    for group_info in app.registered_groups:
        group_info.rich_help_panel = _panel(group_info.name)
    return app


def _panel(command: str | None) -> str:
    module = next(one for one, commands in COMMANDS.items() if command in commands)
    return _PANELS.get(module) or _PANELS[module.partition(".")[0]]


def _shape_help(app: typer.Typer) -> None:
    """Have each paragraph of a command's help fill its lines, whatever lines the source has.

    And have flags and arguments look as `quorate.cli.help` says.
    """
    for command in app.registered_commands:
        command.cls = Command
        text = inspect.getdoc(command.callback) if command.callback else ""
        paragraphs = (text or "").split("\n\n")
        command.help = "\n\n".join(" ".join(one.split()) for one in paragraphs)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            info = group.typer_instance.info
            if not isinstance(info.cls, type):
                info.cls = Group
            _shape_help(group.typer_instance)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"quorate {quorate.__version__}\n")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    del version


def main() -> int:
    """Run the process's own command line; the exit code."""
    return run(sys.argv[1:])


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code."""
    _open_closed_streams()
    words = _command_first(arguments) or ["--help"]
    try:
        code = application(words[0])(args=words, prog_name="quorate", standalone_mode=False)
        sys.stdout.flush()
    except _CommandLineError as error:
        err.print(f"quorate: {_mistake(error)}", markup=False)
        context = getattr(error, "ctx", None)
        if context is not None:
            if example := _example(error):
                err.print(f"Example: {example}", markup=False, style="dim")
            err.print(f"See '{context.command_path} --help'.", markup=False, style="dim")
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        err.print("Interrupted.", style="dim")
        return INTERRUPTED
    except BrokenPipeError:
        # Nothing more can be written; the interpreter must not try at exit either.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        # The last line of defence: whatever went wrong, a person gets a sentence.
        if os.environ.get("QUORATE_DEBUG"):
            raise
        if isinstance(error, UnicodeEncodeError) and (word := _not_utf8(arguments)):
            err.print(f'quorate: "{word}" is not valid UTF-8', markup=False)
            return USAGE
        err.print(f"quorate: {sentence_of(error)}", markup=False)
        return code_of(error)
    if code == INTERRUPTED:
        # Newer versions of typer make an exit code of Ctrl-C themselves.
        err.print("Interrupted.", style="dim")
    return code if isinstance(code, int) else 0


def _mistake(error: Any) -> str:
    """What is wrong with a command line, in words."""
    words: str = error.format_message().removeprefix("Invalid value: ")
    found = _RANGE.search(getattr(getattr(error, "param", None), "help", None) or "")
    between = f" from {found[1]} to {found[2]}" if found else ""
    words = _NOT_A_NUMBER.sub(f"must be a number{between}", words)
    words = words.replace("': Value error, ", "': ", 1)
    if re.fullmatch(r"-[\d.]+", getattr(error, "option_name", "") or ""):
        return f"{words}; as an argument of a function write '[-1]' (a JSON list)"
    context = getattr(error, "ctx", None)
    command = getattr(context, "command", None)
    unknown = re.match(r"No such command '(.+?)'", words)
    if unknown and unknown[1] in _INSTEAD and getattr(context, "parent", None) is None:
        return f"{unknown[0]}; use 'quorate {_INSTEAD[unknown[1]]}'"
    one = _LISTS.get(getattr(command, "name", ""))
    if words.startswith("Got unexpected extra") and one is not None:
        return f"{words}; for one of them see 'quorate {one} --help'"
    if words.startswith("Got unexpected extra") and getattr(command, "name", "") == "call":
        return f"{words}; give several arguments as one JSON list, such as '[2, 10]'"
    return words


def _example(error: Any) -> str:
    """How a command that lacks an argument is called, where its help has an example."""
    command = getattr(error.ctx, "command", None)
    if not error.format_message().startswith("Missing "):
        return ""
    found = re.search(r"\[dim\](.+?)\[/dim\]", getattr(command, "help", "") or "")
    return found[1] if found else ""


def _not_utf8(arguments: list[str]) -> str:
    """The first word that no message can carry, with its other bytes in writing; else empty."""
    for word in arguments:
        if any("\udc80" <= character <= "\udcff" for character in word):
            return os.fsencode(word).decode(errors="backslashreplace")
    return ""


def _open_closed_streams() -> None:
    """Have something behind descriptors 0 to 2 that the caller closed (`quorate tasks >&-`).

    Python has None there, and the next connection would get the descriptor.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (for the process's life)


_WHICH_CLUSTER = (
    *("--address", "--data-dir", "--retry-for", "--token-file"),
    *("--tls-ca-file", "--tls-cert-file", "--tls-key-file"),
)


def _command_first(arguments: list[str]) -> list[str]:
    """Also take `quorate --address H:P tasks`: options of commands typed before the command.

    And `quorate task show ID` for `quorate task ID`, as of other groups.
    """
    early: list[str] = []
    rest = list(arguments)
    while rest and rest[0].partition("=")[0] in _WHICH_CLUSTER:
        early.append(rest.pop(0))
        if "=" not in early[-1] and rest:
            early.append(rest.pop(0))
    if rest[:2] == ["task", "show"]:
        del rest[1]
    words = 2 if rest and rest[0] in GROUPS else 1
    return [*rest[:words], *early, *rest[words:]]
