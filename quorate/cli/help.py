"""How help shows commands: flags without a type, and arguments without braces.

Some versions of typer write `--wait <bool>`, and `{TASK}` for an argument that is required.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command with the help that this module describes."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, with no type of flags for people."""
        return _flags_without_type(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the line `Usage:`."""
        return [_without_braces(piece) for piece in super().collect_usage_pieces(ctx)]


class Group(TyperGroup):
    """A group of commands with the help that this module describes."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, with no type of flags for people."""
        return _flags_without_type(super().get_params(ctx))


def _flags_without_type(params: list[Any]) -> list[Any]:
    for one in params:
        if getattr(one, "is_flag", False):
            one.metavar = ""
        # Not two of them: the help says what the value in the source stands for.
        if "[default:" in (getattr(one, "help", None) or ""):
            one.show_default = False
    return params


def _without_braces(piece: str) -> str:
    """`TASK...` of `{TASK}...`."""
    if piece.startswith("{"):
        return piece[1:].replace("}", "", 1)
    return piece
