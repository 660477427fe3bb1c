"""Jobs in a `Cluster`: callers that create them, and agents that report of chunks.

    jobs = Jobs(cluster)
    job = jobs.create(100)
    jobs.succeed(node, chunk)            # all that is left of it, and its end
    assert jobs.states(job) == "S" * 100

Owned by one test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from quorate.runtime.ids import QueueName, TaskId
from quorate.v1 import job_pb2, task_pb2
from scheduler.core.arrays.positions import BLOCK, Range
from scheduler.core.arrays.spec import JobSpec
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown, Rejection
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.storage.records import jobs as records
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.same_state import differences

NO_REQUEST = e.Request()


def job_spec(
    *,
    items: bool = False,
    attempts: int = 1,
    backoff: float = 1.0,
    max_backoff: float = 300.0,
    crash_limit: int = 3,
    priority: int = 0,
    fatal: Sequence[str] = (),
    cpu: float = 0.0,
    reduce: bool = False,
    fan_in: int = 0,
    key: str = "",
    limits: Sequence[str] = (),
    tenant: str = "",
    **fields: Any,
) -> JobSpec:
    """A job's spec as the core gets it; `fields` of JobSpec. `fan_in`: of its reduce."""
    spec = job_pb2.JobSpec(**fields)
    template = spec.template
    template.command.argv.append("true")
    template.priority = priority
    template.retry.max_attempts = attempts
    template.retry.initial_backoff.FromNanoseconds(round(backoff * 1e9))
    template.retry.max_backoff.FromNanoseconds(round(max_backoff * 1e9))
    template.retry.crash_limit = crash_limit
    template.retry.fatal_errors.extend(fatal)
    template.retry.jitter = 0.0
    if cpu:
        template.resources.cpu = cpu
    template.limit_key, template.fairness_key = key, tenant
    template.limits.extend(limits)
    if reduce or fan_in:
        spec.reduce.template.python.entrypoint = "m:reduce"
        spec.reduce.template.retry.CopyFrom(template.retry)
        spec.reduce.template.limits.extend(limits[:1])
        spec.reduce.fan_in = fan_in
    return records.job_spec(spec, spec.SerializeToString(), items=items)


def updating(**changes: Any) -> Callable[[JobSpec], JobSpec]:
    """What UpdateJob makes of a spec: `priority`, or fields of JobSpec; None clears one."""

    def make(old: JobSpec) -> JobSpec:
        spec = job_pb2.JobSpec.FromString(old.spec)
        for name, value in changes.items():
            if name == "priority":
                spec.template.priority = value
            elif value is None:
                spec.ClearField(name)
            else:
                setattr(spec, name, value)
        return records.job_spec(spec, spec.SerializeToString(), items=old.items)

    return make


class Jobs:
    """Callers and agents of one cluster, as far as jobs go."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        # Reports by chunk.
        self._numbers: dict[TaskId, int] = {}

    # -- callers

    def create(
        self,
        count: int = 0,
        what: JobSpec | None = None,
        *,
        queue: str = DEFAULT_QUEUE,
        open: bool = False,
        loading: bool = False,
        request: e.Request = NO_REQUEST,
        creator: str = "",
    ) -> TaskId:
        """Create a job that must not be refused; its id."""
        answer = self.ask_create(
            count,
            what,
            queue=queue,
            open=open,
            loading=loading,
            request=request,
            creator=creator,
        )
        assert isinstance(answer, JobKnown), answer
        return answer.job

    def ask_create(
        self,
        count: int,
        what: JobSpec | None = None,
        *,
        queue: str = DEFAULT_QUEUE,
        open: bool = False,
        loading: bool = False,
        request: e.Request = NO_REQUEST,
        creator: str = "",
    ) -> object:
        job = self.cluster.new_id()
        spec = what or job_spec()
        return self.cluster.call(
            lambda token: e.JobSubmitted(
                QueueName(queue), job, spec, b"t", count, open, loading, request, token, creator
            )
        )

    def update(self, job: TaskId, **changes: Any) -> object:
        """UpdateJob; the answer."""
        make = updating(**changes)
        return self.cluster.call(lambda token: e.JobUpdateAsked(job, make, (), NO_REQUEST, token))

    def add_items(
        self,
        job: TaskId,
        first: int,
        items: Sequence[bytes],
        *,
        loads: bool = False,
        last: bool = False,
        checked: int = 0,
    ) -> object:
        return self.cluster.call(
            lambda token: e.JobItemsAdded(job, first, items, loads, last, token, checked)
        )

    def close(self, job: TaskId) -> object:
        return self.cluster.call(lambda token: e.JobClosed(job, NO_REQUEST, token))

    def cancel(self, job: TaskId, request: e.Request = NO_REQUEST) -> object:
        return self.cluster.call(lambda token: e.JobCancelAsked(job, request, token))

    def pause(self, job: TaskId, paused: bool = True) -> object:
        return self.cluster.call(lambda token: e.JobPauseAsked(job, paused, NO_REQUEST, token))

    def retry(self, job: TaskId, request: e.Request = NO_REQUEST) -> object:
        return self.cluster.call(lambda token: e.JobRetryAsked(job, request, token))

    def cancel_one(self, job: TaskId, index: int, request: e.Request = NO_REQUEST) -> object:
        """CancelTask of a subtask."""
        task = TaskId(f"{job}.{index}")
        return self.cluster.call(lambda token: e.SubtaskCancelAsked(task, request, token))

    def retry_one(self, job: TaskId, index: int, request: e.Request = NO_REQUEST) -> object:
        """RetryTask of a subtask."""
        task = TaskId(f"{job}.{index}")
        return self.cluster.call(lambda token: e.SubtaskRetryAsked(task, request, token))

    def delete(self, job: TaskId) -> object:
        return self.cluster.call(lambda token: e.JobDeleteAsked(job, NO_REQUEST, token))

    # -- agents

    def report(
        self,
        node: FakeNode,
        chunk: TaskId,
        *,
        succeeded: Sequence[Range] = (),
        failed: Sequence[int] = (),
        returned: Sequence[Range] = (),
        error: str = "ValueError",
        message: str = "it failed",
        results: Sequence[tuple[int, int, Sequence[bytes]]] = (),
        seconds: float = 0.0,
    ) -> e.ChunkReported:
        """An agent reports of a chunk; the event, to be repeated."""
        number = self._numbers[chunk] = self._numbers.get(chunk, 0) + 1
        pb_error = task_pb2.TaskError(type=error, message=message)
        event = e.ChunkReported(
            node.instance,
            chunk,
            1,
            number,
            succeeded,
            [e.SubtaskFailed(position, error, message, pb_error) for position in failed],
            results,
            returned,
            seconds,
        )
        self.cluster.step(event)
        return event

    def end(self, node: FakeNode, chunk: TaskId) -> None:
        """The chunk has ended: nothing more is reported of it."""
        node.give_back(chunk)

    def succeed(self, node: FakeNode, chunk: TaskId, seconds: float = 0.0) -> None:
        """All that is left of a chunk succeeded, and it has ended."""
        row = self.cluster.state.chunks[chunk]
        assert row.chunk is not None
        self.report(node, chunk, succeeded=row.chunk.ranges, seconds=seconds)
        self.end(node, chunk)

    def finish(self, job: TaskId, nodes: Sequence[FakeNode], each: float = 0.001) -> None:
        """Let the nodes run all chunks of a job until it has finished; `each`: seconds a
        subtask."""
        for _ in range(100_000):
            if self.row(job).finished:
                return
            for node in nodes:
                for chunk in list(node.has):
                    row = self.cluster.state.chunks.get(chunk)
                    if row is None or row.chunk is None:
                        del node.has[chunk]
                    else:
                        self.succeed(node, chunk, row.chunk.size * each)
        raise AssertionError("the job does not finish")

    # -- looking

    def row(self, job: TaskId) -> JobRow:
        return self.cluster.state.jobs[job]

    def chunks(self, job: TaskId) -> list[TaskId]:
        return sorted(self.row(job).chunks)

    def left(self, chunk: TaskId) -> list[Range]:
        row = self.cluster.state.chunks[chunk]
        assert row.chunk is not None
        return row.chunk.ranges

    def states(self, job: TaskId) -> str:
        """A letter for each subtask: Pending, Out, Succeeded, Failed, Waiting, Cancelled."""
        row = self.row(job)
        letters = []
        for position in range(row.array.count):
            number, place = divmod(position, BLOCK)
            block = row.array.blocks.get(number)
            letter = "C" if row.over else "P"
            if block is not None:
                for mask, name in (
                    (block.succeeded, "S"),
                    (block.failed, "F"),
                    (block.cancelled, "C"),
                    (block.out, "O"),
                    (block.waiting, "C" if row.over else "W"),
                ):
                    if mask >> place & 1:
                        letter = name
            letters.append(letter)
        return "".join(letters)


def refused(answer: object) -> str:
    """The reason of a rejection."""
    assert isinstance(answer, Rejection), answer
    return answer.reason


@contextmanager
def followed_cluster() -> Iterator[Cluster]:
    """A cluster whose standby knows at the end what the leader knows."""
    log = Log()
    cluster = Cluster(log=log)
    yield cluster
    log.flush()
    assert not differences(cluster.state, log.fold.state)
    assert not differences(cluster.state, log.loaded().state)
