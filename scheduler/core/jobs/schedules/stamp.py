"""What a run's spec says about the schedule that made it.

The field `quorate.v1.TaskSpec.schedule` is appended to the spec (a test compares it with protobuf's
own encoding).
"""

from __future__ import annotations

from typing import Final

from scheduler.core.arrays.spec import GraphArray, JobSpec
from scheduler.core.jobs.wire import data, number
from scheduler.core.model.indexes.texts import run_text
from scheduler.core.model.schedules import Cause, JobTemplate, ScheduleName
from scheduler.core.values import TaskSpec

# Of `TaskSpec.schedule`, and of its fields.
_SCHEDULE: Final = 25
# `JobSpec.template`.
_TEMPLATE: Final = 1
_NAME, _TICK, _CAUSE = 1, 2, 3


def stamped_job(job: JobTemplate, name: ScheduleName, tick: int, cause: Cause) -> JobTemplate:
    """The job of the run for `tick`: its template says so, beside the job and within its spec. Of a
    graph each task does."""
    said = data(_SCHEDULE, _run(name, tick, cause))
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
        spec=spec.spec + data(_TEMPLATE, said), text=run_text(spec.text, name), schedule=name
    )


def stamped(task: TaskSpec, name: ScheduleName, tick: int, cause: Cause) -> TaskSpec:
    """The task of the run for `tick`."""
    said = data(_SCHEDULE, _run(name, tick, cause))
    return task._replace(spec=task.spec + said, text=run_text(task.text, name), schedule=name)


def _run(name: ScheduleName, tick: int, cause: Cause) -> bytes:
    """A `quorate.v1.ScheduledRun`."""
    seconds, micros = divmod(tick, 1_000_000)
    # A field that is 0 is left out.
    instant = number(1, seconds) + number(2, micros * 1_000)
    return data(_NAME, name.encode()) + data(_TICK, instant) + number(_CAUSE, cause)
