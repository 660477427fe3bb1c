"""The bounds of hooks."""

from __future__ import annotations

import re
from typing import Final

from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2
from scheduler.api.validate import at_most, duration

MAX_ARGV: Final = 1_024
MAX_ENTRYPOINT: Final = 1_024
# Seconds.
MAX_TIMEOUT: Final = 3_600.0


def hooks(message: task_pb2.Hooks, entrypoint: re.Pattern[str], field: str) -> None:
    """Raise INVALID_ARGUMENT unless these can be run.

    Args:
        entrypoint: what the name of a function looks like.
    """
    if not (message.HasField("setup") or message.HasField("cleanup")):
        raise invalid(field, "is empty: set setup or cleanup, or leave it out")
    each(message, entrypoint, field)


def each(message: task_pb2.Hooks, entrypoint: re.Pattern[str], field: str) -> None:
    """As `hooks`, of those that are set."""
    for name in ("setup", "cleanup"):
        if message.HasField(name):
            _hook(getattr(message, name), entrypoint, f"{field}.{name}")


def _hook(hook: task_pb2.Hook, entrypoint: re.Pattern[str], field: str) -> None:
    if bool(hook.argv) is bool(hook.entrypoint):
        raise invalid(field, "has a program (argv) or a function (entrypoint), one of both")
    if hook.argv:
        at_most(f"{field}.argv", len(hook.argv), MAX_ARGV, "arguments")
        if not hook.argv[0]:
            raise invalid(f"{field}.argv", "the program's name is empty")
        if any("\0" in word for word in hook.argv):
            raise invalid(f"{field}.argv", "an argument has a NUL character")
    elif len(hook.entrypoint) > MAX_ENTRYPOINT or not entrypoint.fullmatch(hook.entrypoint):
        raise invalid(
            f"{field}.entrypoint", f"{hook.entrypoint[:80]!r} is not of the form module:qualname"
        )
    if hook.HasField("timeout"):
        duration(f"{field}.timeout", hook.timeout, MAX_TIMEOUT)
