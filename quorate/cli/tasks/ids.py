"""Ids of tasks as people type them: whole, or a beginning or an end that only one task has.

Ids begin with the time, so tasks of one minute begin alike. Their ends are random: tables show
those where a whole id has no room.
"""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any, Final

import grpc

from quorate.cli.hints import command
from quorate.cli.jobs.ids import job_id
from quorate.cli.output.render import SHORTENED, hint, print_json
from quorate.client.client import Client
from quorate.client.handle import TaskHandle
from quorate.runtime.errors import QuorateError, invalid, not_found

_WHOLE = 32
# Shorter ones are not looked up: they could be a part of any task's.
SHORTEST = 6
# Tasks in which the text was found that are looked at for the two ends of their id.
_LOOKED_AT = 1_000
_NAMED = 5
# For the help of commands.
WHICH: Final = (
    f"the whole id, its last {SHORTEST} or more characters, or its first ones if no other id "
    "begins with them"
)


def task_id(client: Client, given: str) -> str:
    """The id that `given` means: itself when it is whole, else the one that begins or ends so. Of a
    subtask, `<job>.<index>`, this is about the job's id.

    Raises QuorateError: INVALID_ARGUMENT for one that is too short or that several tasks have,
    NOT_FOUND when there is none.
    """
    job, _, index = given.rpartition(".")
    if index.isdecimal() and job.strip("."):
        return f"{job_id(client, job)}.{index}"
    text = given.strip().lower().removeprefix(SHORTENED).removeprefix("...")
    if not text or not all(digit in "0123456789abcdef" for digit in text):
        return given
    if len(text) >= _WHOLE:
        return text
    if len(text) < SHORTEST:
        raise invalid("id", f'"{given}" is too short; give {SHORTEST} or more characters of an id')
    found = [
        task.id
        for task in islice(client.tasks(text=text, page_size=100), _LOOKED_AT)
        if task.id.startswith(text) or task.id.endswith(text)
    ]
    if not found:
        raise not_found("task", given)
    if len(found) > 1:
        least = "at least " if len(found) == _LOOKED_AT else ""
        shown = ", ".join(found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise QuorateError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "AMBIGUOUS_ID",
            f'"{given}" is part of {least}{len(found)} ids: {shown}{more}; give the whole id, or '
            "its last 8 characters (the first ones are the time)",
            field="id",
        )
    return found[0]


def print_ids(handles: list[TaskHandle[Any]], as_json: bool) -> None:
    """Print the ids of tasks that were created."""
    if as_json:
        print_json([{"id": handle.id} for handle in handles])
        return
    sys.stdout.write("".join(f"{handle.id}\n" for handle in handles))
    if sys.stdout.isatty():
        hint(f"Follow it: {command(f'logs -f {handles[0].id}')}")
