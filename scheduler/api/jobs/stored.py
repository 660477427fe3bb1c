"""Results and errors of subtasks, and who ran them, as etcd has them.

Read block by block, a page of records at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from quorate.etcd.api import Etcd, EtcdError
from quorate.etcd.paging import pages
from quorate.internal.v1 import jobs_pb2 as r
from quorate.runtime.errors import QuorateError, unavailable
from scheduler.api.jobs import views
from scheduler.core.arrays.positions import BLOCK
from scheduler.core.model.rows import JobRow
from scheduler.storage import keys
from scheduler.storage.held import Held
from scheduler.storage.job_results import Value, results_of_block


class StoredOutcomes:
    """Reads what became of subtasks; each method raises QuorateError.

    Args:
        prefix: the cluster's key prefix.
    """

    def __init__(self, etcd: Etcd, prefix: bytes) -> None:
        self._etcd = etcd
        self._prefix = prefix

    async def results(
        self,
        row: JobRow,
        number: int,
        wanted: Collection[int],
        most: int,
        ran: dict[int, tuple[str, str]] | None = None,
    ) -> Held[Value]:
        """The results of a block at the first of the `wanted` positions, `most` bytes of them.

        Args:
            ran: gets node and chunk of the `wanted` positions, as far as they are on record.
        """
        try:
            return await results_of_block(
                self._etcd, self._prefix, row.id, number, wanted, most, ran
            )
        except EtcdError as error:
            raise no_answer(error) from error

    async def errors(self, job: str, number: int | None) -> AsyncIterator[r.JobErrorsRecord]:
        """The records of errors of a job, or of one of its blocks."""
        below = f"{job}/" if number is None else f"{job}/{number:04d}/"
        async for data in self._below(keys.JOB_ERRORS + below.encode()):
            yield r.JobErrorsRecord.FromString(data)

    async def _below(self, prefix: bytes) -> AsyncIterator[bytes]:
        try:
            async for page in pages(self._etcd, self._prefix + prefix):
                for kv in page.kvs:
                    yield kv.value
                await asyncio.sleep(0)
        except EtcdError as error:
            raise no_answer(error) from error

    async def ran_by(self, row: JobRow, position: int) -> tuple[str, str] | None:
        """Node and chunk that ran a subtask last: that run it, or by which it ended; None where no
        record says so."""
        number, place = divmod(position, BLOCK)
        for chunk in row.chunks.values():
            if chunk.chunk is not None and chunk.chunk.left.get(number, 0) >> place & 1:
                return chunk.node, chunk.id
        state, found = views.state_at(row, position), None
        if state == views.SUCCEEDED:
            ran: dict[int, tuple[str, str]] = {}
            await self.results(row, number, (position,), 0, ran)
            found = ran.get(position)
        elif state == views.FAILED:
            async for record in self.errors(row.id, number):
                if record.chunk and any(position in one.positions for one in record.failures):
                    found = record.node, record.chunk
        return found


def no_answer(error: EtcdError) -> QuorateError:
    """What a caller learns of an etcd that does not answer."""
    return unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}")
