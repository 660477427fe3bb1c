"""Arrays that are tasks of a graph, in the state: on the leader and on standbys alike.

Such an array is a job whose `parent` is the graph's job, and a member of that. What it is there
follows from its own record and from its graph's:

    blocked, or its graph is held --> BLOCKED
    nothing of it was given out   --> PENDING
    something was                 --> RUNNING
    finished                      --> SUCCEEDED, FAILED, CANCELLED

So nothing is written of an array when its graph is paused, or resumed.
"""

from __future__ import annotations

from typing import Final

from scheduler.core.graphs.members import Member
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.core.values import JobState, TaskState

_ENDED: Final = {
    JobState.SUCCEEDED: TaskState.SUCCEEDED,
    JobState.FAILED: TaskState.FAILED,
    JobState.CANCELLED: TaskState.CANCELLED,
}


def state_of(job: JobRow) -> TaskState:
    """What an array is in its graph."""
    ended = _ENDED.get(job.state)
    if ended is not None:
        return ended
    if job.chunks:
        return TaskState.RUNNING
    if job.held or job.blocked:
        return TaskState.BLOCKED
    return TaskState.RUNNING if job.start_time else TaskState.PENDING


def join(state: State, job: JobRow, member: Member[JobRow]) -> None:
    """An array is on record from now on."""
    members = member.job.members
    assert members is not None
    members.join(member)
    here = member.place
    members.arrays[here] = job
    each = member.each
    if each is not None:
        job.array.gated = True
        members.each.setdefault(each, []).append(here)
        if each in members.arrays:
            job.array.gate = members.arrays[each].array
    for place in members.each.get(here, ()):
        members.arrays[place].array.gate = job.array
    state.member_is(member, state_of(job))


def settle(state: State, job: JobRow, member: Member[JobRow]) -> None:
    """Something of an array changed."""
    now = state_of(job)
    member.round = job.round
    if now is not member.state or job.skipped is not member.skipped:
        state.member_was(member)
        member.skipped = job.skipped
        state.member_is(member, now)


def waiting_for(job: JobRow, member: Member[JobRow]) -> list[JobRow]:
    """The arrays whose subtasks wait for those of this one, each for one."""
    members = member.job.members
    assert members is not None
    if not members.each:
        return []
    return [members.arrays[place] for place in members.each.get(member.place, ())]


def leave(state: State, job: JobRow, member: Member[JobRow]) -> None:
    """An array is deleted with its graph."""
    members = member.job.members
    assert members is not None
    state.member_was(member)
    members.tasks.pop(job.id, None)
