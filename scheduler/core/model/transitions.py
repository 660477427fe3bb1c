"""The allowed transitions of a task, as data.

`tools/` draws the state diagram of docs/architecture.md from this table, and
`scheduler.core.model.invariants` holds every step of every test against it.
"""

from __future__ import annotations

from typing import Final

from scheduler.core.values import TaskState as S

TRANSITIONS: Final[dict[tuple[S | None, S], str]] = {
    (None, S.PENDING): "created",
    (None, S.SCHEDULED): "created with not_before",
    (S.SCHEDULED, S.PENDING): "its time has come",
    (S.SCHEDULED, S.CANCELLED): "cancelled",
    (S.PENDING, S.RUNNING): "given to a node",
    (S.PENDING, S.CANCELLED): "cancelled",
    (S.RUNNING, S.SUCCEEDED): "attempt succeeded",
    (S.RUNNING, S.SCHEDULED): "attempt failed, backoff",
    (S.RUNNING, S.FAILED): "attempts spent or crash limit",
    (S.RUNNING, S.PENDING): "node lost or handed back",
    (S.RUNNING, S.CANCELLED): "cancelled",
    (S.FAILED, S.PENDING): "retried by hand",
    (S.CANCELLED, S.PENDING): "retried by hand",
}
