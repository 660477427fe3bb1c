"""How long finished tasks stay: by age and by count, per queue.

Only rows whose finishing is committed are looked at. What goes is named as runs of neighbours in
the order of creation, so that thousands are deleted by one range; a run never spans a task that is
live or still to be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from quorate.runtime.ids import TaskId
from scheduler.core.values import FINISHED

if TYPE_CHECKING:
    from scheduler.core.model.rows import FinishedRow, QueueRow
    from scheduler.core.model.state import State

# A tuple: sets are never iterated here.
FINISHED_STATES = tuple(sorted(FINISHED))


def expired(state: State, queue: QueueRow, now: float, limit: int) -> list[FinishedRow]:
    """Take up to `limit` rows off the queue's retained ones that are to be deleted."""
    rows: list[FinishedRow] = []
    retained = queue.retained
    on_record = sum(queue.counts[final] for final in FINISHED_STATES) - queue.kept
    while retained and len(rows) < limit:
        row = retained[0]
        if state.finished.get(row.id) is not row or row.member is not None:
            # Deleted, or retried by hand, since; or it goes with its job.
            retained.popleft()
            continue
        too_many = on_record - len(rows) > queue.retention_count
        if row.finish_time + queue.retention_age > now and not too_many:
            if row.finish_time > now and retained[-1].finish_time < row.finish_time:
                # By a leader that was ahead of time: what finished later may be due long before.
                # Once for each: behind this the earliest is in front.
                ordered = sorted(retained, key=lambda on_record: on_record.finish_time)
                retained.clear()
                retained.extend(ordered)
                continue
            break
        retained.popleft()
        rows.append(row)
    return rows


def runs(queue: QueueRow, rows: Sequence[FinishedRow]) -> list[tuple[TaskId, TaskId]]:
    """`rows` as maximal runs `[first, last]` of neighbours in the queue's index.

    Called before the rows leave the state: every id of the index that is not in `rows` ends a run,
    also one that is a hole already, which costs a longer list and nothing else.
    """
    found: list[tuple[TaskId, TaskId]] = []
    going = {row.id for row in rows}
    for row in sorted(rows, key=lambda row: row.id):
        if row.id not in going:
            continue
        last = row.id
        for task in queue.index.oldest_first(row.id):
            if task not in going:
                break
            going.discard(task)
            last = task
        found.append((row.id, last))
    return found
