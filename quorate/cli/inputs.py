"""What `submit`, `call` and `map` read: arguments, items, files."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

NEEDED: Final = (
    "--arguments: a list is needed, or an object with args and kwargs, such as '[2, 10]'"
)

Function = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:FUNCTION",
        help="Function, such as math:sqrt. Nodes must be able to import its module.",
    ),
]


def arguments_of(text: str) -> Any:
    """The arguments of a call, from JSON. Raises BadParameter."""
    try:
        value = json.loads(text)
    except ValueError as error:
        if text[:1] in ("[", "{", '"'):
            raise typer.BadParameter(f"the arguments are not JSON: {error}") from None
        string = shlex.quote(json.dumps(text, ensure_ascii=False))
        raise typer.BadParameter(f"{text!r} is not JSON; a string is written {string}") from None
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and value and set(value) <= {"args", "kwargs"}:
        return value
    return [value]


def option_arguments(text: str) -> list[Any] | dict[str, Any]:
    """What --arguments says; none when empty. Raises BadParameter."""
    try:
        value = json.loads(text or "[]")
    except ValueError as error:
        raise typer.BadParameter(f"--arguments: {text!r} is not JSON: {error}") from None
    if not isinstance(value, list | dict):
        raise typer.BadParameter(NEEDED)
    return value


def item(line: str, number: int) -> Any:
    """An item of a map, from JSON. Raises BadParameter."""
    try:
        return json.loads(line)
    except ValueError as error:
        raise typer.BadParameter(f"line {number} of the items is not JSON: {error}") from None


def lines(source: str) -> tuple[int | None, Iterator[str]]:
    """Number of lines where it can be known, and the lines as they are read."""
    if source == "-":
        return None, _stripped(sys.stdin)
    path = Path(source)
    if path.is_fifo():
        # Read once, as of `<(command)` in a shell.
        return None, _lines_of(path)
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


def read(source: str) -> bytes:
    """The bytes of a file, or of standard input. Raises BadParameter."""
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"--stdin {source}: {error.strerror}") from None
