"""`quorate mq import`: declares what RabbitMQ's definitions declare."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import grpc
import typer

from quorate.cli.common import with_client
from quorate.cli.messages import queues
from quorate.cli.messages.definitions import MOST_BYTES, Plan, Step, Unsupported, plan_of
from quorate.cli.messages.options import VirtualHost
from quorate.cli.output import render
from quorate.client.client import Client
from quorate.runtime.errors import QuorateError, invalid

# Errors of one entry. After others the next call would fail, too.
_OF_ONE: Final = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
)


@queues.group.command("import")
@with_client
def import_(
    client: Client,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON of rabbitmqctl export_definitions.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be declared and left out.")
    ] = False,
    virtual_host: VirtualHost = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Declare exchanges, queues, bindings and policies that were exported from RabbitMQ.

    Users, permissions and whatever else has no counterpart are named and left out. What is there
    already stays as it is, so the command can be repeated.

    [dim]rabbitmqctl export_definitions definitions.json; quorate mq import definitions.json[/dim]
    """
    plan = plan_of(_read(file), virtual_host)
    done: list[Step] = []
    failed: list[tuple[Step, QuorateError]] = []
    if not dry_run:
        _apply(client, plan, done, failed)
    if as_json:
        _print_json(plan, done, failed, dry_run)
    else:
        _print(plan, done, failed, dry_run)
    if failed:
        raise typer.Exit(1)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(MOST_BYTES + 1)
    except OSError as error:
        raise invalid("FILE", f"cannot be read: {error}") from None


def _apply(
    client: Client, plan: Plan, done: list[Step], failed: list[tuple[Step, QuorateError]]
) -> None:
    for step in plan.steps:
        try:
            client.calls.call(step.rpc, step.request)
        except QuorateError as error:
            failed.append((step, error))
            if error.code not in _OF_ONE:
                return
        else:
            done.append(step)


def _print(
    plan: Plan, done: list[Step], failed: list[tuple[Step, QuorateError]], dry_run: bool
) -> None:
    steps = plan.steps if dry_run else done
    what = "to declare" if dry_run else "declared"
    counts = Counter(step.kind for step in steps)
    for kind in dict.fromkeys(step.kind for step in plan.steps):
        sys.stdout.write(f"{what}: {counts[kind]:,} of kind {kind}\n")
    if dry_run:
        for step in plan.steps:
            sys.stdout.write(f"  {_words(step)}\n")
    if plan.unsupported:
        sys.stdout.write(f"left out: {len(plan.unsupported):,}\n")
        for one in plan.unsupported:
            sys.stdout.write(f"  {_words(one)}: {one.why}\n")
    if failed:
        sys.stdout.write(f"failed: {len(failed):,}\n")
        for step, error in failed:
            sys.stdout.write(f"  {_words(step)}: {error.message}\n")
    left = len(plan.steps) - len(done) - len(failed)
    if left and not dry_run:
        sys.stdout.write(f"not tried: {left:,}; repeat the command, it leaves what is there\n")


def _words(one: Step | Unsupported) -> str:
    host = "" if one.virtual_host in ("", "/") else f" in {one.virtual_host}"
    return f"{one.kind} {one.name}{host}"


def _print_json(
    plan: Plan, done: list[Step], failed: list[tuple[Step, QuorateError]], dry_run: bool
) -> None:
    def entry(one: Step | Unsupported, **more: str) -> dict[str, str]:
        return {"kind": one.kind, "virtualHost": one.virtual_host, "name": one.name, **more}

    tried = len(done) + len(failed)
    render.print_json(
        {
            "dryRun": dry_run,
            "planned": [entry(step) for step in plan.steps],
            "declared": [entry(step) for step in done],
            "failed": [
                entry(step, reason=error.reason, error=error.message) for step, error in failed
            ],
            "leftOut": [entry(one, why=one.why) for one in plan.unsupported],
            "notTried": 0 if dry_run else len(plan.steps) - tried,
        }
    )


def register(app: typer.Typer) -> None:
    """Nothing is left to add: the command is `mq import`."""
