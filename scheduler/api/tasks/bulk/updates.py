"""UpdateTask and UpdateTasks: which fields are meant, their bounds, and what becomes of a spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.field_mask_pb2 import FieldMask

from quorate.runtime.errors import invalid
from quorate.runtime.ids import QueueName
from quorate.security.identity import current_caller
from quorate.security.permissions import denied
from quorate.security.policy import holds
from quorate.v1 import placement_pb2, task_pb2
from scheduler.api.specs import hooks
from scheduler.api.specs.check import ENTRYPOINT, SpecCheck, serialize
from scheduler.api.validate import at_most, queue_name
from scheduler.core.model.events import SpecUpdate
from scheduler.core.values import Change, TaskSpec
from scheduler.storage.records import task_spec

# Fields of a spec that can be changed while the task waits.
UPDATABLE: Final = (
    *("priority", "labels", "not_before", "timeout", "start_deadline"),
    *("retry", "placement", "hooks", "limits", "limit_key", "fairness_key", "ordering_key"),
)
# Those of them whose fields can be changed one by one.
_PARTS: Final = {
    "retry": frozenset(task_pb2.RetryPolicy.DESCRIPTOR.fields_by_name),
    "placement": frozenset(placement_pb2.PlacementRules.DESCRIPTOR.fields_by_name),
    "hooks": frozenset(task_pb2.Hooks.DESCRIPTOR.fields_by_name),
}
# Those that mean nothing when they are empty.
_NOT_EMPTY: Final = ("placement", "hooks")
_QUEUE: Final = "queue"
# What it takes to put a task into a queue.
_SUBMIT: Final = "tasks.submit"
_MOST_PATHS: Final = 32
# Characters of a value in the audit log.
_SHOWN: Final = 200


def spec_update(
    check: SpecCheck, task: task_pb2.Task, paths: Sequence[str], now: float
) -> tuple[SpecUpdate, tuple[Change, ...]]:
    """What becomes of specs, and what the audit log says of it. Raises QuorateError.

    Args:
        paths: of the mask, below `task`; the fields that `task` has set when empty.
    """
    spec = task.spec
    names = _names(task, paths)
    queue = QueueName("")
    if _QUEUE in names:
        queue = QueueName(queue_name("task.queue", task.queue))
        _check_target(queue)
        names.remove(_QUEUE)
    if (size := spec.ByteSize()) > check.max_payload:
        raise invalid(
            "task.spec",
            f"{size} bytes; at most {check.max_payload} are allowed",
            reason="PAYLOAD_TOO_LARGE",
            limit=check.max_payload,
            value=size,
        )
    check.options(_with_own_labels(spec, names), "task.spec", now)
    hooks.each(spec.hooks, ENTRYPOINT, "task.spec.hooks")
    mask = FieldMask(paths=names)
    given = task_pb2.TaskSpec()
    given.CopyFrom(spec)
    for name in names:
        if "." in name:
            # Without it the mask would leave alone what it names there.
            getattr(given, name.partition(".")[0]).SetInParent()

    # Labels, limits and keys may make a spec a little larger than one that is created; hooks are
    # not bounded so.
    bounded = any(name.partition(".")[0] in _NOT_EMPTY for name in names)

    def make(old: TaskSpec) -> TaskSpec | None:
        merged = task_pb2.TaskSpec.FromString(old.spec)
        mask.MergeMessage(given, merged, True, True)
        for name in _NOT_EMPTY:
            if merged.HasField(name) and not getattr(merged, name).ByteSize():
                merged.ClearField(name)
        if any(key not in merged.labels for key in merged.placement.distinct):
            return None
        data = serialize(merged)
        if bounded and len(data) > max(check.max_payload, len(old.spec)):
            return None
        return task_spec(merged, data)

    moves, expires = "not_before" in names, "start_deadline" in names
    changes = [_change(spec, name) for name in names]
    if queue:
        changes.append(Change(_QUEUE, "", queue))
    limits = tuple(spec.limits) if "limits" in names else ()
    return SpecUpdate(make, moves, expires, queue, size, limits), tuple(changes)


def _with_own_labels(spec: task_pb2.TaskSpec, names: Sequence[str]) -> task_pb2.TaskSpec:
    """The fields to check: a task that is `distinct` by labels has them, as far as is known."""
    if "labels" in names or not spec.placement.distinct:
        return spec
    found = task_pb2.TaskSpec()
    found.CopyFrom(spec)
    for key in spec.placement.distinct:
        if key not in found.labels:
            found.labels[key] = ""
    return found


def _check_target(queue: QueueName) -> None:
    """Whether the caller may put tasks into a queue, as CreateTask asks. Raises QuorateError."""
    caller = current_caller()
    if caller is None:
        return
    if not holds(caller.role, _SUBMIT):
        message = f"task.queue: the role {caller.role} may not {_SUBMIT}"
        raise denied("ROLE_LACKS_PERMISSION", message, caller, permission=_SUBMIT)
    if not caller.may_name(queue):
        message = f"task.queue: this caller is bound to {', '.join(caller.patterns)}"
        raise denied("FOREIGN_QUEUE", message, caller, field="task.queue")


def _names(task: task_pb2.Task, paths: Sequence[str]) -> list[str]:
    at_most("update_mask", len(paths), _MOST_PATHS, "paths")
    if not paths:
        set_ = [field.name for field, _ in task.spec.ListFields()]
        paths = [f"spec.{name}" for name in set_]
        if task.queue:
            paths.append(_QUEUE)
    names = []
    for path in paths:
        if path == _QUEUE:
            names.append(path)
            continue
        first, _, name = path.partition(".")
        top, _, below = name.partition(".")
        known = first == "spec" and top in UPDATABLE
        if below:
            known = known and below in _PARTS.get(top, ())
        if not known:
            raise invalid(
                "update_mask",
                f"{path[:80]!r} cannot be changed; these can: "
                + ", ".join([*(f"spec.{one}" for one in UPDATABLE), _QUEUE]),
                reason="INVALID_FIELD_MASK",
                value=path[:80],
            )
        names.append(name)
    if not names:
        raise invalid(
            "update_mask", "is required, or at least one field of task.spec, or task.queue"
        )
    return names


def _change(spec: task_pb2.TaskSpec, name: str) -> Change:
    if name.startswith("hooks"):
        # Their arguments may be long, and no business of whoever reads the log.
        return Change(name, "", "set" if spec.hooks.ByteSize() else "none")
    value: Any = spec
    for part in name.split("."):
        value = getattr(value, part)
    if hasattr(value, "ToJsonString"):
        top = name.split(".")[0]
        text = value.ToJsonString() if spec.HasField(top) else ""
    elif name == "labels":
        text = ", ".join(f"{key}={item}" for key, item in sorted(value.items()))
    elif name == "limits":
        text = ", ".join(value)
    else:
        text = " ".join(str(value).split())
    return Change(name, "", text[:_SHOWN] or "none")
