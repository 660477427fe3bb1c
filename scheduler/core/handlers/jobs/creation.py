"""Creating jobs, and appending items to them.

A job is one put, with its items where they are few. More of them follow in parts, each a Txn with
the job's record, whose `count` is the progress: who repeats a part that is there is answered, and
nothing is written twice. Nothing of a job starts before the items that it was created with are all
on record.

Whether items at positions that are taken are a repeat, or another program's, is in the records of
the items, which memory does not have. So such a call is answered with `JobItemsOverlap`: its caller
reads and compares, and repeats the event with what it has compared. An append at the end costs
nothing more. What is on record at a position never changes, so what was compared stays true."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.core.arrays.spec import GraphArray, JobSpec
from scheduler.core.graphs.members import Coming, Members
from scheduler.core.handlers import audit
from scheduler.core.handlers.bulk.retry import finished, part_of_job
from scheduler.core.handlers.chunks.ending import advance
from scheduler.core.handlers.jobs.graphs import (
    array_coming,
    came,
    expect,
    items_coming,
    keep_keys,
)
from scheduler.core.handlers.limits.length import refuse_longer
from scheduler.core.handlers.limits.shared import refuse_unknown
from scheduler.core.handlers.queues.matching_pauses import refuse_one
from scheduler.core.handlers.queues.pauses import refuse_paused
from scheduler.core.handlers.quotas.check import refuse_subtasks
from scheduler.core.handlers.requests import JOBS_SCOPE, Answer, Call
from scheduler.core.handlers.tasks.creation import refuse_tasks
from scheduler.core.model.answers import (
    ErrorKind,
    JobItemsKnown,
    JobItemsOverlap,
    JobKnown,
    Rejection,
    no_job,
    no_queue,
)
from scheduler.core.model.effects import Effects, PutJobItems, PutJobTemplate, Reply
from scheduler.core.model.events.jobs import JobClosed, JobItemsAdded, JobSubmitted
from scheduler.core.model.indexes.usage import tasks_blobs, tasks_units
from scheduler.core.model.jobs import moves
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, JobRow
from scheduler.core.model.state import State
from scheduler.core.values import Change, TaskSpec

# Subtasks of one job.
MOST_SUBTASKS = 10_000_000


def _refuse_job(state: State, limits: Limits, event: JobSubmitted) -> Rejection | None:
    queue = state.queues.get(event.queue)
    if queue is None:
        return no_queue(event.queue)
    if len(state.jobs) >= limits.jobs:
        return _too_many_jobs(limits)
    if event.tasks:
        return _refuse_graph(state, limits, event)
    size = len(event.template) + len(event.reduce) + len(event.spec.spec)
    size += sum(map(len, event.items))
    count = event.size
    if event.spec.reduce is not None:
        count += event.spec.reduce.reduces(count)
    return (
        refuse_paused(queue)
        or refuse_one(state, event.queue, event.spec.labels, event.spec.tenant)
        or _refuse_unknown_limits(state, event.spec)
        or refuse_longer(queue, event.size)
        or refuse_subtasks(state, limits, queue.usage, event.created_by, count, size)
    )


def _refuse_unknown_limits(state: State, spec: JobSpec) -> Rejection | None:
    level = spec.reduce.level.limits if spec.reduce is not None else None
    return refuse_unknown(state, spec.limits, "spec.template.limits") or refuse_unknown(
        state, level, "spec.reduce.template.limits"
    )


def _too_many_jobs(limits: Limits) -> Rejection:
    return Rejection(
        ErrorKind.EXHAUSTED,
        "TOO_MANY_JOBS",
        f"the limit of {limits.jobs} jobs on record is reached; delete finished ones first",
        "limit",
        str(limits.jobs),
    )


def _refuse_graph(state: State, limits: Limits, event: JobSubmitted) -> Rejection | None:
    tasks, arrays = _kinds(event.tasks)
    places = [place for place, one in enumerate(event.tasks) if not isinstance(one, GraphArray)]
    units = tasks_units(tasks)
    rejection = refuse_tasks(
        state, limits, event.queue, tasks, units, event.created_by, graph=places
    )
    if rejection is not None or not arrays:
        return rejection
    if len(state.jobs) + len(arrays) >= limits.jobs:
        return _too_many_jobs(limits)
    queue = state.queues[event.queue]
    count = sum(array.subtasks for array in arrays)
    size = sum(array.bytes + array.coming_bytes for array in arrays)
    for place, array in enumerate(event.tasks):
        if not isinstance(array, GraphArray):
            continue
        field = f"spec.graph.tasks[{place}].task.limits"
        refused = refuse_one(state, event.queue, array.spec.labels, array.spec.tenant)
        refused = refused or refuse_unknown(state, array.spec.limits, field)
        if refused is not None:
            return refused
    return refuse_longer(queue, count) or refuse_subtasks(
        state, limits, queue.usage, event.created_by, count, size
    )


def _kinds(tasks: Sequence[TaskSpec | GraphArray]) -> tuple[list[TaskSpec], list[GraphArray]]:
    """The tasks of a graph, and its arrays."""
    arrays = [one for one in tasks if isinstance(one, GraphArray)]
    return [one for one in tasks if not isinstance(one, GraphArray)], arrays


def _create(state: State, limits: Limits, event: JobSubmitted, now: float, out: Effects) -> Answer:
    job = JobRow(
        event.job,
        state.queues[event.queue],
        event.spec,
        now,
        state.usage_of(event.created_by),
        open=event.open,
        loading=event.loading,
        append_time=now,
        template_bytes=len(event.template) + len(event.reduce),
        item_bytes=sum(map(len, event.items)),
    )
    job.array.grow(event.size)
    if event.tasks:
        job.members = Members(graph=len(event.tasks), led=True)
    moves.add(state, job)
    if event.tasks:
        tasks, arrays = _kinds(event.tasks)
        expect(state, job, Coming(len(tasks), tasks_units(tasks), tasks_blobs(tasks)))
        keep_keys(job, event.tasks)
        for array in arrays:
            expect(state, job, array_coming(array))
            expect(state, job, items_coming(array.coming, array.coming_bytes))
    else:
        out.writes.append(PutJobTemplate(job.id, event.template, event.reduce))
    if event.items:
        out.writes.append(PutJobItems(job.id, 0, event.items))
    advance(state, job, now, out, write=True)
    return Answer(JobKnown(job.id), event.queue, job.id, 1, 1)


def _known(state: State, event: JobSubmitted, known: DedupRow) -> JobKnown:
    return JobKnown(known.first_id)


on_job_submitted = Call(JOBS_SCOPE, _refuse_job, _create, _known)


def on_job_items_added(
    state: State, limits: Limits, event: JobItemsAdded, now: float, out: Effects
) -> None:
    job = state.jobs.get(event.job)
    reply: object = _refuse_items(state, limits, job, event)
    if reply is None:
        assert job is not None
        reply = _overlap(job, event)
    if reply is None:
        assert job is not None
        known = job.array.count - event.first
        items = event.items[known:] if known else event.items
        if items:
            out.writes.append(PutJobItems(job.id, job.array.count, items, event.appender))
            job.array.grow(job.array.count + len(items))
            job.item_bytes += sum(map(len, items))
            job.append_time = now
            if job.member is not None:
                size = sum(map(len, items))
                expect(state, job.member.job, came(items_coming(len(items), size)))
        loaded = event.loads and event.last and job.loading
        if loaded:
            job.loading = False
        advance(state, job, now, out, write=bool(items) or loaded)
        reply = JobItemsKnown(job.id, job.array.count)
    out.after.append(Reply(event.token, reply))


def _overlap(job: JobRow, event: JobItemsAdded) -> JobItemsOverlap | None:
    """What is to be compared before items count as appended.

    Not those of CreateJob: they come from calls with one request id.
    """
    count, checked = job.array.count, max(event.first, event.checked)
    if event.loads or checked >= min(count, event.first + len(event.items)):
        return None
    return JobItemsOverlap(job.id, count)


def _refuse_items(
    state: State, limits: Limits, job: JobRow | None, event: JobItemsAdded
) -> Rejection | None:
    if job is None:
        return no_job(event.job)
    if job.parent is not None and not (event.loads and job.member is not None):
        return part_of_job(job)
    count, end = job.array.count, event.first + len(event.items)
    if event.first > count:
        return Rejection(
            ErrorKind.RANGE,
            "ITEMS_MISSING",
            f"first_position: {event.first} leaves a gap: job {job.id!r} has {count} items so far",
            "job",
            job.id,
            "first_position",
            (("count", str(count)),),
        )
    if end <= count and not (event.loads and event.last):
        # All of them are there: it was appended before.
        return None
    if job.finished or job.ending is not None:
        return finished(job)
    if not (job.loading if event.loads else job.open and not job.loading):
        if end <= count:
            return None
        return Rejection(
            ErrorKind.PRECONDITION,
            "JOB_CLOSED",
            f"job {job.id!r} is closed; nothing can be appended to it",
            "job",
            job.id,
        )
    if end > MOST_SUBTASKS:
        return Rejection(
            ErrorKind.INVALID,
            "LIMIT_EXCEEDED",
            f"items: job {job.id!r} would have {end} items; the limit is {MOST_SUBTASKS}",
            "job",
            job.id,
            "items",
            (("limit", str(MOST_SUBTASKS)),),
        )
    if job.member is not None:
        # They were accepted, and counted, with its graph.
        return None
    size, more = sum(map(len, event.items)), max(0, end - count)
    live, reduce = more, job.spec.reduce
    if reduce is not None and more:
        live += reduce.reduces(end) - reduce.reduces(count)
    return refuse_longer(job.queue, more) or refuse_subtasks(
        state, limits, job.queue.usage, job.creator.name, live, size
    )


def _refuse_close(state: State, limits: Limits, event: JobClosed) -> Rejection | None:
    job = state.jobs.get(event.job)
    if job is None:
        return no_job(event.job)
    if job.members is not None and job.members.graph:
        return Rejection(
            ErrorKind.PRECONDITION,
            "JOB_IS_GRAPH",
            f"job {job.id!r} is a graph: it has no items, and nothing to close",
            "job",
            job.id,
        )
    return part_of_job(job)


def _close(state: State, limits: Limits, event: JobClosed, now: float, out: Effects) -> Answer:
    job = state.jobs[event.job]
    if job.open and not job.over:
        close(state, job, now, out)
        change = Change("open", "true", "false")
        queue = job.queue.name
        audit.note(state, limits, out, event.request, now, "job", job.id, change, queue=queue)
    return Answer(JobKnown(job.id), job.queue.name, job.id)


def close(state: State, job: JobRow, now: float, out: Effects) -> None:
    """No more items follow; what there is may be all of it."""
    job.open = False
    advance(state, job, now, out, write=True)


def _closed(state: State, event: JobClosed, known: DedupRow) -> JobKnown:
    return JobKnown(event.job)


on_job_closed = Call(JOBS_SCOPE, _refuse_close, _close, _closed)
