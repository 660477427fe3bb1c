"""What changes of a task that waits: options as `TaskOptions` has them, and the mask of a call."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from google.protobuf.field_mask_pb2 import FieldMask

from quorate.client.work.options import Instant, TaskOptions
from quorate.client.work.running.hooks import HookOption
from quorate.client.work.texts import text_of
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2


class UpdateArgs(TypedDict, total=False):
    """What can be changed; `TaskOptions` says what each means.

    `labels` and `limits` are replaced as a whole.

    `where` and `prefer` are one list of rules: who gives one of them replaces both. So are
    `placement` and `spread`, and a hook and its timeout. An empty value removes what was there.
    """

    priority: int
    retries: int
    backoff: float
    max_backoff: float
    fatal_errors: list[str | type[BaseException]]
    crash_limit: int
    timeout: float | None
    start_deadline: float | None
    delay: float
    not_before: Instant | None
    labels: dict[str, str]
    limit_key: str
    limits: Sequence[str]
    fairness_key: str
    ordering_key: str
    to_queue: str
    where: str | Sequence[str]
    prefer: str | Sequence[str]
    tolerate: str | Sequence[str]
    near: Mapping[str, str]
    apart: Mapping[str, str]
    distinct: str | Sequence[str]
    spread: str
    placement: str
    set_up: HookOption
    clean_up: HookOption
    set_up_timeout: float | None
    clean_up_timeout: float | None


_TO_QUEUE: Final = "to_queue"
_STRATEGY: Final = ("placement.strategy", "placement.spread")
# Of each option, the fields of a task's spec that it is.
PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "priority": ("priority",),
    "retries": ("retry.max_attempts",),
    "backoff": ("retry.initial_backoff",),
    "max_backoff": ("retry.max_backoff",),
    "fatal_errors": ("retry.fatal_errors",),
    "crash_limit": ("retry.crash_limit",),
    "timeout": ("timeout",),
    "start_deadline": ("start_deadline",),
    "delay": ("not_before",),
    "not_before": ("not_before",),
    "labels": ("labels",),
    "limit_key": ("limit_key",),
    "limits": ("limits",),
    "fairness_key": ("fairness_key",),
    "ordering_key": ("ordering_key",),
    "to_queue": ("queue",),
    "where": ("placement.nodes",),
    "prefer": ("placement.nodes",),
    "tolerate": ("placement.tolerations",),
    "near": ("placement.near",),
    "apart": ("placement.apart",),
    "distinct": ("placement.distinct",),
    "spread": _STRATEGY,
    "placement": _STRATEGY,
    "set_up": ("hooks.setup",),
    "clean_up": ("hooks.cleanup",),
    "set_up_timeout": ("hooks.setup",),
    "clean_up_timeout": ("hooks.cleanup",),
}


def update_of(changes: UpdateArgs) -> dict[str, Any]:
    """The fields `task` and `update_mask` of a call. A misspelt name is a TypeError.

    Raises QuorateError (INVALID_ARGUMENT) where nothing, or something impossible, is to change.
    """
    for name in changes:
        if name not in PATHS:
            raise TypeError(f"{name!r} cannot be changed; these can: {', '.join(PATHS)}")
    if not changes:
        raise invalid("changes", f"at least one is required: {', '.join(PATHS)}")
    queue = text_of(_TO_QUEUE, changes.get("to_queue", ""))
    if _TO_QUEUE in changes and not queue:
        raise invalid(_TO_QUEUE, "must name a queue")
    for name in ("set_up", "clean_up"):
        if f"{name}_timeout" in changes and not changes.get(name):
            raise invalid(name, f"is required with {name}_timeout")
    spec_paths = [f"spec.{path}" for name in changes if name != _TO_QUEUE for path in PATHS[name]]
    spec = task_pb2.TaskSpec()
    options = {name: value for name, value in changes.items() if name != _TO_QUEUE}
    TaskOptions().but(options).apply(spec, now=time.time())  # type: ignore[arg-type]
    spec.ClearField("trace_context")
    if "retries" in changes and not spec.HasField("retry"):
        # None, which an option that is left alone means too.
        spec.retry.max_attempts = 1
    if queue:
        spec_paths.append("queue")
    task = task_pb2.Task(spec=spec, queue=queue)
    return {"task": task, "update_mask": FieldMask(paths=dict.fromkeys(spec_paths))}
