"""Folds the records of jobs: see `scheduler.storage.replica.fold`.

The writes of one Txn come in any order: each record says what is, and what is derived from several
is brought up to date after each. In a snapshot a job comes before its blocks, and these before
chunks."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from quorate.runtime.ids import InstanceId, NodeName, TaskId
from scheduler.core.model.jobs import moves
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.storage.records import jobs as records

log = structlog.get_logger(__name__)


class JobFold:
    """The part of a fold that is about jobs.

    Args:
        state: the one that is folded into; another one after each reset.
        names: notes the instant that a record names.
        run_was_on: notes that what was on a process (node, instance) is on an instance now.
    """

    def __init__(
        self,
        state: Callable[[], State],
        names: Callable[[float], None],
        run_was_on: Callable[[NodeName, InstanceId, InstanceId], None],
    ) -> None:
        self._current = state
        self._names = names
        self._run_was_on = run_was_on

    @property
    def _state(self) -> State:
        return self._current()

    def put_job(self, key: bytes, value: bytes, lease: int) -> None:
        """A job's record was written."""
        state = self._state
        _, queue, name = key.decode().split("/")
        job = TaskId(name)
        record = records.read_job(value)
        self._names(max(record.finish_time, record.create_time))
        row = state.jobs.get(job)
        if row is None:
            row = records.job_row(state, queue, job, record)
            moves.add(state, row)
        else:
            if (spec := records.changed_spec(row, record)) is not None:
                moves.respec(state, row, spec)
            held = row.held
            records.apply_job(row, record)
            moves.account(state, row)
            if row.held is not held:
                moves.account_arrays(state, row)
            moves.forget_retained(row)
        if row.finished and row.parent is None:
            row.queue.retained_jobs.append(row)
        state.observe(max(record.finish_time, record.append_time))

    def put_block(self, key: bytes, value: bytes, lease: int) -> None:
        """What is known of 4,096 subtasks was written."""
        _, name, number = key.decode().split("/")
        row = self._known(TaskId(name), "block")
        if row is not None:
            block = records.block(row, int(number), value)
            row.array.replace(int(number), block)
            moves.note_waits(self._state, row, int(number), block)
            moves.account(self._state, row)

    def put_chunk(self, key: bytes, value: bytes, lease: int) -> None:
        """A chunk was given to a node, or something of it was reported."""
        state = self._state
        _, name, chunk = key.decode().split("/")
        job = self._known(TaskId(name), "chunk")
        if job is None:
            return
        status = records.ChunkStatus(job, value)
        row = state.chunks.get(TaskId(chunk))
        if row is None:
            self._names(status.assign_time)
            row = moves.chunk_out(
                state,
                job,
                TaskId(chunk),
                status.left,
                status.node,
                status.instance,
                status.assign_time,
                status.attempt,
            )
        else:
            moves.chunk_left(row, status.left)
        row.start_time, row.charged = status.start_time, status.charged
        row.share = status.share
        assert row.chunk is not None
        row.chunk.cancelled = status.cancelled
        row.chunk.unknown_fields = status.unknown_fields
        moves.account(state, job)

    def deleted(self, kind: bytes, name: TaskId) -> None:
        """A job or a chunk is gone; the other records of a job go with it."""
        state = self._state
        if kind == b"jobs":
            job = state.jobs.get(name)
            if job is not None:
                moves.drop(state, job)
            return
        row = state.chunks.get(name)
        if row is None or row.job is None:
            return
        node, instance = row.node, row.instance
        moves.chunk_gone(state, row)
        moves.account(state, row.job)
        self._run_was_on(node, instance, row.instance)

    def _known(self, job: TaskId, what: str) -> JobRow | None:
        row = self._state.jobs.get(job)
        if row is None:
            log.warning(f"{what}_without_job", job=job)
        return row
