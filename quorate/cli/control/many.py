"""What the commands about many tasks share: their options, and what they print."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from quorate.cli.exits import FAILED, OK
from quorate.cli.output import render
from quorate.cli.output.render import err
from quorate.cli.tasks.ids import WHICH
from quorate.runtime.errors import invalid

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help=f"Ids of tasks: each {WHICH}.")]
Queue = Annotated[str, typer.Option("--queue", "-q", help="Tasks of this queue.")]
Search = Annotated[
    str,
    typer.Option(
        "--search",
        help="Tasks with all of these words in name, program or function, labels, id or error.",
    ),
]


def chosen(ids: list[str] | None, filters: Mapping[str, object], *, all_of_them: bool) -> bool:
    """Whether ids are given. Raises QuorateError unless it is either ids, or a filter, or --all."""
    given = [option for option, value in filters.items() if value]
    options = f"{', '.join(list(filters)[:-1])} or {list(filters)[-1]}"
    if ids and (given or all_of_them):
        raise invalid("ID", f"give ids, or {options}, not both")
    if not ids and not given and not all_of_them:
        raise invalid("ID", f"give ids, or choose tasks by {options}, or all of them by --all")
    return bool(ids)


def show(
    counts: Mapping[str, int], words: Mapping[str, str], *, as_json: bool, more: str = ""
) -> None:
    """Print counts: the first always, the others where they are not 0."""
    if as_json:
        render.print_json(dict(counts))
        return
    first = next(iter(counts))
    parts = [
        f"{number:,} {words[name]}" for name, number in counts.items() if number or name == first
    ]
    sys.stdout.write(", ".join(parts) + more + "\n")


def again(count: int, *, yes: bool, verb: str) -> int:
    """The exit code of a command about a filter; without --yes it says how to go on."""
    if yes or not count:
        return OK
    err.print(f"Repeat the command with --yes to {verb} them.", markup=False)
    return FAILED
