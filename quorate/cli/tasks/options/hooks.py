"""Options of what runs before and after each attempt."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Annotated

import typer

from quorate.cli.words import HOOK_FUNCTION
from quorate.client.work.options import OptionArgs
from quorate.client.work.running.hooks import HookOption

_PANEL = "Hooks"
SetUp = Annotated[
    str,
    typer.Option(
        "--set-up",
        metavar="COMMAND",
        help="Program and its arguments, such as 'mkdir -p data', or Python function "
        "(MODULE:FUNCTION) to run before each attempt. If it fails, the attempt has failed. "
        "\\[default: none]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
CleanUp = Annotated[
    str,
    typer.Option(
        "--clean-up",
        metavar="COMMAND",
        help="The same, after each attempt, however it ended. Its failure changes nothing. "
        "\\[default: none]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
SetUpTimeout = Annotated[
    float | None,
    typer.Option(
        "--set-up-timeout",
        metavar="SECONDS",
        help="Maximum run time of --set-up, in seconds. \\[default: 60]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
CleanUpTimeout = Annotated[
    float | None,
    typer.Option(
        "--clean-up-timeout",
        metavar="SECONDS",
        help="Maximum run time of --clean-up, in seconds. \\[default: 60]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What runs before and after each attempt."""

    set_up: SetUp = ""
    clean_up: CleanUp = ""
    set_up_timeout: SetUpTimeout = None
    clean_up_timeout: CleanUpTimeout = None

    def args(self) -> OptionArgs:
        """What the SDK takes. Raises BadParameter."""
        for command, timeout, option in (
            (self.set_up, self.set_up_timeout, "--set-up"),
            (self.clean_up, self.clean_up_timeout, "--clean-up"),
        ):
            if timeout is not None and not command:
                raise typer.BadParameter(f"{option}-timeout needs {option}")
        return OptionArgs(
            set_up=_hook("--set-up", self.set_up),
            clean_up=_hook("--clean-up", self.clean_up),
            set_up_timeout=self.set_up_timeout,
            clean_up_timeout=self.clean_up_timeout,
        )


def _hook(option: str, text: str) -> HookOption:
    """A function, or a command line, which is split as a shell does and not given to one."""
    if HOOK_FUNCTION.fullmatch(text):
        return text
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {text!r} is not a command line: {error}") from None
    if text and not words:
        raise typer.BadParameter(f"{option}: {text!r} has no program")
    return words
