"""Ids of tasks as people type them: whole, or a beginning that only one task has."""

from __future__ import annotations

from itertools import islice

import grpc

from quorate.client.client import Client
from quorate.runtime.errors import QuorateError, invalid, not_found

_WHOLE = 32
# Shorter ones are not looked up: they could be the beginning of any task.
SHORTEST = 6
# Tasks in which the text was found that are looked at for the beginning of their id.
_LOOKED_AT = 1_000
_NAMED = 5


def task_id(client: Client, given: str) -> str:
    """The id that `given` means: itself when it is whole, else the one task whose id begins so.

    Raises QuorateError: INVALID_ARGUMENT for one that is too short or that several tasks have,
    NOT_FOUND when there is none.
    """
    text = given.strip().lower()
    if not all(digit in "0123456789abcdef" for digit in text):
        return given
    if len(text) >= _WHOLE:
        return text
    if len(text) < SHORTEST:
        raise invalid("id", f'"{given}" is too short; give {SHORTEST} or more characters of an id')
    found = [
        task.id
        for task in islice(client.tasks(text=text, page_size=100), _LOOKED_AT)
        if task.id.startswith(text)
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
            f'"{given}" is the beginning of {least}{len(found)} ids: {shown}{more}',
            field="id",
        )
    return found[0]
