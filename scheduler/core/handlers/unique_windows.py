"""For how long a unique key is its task's beyond the end of that task.

A task with `UniqueKey.window` has its key until so long after its creation, or a retry by hand, if
it succeeds; whatever else finishes it frees the key at once. The window is a record of its own,
written with the task: it outlives the task's records, and a new leader knows it. Expired ones are
dropped with what retention drops.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from quorate.runtime.ids import QueueName
from scheduler.core.model.effects import DropUnique, Effects, PutUnique
from scheduler.core.model.limits.permits import UniqueWindow
from scheduler.core.model.rows import QueueRow, TaskRow
from scheduler.core.model.state import State

# In the whole cluster: about 300 bytes of memory each.
MOST_WINDOWS: Final = 100_000


def digest_of(key: str) -> str:
    """A key as it is named in records: of a fixed length, whatever characters it has."""
    return sha256(key.encode()).hexdigest()[:32]


def window_of(state: State, queue: QueueRow, key: str) -> UniqueWindow | None:
    """The window in which `key` is taken at this instant."""
    windows = state.permits.windows
    if not windows:
        return None
    window = windows.get((queue.name, digest_of(key)))
    if window is None or _is_over(window, queue, state.last_instant):
        return None
    return window


def take(state: State, row: TaskRow, now: float, out: Effects) -> None:
    """A task with a window is live from now on: the key is its own."""
    assert row.limits is not None
    name = row.queue.name, digest_of(row.limits.unique)
    window = UniqueWindow(row.id, now + row.limits.window, row.create_time)
    state.permits.windows[name] = window
    out.writes.append(PutUnique(*name, window))


def follow(state: State, row: TaskRow, queue: QueueRow, out: Effects) -> None:
    """A task with a window goes to another queue, and its key with it."""
    assert row.limits is not None
    digest = digest_of(row.limits.unique)
    window = state.permits.windows.get((row.queue.name, digest))
    if window is not None and window.task == row.id:
        del state.permits.windows[row.queue.name, digest]
        # Of the task in its queue: not before that was made.
        window = window._replace(create_time=max(window.create_time, queue.create_time))
        state.permits.windows[queue.name, digest] = window
        out.writes.append(DropUnique(row.queue.name, digest))
        out.writes.append(PutUnique(queue.name, digest, window))


def free(state: State, row: TaskRow, out: Effects) -> None:
    """A task with a window is finished without success: others may have its key."""
    assert row.limits is not None
    name = row.queue.name, digest_of(row.limits.unique)
    window = state.permits.windows.get(name)
    if window is not None and window.task == row.id:
        del state.permits.windows[name]
        out.writes.append(DropUnique(*name))


def drop_over(state: State, now: float, limit: int, out: Effects) -> None:
    """Drop up to `limit` windows that are over."""
    windows, dropped = state.permits.windows, []
    for _ in range(min(limit, len(windows))):
        name = next(iter(windows))
        window = windows.pop(name)
        if _is_over(window, state.queues.get(QueueName(name[0])), now):
            dropped.append(name)
        else:
            # Looked at again after the others.
            windows[name] = window
    out.purged_windows = dropped or None


def _is_over(window: UniqueWindow, queue: QueueRow | None, now: float) -> bool:
    return queue is None or window.until <= now or window.create_time < queue.create_time
