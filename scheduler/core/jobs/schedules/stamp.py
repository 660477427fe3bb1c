"""What a run's spec says about the schedule that made it.

The core keeps specs as opaque bytes. Concatenated messages of protobuf are merged by whoever reads
them, so the field `quorate.v1.TaskSpec.schedule` is appended, encoded here (a test compares it with
protobuf's own encoding).
"""

from __future__ import annotations

from typing import Final

from scheduler.core.arrays.spec import GraphArray, JobSpec
from scheduler.core.model.indexes.texts import run_text
from scheduler.core.model.schedules import Cause, JobTemplate, ScheduleName
from scheduler.core.values import TaskSpec

# Of `TaskSpec.schedule`, and of its fields.
_SCHEDULE: Final = 25
# `JobSpec.template`.
_TEMPLATE: Final = 1
_NAME, _TICK, _CAUSE = 1, 2, 3
_VARINT, _BYTES = 0, 2


def stamped_job(job: JobTemplate, name: ScheduleName, tick: int, cause: Cause) -> JobTemplate:
    """The job of the run for `tick`: its template says so, beside the job and within its spec. Of a
    graph each task does."""
    said = _data(_SCHEDULE, _run(name, tick, cause))
    spec = _said(job.spec, said, name)
    if not job.graph:
        return job._replace(spec=spec, template=job.template + said)
    tasks: list[TaskSpec | GraphArray] = []
    for one in job.graph:
        if isinstance(one, GraphArray):
            array = _said(one.spec, said, name)
            tasks.append(one._replace(spec=array, template=one.template + said))
        else:
            tasks.append(stamped(one, name, tick, cause))
    return job._replace(spec=spec, graph=tuple(tasks))


def _said(spec: JobSpec, said: bytes, name: ScheduleName) -> JobSpec:
    return spec._replace(
        spec=spec.spec + _data(_TEMPLATE, said), text=run_text(spec.text, name), schedule=name
    )


def stamped(task: TaskSpec, name: ScheduleName, tick: int, cause: Cause) -> TaskSpec:
    """The task of the run for `tick`."""
    said = _data(_SCHEDULE, _run(name, tick, cause))
    return task._replace(spec=task.spec + said, text=run_text(task.text, name), schedule=name)


def _run(name: ScheduleName, tick: int, cause: Cause) -> bytes:
    """A `quorate.v1.ScheduledRun`."""
    seconds, micros = divmod(tick, 1_000_000)
    # A field that is 0 is left out.
    instant = _number(1, seconds) + _number(2, micros * 1_000)
    return _data(_NAME, name.encode()) + _data(_TICK, instant) + _number(_CAUSE, cause)


def _data(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value) if value else b""


def _varint(value: int) -> bytes:
    # Negative ones are those of 64 bits: an instant before 1970.
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
