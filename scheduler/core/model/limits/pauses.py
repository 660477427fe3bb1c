"""Pauses that hold for all tasks that match, and what waits because of them.

A task that a pause holds back is found when it is the first of its lane: then it is set aside, so
that it hides no other. Nothing is searched when a pause is made, however many tasks wait. When the
pause is over, what was set aside goes back, some in each pass of placement. A new leader knows the
pauses from the log and sets aside anew.

Owned by `State`. Memory: the pauses, and for each the queues and tenants of what was set aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from quorate.runtime.ids import QueueName
from scheduler.core.model.rows import PauseRow, QueueRow, TaskRow
from scheduler.core.values import Kind, Needs, TaskState, of_ordering_key

# Tasks that go back in one pass.
_BACK_AT_ONCE: Final = 1_000


@dataclass(slots=True, eq=False)
class Pauses:
    """The pauses by name."""

    rows: dict[str, PauseRow] = field(default_factory=dict)
    # Those that keep tasks from starting, and from being accepted, by name: whoever leads names the
    # same one of several that hold for a task.
    dispatch: tuple[PauseRow, ...] = ()
    admission: tuple[PauseRow, ...] = ()
    # By pause, where tasks were set aside; and the pauses of these that are over.
    aside: dict[str, dict[tuple[QueueName, str], None]] = field(default_factory=dict)
    over: dict[str, None] = field(default_factory=dict)

    def put(self, row: PauseRow) -> None:
        """A pause holds from now on."""
        self.rows[row.name] = row
        self._sort()

    def drop(self, name: str) -> None:
        """It no longer does."""
        if self.rows.pop(name, None) is not None:
            self._sort()
        if name in self.aside:
            self.over[name] = None

    def _sort(self) -> None:
        rows = [row for _, row in sorted(self.rows.items())]
        self.dispatch = tuple(row for row in rows if row.scope.dispatch)
        self.admission = tuple(row for row in rows if row.scope.admission)

    def next_end(self) -> float | None:
        """When the next one ends by itself."""
        return min((row.until for row in self.rows.values() if row.until), default=None)

    def of(self, row: TaskRow) -> PauseRow | None:
        """The first pause that keeps a task from starting."""
        return next(self.matching(row), None)

    def matching(self, row: TaskRow) -> Iterator[PauseRow]:
        """All of them. Replicas start whatever is paused."""
        if row.replica is None:
            for pause in self.dispatch:
                if pause.matches(row.queue.name, row.labels, row.tenant):
                    yield pause

    def set_aside(self, row: TaskRow, pause: PauseRow) -> None:
        """`row`, the first of its lane, waits apart from the others until the pause is over."""
        kind = row.kind
        if not isinstance(kind, Kind):
            kind = Kind(kind, (), False)
        _move(row, kind._replace(pause=pause.name))
        self.aside.setdefault(pause.name, {})[row.queue.name, row.tenant] = None

    def bring_back(self, queues: dict[QueueName, QueueRow]) -> bool:
        """Bring back some of what waited for pauses that are over; whether there is more."""
        left = _BACK_AT_ONCE
        for name in list(self.over):
            places = self.aside.get(name, {})
            for queue, tenant in list(places):
                row = queues.get(queue)
                order = row.pending.order_with(tenant) if row is not None else None
                while left and order is not None and (head := order.aside(name)) is not None:
                    _move(head, usual_kind(head.kind))
                    if head.limits is not None and head.limits.ordering:
                        # Those behind it were passed over because of it.
                        head.queue.pending.unpark(of_ordering_key(head.limits.ordering))
                    left -= 1
                if not left:
                    return True
                del places[queue, tenant]
            self.aside.pop(name, None)
            del self.over[name]
        return False


def _move(row: TaskRow, kind: Needs | Kind) -> None:
    """Let `row`, the first of its lane, wait in another lane of its order."""
    order = row.queue.pending.order_with(row.tenant)
    assert order is not None
    # As lanes see it, it leaves, and comes.
    row.state = TaskState.PAUSED
    order.discard(row)
    row.kind, row.state = kind, TaskState.PENDING
    order.push(row)


def forget_pause(row: TaskRow) -> None:
    """`row` is no longer PENDING. When it is again, whether a pause holds it back is asked anew."""
    if type(row.kind) is Kind and row.kind.pause:
        row.kind = usual_kind(row.kind)


def usual_kind(kind: Needs | Kind) -> Needs | Kind:
    """With which others a task waits when no pause holds it back."""
    if not isinstance(kind, Kind):
        return kind
    usual = kind._replace(pause="")
    return kind.needs if usual == Kind(kind.needs, (), False) else usual
