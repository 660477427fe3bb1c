"""Results of a block in few records: subtasks that take long are reported one by one, and a million
of them must not leave a million keys.

    reported one by one --all subtasks of the block finished--> `State.to_merge`
        --read from etcd, behind a barrier--> JobResultsRead --> few records instead, in one Txn

Who reads is `scheduler.storage.result_merger`. What waits to be merged is the leader's memory: a
new leader looks at the blocks that are not finished yet, and leaves the others as they are.
"""

from __future__ import annotations

from scheduler.core.model.effects import Effects, MergeJobResults
from scheduler.core.model.events.jobs import JobResultsRead
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State

# Records of a block that are not worth merging; and bytes that one Txn takes of it.
WORTH = 16
MOST_BYTES = 640 << 10


def note(state: State, job: JobRow, number: int) -> None:
    """A report touched a block: where that was its last one, its results may be merged."""
    block = job.array.blocks[number]
    if block.pieces > WORTH and block.stored_bytes <= MOST_BYTES and job.array.complete(number):
        block.pieces = 0
        state.to_merge[job.id, number] = None


def on_elected(job: JobRow) -> None:
    """How many records the blocks that are not finished have, nobody knows: many, perhaps."""
    for number, block in job.array.blocks.items():
        if block.stored_bytes and not job.array.complete(number):
            block.pieces = WORTH + 1


def on_job_results_read(state: State, event: JobResultsRead, now: float, out: Effects) -> None:
    job = state.jobs.get(event.job)
    # In between it, or one of its subtasks, may have been retried, and even have finished again:
    # then others came.
    if (
        job is not None
        and job.round == event.round
        and job.array.complete(event.block)
        and job.array.blocks[event.block].succeeded.bit_count() == event.succeeded
    ):
        out.writes.append(MergeJobResults(event.job, event.block, event.records, event.origins))
