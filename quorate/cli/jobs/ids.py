"""Ids of jobs as people type them: whole, or a beginning or an end that only one job has."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Final

import grpc
import typer

from quorate.cli.output.render import SHORTENED
from quorate.client.client import Client
from quorate.runtime.errors import QuorateError, invalid, not_found

_WHOLE: Final = 32
_SHORTEST: Final = 6
# Jobs, newest first, that are looked at.
_LOOKED_AT: Final = 10_000
# For the help of commands.
WHICH: Final = f"whole, or its last {_SHORTEST} or more characters"
Id = Annotated[str, typer.Argument(metavar="ID", help=f"Id of the job: {WHICH}.")]


def job_id(client: Client, given: str) -> str:
    """The id that `given` means: itself when it is whole, else the one that begins or ends so.

    Raises QuorateError: INVALID_ARGUMENT for one that is too short or that several jobs have,
    NOT_FOUND when there is none.
    """
    text = given.strip().lower().removeprefix(SHORTENED).removeprefix("...")
    if not text or not all(digit in "0123456789abcdef" for digit in text) or len(text) >= _WHOLE:
        return text or given
    if len(text) < _SHORTEST:
        raise invalid("id", f'"{given}" is too short; give {_SHORTEST} or more characters of an id')
    found = [
        job.id
        for job in islice(client.jobs(page_size=1_000), _LOOKED_AT)
        if job.id.startswith(text) or job.id.endswith(text)
    ]
    if not found:
        raise not_found("job", given)
    if len(found) > 1:
        raise QuorateError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "AMBIGUOUS_ID",
            f'"{given}" is part of {len(found)} ids: {", ".join(found[:5])}; give the whole id, or '
            "its last 8 characters (the first ones are the time)",
            field="id",
        )
    return found[0]
