"""Jobs as records: the job, its blocks of 4,096 subtasks, and chunks that are out on nodes.

Templates, items, results and errors are never folded: what memory must know of them is in the job's
record and in its blocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from quorate.etcd.api import Delete, Put
from quorate.internal.v1 import jobs_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from quorate.v1 import job_pb2, task_pb2
from scheduler.core.arrays.block import Block
from scheduler.core.arrays.positions import (
    BLOCK,
    FULL,
    all_ranges,
    from_bytes,
    to_bytes,
    within,
)
from scheduler.core.arrays.spec import JobSpec, ReduceSpec
from scheduler.core.graphs.members import Member, Members
from scheduler.core.model import effects as fx
from scheduler.core.model.rows import JobRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import JobState
from scheduler.storage import keys
from scheduler.storage.records.job_results import errors_value, merged_values, results_value
from scheduler.storage.records.ranges import prefix_range
from scheduler.storage.records.tasks.specs import seconds, task_spec
from scheduler.storage.records.tasks.tasks import NewerRecord, member_record, read_member
from scheduler.storage.unknown_fields import unknown_fields

DEFAULT_IDLE: Final = 86_400.0
_STATES: Final = {int(state): state for state in JobState}


def job_spec(spec: job_pb2.JobSpec, data: bytes, *, items: bool) -> JobSpec:
    """What the core must know of a validated spec; `data` is what is kept of it, serialized."""
    template = task_spec(spec.template, b"")
    idle = seconds(spec.close_after_idle) if spec.HasField("close_after_idle") else DEFAULT_IDLE
    text = template.text
    if spec.name:
        text = f"{spec.name.lower()}\n{text}"
    reduce = None
    if spec.HasField("reduce"):
        level = level_spec(spec)
        made = job_spec(level, level.SerializeToString(deterministic=True), items=False)
        reduce = ReduceSpec(made, spec.reduce.fan_in)
    return JobSpec(
        data,
        template.priority,
        template.retry,
        template.needs,
        text,
        spec.max_parallel,
        spec.max_failures if spec.HasField("max_failures") else -1,
        spec.max_failure_share,
        idle,
        items,
        spec.first_index,
        spec.index_step or 1,
        spec.template.schedule.name if spec.template.HasField("schedule") else "",
        template.rules,
        tuple(sorted({**spec.labels, **spec.template.labels}.items())),
        spec.template.WhichOneof("work") == "command",
        reduce,
        template.limits,
        template.tenant,
    )


def level_spec(spec: job_pb2.JobSpec) -> job_pb2.JobSpec:
    """What each level of reduces is as a job. All of a job is one tenant's."""
    level = job_pb2.JobSpec(
        template=spec.reduce.template,
        name=spec.name,
        labels=dict(spec.labels),
        max_parallel=spec.max_parallel,
        max_failures=0,
    )
    level.template.fairness_key = level.template.fairness_key or spec.template.fairness_key
    return level


def kept_spec(spec: job_pb2.JobSpec) -> job_pb2.JobSpec:
    """A spec without its items, its template without what takes room."""
    kept = job_pb2.JobSpec()
    kept.CopyFrom(spec)
    kept.ClearField("items")
    if kept.HasField("graph"):
        kept.graph.ClearField("tasks")
    _shorten(kept.template)
    if kept.HasField("reduce"):
        _shorten(kept.reduce.template)
    return kept


def _shorten(template: task_pb2.TaskSpec) -> None:
    match template.WhichOneof("work"):
        case "command":
            program = template.command.argv[:1]
            template.command.Clear()
            template.command.argv.extend(program)
        case "python":
            entrypoint = template.python.entrypoint
            template.python.Clear()
            template.python.entrypoint = entrypoint


def job_value(row: JobRow) -> bytes:
    """The record of a job as it is now, serialized."""
    record = r.JobRecord(
        spec=row.spec.spec,
        state=int(row.state),  # type: ignore[arg-type]
        create_time=row.create_time,
        start_time=row.start_time,
        finish_time=row.finish_time,
        created_by=row.creator.name,
        count=row.array.count,
        open=row.open,
        loading=row.loading,
        ending=int(row.ending or 0),  # type: ignore[arg-type]
        reason=row.reason,
        round=row.round,
        reopening=row.reopening,
        append_time=row.append_time,
        template_bytes=row.template_bytes,
        item_bytes=row.item_bytes,
        has_items=row.spec.items,
        parent=row.parent.id if row.parent is not None else "",
        level=row.level,
    )
    if row.members is not None and row.members.graph:
        record.graph_tasks = row.members.graph
        record.created_tasks = len(row.members.nodes)
    if row.member is not None:
        record.member.CopyFrom(member_record(row.member.of))
        record.blocked, record.skipped = row.blocked, row.skipped
    record.MergeFromString(row.unknown_fields)
    return record.SerializeToString()


def read_job(data: bytes) -> r.JobRecord:
    """A job's record.

    Raises:
        NewerRecord: the job is in a state that this version does not know.
    """
    record = r.JobRecord.FromString(data)
    for state in (record.state, record.ending or record.state):
        if state not in _STATES:
            raise NewerRecord(f"a job is in state {state}, which this scheduler does not know")
    return record


def job_row(state: State, queue_name: str, job: TaskId, record: r.JobRecord) -> JobRow:
    """A row for a job that was not known, as its record says."""
    spec = job_pb2.JobSpec.FromString(record.spec)
    parent = state.jobs.get(TaskId(record.parent)) if record.parent else None
    row = JobRow(
        job,
        state.queues[queue_name],  # type: ignore[index]
        job_spec(spec, record.spec, items=record.has_items),
        record.create_time,
        state.usage_of(record.created_by),
        parent=parent,
        level=record.level,
    )
    if parent is not None and parent.members is not None and record.HasField("member"):
        row.member = Member(parent, job, read_member(record.member), part=row)
    apply_job(row, record)
    return row


def changed_spec(job: JobRow, record: r.JobRecord) -> JobSpec | None:
    """The spec that a known job has from now on; None when it stays."""
    if record.spec == job.spec.spec:
        return None
    spec = job_pb2.JobSpec.FromString(record.spec)
    return job_spec(spec, record.spec, items=record.has_items)


def apply_job(job: JobRow, record: r.JobRecord) -> None:
    """Bring a row to what its record says, but for its spec."""
    while job.round < record.round:
        job.array.begin_round()
        job.round += 1
        job.reopening = 0
    job.array.grow(record.count)
    if job.reopening < record.reopening:
        job.reopening = record.reopening
        job.array.cancel_rest(job.reopening)
    job.state = _STATES[record.state]
    job.ending = _STATES[record.ending] if record.ending else None
    job.reason = record.reason
    job.open, job.loading = record.open, record.loading
    job.blocked, job.skipped = record.blocked, record.skipped
    job.start_time = record.start_time or job.start_time
    job.start_on_record = record.start_time > 0.0
    job.finish_time, job.append_time = record.finish_time, record.append_time
    job.template_bytes, job.item_bytes = record.template_bytes, record.item_bytes
    job.unknown_fields = unknown_fields(record)
    if record.graph_tasks:
        job.members = job.members or Members()
        job.members.graph = record.graph_tasks
    if job.finished:
        job.array.stop_waiting()
    for chunk in job.chunks.values():
        chunk.cancel_requested = job.ending is not None


def block_value(row: JobRow, number: int) -> bytes:
    """The record of a block as it is now, serialized."""
    block = row.array.block(number)
    record = r.JobBlockRecord(round=row.round, stored_bytes=block.stored_bytes)
    if block.succeeded == FULL:
        record.all_succeeded = True
    else:
        record.succeeded = to_bytes(block.succeeded)
    # An older scheduler leaves what is cancelled alone as what failed.
    record.failed = to_bytes(block.failed | block.cancelled)
    record.cancelled = to_bytes(block.cancelled)
    record.reopening = block.reopening
    if block.failures is not None:
        record.failures = bytes(block.failures).rstrip(b"\0")
    if block.earlier is not None:
        record.earlier = bytes(block.earlier).rstrip(b"\0")
    for place, count in block.crashes.items():
        record.crashes.add(place=place, nodes=count)
    for due, mask in block.waits.items():
        record.waits.add(due=due, subtasks=to_bytes(mask))
    record.run_seconds, record.run_count = block.run_seconds, block.run_count
    record.MergeFromString(block.unknown_fields)
    return record.SerializeToString()


def block(row: JobRow, number: int, data: bytes) -> Block:
    """The block that a record holds; of an older round or reopening, as it is in this one."""
    record = r.JobBlockRecord.FromString(data)
    failed = from_bytes(record.failed)
    cancelled = from_bytes(record.cancelled) & failed
    found = Block(
        FULL if record.all_succeeded else from_bytes(record.succeeded),
        failed & ~cancelled,
        cancelled,
        record.reopening,
        crashes={crash.place: crash.nodes for crash in record.crashes},
        run_seconds=record.run_seconds,
        run_count=record.run_count,
        stored_bytes=record.stored_bytes,
        unknown_fields=unknown_fields(record),
    )
    if record.failures:
        found.failures = bytearray(record.failures[:BLOCK].ljust(BLOCK, b"\0"))
    if record.earlier:
        found.earlier = bytearray(record.earlier[:BLOCK].ljust(BLOCK, b"\0"))
    for wait in record.waits:
        mask = from_bytes(wait.subtasks)
        found.waits[wait.due] = mask
        found.waiting |= mask
    if record.round < row.round:
        found.begin_round()
    if found.reopening < row.reopening:
        # Nothing happened to it since: all that was not finished then is cancelled.
        found.reopening = row.reopening
        found.waits.clear()
        found.waiting = 0
        found.cancelled |= row.array.whole(number) & ~found.finished
    if row.finished:
        found.waits.clear()
        found.waiting = 0
    return found


def chunk_value(row: TaskRow) -> bytes:
    """The record of a chunk as it is now, serialized."""
    assert row.chunk is not None
    record = r.ChunkRecord(
        queue=row.queue.name,
        node=row.node,
        instance=row.instance,
        attempt=row.attempt,
        assign_time=row.assign_time,
        start_time=row.start_time,
        charged=row.charged,
        share_charged=row.share,
    )
    for first, last in row.chunk.ranges:
        record.left.add(first=first, last=last)
    for first, last in all_ranges(row.chunk.cancelled) if row.chunk.cancelled else ():
        record.cancelled.add(first=first, last=last)
    record.MergeFromString(row.chunk.unknown_fields)
    return record.SerializeToString()


def _masks(row: JobRow, ranges: Iterable[job_pb2.IndexRange]) -> dict[int, int]:
    found: dict[int, int] = {}
    for number, mask in within(((one.first, one.last) for one in ranges), 0, row.array.size):
        found[number] = found.get(number, 0) | mask
    return found


class ChunkStatus:
    """What the record of a chunk says."""

    def __init__(self, row: JobRow, data: bytes) -> None:
        record = r.ChunkRecord.FromString(data)
        self.left = _masks(row, record.left)
        self.cancelled = _masks(row, record.cancelled)
        self.node = NodeName(record.node)
        self.instance = InstanceId(record.instance)
        self.attempt = record.attempt
        self.assign_time = record.assign_time
        self.start_time = record.start_time
        self.charged, self.share = record.charged, record.share_charged
        self.unknown_fields = unknown_fields(record)


def drop_ops(prefix: bytes, write: fx.DropJob) -> list[Delete]:
    """What deletes all records of a job and of its parts: ranges of their own."""
    kinds = (keys.JOB_BLOCKS, keys.JOB_ITEMS, keys.JOB_RESULTS, keys.JOB_ERRORS)
    end = templates = b""
    if write.last != write.job:
        end = prefix + keys.job_key(write.queue, write.last) + b"\0"
        templates = prefix + keys.job_template_key(write.last) + b"\0"
    return [
        Delete(prefix + keys.job_key(write.queue, write.job), end),
        Delete(prefix + keys.job_template_key(write.job), templates),
        *(
            Delete(
                prefix + kind + f"{write.job}/".encode(),
                prefix_range(prefix, kind + f"{write.last}/".encode())[1],
            )
            for kind in kinds
        ),
    ]


def job_ops(prefix: bytes, write: fx.Write) -> list[Put | Delete]:
    """The ops of a write about jobs."""
    match write:
        case fx.PutChunk(chunk):
            assert chunk.job is not None
            return [Put(prefix + keys.chunk_key(chunk.job.id, chunk.id), chunk_value(chunk))]
        case fx.DropChunk(job, chunk_id):
            return [Delete(prefix + keys.chunk_key(job, chunk_id))]
        case fx.PutJobBlock(row, number):
            return [Put(prefix + keys.job_block_key(row.id, number), block_value(row, number))]
        case fx.PutJob(row):
            return [Put(prefix + keys.job_key(row.queue.name, row.id), job_value(row))]
        case fx.PutJobResults(job, number, runs):
            key = keys.job_results_key(job, number, (runs or write.positions)[0][0])
            return [Put(prefix + key, results_value(write))]
        case fx.MergeJobResults(job, number):
            begin, end = keys.job_results_range(job, number)
            ops: list[Put | Delete] = [Delete(prefix + begin, prefix + end)]
            for first, value in merged_values(write):
                ops.append(Put(prefix + keys.merged_results_key(job, number, first), value))
            return ops
        case fx.PutJobErrors(job, number, failures):
            first = failures[0][0][0]
            key = keys.job_errors_key(job, number, first)
            if write.again:
                key = keys.newer_errors_key(job, number, first, write.chunk)
            return [Put(prefix + key, errors_value(write))]
        case fx.PutJobItems(job, first, items, appender):
            value = r.JobItemsRecord(items=items, appender=appender).SerializeToString()
            return [Put(prefix + keys.job_items_key(job, first), value)]
        case fx.PutJobTemplate(job, template, reduce):
            value = r.JobTemplateRecord(template=template, reduce=reduce).SerializeToString()
            return [Put(prefix + keys.job_template_key(job), value)]
        case fx.DropJobErrors(job):
            return [Delete(*prefix_range(prefix, keys.JOB_ERRORS + f"{job}/".encode()))]
        case fx.DropJob():
            return list(drop_ops(prefix, write))
        case _:
            raise AssertionError(f"unknown write {write!r}")
