"""Results that reduces on one agent process wait for: asked, read, sent.

Bounds: one request for each chunk that is on record as given to the process, the newest; one page
that was read and not sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from quorate.etcd.api import EtcdError
from quorate.runtime.ids import InstanceId, TaskId
from quorate.v1 import node_agent_pb2 as pb
from scheduler.core.arrays.levels import inputs
from scheduler.core.model.rows import JobRow, TaskRow, reduced_by
from scheduler.core.model.state import State
from scheduler.core.values import TaskState
from scheduler.storage.result_pages import ResultPages

# Seconds until results are read again of which etcd did not answer.
READ_AGAIN: Final = 0.5
GONE: Final = "the results are not on record any more"


class ResultOrders:
    """The requests of one process.

    Args:
        sent: called when there is something to send.
    """

    def __init__(self, instance: InstanceId, sent: Callable[[], None]) -> None:
        self._instance = instance
        self._sent = sent
        # By chunk.
        self._wanted: dict[TaskId, pb.ReadResults] = {}
        self._ready: pb.ResultsPage | None = None
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    def want(self, state: State, requests: Iterable[pb.ReadResults]) -> None:
        """Reduces wait for results. What is of no reduce of this process does not count."""
        for request in requests:
            if self._reduced(state, request) is not None:
                self._wanted[TaskId(request.task_id)] = request
                self._changed.set()

    def clear(self) -> None:
        """The session is over; the agent asks again in the next one."""
        self._wanted.clear()
        self._ready = None

    @property
    def anything(self) -> bool:
        """Whether `fill` has anything to send."""
        return self._ready is not None

    def fill(self, message: pb.SessionRequest) -> None:
        """Move the page that is ready into a message."""
        if self._ready is not None:
            message.results.append(self._ready)
            self._ready = None
            self._taken.set()

    async def run(self, state: State, pages: ResultPages) -> None:
        """Read what is asked for, page by page, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._wanted:
                chunk = next(iter(self._wanted))
                try:
                    page = await self._read(state, pages, self._wanted[chunk])
                except EtcdError:
                    await asyncio.sleep(READ_AGAIN)
                    continue
                asked = self._wanted.get(chunk)
                if page is None or asked is None or asked.number == page.number:
                    self._wanted.pop(chunk, None)
                if page is not None:
                    self._ready = page
                    self._taken.clear()
                    self._sent()
                    await self._taken.wait()

    async def _read(
        self, state: State, pages: ResultPages, request: pb.ReadResults
    ) -> pb.ResultsPage | None:
        """The answer to a request; None where it is of nobody any more."""
        found = self._reduced(state, request)
        if found is None:
            return None
        row, below = found
        first = request.first_position
        end, runs = await pages.page(below.id, first, _end(row, below))
        page = pb.ResultsPage(
            task_id=request.task_id,
            attempt=request.attempt,
            number=request.number,
            first_position=first,
            next_position=end,
            runs=runs,
        )
        if state.jobs.get(below.id) is not below:
            # What is missing was deleted, and is not None.
            del page.runs[:]
            page.error = GONE
        return page

    def _reduced(self, state: State, request: pb.ReadResults) -> tuple[TaskRow, JobRow] | None:
        """The chunk that a request is of, and the job whose results it reduces."""
        row = state.chunks.get(TaskId(request.task_id))
        if (
            row is None
            or row.state is not TaskState.RUNNING
            or row.attempt != request.attempt
            or row.instance != self._instance
            or row.job is None
            or not row.job.level
        ):
            return None
        below = reduced_by(row.job)
        if not 0 <= request.first_position < below.array.count:
            return None
        return row, below


def _end(row: TaskRow, below: JobRow) -> int:
    """Behind the last result that a chunk of reduces needs."""
    assert row.job is not None
    assert row.job.parent is not None
    assert row.job.parent.spec.reduce is not None
    last = row.chunk.ranges[-1][1] if row.chunk is not None and row.chunk.left else 0
    return inputs(last, row.job.parent.spec.reduce.fan_in, below.array.count)[1]
