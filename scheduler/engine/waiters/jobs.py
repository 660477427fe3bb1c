"""Callers that wait until a job has finished.

Owned by the driver of one term, which says what is committed.
"""

from __future__ import annotations

import asyncio

from quorate.runtime.errors import exhausted, leader_lost
from quorate.runtime.ids import TaskId
from scheduler.core.model.rows import JobRow
from scheduler.engine.waiters.tasks import MAX_WAITERS


class JobWaiters:
    """Who waits for which job, of one term. At most `MAX_WAITERS` callers."""

    def __init__(self) -> None:
        self._waiting: dict[TaskId, list[asyncio.Future[None]]] = {}
        self._count = 0
        self._closed = False

    async def finished(self, job: TaskId) -> None:
        """Wait for the end of a job that is not `JobRow.settled`. The caller sets the deadline."""
        if self._count >= MAX_WAITERS:
            raise exhausted(
                "TOO_MANY_WAITERS",
                f"{MAX_WAITERS} calls wait already; try again later",
                limit=MAX_WAITERS,
            )
        if self._closed:
            raise leader_lost()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job, []).append(future)
        self._count += 1
        try:
            await future
        finally:
            self._count -= 1
            left = self._waiting.get(job)
            if left is not None and future in left:
                left.remove(future)
                if not left:
                    del self._waiting[job]

    def has_finished(self, job: JobRow) -> None:
        """The end of a job is on record."""
        for future in self._waiting.pop(job.id, ()):
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """The term is over: nobody waits any longer."""
        self._closed = True
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(leader_lost())
        self._waiting.clear()
