"""Puts the results of finished blocks into few records: `scheduler.core.handlers.chunks.merging`.

Owned by one term. One block at a time; what it reads is at most `MOST_BYTES` of results and the
framing of 4,096 records. While etcd does not answer it waits: nothing depends on it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from quorate.etcd import api
from quorate.internal.v1 import jobs_pb2 as r
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import NodeName, TaskId
from scheduler.core.arrays.positions import BLOCK, Range, merged
from scheduler.core.model import events as e
from scheduler.engine.driver import Driver
from scheduler.storage import keys
from scheduler.storage.reads import FencedReads
from scheduler.storage.records.job_results import origins

# Bytes of values in one record.
_RECORD_BYTES: Final = 192 << 10
# Seconds between two looks.
_LOOK: Final = 0.2

_Run = tuple[int, int, list[bytes]]


class ResultMerger:
    """Merges the results of one term's jobs.

    Args:
        prefix: the cluster's key prefix.
    """

    def __init__(self, driver: Driver, stored: FencedReads, prefix: bytes) -> None:
        self._driver = driver
        self._stored = stored
        self._prefix = prefix

    async def run(self) -> None:
        """Merge until cancelled."""
        waiting = self._driver.state.to_merge
        while True:
            await asyncio.sleep(_LOOK)
            while waiting:
                job, number = next(iter(waiting))
                try:
                    await self._merge(job, number)
                except QuorateError:
                    # etcd does not answer or has no space, or this process does not lead.
                    break
                waiting.pop((job, number), None)

    async def _merge(self, job: TaskId, number: int) -> None:
        row = self._driver.state.jobs.get(job)
        if row is None or not row.array.complete(number):
            return
        of_round, succeeded = row.round, row.array.blocks[number].succeeded.bit_count()
        # What was reported last must be on record before it is read.
        await self._driver.barrier()
        below = keys.JOB_RESULTS + f"{job}/{number:04d}/".encode()
        read = api.Range(self._prefix + below, self._prefix + below + b"~")
        (found,), _ = await self._stored.ranges((read,))
        values: dict[int, tuple[int, bytes]] = {}
        ran: dict[tuple[NodeName, TaskId], list[Range]] = {}
        for kv in found:
            record = r.JobResultsRecord.FromString(kv.value)
            for run in record.runs:
                for position, value in enumerate(run.values, run.first):
                    values[position] = (int(run.kind), value)
            for node, chunk, ranges in origins(record):
                ran.setdefault((node, chunk), []).extend(ranges)
        records = _records(number, values)
        who = [(node, chunk, merged(ranges)) for (node, chunk), ranges in ran.items()]
        if records or who:
            await self._driver.room()
            event = e.JobResultsRead(job, number, of_round, records, who, succeeded)
            self._driver.handle((event,))


def _records(number: int, values: dict[int, tuple[int, bytes]]) -> list[list[_Run]]:
    """Results by position as records of a bounded size, each of runs of neighbours."""
    records: list[list[_Run]] = []
    size = 0
    for position in range(number * BLOCK, (number + 1) * BLOCK):
        found = values.get(position)
        if found is None:
            continue
        kind, value = found
        if not records or size + len(value) > _RECORD_BYTES:
            records.append([])
            size = 0
        size += len(value)
        runs = records[-1]
        last = runs[-1] if runs else None
        if last is not None and last[1] == kind and last[0] + len(last[2]) == position:
            last[2].append(value)
        else:
            runs.append((position, kind, [value]))
    return records
