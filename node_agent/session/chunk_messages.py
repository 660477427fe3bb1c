"""Between protobuf messages and the core's values, for chunks; and the templates of a session.

A template comes with the first chunk of its job in a session, and is remembered: MAX_BYTES of them,
the one that was used least lately goes first. A chunk whose template is not here is returned, upon
which the leader sends both.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from google.protobuf.message import DecodeError

from node_agent.core.attempts import Attempt, Ref
from node_agent.core.chunks.chunk import Chunk
from node_agent.core.chunks.inputs import ReduceInput, ResultsPage
from node_agent.core.chunks.report import ChunkReport
from node_agent.session.messages import attempt_of_spec, set_time
from node_agent.task.work import ArrayCall, ArrayCommand, Call, Command, Unreadable
from quorate.runtime.ranges import Ranges
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import node_agent_pb2 as pb

# Serialized; decoded they take a few times as much.
MAX_BYTES = 16 * 1024 * 1024
# What a template counts at least.
_LEAST_BYTES = 1024
_DISORDER = "the leader sent results of other positions"
_KINDS = {"json": job_pb2.ResultRun.KIND_JSON, "pickle": job_pb2.ResultRun.KIND_PICKLE}


class Templates:
    """The templates of one session, by job."""

    def __init__(self) -> None:
        # None for one that cannot be read.
        self._specs: OrderedDict[str, tuple[task_pb2.TaskSpec | None, int]] = OrderedDict()
        self._bytes = 0

    def forget(self, jobs: Iterable[str]) -> None:
        """No chunk of these jobs follows."""
        for job in jobs:
            self._drop(job)

    def attempt_of(self, assignment: pb.Assignment) -> Attempt | None:
        """The attempt that a chunk is; None when its template is not here."""
        job = assignment.chunk.job_id
        if assignment.spec:
            self._drop(job)
            try:
                spec = task_pb2.TaskSpec.FromString(assignment.spec)
            except DecodeError:
                spec = None
            size = max(_LEAST_BYTES, len(assignment.spec))
            self._specs[job] = (spec, size)
            self._bytes += size
            while self._bytes > MAX_BYTES and len(self._specs) > 1:
                self._drop(next(iter(self._specs)))
        elif job not in self._specs:
            return None
        self._specs.move_to_end(job)
        return _attempt_of(assignment, self._specs[job][0])

    def _drop(self, job: str) -> None:
        if found := self._specs.pop(job, None):
            self._bytes -= found[1]


def _attempt_of(assignment: pb.Assignment, spec: task_pb2.TaskSpec | None) -> Attempt:
    """A template's attempt, made a chunk: each of its parts is the attempt's but the timeout."""
    attempt = attempt_of_spec(assignment, spec)
    message = assignment.chunk
    work = attempt.work
    try:
        ranges = Ranges.of((one.first, one.last) for one in message.ranges)
        if ranges and ranges.first < 0:
            raise ValueError("negative positions")
    except ValueError as error:
        ranges = Ranges()
        work = Unreadable(f"the chunk is not readable: {error}")
    if message.items and len(message.items) != len(ranges):
        work = Unreadable(f"the chunk has {len(message.items)} items for {len(ranges)} subtasks")
    if type(work) is Call:
        work = ArrayCall(
            work.entrypoint, work.kind, work.arguments, work.secrets, work.memory, work.env
        )
    elif type(work) is Command:
        work = ArrayCommand(
            work.argv, work.env, work.cwd, work.stdin, work.secrets, work.memory, work.cpu
        )
    elif not isinstance(work, Unreadable):
        work = Unreadable("an array of services")
    reduce = None
    if assignment.HasField("reduce"):
        given = assignment.reduce
        reduce = ReduceInput(given.count, given.fan_in, given.programs)
        if type(work) is not ArrayCall:
            work = Unreadable("a reduce that is no Python function")
    attempt.work = work
    attempt.chunk = Chunk(
        message.job_id,
        ranges,
        tuple(message.items),
        first_index=message.first_index,
        index_step=message.index_step or 1,
        count=message.count,
        timeout=attempt.timeout,
        expected=max(0.0, message.expected_seconds),
        reduce=reduce,
    )
    attempt.timeout = 0.0
    attempt.profile = ""
    # How long a chunk takes says nothing about tasks.
    attempt.waited = True
    attempt.replica = False
    return attempt


def acknowledged_of(messages: Iterable[pb.ChunkReportRef]) -> list[tuple[str, int, int]]:
    """The names of reports."""
    return [(message.task_id, message.attempt, message.number) for message in messages]


def subtasks_of(messages: Iterable[pb.SubtasksRef]) -> list[tuple[Ref, Ranges]]:
    """Subtasks to be ended: of which attempt, and their positions. Unreadable ones are left out."""
    found = []
    for message in messages:
        try:
            positions = Ranges.of((one.first, one.last) for one in message.ranges)
        except ValueError:
            continue
        found.append((Ref(message.task_id, message.attempt), positions))
    return found


def put_progress(message: pb.ChunkProgress, attempt: Attempt) -> None:
    """Write how far a chunk is."""
    assert attempt.chunk is not None
    message.task_id = attempt.task_id
    message.attempt = attempt.number
    _put_ranges(message.left, attempt.chunk.left)


def put_wanted(response: pb.SessionResponse, attempt: Attempt) -> None:
    """Write which results a chunk waits for, where it still does."""
    chunk = attempt.chunk
    assert chunk is not None
    if chunk.wanted is None or attempt.over:
        return
    response.read_results.add(
        task_id=attempt.task_id,
        attempt=attempt.number,
        number=chunk.wanted.number,
        first_position=chunk.wanted.position,
    )


def page_of(message: pb.ResultsPage) -> tuple[Ref, int, ResultsPage]:
    """Results of the leader: for which attempt and request."""
    first, end, runs = message.first_position, message.next_position, []
    for run in message.runs:
        if not first <= run.first <= run.first + len(run.values) <= end:
            return _ref(message), message.number, ResultsPage(first, first, (), _DISORDER)
        pickled = run.kind == job_pb2.ResultRun.KIND_PICKLE
        runs.append((run.first, pickled, tuple(run.values)))
    page = ResultsPage(first, end, tuple(runs), message.error)
    return _ref(message), message.number, page


def _ref(message: pb.ResultsPage) -> Ref:
    return Ref(message.task_id, message.attempt)


def put_report(message: pb.ChunkReport, report: ChunkReport) -> None:
    """Write a report."""
    message.task_id = report.task_id
    message.attempt = report.attempt
    message.number = report.number
    message.seconds = report.seconds
    _put_ranges(message.succeeded, report.succeeded)
    _put_ranges(message.returned, report.returned)
    for run in report.runs:
        message.results.add(first=run.first, kind=_KINDS[run.kind], values=run.values)
    for position, failure, at in report.failed:
        item = message.failed.add(position=position)
        set_time(item.finish_time, at)
        error = item.error
        error.type = failure.type
        error.message = failure.message
        error.traceback = failure.traceback
        error.code = failure.code
        error.pickle = failure.pickle
        error.base_types.extend(failure.base_types)


def _put_ranges(field: object, ranges: Ranges) -> None:
    for first, last in ranges.pairs:
        field.add(first=first, last=last)  # type: ignore[attr-defined]
