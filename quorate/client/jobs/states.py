"""States of jobs and of subtasks, as people name them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from google.protobuf.descriptor import EnumDescriptor

from quorate.client.tracking.outcome import value_name
from quorate.runtime.errors import invalid
from quorate.v1 import job_pb2

FINISHED = frozenset(
    {
        job_pb2.JOB_STATE_SUCCEEDED,
        job_pb2.JOB_STATE_FAILED,
        job_pb2.JOB_STATE_CANCELLED,
    }
)
_JOB = "JOB_STATE_"
_SUBTASK = "SUBTASK_STATE_"


def is_finished(job: job_pb2.Job) -> bool:
    """Whether its state is final; also one that only a newer cluster knows."""
    return job.state in FINISHED or job.HasField("finish_time")


def state_name(job: job_pb2.Job) -> str:
    """Its state as the documentation writes it, such as `ACTIVE`."""
    return value_name(job_pb2.JobState.DESCRIPTOR, job.state, _JOB)


@lru_cache(maxsize=16)  # of each of a million results
def subtask_state_name(state: int) -> str:
    """A subtask's state as the documentation writes it, such as `RUNNING`."""
    return value_name(job_pb2.SubtaskState.DESCRIPTOR, state, _SUBTASK)


def job_state_of(name: str) -> job_pb2.JobState:
    """The state that `name` means, in any case; raises QuorateError (INVALID_ARGUMENT)."""
    return cast(job_pb2.JobState, _number(job_pb2.JobState.DESCRIPTOR, _JOB, name))


def subtask_state_of(name: str) -> job_pb2.SubtaskState:
    """As `job_state_of`, of a subtask."""
    return cast(job_pb2.SubtaskState, _number(job_pb2.SubtaskState.DESCRIPTOR, _SUBTASK, name))


def _number(enum: EnumDescriptor, prefix: str, name: str) -> Any:
    value = enum.values_by_name.get(f"{prefix}{name.upper()}")
    if value is None or not value.number:
        known = ", ".join(
            one.name.removeprefix(prefix).lower() for one in enum.values if one.number
        )
        raise invalid("state", f"{name!r} must be one of {known}", value=name)
    return value.number
