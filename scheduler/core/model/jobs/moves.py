"""What happens to jobs and chunks in the state: for the leader's handlers and a standby's fold.

Every change ends with `account`: it brings the sums of queue and creator, and the job's place in
its queue's order, to what the job is then. So these are derived, and equal on leader and standby.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from math import ceil

from quorate.runtime.ids import InstanceId, NodeName, TaskId
from scheduler.core.arrays.block import Block
from scheduler.core.arrays.chunk import Chunk
from scheduler.core.arrays.spec import NO_TALLY, JobSpec, Tally
from scheduler.core.graphs.members import Member
from scheduler.core.model.jobs import nodes
from scheduler.core.model.rows import NO_INSTANCE, NOBODY, JobRow, TaskRow
from scheduler.core.model.schedules import ScheduleName
from scheduler.core.model.state import State
from scheduler.core.values import TaskState, kind_of

# Dead entries that are not worth clearing away.
_CLEAR_ABOVE = 256
# The tally's fields that are states of subtasks, and their state.
_STATES = (
    TaskState.SCHEDULED,
    TaskState.PENDING,
    TaskState.RUNNING,
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.BLOCKED,
)


def add(state: State, job: JobRow) -> None:
    """A job is on record from now on."""
    state.jobs[job.id] = job
    job.queue.jobs[job.id] = job
    if job.member is not None:
        nodes.join(state, job, job.member)
    elif job.parent is not None:
        job.parent.children[job.id] = job
        # A level of reduces that was still to come is there.
        _apply(job.parent, job.parent.count_up())
    job.creator.jobs += 1
    if job.id > state.last_id:
        state.last_id = job.id
    state.observe(job.create_time)
    account(state, job)


def respec(state: State, job: JobRow, spec: JobSpec) -> None:
    """A job has another spec from now on. `account` follows: it enters its queue's order anew."""
    if _place_in_order(spec) != _place_in_order(job.spec):
        _leave_order(state, job)
        _count_limits(state, job, live=False)
        for row in job.chunks.values():
            row.priority, row.tenant = spec.priority, spec.tenant
            _hold_permits(state, row, spec)
            state.allocation(row.instance).relabel(row, spec.labels)
    job.spec = spec


def _place_in_order(spec: JobSpec) -> tuple[object, ...]:
    return spec.priority, spec.labels, spec.limits, spec.tenant


def _hold_permits(state: State, row: TaskRow, spec: JobSpec) -> None:
    """A chunk holds the permits of these limits from now on."""
    if row.limits is not None:
        state.permits.free(row)
    row.limits = spec.limits
    if row.limits is not None:
        state.permits.take(row)


def _count_limits(state: State, job: JobRow, *, live: bool) -> None:
    """Whether shared limits count the job among what is unfinished."""
    limits = job.spec.limits
    if limits is not None and job.counted != live:
        job.counted = live
        state.permits.named(limits.shared, 1 if live else -1)


def drop(state: State, job: JobRow) -> None:
    """The records of a job and of its parts are deleted. What is left of its tasks are tasks like
    any other."""
    arrays = job.members.arrays.values() if job.members is not None else ()
    for part in (*job.children.values(), *arrays):
        if part.id in state.jobs:
            drop(state, part)
    if job.member is not None:
        nodes.leave(state, job, job.member)
    elif job.parent is not None:
        del job.parent.children[job.id]
    for member in list(job.members.tasks.values() if job.members is not None else ()):
        _let_go(state, member)
    for row in list(job.chunks.values()):
        chunk_gone(state, row)
    _leave_order(state, job)
    _count_limits(state, job, live=False)
    _apply(job, NO_TALLY)
    del state.jobs[job.id]
    del job.queue.jobs[job.id]
    job.creator.jobs -= 1
    forget_retained(job)
    state.drop_unused(job.creator)
    state.job_changes.drop(job.id)
    if job.spec.schedule:
        state.schedules.ended(job.id)


def _let_go(state: State, member: Member[JobRow]) -> None:
    row, done = state.tasks.get(member.task), state.finished.get(member.task)
    if row is not None:
        row.member = None
    if done is not None:
        done.member = None
        done.queue.kept -= 1
        done.queue.retained.append(done)


def forget_retained(job: JobRow) -> None:
    """A finished job is gone, or is live again: its place among the retained goes, sooner or
    later."""
    queue = job.queue
    if len(queue.retained_jobs) > 2 * len(queue.jobs) + _CLEAR_ABOVE:
        kept = dict.fromkeys(row for row in queue.retained_jobs if queue.jobs.get(row.id) is row)
        queue.retained_jobs = deque(row for row in kept if row.finished)


def account(state: State, job: JobRow) -> None:
    """Bring what is derived from a job to what it is now."""
    before = job.tally.succeeded
    _account(state, job)
    if job.member is not None:
        nodes.settle(state, job, job.member)
        # What others see of it is what succeeded; a thousand may wait.
        for other in nodes.waiting_for(job, job.member) if job.tally.succeeded != before else ():
            # Subtasks of it may start now.
            _account(state, other)


def account_arrays(state: State, job: JobRow) -> None:
    """A graph is held, or no longer: so are its arrays."""
    for array in job.members.arrays.values() if job.members is not None else ():
        account(state, array)


def _account(state: State, job: JobRow) -> None:
    _apply(job, job.count_up())
    _count_limits(state, job, live=not job.finished)
    if job.wants_slot != (job.entry is not None):
        if job.entry is None:
            _enter_order(state, job)
        else:
            _leave_order(state, job)
    state.job_changes.note(job.id)
    if job.parent is not None:
        # Its view says how far its parts are.
        state.job_changes.note(job.parent.id)
    if job.spec.schedule and job.member is None:
        state.schedules.note_job(ScheduleName(job.spec.schedule), job.id, job.finished)


def _apply(job: JobRow, new: Tally) -> None:
    old = job.tally
    if new == old:
        return
    job.tally = new
    sums = job.queue.subtasks
    for place, kind in enumerate(_STATES):
        sums[kind] += new[place] - old[place]
    for usage in (job.creator, job.queue.usage):
        usage.subtasks += new.live - old.live
        usage.units += new.units - old.units


def _enter_order(state: State, job: JobRow) -> None:
    spec, queue = job.spec, job.queue
    # A new one each time: one that left from the middle of its lane may still be met there.
    entry = TaskRow(
        job.id,
        queue,
        job.create_time,
        spec.priority,
        spec.retry,
        spec.needs,
        "",
        None,
        TaskState.PENDING,
        kind=kind_of(spec.needs, spec.limits, spec.rules),
        job=job,
        rules=spec.rules,
        labels=spec.labels,
        limits=spec.limits,
        tenant=spec.tenant,
    )
    job.entry = queue.entries[job.id] = entry
    state.job_entries += 1
    queue.pending.push(entry)
    if queue.pending.size == 1:
        state.waiting[queue.name] = queue


def _leave_order(state: State, job: JobRow) -> None:
    entry, queue = job.entry, job.queue
    if entry is None:
        return
    job.entry = None
    del queue.entries[job.id]
    state.job_entries -= 1
    entry.state = TaskState.PAUSED
    queue.pending.discard(entry)
    if not queue.pending.size:
        del state.waiting[queue.name]


# -- chunks


def chunk_out(
    state: State,
    job: JobRow,
    chunk_id: TaskId,
    left: dict[int, int],
    node: NodeName,
    instance: InstanceId,
    assign_time: float,
    attempt: int = 1,
) -> TaskRow:
    """Pending subtasks are on a node from now on. `account` follows."""
    spec, array = job.spec, job.array
    suspect = False
    for number, mask in left.items():
        array.give_out(number, mask)
        suspect = suspect or bool(array.block(number).suspects & mask)
    row = TaskRow(
        chunk_id,
        job.queue,
        job.create_time,
        spec.priority,
        spec.retry,
        spec.needs,
        "",
        b"",
        TaskState.RUNNING,
        job=job,
        chunk=Chunk(left, suspect, heard=assign_time),
        labels=spec.labels,
        tenant=spec.tenant,
    )
    _hold_permits(state, row, spec)
    row.attempt = attempt
    row.node = node
    row.instance = instance
    row.assign_time = assign_time
    row.cancel_requested = job.ending is not None
    if not job.start_time:
        job.start_time = assign_time
    job.chunks[chunk_id] = state.chunks[chunk_id] = row
    job.queue.chunks += 1
    if chunk_id > state.last_id:
        state.last_id = chunk_id
    state.observe(assign_time)
    state.allocation(instance).add(row)
    return row


def chunk_left(row: TaskRow, left: dict[int, int]) -> None:
    """A chunk has only these subtasks left; of the others something is known, or they are pending.
    `account` follows."""
    job, chunk = row.job, row.chunk
    assert job is not None
    assert chunk is not None
    for number, mask in list(chunk.left.items()):
        gone = mask & ~left.get(number, 0)
        if gone:
            job.array.take_back(number, gone)
    chunk.left, chunk.reported = left, True


def chunk_gone(state: State, row: TaskRow) -> None:
    """A chunk has ended: what is left of it is pending again. `account` follows."""
    job, chunk = row.job, row.chunk
    assert job is not None
    assert chunk is not None
    for number, mask in chunk.left.items():
        job.array.take_back(number, mask)
    chunk.left, chunk.cancelled = {}, {}
    del state.chunks[row.id], job.chunks[row.id]
    job.queue.chunks -= 1
    allocation = state.allocations[row.instance]
    allocation.remove(row)
    if not allocation.rows:
        allocation.idle_since = state.last_instant
    if row.limits is not None:
        state.permits.free(row)
    # Whoever still has the row finds that it is not to be sent.
    over = row
    over.state = TaskState.CANCELLED
    over.node, over.instance = NOBODY, NO_INSTANCE


# -- waits


def put_off(state: State, job: JobRow, number: int, mask: int, due: int) -> None:
    """Pending subtasks of a block wait until an instant. `account` follows."""
    job.array.put_off(number, mask, due)
    heappush(state.job_timers, (float(due), job.id, number))


def note_waits(state: State, job: JobRow, number: int, block: Block) -> None:
    """A block was read from its record: its waits have timers."""
    for due in block.waits:
        heappush(state.job_timers, (float(due), job.id, number))


def next_due(state: State) -> float | None:
    """When the next subtasks are due; None when none wait."""
    timers = state.job_timers
    while timers:
        due, job_id, number = timers[0]
        job = state.jobs.get(job_id)
        block = job.array.blocks.get(number) if job is not None else None
        if block is not None and int(due) in block.waits:
            return due
        heappop(timers)
    return None


def come_due(state: State, now: float, most: int) -> None:
    """Subtasks that waited until now are pending, at most `most` blocks of them."""
    for _ in range(most):
        due = next_due(state)
        if due is None or due > now:
            return
        _, job_id, number = heappop(state.job_timers)
        job = state.jobs[job_id]
        job.array.come_due(number, now)
        account(state, job)


def hold_waits(state: State, job: JobRow, latest: float) -> None:
    """No subtask waits longer than until `latest`. Nothing is written: the record says the same to
    whoever leads next."""
    due = ceil(latest)
    for number, block in job.array.blocks.items():
        late = [instant for instant in block.waits if instant > due]
        for instant in late:
            block.waits[due] = block.waits.get(due, 0) | block.waits.pop(instant)
        if late:
            heappush(state.job_timers, (float(due), job.id, number))
