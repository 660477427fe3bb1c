"""Calls of a `Cluster` that change something: each makes the event of one, ready to be repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scheduler.core.model import events as e
from scheduler.core.model.rows.pauses import PauseRow
from tests.support.core import Cluster

Token = Any


def signal_task(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    c.node(f"signalled-{number}")
    task = c.submit()
    row = c.row(task)
    c.step(e.AttemptStarted(row.instance, task, row.attempt, c.now))
    return lambda r, token: e.TaskSignalAsked(task, 10, r, token, "USR1")


def create_pause(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    row = PauseRow(f"pause-{number}")
    return lambda r, token: e.PauseSubmitted(row, r, token)


def delete_pause(c: Cluster, number: int) -> Callable[[e.Request, Token], e.Event]:
    row = PauseRow(f"gone-{number}")
    c.call(lambda token: e.PauseSubmitted(row, e.Request(), token))
    return lambda r, token: e.PauseDeleteAsked(row.name, row.queue, r, token)
