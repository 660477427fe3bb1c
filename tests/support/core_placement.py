"""Specs of tasks with placement rules, as the service makes them: from messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.v1 import task_pb2
from scheduler.core.values import TaskSpec
from scheduler.storage import records
from tests.support.core_specs import START


def placed(
    labels: Mapping[str, str] | None = None,
    *,
    cpu: float = 0.0,
    priority: int = 0,
    argv: Sequence[str] = ("true",),
    **options: object,
) -> TaskSpec:
    """A spec with the placement options of the SDK."""
    message = task_pb2.TaskSpec()
    message.command.argv.extend(argv)
    given: OptionArgs = {"labels": labels or {}, "cpu": cpu, "priority": priority, **options}  # type: ignore[typeddict-item]
    TaskOptions(**given).apply(message, now=START)
    return records.task_spec(message, message.SerializeToString(deterministic=True))
