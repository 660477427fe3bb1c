"""WatchJobs: jobs as they are, from the leader's memory.

Each watch remembers the number of the last change that it has seen (`JobChanges`), and looks
`LOOKS_A_SECOND` times a second what changed since: however often a job changes, that is how often
it is sent. What is sent was committed: a barrier lies between the look and the message.

Nothing is kept for a watch but that number, so nothing is lost when its client reads slowly: it
gets the newest view only. When the term ends the watch ends with UNAVAILABLE, and begins with all
again at the next leader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.asking import PAGE_BYTES
from scheduler.api.jobs import views
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.engine.driver import Driver

LOOKS_A_SECOND: Final = 10
# Seconds without a change after which an empty answer is sent.
KEEPALIVE: Final = 1.0
# Jobs of one answer.
_JOBS_AT_ONCE: Final = 500


class _Watch:
    """What one watch has seen."""

    def __init__(self, state: State, request: pb.WatchJobsRequest) -> None:
        self._state = state
        self._queue = request.queue
        self._only = frozenset(request.ids)
        # What it knows of: it learns when they are gone. No more than are on record.
        self.known: set[str] = set(self._only)
        self.seen = state.job_changes.last
        # How many jobs had been deleted at the last look; -1: there was none.
        self._dropped = -1

    def matching(self) -> list[JobRow]:
        """All jobs that match, oldest first."""
        return [row for row in self._state.jobs.values() if self._matches(row)]

    def changed(self) -> list[JobRow]:
        """Those that changed since the last call."""
        changes, self.seen = (
            self._state.job_changes.since(self.seen),
            self._state.job_changes.last,
        )
        rows = [self._state.jobs[job] for job in reversed(changes) if job in self._state.jobs]
        return [row for row in rows if self._matches(row)]

    def gone(self) -> list[str]:
        """Those of which it knew and that are on record no longer."""
        if self._dropped == self._state.job_changes.dropped:
            return []
        self._dropped = self._state.job_changes.dropped
        gone = sorted(self.known - self._state.jobs.keys())
        self.known.difference_update(gone)
        return gone

    def _matches(self, row: JobRow) -> bool:
        if self._only:
            if row.id not in self._only:
                return False
        elif row.parent is not None:
            return False
        return not self._queue or row.queue.name == self._queue


async def watch(
    driver: Driver, request: pb.WatchJobsRequest
) -> AsyncGenerator[pb.WatchJobsResponse, None]:
    """The answers of one watch. Raises QuorateError when the term ends."""
    state = driver.state
    mine = _Watch(state, request)
    answers = _answers(mine, mine.matching())
    answers[-1].complete = True
    clock = asyncio.get_running_loop().time
    while True:
        await driver.readable()
        sent = clock()
        for answer in answers:
            yield answer
        answers = []
        while not answers:
            await asyncio.sleep(1 / LOOKS_A_SECOND)
            if mine.seen != state.job_changes.last:
                # Without anything when others changed.
                found = _answers(mine, mine.changed())
                answers = found if found[0].jobs or found[0].deleted else []
            if not answers and clock() - sent >= KEEPALIVE:
                answers = [pb.WatchJobsResponse()]


def _answers(mine: _Watch, rows: list[JobRow]) -> list[pb.WatchJobsResponse]:
    """Rows as answers of a page's size; one at least."""
    answers, size = [pb.WatchJobsResponse(deleted=mine.gone())], 0
    for row in rows:
        view = views.job(row)
        mine.known.add(row.id)
        size += view.ByteSize()
        if answers[-1].jobs and (size > PAGE_BYTES or len(answers[-1].jobs) >= _JOBS_AT_ONCE):
            answers.append(pb.WatchJobsResponse())
            size = view.ByteSize()
        answers[-1].jobs.append(view)
    return answers
