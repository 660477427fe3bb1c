"""From the stream of a job's results to values and exceptions, in the order of the indexes. Pure.

An answer covers the positions up to its `next_position`. A position in a run has a value; one in
`others` did not succeed, or has not yet; any other one succeeded without a value.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from quorate.client.errors import TaskCancelled, TaskFailed
from quorate.client.jobs.states import subtask_state_name
from quorate.client.tracking.outcome import error_of
from quorate.runtime.errors import invalid, precondition
from quorate.v1 import job_pb2, scheduler_pb2, task_pb2

ENDED_BADLY = (job_pb2.SUBTASK_STATE_FAILED, job_pb2.SUBTASK_STATE_CANCELLED)

Failures = Literal["raise", "return", "skip"]
"""What `results` does with a subtask that failed or was cancelled."""


def check_failures(given: str) -> None:
    """Raise QuorateError (INVALID_ARGUMENT) for a word that `results` does not know."""
    if given not in get_args(Failures):
        known = ", ".join(get_args(Failures))
        raise invalid("failures", f"{given!r} must be one of {known}", value=given)


@dataclass(frozen=True, slots=True)
class Shape:
    """What never changes of a job and says how its results are read."""

    first_index: int
    index_step: int
    is_command: bool

    @classmethod
    def of(cls, spec: job_pb2.JobSpec) -> Shape:
        """Of a spec whose template has its payload."""
        command = spec.template.WhichOneof("work") == "command"
        return cls(spec.first_index, spec.index_step or 1, command)

    def index_of(self, position: int) -> int:
        """The index that people see."""
        return self.first_index + self.index_step * position

    def position_of(self, index: int) -> int:
        """The position of an index; raises QuorateError (INVALID_ARGUMENT) where there is none."""
        position, between = divmod(index - self.first_index, self.index_step)
        if between or position < 0:
            step = f" in steps of {self.index_step}" if self.index_step > 1 else ""
            raise invalid("index", f"{index} is none: they begin at {self.first_index}{step}")
        return position


@dataclass(slots=True)  # not frozen: that takes three times as long, and a million come in a row
class Raw:
    """One subtask as the cluster answers it."""

    index: int
    state: job_pb2.SubtaskState
    kind: job_pb2.ResultRun.Kind = job_pb2.ResultRun.KIND_UNSPECIFIED
    data: bytes = b""
    """Empty for None, for exit code 0, and where it did not succeed."""


@dataclass(frozen=True, slots=True)
class SubtaskOutcome:
    """What became of one subtask."""

    index: int
    state: str
    """SUCCEEDED, FAILED or CANCELLED; PENDING or RUNNING where it was not waited for."""
    value: Any = None
    """What the function returned, or 0 for a program that ended well."""
    error: BaseException | None = None
    """Set where it failed or was cancelled."""


class Reader:
    """Where a reader of results is. Owned by one thread or one coroutine."""

    def __init__(
        self, job_id: str, shape: Shape, *, follow: bool, position: int = 0, count: int = 0
    ) -> None:
        self._id = job_id
        self._shape = shape
        self._follow = follow
        # How many positions; 0: all.
        self._count = count
        self.position = position
        """Everything before it has been read."""

    def request(self) -> scheduler_pb2.ReadJobResultsRequest:
        """What to ask for to go on."""
        return scheduler_pb2.ReadJobResultsRequest(
            id=self._id,
            first_position=self.position,
            count=self._count,
            follow=self._follow,
        )

    def take(self, answer: scheduler_pb2.ReadJobResultsResponse) -> Iterator[Raw]:
        """The subtasks of an answer, one at a time."""
        runs = iter(sorted(answer.runs, key=lambda run: run.first))
        others = iter(sorted(answer.others, key=lambda one: one.first_index))
        run, other = next(runs, None), next(others, None)
        for position in range(self.position, answer.next_position):
            index = self._shape.index_of(position)
            while run is not None and run.first + len(run.values) <= position:
                run = next(runs, None)
            while other is not None and other.last_index < index:
                other = next(others, None)
            self.position = position + 1
            if other is not None and other.first_index <= index:
                yield Raw(index, other.state)
            elif run is not None and run.first <= position:
                data = run.values[position - run.first]
                yield Raw(index, job_pb2.SUBTASK_STATE_SUCCEEDED, run.kind, data)
            else:
                yield Raw(index, job_pb2.SUBTASK_STATE_SUCCEEDED)


def value_of(job_id: str, raw: Raw, shape: Shape, *, pickled: bool) -> Any:
    """The value of a subtask that succeeded; `pickled` as in `tracking.outcome.value_of`.

    Raises TaskFailed for one that may not be, or cannot be, read.
    """
    if not raw.data:
        return 0 if shape.is_command else None
    if raw.kind != job_pb2.ResultRun.KIND_PICKLE:
        return json.loads(raw.data)
    name = f"{job_id}.{raw.index}"
    if not pickled:
        why = "the node answered with a pickle, which was not asked for"
        raise TaskFailed(name, "RESULT_NOT_READABLE", why)
    try:
        return pickle.loads(raw.data)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        # A remote subtask must not end this process.
        why = f"unpickling the result raised {type(error).__name__}"
        raise TaskFailed(name, "RESULT_NOT_READABLE", why) from error


def exception_of(
    job_id: str, raw: Raw, subtask: job_pb2.Subtask | None, *, pickled: bool
) -> BaseException:
    """The exception that stands for a subtask that did not succeed.

    `subtask`: its details where they are known.
    """
    state = (
        task_pb2.TASK_STATE_CANCELLED
        if raw.state == job_pb2.SUBTASK_STATE_CANCELLED
        else task_pb2.TASK_STATE_FAILED
    )
    task = task_pb2.Task(id=f"{job_id}.{raw.index}", state=state)
    if subtask is not None:
        task.attempt = subtask.attempt
        task.error.CopyFrom(subtask.error)
    if not task.error.message:
        task.error.message = "its error is not on record"
    return error_of(task, pickled=pickled)


def outcome_of(
    job_id: str, raw: Raw, subtask: job_pb2.Subtask | None, shape: Shape, *, pickled: bool
) -> SubtaskOutcome:
    """The outcome of one subtask."""
    state = subtask_state_name(raw.state)
    if raw.state == job_pb2.SUBTASK_STATE_SUCCEEDED:
        return SubtaskOutcome(raw.index, state, value_of(job_id, raw, shape, pickled=pickled))
    if raw.state in ENDED_BADLY:
        error = exception_of(job_id, raw, subtask, pickled=pickled)
        return SubtaskOutcome(raw.index, state, error=error)
    return SubtaskOutcome(raw.index, state)


def result_of(job: job_pb2.Job, *, pickled: bool) -> Any:
    """What the last reduce of a job that SUCCEEDED gave; `pickled` as in `value_of`.

    Raises QuorateError (FAILED_PRECONDITION) for a job without a reduce; TaskFailed.
    """
    if not job.HasField("reduce"):
        raise precondition("NO_REDUCE", f"job {job.id} has no reduce; read its results()")
    kind = job_pb2.ResultRun.KIND_UNSPECIFIED
    data = b""
    match job.result.WhichOneof("value"):
        case "json":
            kind, data = job_pb2.ResultRun.KIND_JSON, job.result.json.encode()
        case "pickle":
            kind, data = job_pb2.ResultRun.KIND_PICKLE, job.result.pickle
    raw = Raw(0, job_pb2.SUBTASK_STATE_SUCCEEDED, kind, data)
    return value_of(job.reduce.started[-1].id, raw, Shape(0, 1, is_command=False), pickled=pickled)


def failed_part(job: job_pb2.Job) -> str:
    """The id of what failed of a job: a level of its reduces, or the job itself."""
    return next((level.id for level in job.reduce.started if level.counts.failed), job.id)


def failure_of(
    job: job_pb2.Job, part: str, subtask: job_pb2.Subtask | None, *, pickled: bool
) -> BaseException:
    """The exception that stands for a job that did not succeed.

    `subtask`: the first that failed of the `part` that failed; None where none did.
    """
    if subtask is not None:
        return exception_of(part, Raw(subtask.index, subtask.state), subtask, pickled=pickled)
    if job.state == job_pb2.JOB_STATE_CANCELLED:
        return TaskCancelled(job.id)
    return TaskFailed(job.id, "JOB_FAILED", job.reason or "the cluster gave no reason")
