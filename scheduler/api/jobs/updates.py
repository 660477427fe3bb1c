"""UpdateJob: which fields are meant, their bounds, and what becomes of a spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from quorate.runtime.errors import invalid
from quorate.v1 import job_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.jobs import validate
from scheduler.api.masks import take_over
from scheduler.api.specs.check import SpecCheck
from scheduler.api.validate import at_most
from scheduler.core.arrays.spec import JobSpec
from scheduler.core.values import Change
from scheduler.storage.records.jobs import job_spec

# Paths below the job.
UPDATABLE: Final = (
    *("spec.name", "spec.labels", "spec.max_parallel", "spec.max_failures"),
    *("spec.max_failure_share", "spec.close_after_idle", "spec.template.priority"),
)
# Of a graph: its tasks have the rest.
OF_GRAPHS: Final = ("spec.name", "spec.labels", "spec.max_failures")
_MOST_PATHS: Final = 20
# Characters of a value in the audit log.
_SHOWN: Final = 200


def job_update(
    check: SpecCheck, request: pb.UpdateJobRequest, now: float, *, graph: bool
) -> tuple[Callable[[JobSpec], JobSpec], tuple[Change, ...]]:
    """What becomes of the spec, and what the audit log says of it.

    Args:
        graph: the job is a graph.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field.
    """
    new, updatable = request.job.spec, OF_GRAPHS if graph else UPDATABLE
    paths = list(dict.fromkeys(request.update_mask.paths))
    at_most("update_mask", len(paths), _MOST_PATHS, "paths")
    for path in paths:
        if path not in updatable:
            raise invalid(
                "update_mask",
                f"{path[:80]!r} cannot be changed; these can: {', '.join(updatable)}",
                reason="INVALID_FIELD_MASK",
                value=path[:80],
            )
    if not paths:
        paths = [path for path in updatable if _is_set(new, path)]
    if not paths:
        raise invalid("update_mask", "is required, or at least one of these fields of job.spec")
    validate.changeable(new, "job.spec")
    check.options(new.template, "job.spec.template", now)

    def make(old: JobSpec) -> JobSpec:
        spec = job_pb2.JobSpec.FromString(old.spec)
        for path in paths:
            take_over(spec, new, path.split(".")[1:])
        return job_spec(spec, spec.SerializeToString(deterministic=True), items=old.items)

    return make, tuple(_change(new, path) for path in paths)


def _is_set(spec: job_pb2.JobSpec, path: str) -> bool:
    if path == "spec.template.priority":
        return bool(spec.template.priority)
    return path.removeprefix("spec.") in {field.name for field, _ in spec.ListFields()}


def _change(spec: job_pb2.JobSpec, path: str) -> Change:
    value: Any = spec
    *above, name = path.split(".")[1:]
    for part in above:
        value = getattr(value, part)
    there = any(field.name == name for field, _ in value.ListFields())
    value = getattr(value, name)
    if hasattr(value, "ToJsonString"):
        text = value.ToJsonString()
    elif name == "labels":
        text = ", ".join(f"{key}={item}" for key, item in sorted(value.items()))
    else:
        text = " ".join(str(value).split())
    return Change(name, "", text[:_SHOWN] if there and text else "none")
