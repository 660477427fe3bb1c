"""The id of a job given to a command for tasks, or that of a task to one for jobs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Final

from quorate.client.client import Client
from quorate.runtime.errors import QuorateError

_WHOLE: Final = 32
_SHORTEST: Final = 6
# Tasks or jobs.
_LOOKED_AT: Final = 1_000


def misnamed(client: Client, error: QuorateError) -> QuorateError:
    """The error, or one that says what the id belongs to.

    It looks the id up once more, and only where a task or a job was not found.
    """
    with suppress(QuorateError, StopIteration):
        if error.reason == "TASK_NOT_FOUND" and (given := error.metadata.get("task")):
            id = _whole(given, (one.id for one in client.jobs(page_size=1_000)))
            client.job(id).job()
            return _with(error, "TASK_IS_JOB", f"{id} is a job, not a task; see: quorate job {id}")
        if error.reason == "JOB_NOT_FOUND" and (given := error.metadata.get("job")):
            id = _whole(given, (one.id for one in client.tasks(text=_plain(given), page_size=100)))
            client.get(id).task()
            return _with(error, "JOB_IS_TASK", f"{id} is a task, not a job; see: quorate task {id}")
    return error


def _plain(given: str) -> str:
    """An id without the sign before a short one."""
    return given.strip().lower().lstrip("\N{HORIZONTAL ELLIPSIS}.")


def _whole(given: str, ids: Iterable[str]) -> str:
    """The id that `given` is, begins or ends. Raises StopIteration when there is none."""
    text = _plain(given)
    if len(text) >= _WHOLE:
        return text
    few = islice(ids, _LOOKED_AT if len(text) >= _SHORTEST else 0)
    return next(id for id in few if id.startswith(text) or id.endswith(text))


def _with(error: QuorateError, reason: str, message: str) -> QuorateError:
    return QuorateError(error.code, reason, message, metadata=error.metadata)
