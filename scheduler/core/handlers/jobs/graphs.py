"""Creating and deleting graphs, and reopening their tasks.

A graph is a job whose tasks follow in parts, each a Txn with the job's record. How many are on
record is the progress: who repeats a part that is there is answered, and nothing is written twice.
All tasks are BLOCKED until the last part is there, but those of that part that wait for nothing.

The unique keys of its tasks are kept for a graph from the first part on, in the leader's memory. A
later leader does not know them before their parts come. So another task may have one then: nothing
of the graph has begun, and it is cancelled.

A task that is reopened with its job takes its unique key again. Where another task has that by now,
it ends at once, CANCELLED with the reason TASK_ALREADY_EXISTS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from quorate.runtime.ids import QueueName, TaskId, offset_ids
from scheduler.core.arrays.spec import GraphArray
from scheduler.core.graphs.members import Coming, graph_task
from scheduler.core.handlers import unique_windows
from scheduler.core.handlers.bulk.retry import incomplete, reopen
from scheduler.core.handlers.chunks.ending import end_early
from scheduler.core.handlers.chunks.graph_arrays import begin as begin_array
from scheduler.core.handlers.finishing import finish, move_on, to_reopen
from scheduler.core.handlers.limits.unique import (
    refuse_duplicate,
    refuse_node,
    refuse_windows,
    replace,
)
from scheduler.core.model import transitions
from scheduler.core.model.answers import JobItemsKnown, Rejection, no_job
from scheduler.core.model.effects import Effects, PutRun, PutTask, Reply
from scheduler.core.model.events import TaskRecorded
from scheduler.core.model.events.jobs import GraphTasksAdded, JobContinued
from scheduler.core.model.indexes.usage import UNIT, tasks_blobs
from scheduler.core.model.jobs import moves
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import FinishedRow, JobRow
from scheduler.core.model.state import State
from scheduler.core.values import JobState, TaskSpec, TaskState


def on_graph_tasks_added(
    state: State, limits: Limits, event: GraphTasksAdded, now: float, out: Effects
) -> None:
    job = state.jobs.get(event.job)
    reply: object = _refuse(job, event)
    if reply is None:
        assert job is not None
        reply = taken = _refuse_keys(state, job, event)
        if taken is None:
            reply = add_tasks(state, job, event, now, out)
        else:
            give_up(state, job)
            end_early(job, JobState.CANCELLED, taken.message, out)
            move_on(state, job, now, out, write=True)
    out.after.append(Reply(event.token, reply))


def _refuse(job: JobRow | None, event: GraphTasksAdded) -> Rejection | None:
    if job is None or job.members is None:
        return no_job(event.job)
    count = len(job.members.nodes)
    if job.loading and event.first <= count:
        return None
    if not job.loading and event.first + len(event.specs) <= count:
        # Added before, by the same call.
        return None
    return incomplete(job)


def _refuse_keys(state: State, job: JobRow, event: GraphTasksAdded) -> Rejection | None:
    """Whether a task of a part cannot have its unique key any more."""
    windows = 0
    for place, spec in _with_keys(job, event):
        own = graph_task(job.id, place)
        if (taken := refuse_node(state, job.queue, spec, place, own)) is not None:
            return taken
        windows += spec.limits is not None and bool(spec.limits.window)
    return refuse_windows(state, windows)


def _with_keys(job: JobRow, event: GraphTasksAdded) -> Iterator[tuple[int, TaskSpec]]:
    """The tasks of a part that are new and have a unique key, each with its place."""
    members = job.members
    assert members is not None
    begin = len(members.nodes)
    for place, spec in enumerate(event.specs[begin - event.first :] if job.loading else (), begin):
        if not isinstance(spec, GraphArray) and spec.limits is not None and spec.limits.unique:
            yield place, spec


def add_tasks(
    state: State, job: JobRow, event: GraphTasksAdded, now: float, out: Effects
) -> JobItemsKnown:
    """Put some tasks of a graph on record, to which nothing objects."""
    members = job.members
    assert members is not None
    begin = len(members.nodes)
    specs = event.specs[begin - event.first :] if job.loading else ()
    loaded = job.loading and event.last
    job.loading = job.loading and not event.last
    tasks: list[TaskSpec] = []
    units = 0
    for task, spec in zip(
        offset_ids(job.id, 1 + begin, 1 + begin + len(specs)), specs, strict=True
    ):
        if isinstance(spec, GraphArray):
            begin_array(state, job, task, spec, now, out)
            expect(state, job, came(array_coming(spec)))
            continue
        assert spec.member is not None
        tasks.append(spec)
        keys = spec.limits
        if keys is not None and keys.unique:
            _come_keys(job, (keys.unique,))
            if keys.replaces:
                replace(state, job.queue, spec, task, now, out)
        blocked = job.held or bool(spec.member.edges)
        row = transitions.begin(
            state, task, job.queue, spec, now, job.creator.name, blocked=blocked
        )
        if keys is not None and keys.window:
            unique_windows.take(state, row, now, out)
        units += row.units
        out.writes.append(PutTask(row, spec.spec, job.creator.name))
        if blocked:
            out.writes.append(PutRun(row))
    if loaded:
        moves.account_arrays(state, job)
        expect(state, job, came(members.coming))
    if specs or loaded:
        expect(state, job, came(Coming(len(tasks), units, tasks_blobs(tasks))))
        job.append_time = now
        if not job.held:
            # Those that wait for nothing go on, and more where some were cancelled meanwhile.
            ended = members.live < len(members.nodes)
            members.due.update(
                (node.task, None)
                for node in members.nodes
                if node.waits and (ended or members.ready(node))
            )
        move_on(state, job, now, out, write=True)
    return JobItemsKnown(job.id, len(members.nodes))


def expect(state: State, job: JobRow, more: Coming) -> None:
    """Count what an accepted graph still brings, or brings no longer: another call must not take
    the same room.

    The leader's memory: a later leader expects nothing, and takes nothing back."""
    members = job.members
    assert members is not None
    known = members.coming
    more = Coming(*(max(one, -there) for one, there in zip(more, known, strict=True)))
    members.coming = Coming(*map(int.__add__, known, more))
    for usage in (job.creator, job.queue.usage):
        usage.coming_tasks += more.tasks
        usage.coming_units += more.units
        usage.coming_blobs += more.blobs
        usage.coming_subtasks += more.subtasks


def keep_keys(job: JobRow, tasks: Sequence[TaskSpec | GraphArray]) -> None:
    """The unique keys of an accepted graph are kept for its tasks: another call must not take them.

    The leader's memory, as that of `expect`."""
    members = job.members
    assert members is not None
    for place, spec in enumerate(tasks):
        if isinstance(spec, GraphArray) or spec.limits is None or not spec.limits.unique:
            continue
        job.queue.coming_unique[spec.limits.unique] = graph_task(job.id, place)
        members.coming_keys[spec.limits.unique] = None


def _come_keys(job: JobRow, keys: Iterable[str]) -> None:
    """Keys are not kept any longer: their tasks are there, or will never be."""
    members = job.members
    assert members is not None
    for key in keys:
        if key in members.coming_keys:
            del members.coming_keys[key], job.queue.coming_unique[key]


def came(coming: Coming) -> Coming:
    """What is on record is not to be expected any longer."""
    return Coming(*map(int.__neg__, coming))


def array_coming(array: GraphArray) -> Coming:
    """What an array of a graph brings, but for items that follow it."""
    return Coming(units=array.bytes // UNIT, subtasks=array.size)


def items_coming(count: int, size: int) -> Coming:
    """What items that follow an array bring."""
    return Coming(units=size // UNIT, subtasks=count)


def give_up(state: State, job: JobRow) -> None:
    """A graph that is not complete stays so."""
    job.loading = False
    if job.members is not None:
        expect(state, job, came(job.members.coming))
        _come_keys(job, list(job.members.coming_keys))


def drop_graph(state: State, job: JobRow) -> tuple[QueueName, TaskId, TaskId] | None:
    """The tasks of a finished graph are deleted; their queue, the first and the last.

    They are neighbours: no other id lies between. Tasks that were added to the job stay, as tasks
    like any other."""
    members, queue = job.members, job.queue
    if members is None or not members.graph:
        return None
    rows = [done for node in members.nodes if (done := state.finished.get(node.task)) is not None]
    for done in rows:
        state.forget(done)
    queue.index.removed(len(rows), state.on_record)
    return queue.name, graph_task(job.id, 0), graph_task(job.id, members.graph - 1)


def on_job_continued(
    state: State, limits: Limits, event: JobContinued, now: float, out: Effects
) -> None:
    """Reopen what was read, and look at more."""
    job = state.jobs.get(event.job)
    if job is None or job.members is None:
        return
    members, found = job.members, event.found or {}
    members.continuing = False
    most, _ = limits.part(small=event.small)
    for task in event.tasks[:most]:
        member, done = members.tasks.get(task), state.finished.get(task)
        if member is None or done is None or not to_reopen(members, member):
            members.wanted.pop(task, None)
        elif task in found:
            del members.wanted[task]
            _reopen(state, done, found[task], now, out)
    move_on(state, job, now, out, most=most)


def _reopen(
    state: State, done: FinishedRow, record: TaskRecorded, now: float, out: Effects
) -> None:
    """A finished task is live again with its job; not where another one has its unique key."""
    taken = refuse_duplicate(state, done.queue, (record.spec,), retried=True)
    row = reopen(state, done, record, 0.0, now, out, window=taken is None)
    if taken is not None:
        put = PutRun(row, now, error_type=taken.reason, error_message=taken.message)
        finish(state, row, TaskState.CANCELLED, now, out, put)
