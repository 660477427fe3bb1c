"""UpdateTasks as a pure core is asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quorate.runtime.ids import TaskId
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone
from scheduler.core.values import BulkAct
from tests.support.core import Cluster
from tests.support.core_specs import spec_update


def asked(
    c: Cluster,
    tasks: Sequence[TaskId],
    request: e.Request = e.Request(),  # noqa: B008 (a tuple)
    **fields: Any,
) -> object:
    """The answer; `fields` are those of `spec_update`."""
    return c.call(
        lambda token: e.BulkAsked(
            tasks, frozenset(), request, token, act=BulkAct.UPDATE, update=spec_update(**fields)
        )
    )


def update(
    c: Cluster,
    tasks: Sequence[TaskId],
    request: e.Request = e.Request(),  # noqa: B008 (a tuple)
    **fields: Any,
) -> tuple[int, ...]:
    """What became of the tasks: updated, not waiting, skipped, not found, refused."""
    answer = asked(c, tasks, request, **fields)
    assert isinstance(answer, BulkDone), answer
    return tuple(answer.counts)
