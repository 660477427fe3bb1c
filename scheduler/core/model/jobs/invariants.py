"""What must hold of jobs after every step. Checked in tests and simulation, never in production."""

from __future__ import annotations

from quorate.runtime.ids import offset_id
from scheduler.core.arrays.block import Block
from scheduler.core.arrays.levels import size_of_next
from scheduler.core.arrays.spec import Tally
from scheduler.core.graphs.members import Member, Members
from scheduler.core.model.jobs.nodes import state_of
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.core.values import JobState, TaskState

# The states of subtasks, and what counts them in a tally.
_COUNTED = [(kind, kind.name.lower()) for kind in TaskState if kind.name.lower() in Tally._fields]


def check_jobs(state: State) -> None:
    """Raise AssertionError naming the first broken invariant of jobs and chunks."""
    entries = 0
    for name, job in state.jobs.items():
        assert job.id == name
        assert name not in state.tasks, f"{name} is a job and a task"
        assert state.queues.get(job.queue.name) is job.queue, f"{name} is in a deleted queue"
        assert job.queue.jobs.get(name) is job
        assert state.callers.get(job.creator.name) is job.creator
        _check_array(job)
        assert job.tally == job.count_up(), f"{name}: {job.tally} is not {job.count_up()}"
        assert (job.entry is not None) == job.wants_slot, f"{name}: its place in the order"
        entries += job.entry is not None
        if job.finished:
            assert not job.chunks, f"{name} is {job.state.name} and has chunks out"
            assert job.ending is None
            assert job.finish_time
        elif job.ending is not None:
            of = job.members
            # A new leader looks at it first; a standby does not know what is to be looked at.
            live = of is not None and (of.live or of.busy or of.continuing or not of.led)
            parts = any(not child.finished for child in job.children.values())
            assert job.chunks or live or parts, f"{name} is to end, and nothing of it is on a node"
        if job.members is not None:
            _check_members(state, job, job.members)
        _check_parts(state, job)
        for chunk, row in job.chunks.items():
            assert state.chunks.get(chunk) is row
    assert entries == state.job_entries
    for chunk, row in state.chunks.items():
        assert row.id == chunk
        assert chunk not in state.tasks, f"{chunk} is a chunk and a task"
        assert row.state is TaskState.RUNNING
        assert row.job is not None
        assert row.job.chunks.get(chunk) is row
        assert state.allocations[row.instance].rows.get(chunk) is row, f"{chunk} is not held"
        assert row.cancel_requested == (row.job.ending is not None), chunk
    for queue in state.queues.values():
        standing = {name: job.entry for name, job in queue.jobs.items() if job.entry is not None}
        assert queue.entries == standing
        assert queue.chunks == sum(len(job.chunks) for job in queue.jobs.values())
        totals = [0] * len(queue.subtasks)
        for job in queue.jobs.values():
            for kind, counter in _COUNTED:
                totals[kind] += getattr(job.tally, counter)
        assert totals == list(queue.subtasks), f"{queue.name}: {queue.subtasks} is not {totals}"
        assert sum(1 for job in queue.jobs.values() if state.jobs.get(job.id) is not job) == 0


def _check_members(state: State, job: JobRow, members: Members[JobRow]) -> None:
    counts = [0] * len(members.counts)
    for task, member in members.tasks.items():
        if member.part is not None:
            _check_array_of_graph(job, member, member.part)
            counts[member.state] += 1
            continue
        row = state.tasks.get(task) or state.finished.get(task)
        assert row is not None, f"{task} belongs to {job.id} and is not on record"
        assert row.member is member, task
        assert row.queue is job.queue, f"{task} is in another queue than its job"
        assert row.state is member.state, f"{task} is {row.state.name}, not {member.state.name}"
        assert not member.skipped or member.state is TaskState.CANCELLED, task
        counts[member.state] += 1
        if not members.led or task in members.due:
            # A standby looks after nothing.
            continue
        waits = member.state is TaskState.BLOCKED
        if waits and not job.held and job.ending is None and members.complete:
            assert members.broken(member) is None, f"{task} is BLOCKED, and to be skipped"
            assert not members.ready(member), f"{task} is BLOCKED, and waits for nothing"
        if member.state in (TaskState.PENDING, TaskState.SCHEDULED):
            assert not job.held, f"{task} may start, and {job.id} is held"
    assert members.skipped == sum(member.skipped for member in members.tasks.values())
    assert counts == members.counts, f"{job.id}: counted {counts}, kept {members.counts}"
    assert not (job.finished and members.live), f"{job.id} is over, and has live tasks"
    assert not members.busy or members.continuing or job.waits, f"{job.id}: nobody goes on"
    # Retention may have taken those that failed.
    whole = members.complete and len(members.tasks) >= members.graph
    if members.graph and job.finished and not members.failed and whole:
        assert job.state is not JobState.FAILED, f"{job.id} is FAILED, and no task failed"


def _check_array_of_graph(job: JobRow, member: Member[JobRow], array: JobRow) -> None:
    members = job.members
    assert members is not None
    assert array.member is member
    assert array.parent is job
    assert array.id == member.task
    assert members.arrays[member.place] is array
    assert member.state is state_of(array), f"{array.id} is {member.state.name}"
    assert member.skipped == array.skipped
    assert member.round == array.round
    each = member.each
    assert array.array.gated == (each is not None)
    if each is not None and members.complete:
        assert array.array.gate is members.arrays[each].array
        for number, block in array.array.blocks.items():
            there = members.arrays[each].array.block(number)
            assert not block.taken & ~there.succeeded, f"{array.id}: began too early"
    if not members.led or member.task in members.due or job.held or job.ending is not None:
        return
    if array.blocked and not array.finished and members.complete:
        assert members.broken(member) is None, f"{array.id} is BLOCKED, and to be skipped"
        assert not members.ready(member), f"{array.id} is BLOCKED, and waits for nothing"


def _check_parts(state: State, job: JobRow) -> None:
    parent = job.parent
    if parent is not None:
        assert state.jobs.get(parent.id) is parent, f"{job.id} is part of no job"
        assert parent.queue is job.queue
        assert job.finished or not parent.finished, f"{job.id} outlives its job"
    if parent is not None and job.member is None:
        assert parent.children.get(job.id) is job
        # One that is to end is not paused any more.
        over = job.finished or job.ending is not None
        assert over or job.state is parent.state, f"{job.id} is {job.state.name}"
    for child in job.children.values():
        assert child.parent is job
    reduce, levels = job.spec.reduce, list(job.children.values())
    if reduce is None:
        return
    below, array = job, job.array
    assert not levels or array.succeeded == array.count, f"{job.id}: its reduces began too early"
    for number, level in enumerate(levels, 1):
        assert level.level == number
        assert level.id == offset_id(job.id, number)
        assert level.array.count == size_of_next(below.array.count, reduce.fan_in)
        assert below is job or below.state is JobState.SUCCEEDED
        below = level
    if job.finished:
        good = bool(levels) and below.state is JobState.SUCCEEDED and below.array.count == 1
        assert good == (job.state is JobState.SUCCEEDED), f"{job.id} and its last reduce"
    elif job.ending is None and not job.open and not job.loading:
        done = array.succeeded == array.count and not job.chunks and job.members is None
        assert not done or (levels and not below.finished), f"{job.id}: no level of reduces is live"


def _check_array(job: JobRow) -> None:
    array = job.array
    out: dict[int, int] = {}
    for row in job.chunks.values():
        assert row.chunk is not None
        for number, mask in row.chunk.left.items():
            assert mask, f"{row.id}: an empty mask"
            assert not out.get(number, 0) & mask, f"{row.id}: a subtask is out twice"
            out[number] = out.get(number, 0) | mask
        for number, mask in row.chunk.cancelled.items():
            assert mask, f"{row.id}: an empty mask"
            assert not mask & ~row.chunk.left.get(number, 0), f"{row.id}: cancelled, and not out"
    sums = [0, 0, 0, 0, 0]
    for number, block in array.blocks.items():
        whole = array.whole(number)
        masks = (block.succeeded, block.failed, block.cancelled, block.out, block.waiting)
        together = 0
        for place, mask in enumerate(masks):
            assert not mask & ~whole, f"{job.id}: beyond its end"
            assert not mask & together, f"{job.id}: a subtask is in two states"
            together |= mask
            sums[place] += mask.bit_count()
        assert block.out == out.pop(number, 0), f"{job.id}: block {number}, what is out"
        assert block.reopening == job.reopening, f"{job.id}: block {number}, its reopening"
        _check_waits(block)
    assert not any(out.values()), f"{job.id}: out without a block"
    known = [array.succeeded, array.failed, array.cancelled, array.out, array.waiting]
    assert sums == known, f"{job.id}: counted {sums}, kept {known}"
    assert array.pending >= 0
    for number in range(array.cursor):
        assert not array.pending_mask(number), f"{job.id}: pending below the cursor"


def _check_waits(block: Block) -> None:
    waiting = 0
    for mask in block.waits.values():
        assert not waiting & mask, "it waits twice"
        waiting |= mask
    assert waiting == block.waiting
