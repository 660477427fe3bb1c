"""Arrays that are tasks of a graph: made, skipped and live again. Pure.

When that happens is decided with the other tasks of the graph, in
`scheduler.core.handlers.finishing`.
"""

from __future__ import annotations

from typing import Final

from quorate.runtime.ids import TaskId
from scheduler.core.arrays.spec import GraphArray
from scheduler.core.graphs.members import Member
from scheduler.core.handlers.chunks.ending import advance, put
from scheduler.core.model.effects import (
    DropJobErrors,
    Effects,
    NotifyJob,
    PutJobItems,
    PutJobTemplate,
)
from scheduler.core.model.jobs import moves
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.core.values import JobState, TaskState

# Those of a job's tasks that another round of it is about.
ENDED_BADLY: Final = (TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED)


def begin(
    state: State, graph: JobRow, task: TaskId, wanted: GraphArray, now: float, out: Effects
) -> None:
    """An array of a graph is on record from now on, BLOCKED."""
    array = JobRow(
        task,
        graph.queue,
        wanted.spec,
        now,
        graph.creator,
        loading=wanted.loading,
        append_time=now,
        template_bytes=len(wanted.template),
        parent=graph,
        blocked=True,
    )
    array.member = Member(graph, task, wanted.member, part=array)
    array.array.grow(wanted.size)
    array.item_bytes = sum(map(len, wanted.items))
    moves.add(state, array)
    out.writes.append(PutJobTemplate(task, wanted.template))
    if wanted.items:
        out.writes.append(PutJobItems(task, 0, wanted.items))
    advance(state, array, now, out, write=True)


def skip(state: State, array: JobRow, why: str, now: float, out: Effects) -> None:
    """A condition can no longer hold."""
    array.state, array.skipped, array.blocked, array.reason = JobState.CANCELLED, True, False, why
    array.finish_time = max(now, array.create_time, array.start_time)
    put(array, out)
    out.after.append(NotifyJob(array, array.finish_time))
    moves.account(state, array)


def reopen(state: State, array: JobRow, member: Member[JobRow], out: Effects) -> None:
    """What it waited for is retried, or it is itself: it is BLOCKED again."""
    if array.round < member.job.round:
        array.round = member.job.round
        array.array.begin_round()
        out.writes.append(DropJobErrors(array.id))
        if array.members is not None:
            # Tasks that were added to it are retried with it, once it goes on.
            array.members.look_at(*ENDED_BADLY)
    array.state, array.skipped, array.blocked, array.reason = JobState.ACTIVE, False, True, ""
    array.finish_time, array.settled = 0.0, False
    member.cursor = 0
    put(array, out)
    moves.account(state, array)
