"""However many subtasks of a block wait to be retried, and until when: its record stays small."""

from __future__ import annotations

from scheduler.core.arrays.array import MOST_WAITS
from scheduler.core.arrays.positions import BLOCK
from scheduler.core.values import RetryPolicy
from scheduler.storage.records.jobs import block_value
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs, job_spec


def test_the_record_of_a_block_has_a_bound_whatever_waits() -> None:
    cluster = Cluster()
    jobs = Jobs(cluster)
    node = cluster.node("n1", slots=2)
    # Jitter spreads the retries over two days.
    day = 86_400.0
    retry = RetryPolicy(max_attempts=3, initial_backoff=day, max_backoff=day, jitter=1.0)
    job = jobs.create(BLOCK, job_spec()._replace(retry=retry))
    while "P" in jobs.states(job) or "O" in jobs.states(job):
        for chunk in jobs.chunks(job):
            failed = [p for first, last in jobs.left(chunk) for p in range(first, last + 1)]
            jobs.report(node, chunk, failed=failed)
            jobs.end(node, chunk)
    row = jobs.row(job)
    assert jobs.states(job) == "W" * BLOCK
    assert len(row.array.blocks[0].waits) == MOST_WAITS
    assert len(block_value(row, 0)) < 64 << 10
    cluster.placing = False
    # Still spread, and none is forgotten.
    cluster.advance(day)
    waiting = jobs.states(job).count("W")
    assert BLOCK // 4 < waiting < 3 * BLOCK // 4
    cluster.advance(day + 2 * 86_400 / MOST_WAITS)
    assert jobs.states(job) == "P" * BLOCK
