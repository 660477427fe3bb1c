"""What changes of a job: options as `array()` has them, and the mask of a call."""

from __future__ import annotations

from typing import Any, Final, TypedDict

from google.protobuf.field_mask_pb2 import FieldMask

from quorate.client.work.options import set_seconds
from quorate.client.work.texts import checked_texts, text_of
from quorate.runtime.errors import invalid
from quorate.v1 import job_pb2


class JobUpdateArgs(TypedDict, total=False):
    """What can be changed; `Client.array` says what each means. None: the default."""

    name: str
    labels: dict[str, str]
    priority: int
    max_parallel: int | None
    max_failures: int | None
    max_failure_share: float | None
    close_after_idle: float | None


_FIELDS: Final = tuple(JobUpdateArgs.__annotations__)


def within(name: str, value: int, least: int = 0) -> int:
    """A number that a message can hold; the cluster says which ones it takes."""
    if not least <= value < 2**31:
        raise invalid(name, f"{value} must be {least} or more", value=value)
    return value


def job_update_of(job_id: str, changes: JobUpdateArgs) -> dict[str, Any]:
    """The fields `job` and `update_mask` of a call. A misspelt name is a TypeError.

    Raises QuorateError (INVALID_ARGUMENT) where nothing, or something impossible, is to change.
    """
    for name in changes:
        if name not in _FIELDS:
            raise TypeError(f"{name!r} cannot be changed; these can: {', '.join(_FIELDS)}")
    if not changes:
        raise invalid("changes", f"at least one is required: {', '.join(_FIELDS)}")
    spec = job_pb2.JobSpec()
    if "priority" in changes:
        spec.template.priority = within("priority", changes["priority"], -(2**31))
    if "labels" in changes:
        spec.labels.update(checked_texts("labels", changes["labels"]))
    if "name" in changes:
        spec.name = text_of("name", changes["name"])
    spec.max_parallel = within("max_parallel", changes.get("max_parallel") or 0)
    if (most := changes.get("max_failures")) is not None:
        spec.max_failures = within("max_failures", most)
    spec.max_failure_share = changes.get("max_failure_share") or 0.0
    if (idle := changes.get("close_after_idle")) is not None:
        set_seconds("close_after_idle", spec.close_after_idle, idle)
    paths = [f"spec.{'template.' if name == 'priority' else ''}{name}" for name in changes]
    return {
        "job": job_pb2.Job(id=job_id, spec=spec),
        "update_mask": FieldMask(paths=paths),
    }
