"""UpdateTask and UpdateTasks: which fields are meant, their bounds, and what becomes of a spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.field_mask_pb2 import FieldMask

from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2
from scheduler.api.specs.check import SpecCheck, serialize
from scheduler.api.validate import at_most
from scheduler.core.model.events import SpecUpdate
from scheduler.core.values import Change, TaskSpec
from scheduler.storage.records import task_spec

# Fields of a spec that can be changed while the task waits.
UPDATABLE: Final = ("priority", "labels", "not_before", "timeout", "start_deadline", "retry")
_OF_RETRY: Final = frozenset(task_pb2.RetryPolicy.DESCRIPTOR.fields_by_name)
_MOST_PATHS: Final = 20
# Characters of a value in the audit log.
_SHOWN: Final = 200


def spec_update(
    check: SpecCheck, spec: task_pb2.TaskSpec, paths: Sequence[str], now: float
) -> tuple[SpecUpdate, tuple[Change, ...]]:
    """What becomes of specs, and what the audit log says of it. Raises QuorateError.

    Args:
        paths: of the mask, below `task`; the fields that `spec` has set when empty.
    """
    names = _names(spec, paths)
    check.options(spec, "task.spec", now)
    mask = FieldMask(paths=names)

    def make(old: TaskSpec) -> TaskSpec:
        merged = task_pb2.TaskSpec.FromString(old.spec)
        # Leaves a retry policy that was not there as it is, unless one of its fields is named.
        mask.MergeMessage(spec, merged, True, True)
        return task_spec(merged, serialize(merged))

    moves, expires = "not_before" in names, "start_deadline" in names
    return SpecUpdate(make, moves, expires), tuple(_change(spec, name) for name in names)


def _names(spec: task_pb2.TaskSpec, paths: Sequence[str]) -> list[str]:
    at_most("update_mask", len(paths), _MOST_PATHS, "paths")
    if not paths:
        set_ = [field.name for field, _ in spec.ListFields()]
        paths = [f"spec.{name}" for name in set_]
    names = []
    for path in paths:
        first, _, name = path.partition(".")
        top, _, below = name.partition(".")
        known = first == "spec" and top in UPDATABLE
        if below:
            known = known and top == "retry" and below in _OF_RETRY
        if not known:
            raise invalid(
                "update_mask",
                f"{path[:80]!r} cannot be changed; these can: "
                + ", ".join(f"spec.{one}" for one in UPDATABLE),
                reason="INVALID_FIELD_MASK",
                value=path[:80],
            )
        names.append(name)
    if not names:
        raise invalid("update_mask", "is required, or at least one field of task.spec")
    return names


def _change(spec: task_pb2.TaskSpec, name: str) -> Change:
    value: Any = spec
    for part in name.split("."):
        value = getattr(value, part)
    if hasattr(value, "ToJsonString"):
        top = name.split(".")[0]
        text = value.ToJsonString() if spec.HasField(top) else ""
    elif name == "labels":
        text = ", ".join(f"{key}={item}" for key, item in sorted(value.items()))
    else:
        text = " ".join(str(value).split())
    return Change(name, "", text[:_SHOWN] or "none")
