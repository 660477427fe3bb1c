"""WatchJobs: jobs as they are, from the leader's memory.

Each watch remembers the number of the last change that it has seen (`JobChanges`), and looks
`LOOKS_A_SECOND` times a second what changed since: however often a job changes, that is how often
it is sent. What is sent was committed: a barrier lies between the look and the message.

Nothing is kept for a watch but that number, so nothing is lost when its client reads slowly: it
gets the newest view only. When the term ends the watch ends with UNAVAILABLE, and begins with all
again at the next leader."""

from __future__ import annotations

import asyncio
import heapq
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


class _Newest:
    """Which jobs are the newest `size`: their ids are in the order of their creation."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.ids: set[str] = set()
        # No job below it is among them.
        self._least = ""
        # One of them was deleted, so an older one may be among them again.
        self.shrunk = False

    def begin(self, rows: list[JobRow]) -> list[JobRow]:
        """The newest of all there are, oldest first."""
        found = heapq.nlargest(self._size, rows, key=lambda row: row.id)
        found.reverse()
        self.ids, self.shrunk = {row.id for row in found}, False
        self._bound()
        return found

    def among(self, rows: list[JobRow]) -> list[JobRow]:
        """Those of the rows that are among the newest."""
        found = [row for row in rows if row.id >= self._least]
        new = {row.id for row in found} - self.ids
        if new:
            self.ids |= new
            for gone in sorted(self.ids)[: -self._size]:
                self.ids.discard(gone)
            self._bound()
        return [row for row in found if row.id in self.ids]

    def drop(self, gone: list[str]) -> None:
        """These were deleted."""
        if full := len(self.ids) == self._size:
            self.shrunk = self.shrunk or not self.ids.isdisjoint(gone)
        self.ids.difference_update(gone)
        if not full:
            self._bound()

    def _bound(self) -> None:
        self._least = min(self.ids) if len(self.ids) == self._size else ""


class _Watch:
    """What one watch has seen."""

    def __init__(self, state: State, request: pb.WatchJobsRequest) -> None:
        self._state = state
        self._queue = request.queue
        self._only = frozenset(request.ids)
        # What it knows of: it learns when they are gone. No more than are on record.
        self.known: set[str] = set(self._only)
        self.seen = state.job_changes.last
        self._newest = _Newest(request.newest) if request.newest else None
        # How many jobs had been deleted at the last look; -1: there was none.
        self._dropped = -1

    def matching(self) -> list[JobRow]:
        """All jobs that match, or the newest of them."""
        rows = [row for row in self._state.jobs.values() if self._matches(row)]
        return rows if self._newest is None else self._newest.begin(rows)

    def changed(self) -> list[JobRow]:
        """Those that changed since the last call, or came back."""
        changes, self.seen = (
            self._state.job_changes.since(self.seen),
            self._state.job_changes.last,
        )
        rows = [self._state.jobs[job] for job in reversed(changes) if job in self._state.jobs]
        rows = [row for row in rows if self._matches(row)]
        if self._newest is None:
            return rows
        if self._newest.shrunk:
            before = self._newest.ids
            came = [row for row in self.matching() if row.id not in before]
            rows = list({row.id: row for row in came + rows}.values())
        found = self._newest.among(rows)
        self.known &= self._newest.ids
        return found

    def gone(self) -> list[str]:
        """Those of which it knew and that are on record no longer."""
        if self._dropped == self._state.job_changes.dropped:
            return []
        self._dropped = self._state.job_changes.dropped
        gone = sorted(self.known - self._state.jobs.keys())
        self.known.difference_update(gone)
        if self._newest is not None:
            self._newest.drop(gone)
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
    answers = _answers(mine, mine.gone(), mine.matching())
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
                # What is gone comes first: another one may be among the newest instead.
                gone = mine.gone()
                found = _answers(mine, gone, mine.changed())
                answers = found if found[0].jobs or found[0].deleted else []
            if not answers and clock() - sent >= KEEPALIVE:
                answers = [pb.WatchJobsResponse()]


def _answers(mine: _Watch, gone: list[str], rows: list[JobRow]) -> list[pb.WatchJobsResponse]:
    """Rows as answers of a page's size; one at least."""
    answers, size = [pb.WatchJobsResponse(deleted=gone)], 0
    for row in rows:
        view = views.job(row)
        mine.known.add(row.id)
        size += view.ByteSize()
        if answers[-1].jobs and (size > PAGE_BYTES or len(answers[-1].jobs) >= _JOBS_AT_ONCE):
            answers.append(pb.WatchJobsResponse())
            size = view.ByteSize()
        answers[-1].jobs.append(view)
    return answers
