"""Results of subtasks, read back from etcd: a block's at a time, as many as memory has room for.

What is read was committed before anybody could ask for it. Whoever reads finds out afterwards
whether the job is still on record: of one that is not, values are missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from quorate.etcd.api import Etcd
from quorate.etcd.paging import pages
from quorate.internal.v1 import jobs_pb2 as r
from scheduler.core.arrays.positions import BLOCK
from scheduler.storage import keys
from scheduler.storage.held import Held
from scheduler.storage.records.job_results import origins

# Kind (`ResultRun.Kind`), and the value.
Value = tuple[int, bytes]


async def results_of_block(
    etcd: Etcd,
    prefix: bytes,
    job: str,
    number: int,
    wanted: Collection[int],
    most: int,
    ran: dict[int, tuple[str, str]] | None = None,
) -> Held[Value]:
    """The results of a block at the first of the `wanted` positions, `most` bytes of them.

    Args:
        prefix: the cluster's.
        ran: gets node and chunk of the `wanted` positions, as far as they are on record.

    Raises:
        EtcdError: etcd does not answer.
    """
    held: Held[Value] = Held(most, (number + 1) * BLOCK)
    below = prefix + keys.JOB_RESULTS + f"{job}/{number:04d}/".encode()
    async for page in pages(etcd, below):
        for kv in page.kvs:
            record = r.JobResultsRecord.FromString(kv.value)
            for run in record.runs:
                for place, value in enumerate(run.values, run.first):
                    if value and place in wanted:
                        held.put(place, (int(run.kind), value), len(value))
            if ran is not None:
                _note(record, wanted, ran)
            held.trim()
        await asyncio.sleep(0)
    return held


def _note(
    record: r.JobResultsRecord, wanted: Collection[int], ran: dict[int, tuple[str, str]]
) -> None:
    """Who ran which of the wanted positions, as a record says."""
    for node, chunk, ranges in origins(record):
        for first, last in ranges:
            if last - first < len(wanted):
                mine = [place for place in range(first, last + 1) if place in wanted]
            else:
                mine = [place for place in wanted if first <= place <= last]
            ran.update((place, (node, chunk)) for place in mine)
