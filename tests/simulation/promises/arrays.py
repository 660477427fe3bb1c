"""Arrays in the log: what was accepted stays, comes from who had it, and never runs again.

jobs/...        what a job may do: paused, finished, how many chunks
chunks/...      which subtasks are out, and with whom: each with one process at most
job-blocks/...  what became of them
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from quorate.internal.v1 import jobs_pb2 as r
from quorate.runtime.ids import TaskId
from quorate.v1.job_pb2 import JobSpec
from scheduler.core.arrays.positions import BLOCK, from_bytes, offsets_of
from scheduler.core.values import FINISHED_JOB, JobState
from tests.simulation.promises.starts import Demand, Starts, of_array

_WHOLE = (1 << BLOCK) - 1


@dataclass
class Job:
    """What is on record of one job. Masks are of all positions of the array."""

    demand: Demand
    max_parallel: int
    reduces: bool = False
    state: JobState = JobState.ACTIVE
    # At the last revision.
    state_before: JobState = JobState.ACTIVE
    round: int = 0
    succeeded: int = 0
    failed: int = 0
    # By themselves, by a caller, or left out when the job was reopened; and the reopening by which
    # each block was written.
    cancelled: int = 0
    count: int = 0
    reopening: int = 0
    blocks: dict[int, int] = field(default_factory=dict)
    # What each chunk has left; and what all of them had at the last revision.
    chunks: dict[TaskId, int] = field(default_factory=dict)
    out_before: int = 0
    # Since the last revision: limits that held, and the number of chunks then.
    limits: list[int] = field(default_factory=list)
    chunks_before: int = 0


class Arrays:
    """The jobs of one history."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts
        self.jobs: dict[TaskId, Job] = {}
        self._touched: dict[TaskId, None] = {}
        self._fresh: list[tuple[TaskId, TaskId]] = []
        # How often processes ran a subtask, by job and position.
        self.ran: dict[tuple[TaskId, int], int] = {}
        # Those that were promised to callers, and those that ended.
        self.promised: dict[TaskId, None] = {}
        self.ended: dict[TaskId, JobState] = {}
        # The positions that callers have ever retried by themselves, as masks.
        self.asked: dict[TaskId, int] = {}
        # How many subtasks were accepted.
        self.accepted = 0

    # -- what is on record

    def job(self, job: TaskId, queue: str, record: r.JobRecord) -> None:
        known = self.jobs.get(job)
        spec = JobSpec.FromString(record.spec)
        if known is None:
            # Of a level of reduces, the template is its own.
            demand = of_array(queue, spec.template, record.level)
            known = self.jobs[job] = Job(demand, spec.max_parallel, spec.HasField("reduce"))
        known.limits.append(known.max_parallel)
        known.max_parallel = spec.max_parallel
        state = JobState(record.state)
        assert record.round >= known.round, f"{job}: {record.round} after {known.round}"
        assert known.state is not JobState.SUCCEEDED or state is JobState.SUCCEEDED, record
        again = record.round > known.round
        reopened = not again and record.reopening > known.reopening
        # An array of a graph that was skipped is live again with what it waits for.
        live = again or reopened or record.HasField("member")
        assert live or known.state not in FINISHED_JOB or state is known.state, record
        if again:
            # What failed waits again.
            known.failed, known.round = 0, record.round
            known.cancelled = 0
            known.blocks.clear()
        if reopened:
            # But for what is retried by itself, nothing else runs in this round.
            rest = (1 << record.count) - 1 & ~(known.succeeded | known.failed)
            for number, reopening in known.blocks.items():
                if reopening == record.reopening:
                    rest &= ~(_WHOLE << number * BLOCK)
            known.cancelled |= rest
        known.reopening, known.count = record.reopening, record.count
        known.state = state
        if state in FINISHED_JOB:
            self.ended[job] = state
        else:
            self.ended.pop(job, None)
        self._touched[job] = None

    def job_gone(self, job: TaskId) -> None:
        assert job in self.ended, f"{job} was deleted, and has not ended"
        del self.jobs[job]
        self._touched.pop(job, None)

    def chunk(self, job: TaskId, chunk: TaskId, record: r.ChunkRecord) -> None:
        known, left = self.jobs[job], 0
        for span in record.left:
            left |= (1 << span.last + 1) - (1 << span.first)
        before = known.chunks.get(chunk)
        if before is None:
            self._fresh.append((job, chunk))
            instance, instant = record.instance, record.assign_time
            self._starts.begins(chunk, record.attempt, known.demand, instance, instant)
        else:
            assert not left & ~before, f"{chunk} of {job} has more than it had"
        known.chunks[chunk] = left
        self._touched[job] = None

    def chunk_gone(self, job: TaskId, chunk: TaskId) -> None:
        if self.jobs[job].chunks.pop(chunk, None) is not None:
            self._starts.ends(chunk)
        self._touched[job] = None

    def block(self, job: TaskId, number: int, record: r.JobBlockRecord) -> None:
        """What succeeded stays so, did run, and was out."""
        known, shift = self.jobs[job], number * BLOCK
        whole = _WHOLE << shift
        mask = (_WHOLE if record.all_succeeded else from_bytes(record.succeeded)) << shift
        assert not known.succeeded & whole & ~mask, f"{job}: what was accepted is no longer"
        for place in offsets_of(mask & ~known.succeeded):
            self.accepted += 1
            assert self.ran.get((job, place)), f"{job}: {place} never ran"
            assert known.out_before >> place & 1, f"{job}: {place} was out with nobody"
        if record.round == known.round:
            cancelled = from_bytes(record.cancelled) << shift
            known.cancelled = known.cancelled & ~whole | cancelled
            failed = from_bytes(record.failed) << shift & ~cancelled
            if record.reopening > known.blocks.get(number, 0):
                live = (1 << known.count) - 1 & whole & ~(mask | failed | cancelled)
                asked = self.asked.get(job, 0)
                assert live, f"{job}: nothing of block {number} is live, and one was retried"
                assert not live & ~asked, f"{job}: {live:x} are live, and {asked:x} were retried"
            known.blocks[number] = record.reopening
            new = failed & ~known.failed
            assert not new & ~known.out_before, f"{job}: {new:x} failed, and was out with nobody"
            assert not failed & mask, f"{job}: {failed & mask:x} succeeded and failed"
            known.failed = known.failed & ~whole | failed
        known.succeeded = known.succeeded & ~whole | mask
        self._touched[job] = None

    def over(self, revision: int) -> None:
        """A revision is over."""
        for job, chunk in self._fresh:
            known = self.jobs.get(job)
            if known is None or chunk not in known.chunks:
                continue
            assert known.state is not JobState.PAUSED or known.state_before is not known.state, (
                f"{chunk} of {job} starts, and the job is paused"
            )
            assert known.state not in FINISHED_JOB, f"{chunk} of {job} starts, and the job is over"
        self._fresh.clear()
        for job in self._touched:
            self._check(job, self.jobs[job], revision)
        self._touched.clear()

    def _check(self, name: TaskId, job: Job, revision: int) -> None:
        out = 0
        for chunk, left in job.chunks.items():
            assert not out & left, f"{name}: {out & left:x} is out twice: {chunk} at {revision}"
            out |= left
        assert not out & job.succeeded, f"{name}: {out & job.succeeded:x} was accepted and is out"
        assert not out & job.failed, f"{name}: {out & job.failed:x} has failed and is out"
        assert not out & job.cancelled, f"{name}: {out & job.cancelled:x} is cancelled and is out"
        # A lower limit ends nothing: it counts for what starts.
        limits = [*job.limits, job.max_parallel]
        most = max(*limits, job.chunks_before) if all(limits) else 0
        assert not most or len(job.chunks) <= most, f"{name}: {len(job.chunks)} chunks of {most}"
        job.limits, job.chunks_before = [], len(job.chunks)
        assert job.state not in FINISHED_JOB or not job.chunks, f"{name} is over: {job.chunks}"
        job.out_before, job.state_before = out, job.state

    def was_out(self, job: TaskId, position: int) -> bool:
        """Whether a subtask was out when the last revision was over."""
        known = self.jobs.get(job)
        return known is not None and bool(known.out_before >> position & 1)

    # -- what must be on record when somebody hears of it

    def sent(self, job: TaskId, chunk: TaskId, positions: Iterable[int]) -> None:
        """Subtasks are sent to a process: they are out with that chunk, and none was accepted."""
        known = self.jobs.get(job)
        assert known is not None, f"{job} is not on record"
        assert chunk in known.chunks, f"{chunk} is sent, and not on record"
        for position in positions:
            assert not known.succeeded >> position & 1, f"{job}: {position} runs again"

    def subtask_ran(self, job: TaskId, position: int) -> None:
        """A process ran a subtask."""
        self.ran[job, position] = self.ran.get((job, position), 0) + 1

    def all_kept(self) -> None:
        """Every job that was promised has ended."""
        for job in self.promised:
            assert job in self.ended, f"{job} never ended"
