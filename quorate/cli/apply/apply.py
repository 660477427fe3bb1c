"""`quorate apply`: queues, limits, exchanges, services and schedules as files declare them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from quorate.cli.apply.file import read_files
from quorate.cli.apply.plan import CREATE, DELETE, UNCHANGED, UPDATE, Step, plan
from quorate.cli.common import Json, with_client
from quorate.cli.output import render
from quorate.cli.output.render import out
from quorate.client.client import Client
from quorate.runtime.errors import QuorateError

_DONE: Final = {
    CREATE: "created",
    UPDATE: "changed",
    DELETE: "deleted",
    UNCHANGED: "unchanged",
}
_WOULD: Final = {**_DONE, CREATE: "to create", UPDATE: "to change", DELETE: "to delete"}
_LONGEST: Final = 60


@with_client
def apply(
    client: Client,
    file: Annotated[
        list[str],
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="TOML, JSON or YAML file, by its ending; - is standard input (TOML or JSON). "
            "May be repeated.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the differences, and change nothing.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Delete what the files do not declare, of each kind that they have a section for. "
            "The cluster's own (queue default, exchanges amq.*) stay.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Create and change queues, limits, exchanges, services and schedules as files declare them.

    Fields that a file does not name stay as they are. Nothing is changed when a file has a mistake.
    """
    steps = plan(client, read_files(file), prune=prune)
    done: list[Step] = []
    try:
        if not dry_run:
            for step in steps:
                step.take(client)
                done.append(step)
    except QuorateError as error:
        failed = steps[len(done)]
        _show(done, _DONE, as_json=False)
        raise QuorateError(
            error.code,
            error.reason,
            f"{failed.kind.field} {failed.name}: {error.message}",
            field=error.field,
            metadata=error.metadata,
        ) from error
    _show(steps, _WOULD if dry_run else _DONE, as_json=as_json)


def _show(steps: Sequence[Step], words: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        render.print_json([_document(step) for step in steps])
        return
    for step in steps:
        out.print(f"{step.kind.field} {step.name}: {words[step.action]}", markup=False)
        for path, (before, after) in step.changes.items():
            if step.action == UPDATE:
                out.print(f"  {path}: {_value(before)} -> {_value(after)}", markup=False)
            else:
                out.print(f"  {path}: {_value(after)}", markup=False)
    counts = Counter(step.action for step in steps)
    parts = [f"{counts[action]} {words[action]}" for action in _DONE if counts[action]]
    out.print(f"{', '.join(parts) or 'The files declare nothing'}.", markup=False)


def _document(step: Step) -> dict[str, Any]:
    changes = {path: {"before": a, "after": b} for path, (a, b) in step.changes.items()}
    return {
        "kind": step.kind.field,
        "name": step.name,
        "action": step.action,
        "changes": changes,
    }


def _value(value: Any) -> str:
    """A value in a line of the difference."""
    if value is None:
        return "(not set)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("apply")(apply)
