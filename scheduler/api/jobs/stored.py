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

    async def errors(self, row: JobRow, number: int | None) -> AsyncIterator[r.JobErrorsRecord]:
        """The records of errors of a job, or of one of its blocks: each subtask in one of them."""
        below = f"{row.id}/" if number is None else f"{row.id}/{number:04d}/"
        at, seen = -1, 0
        async for data in self._below(keys.JOB_ERRORS + below.encode()):
            record = r.JobErrorsRecord.FromString(data)
            here = record.failures[0].positions[0] // BLOCK if record.failures else -1
            block = row.array.blocks.get(here)
            if block is not None and block.earlier is not None:
                # Some may have been retried by themselves; the newest record comes first.
                if here != at:
                    at, seen = here, 0
                seen = _keep_latest(record, block.failed, seen)
            yield record

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
            async for record in self.errors(row, number):
                if record.chunk and any(position in one.positions for one in record.failures):
                    found = record.node, record.chunk
        return found


def _keep_latest(record: r.JobErrorsRecord, failed: int, seen: int) -> int:
    """Leave out of a record who is not failed now, and whom a newer record names; all that were
    named, as a mask."""
    for failure in list(record.failures):
        kept = []
        for position in failure.positions:
            bit = 1 << position % BLOCK
            if failed & bit and not seen & bit:
                kept.append(position)
                seen |= bit
        if len(kept) < len(failure.positions):
            del failure.positions[:]
            failure.positions.extend(kept)
    for place in reversed(range(len(record.failures))):
        if not record.failures[place].positions:
            del record.failures[place]
    return seen


def no_answer(error: EtcdError) -> QuorateError:
    """What a caller learns of an etcd that does not answer."""
    return unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}")
