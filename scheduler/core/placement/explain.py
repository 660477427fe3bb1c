"""Why a live task is where it is: reasons, each with a plain sentence. Pure.

The sentences are about the task. That of a reason to wait begins with "waits".

The same rules that placement goes by, asked for one task: the queue's pause, its limits, the
filters of each node, its place in the order. No scan: it looks at `LOOKED_AT` tasks and nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from itertools import islice
from typing import Final, NamedTuple

from quorate.runtime.ids import TaskId
from quorate.runtime.sizes import plural
from scheduler.core.graphs.members import Condition, Member, condition_of, place_of
from scheduler.core.model.limits.permits import of_key, of_queue, of_shared
from scheduler.core.model.rows import JobRow, PauseRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.placement.explain_nodes import BUSY, Refused, what_refuses
from scheduler.core.placement.explain_nodes import Filter as Filter
from scheduler.core.placement.held_back import another_first, why_held_back
from scheduler.core.queues.pending import Place
from scheduler.core.values import JobState, QueuePause, TaskPause, TaskState

NODES_SHOWN: Final = 50
LOOKED_AT: Final = 10_000
_HOLDERS: Final = 5


class Why(IntEnum):
    """What holds a task where it is (`quorate.v1.ExplainReason`)."""

    QUEUE_PAUSED = 1
    NOT_BEFORE = 2
    BACKOFF = 3
    LIMIT = 4
    NO_NODE = 5
    NO_NODE_FITS = 6
    NODES_BUSY = 7
    TURN = 8
    STARTING = 9
    ASSIGNED = 10
    RUNNING = 11
    STOPPING = 12
    NODE_UNREACHABLE = 13
    SUCCEEDED = 14
    FAILED = 15
    CRASH_LIMIT = 16
    CANCELLED = 17
    EXPIRED = 18
    DROPPED = 19
    TASK_PAUSED = 20
    BLOCKED = 21
    SKIPPED = 23
    RESERVED = 71
    PAUSED = 72
    REPLACES = 97
    ORDER = 98
    # Of subtasks, and of tasks of graphs.
    JOB_PAUSED = 61
    MAX_PARALLEL = 62
    JOB_LOADING = 63


class Reason(NamedTuple):
    """One reason. `until`: an instant, 0.0 where none is known."""

    why: Why
    sentence: str
    until: float = 0.0
    paused_by: str = ""
    holders: tuple[TaskId, ...] = ()


class Explained(NamedTuple):
    """The reasons, the one that matters first; of a PENDING task nodes and place too."""

    reasons: tuple[Reason, ...]
    nodes: tuple[Refused, ...] = ()
    nodes_total: int = 0
    place: Place | None = None


def explain(state: State, row: TaskRow, now: float) -> Explained:
    """Explain a task that is not finished."""
    if row.state is TaskState.RUNNING:
        return Explained((_running(state, row),))
    if row.state is TaskState.BLOCKED:
        return Explained((_blocked(row), *_paused(state, row)))
    if row.state is TaskState.PAUSED:
        pause = row.pause or TaskPause()
        sentence = f"waits until it is resumed: it has been paused{_held_by(pause)}"
        return Explained((_held(pause, sentence), *_paused(state, row)))
    if row.state is TaskState.SCHEDULED and row.not_before > now:
        return Explained((_scheduled(row), *_paused(state, row)))
    place = row.queue.pending.place_of(row, LOOKED_AT) if row.state is TaskState.PENDING else None
    names = sorted(state.nodes)
    filtered = [what_refuses(state, state.nodes[name], row) for name in islice(names, LOOKED_AT)]
    held = (*_paused(state, row), *_limited(state, row, now), *_reserved(state, row))
    reasons = [*held, *_nodes(filtered)]
    if place is not None and (place.ahead or place.higher or place.other_tenants):
        reasons.append(_turn(row, place))
    if not reasons:
        reasons.append(Reason(Why.STARTING, "nothing holds the task back: it starts in a moment"))
    return Explained(tuple(reasons), tuple(filtered[:NODES_SHOWN]), len(names), place)


def _blocked(row: TaskRow) -> Reason:
    """What a task of a job waits for."""
    member = row.member
    if member is None or member.job.members is None:
        return Reason(Why.BLOCKED, "waits for other tasks")
    job, nodes = member.job, member.job.members.nodes
    if job.loading:
        return Reason(Why.JOB_LOADING, "waits until all tasks of its job are created")
    if job.state is JobState.PAUSED:
        return Reason(Why.JOB_PAUSED, f"waits until job {job.id} is resumed: it is paused")
    return waits_for(member, nodes)


def waits_for(member: Member[JobRow], nodes: Sequence[Member[JobRow]]) -> Reason:
    """What a task of a graph waits for, or an array."""
    waits = [
        nodes[place_of(code)]
        for code in member.of.edges[:LOOKED_AT]
        if nodes[place_of(code)].outcome is None and condition_of(code) is not Condition.EACH
    ]
    if not waits:
        return Reason(Why.BLOCKED, "all that the task waited for has ended: it goes on in a moment")
    first = waits[0]
    more = f", and for {plural(len(waits) - 1, 'other task')}" if len(waits) > 1 else ""
    return Reason(
        Why.BLOCKED,
        f'waits for "{first.of.name}", which is {first.state.name}{more}',
        holders=tuple(other.task for other in waits[:_HOLDERS]),
    )


def at(instant: float) -> str:
    """An instant for people."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _running(state: State, row: TaskRow) -> Reason:
    node = state.nodes.get(row.node)
    where = f"attempt {row.attempt} on node {row.node}"
    if row.cancel_requested:
        return Reason(Why.STOPPING, f"the task was cancelled, and {where} is being ended")
    if node is None or node.instance != row.instance or node.suspect_since or not node.connected:
        return Reason(
            Why.NODE_UNREACHABLE,
            f"{where} may still run, but the leader does not reach the node; if the node is gone, "
            "the task starts on another one",
        )
    if row.pause is not None:
        sentence = f"the task has been paused{_held_by(row.pause)}"
        return _held(row.pause, f"{sentence}; its processes are stopped on {row.node}")
    if not row.start_time:
        return Reason(
            Why.ASSIGNED, f"{where} was assigned at {at(row.assign_time)} and has not started there"
        )
    return Reason(Why.RUNNING, f"{where} has been running since {at(row.start_time)}")


def _held(pause: TaskPause, sentence: str) -> Reason:
    return Reason(Why.TASK_PAUSED, sentence, paused_by=pause.by)


def _held_by(pause: TaskPause) -> str:
    """Who paused a task, since when and why."""
    since = f" since {at(pause.since)}" if pause.since else ""
    return f"{_by(pause)}{since}{pause.reason and f' ({pause.reason})'}"


def _scheduled(row: TaskRow) -> Reason:
    until = row.not_before
    if row.past and (row.failures or row.snoozed):
        last = row.past[-1]
        how = "asked to run again" if row.snoozed else f"failed with {last.error_type}"
        why = Why.NOT_BEFORE if row.snoozed else Why.BACKOFF
        sentence = f"waits until {at(until)} for its next attempt: attempt {last.number} {how}"
        return Reason(why, sentence, until)
    return Reason(Why.NOT_BEFORE, f"waits for its start time, {at(until)}", until)


def _paused(state: State, row: TaskRow) -> Iterator[Reason]:
    """The pause of its queue, and all that match the task."""
    pause = row.queue.pause
    if row.queue.paused and pause is not None:
        queue = f"queue {row.queue.name!r}"
        sentence = f"waits until {queue} is resumed: it is paused{_by(pause)}{_until(pause)}"
        yield Reason(Why.QUEUE_PAUSED, sentence, pause.until, pause.by)
    for one in state.pauses.matching(row):
        sentence = f"waits until pause {one.name!r}{_by(one)} ends: it holds back {one.of_what}"
        sentence += _until(one)
        yield Reason(Why.PAUSED, sentence, one.until, one.by)


def _by(pause: QueuePause | PauseRow | TaskPause) -> str:
    return f" by {pause.by}" if pause.by else ""


def _until(pause: QueuePause | PauseRow) -> str:
    """Until when, and why."""
    until = f" until {at(pause.until)}" if pause.until else ""
    return f"{until}{pause.reason and f' ({pause.reason})'}"


def _limited(state: State, row: TaskRow, now: float) -> Iterator[Reason]:
    words = why_held_back(state, row, now)
    if not words:
        return
    sentence = f"waits for {words}"
    holders: tuple[TaskId, ...] = ()
    other = another_first(row)
    if other is not None and other.words == words:
        holders = (other.task,) if other.task is not None else ()
        yield Reason(Why.REPLACES if other.replaced else Why.ORDER, sentence, holders=holders)
        return
    until = _next_start(state, row, now)
    if not until:
        holders = tuple(islice(_holders(state, row), _HOLDERS))
    yield Reason(Why.LIMIT, sentence, until, holders=holders)


def _next_start(state: State, row: TaskRow, now: float) -> float:
    """When the first rate limit that is used up lets something through; 0.0: it is no rate."""
    permits, queue, limits = state.permits, row.queue, row.queue.limits
    if limits.max_running and queue.running >= limits.max_running:
        return 0.0
    names = [(of_queue(queue.name), limits.rate)]
    for name in row.limits.shared if row.limits is not None else ():
        shared = permits.shared.get(name)
        if shared is None:
            continue
        if shared.max_running and permits.running.get(name, 0) >= shared.max_running:
            return 0.0
        names.append((of_shared(name), shared.rate))
    if row.limits is not None and row.limits.key:
        key, most = row.limits.key, limits.max_running_per_key
        if most and queue.running_by_key.get(key, 0) >= most:
            return 0.0
        names.append((of_key(queue.name, key), limits.rate_per_key))
    for rate_name, rate in names:
        if rate is not None and not permits.allowed(rate_name, rate, now):
            return permits.next_start(rate_name, rate, now)
    return 0.0


def _holders(state: State, row: TaskRow) -> Iterator[TaskId]:
    """Running tasks that hold what the limits of `row` count; among the first `LOOKED_AT`."""
    own = row.limits
    running = (one for a in state.allocations.values() for one in a.rows.values())
    whole = row.queue.limits.max_running
    full = bool(whole) and row.queue.running >= whole
    shared = frozenset(own.shared) if own is not None else frozenset()
    for one in islice(running, LOOKED_AT):
        of_queue_ = one.queue is row.queue and (full or _same_key(one, row))
        if of_queue_ or (one.limits is not None and not shared.isdisjoint(one.limits.shared)):
            yield one.id


def _same_key(one: TaskRow, other: TaskRow) -> bool:
    if one.limits is None or other.limits is None:
        return False
    return bool(one.limits.key) and one.limits.key == other.limits.key


def _reserved(state: State, row: TaskRow) -> Iterator[Reason]:
    held = state.reservation
    if held is not None and held.row is row:
        sentence = f"waits until node {held.node} has enough room"
        yield Reason(Why.RESERVED, f"{sentence}, which is kept for it since {at(held.since)}")


def _nodes(filtered: list[Refused]) -> Iterator[Reason]:
    if not filtered:
        yield Reason(Why.NO_NODE, "waits for a node: none is registered")
        return
    if any(one.filter is Filter.NONE for one in filtered):
        return
    busy = [one for one in filtered if one.filter in BUSY]
    if busy:
        words = busy[0].sentence
        if len(busy) > 1:
            more = len(busy) - 1
            words += f"; {plural(more, 'more node')} {'is' if more == 1 else 'are'} busy too"
        sentence = f"waits for room: every node that could take it is busy ({words})"
        yield Reason(Why.NODES_BUSY, sentence)
        return
    sentence = f"waits, but no registered node can take it: {filtered[0].sentence}"
    if len(filtered) > 1:
        sentence += f"; {plural(len(filtered) - 1, 'more node')} cannot take it either"
    yield Reason(Why.NO_NODE_FITS, sentence)


def _turn(row: TaskRow, place: Place) -> Reason:
    parts = []
    if place.higher:
        parts.append(f"{plural(place.higher, 'task')} with a higher priority")
    if place.ahead:
        about = "" if place.exact else "about "
        parts.append(f"{about}{plural(place.ahead, 'older task')} like it")
    of = f"of queue {row.queue.name!r}"
    said = []
    if parts:
        verb = "goes" if place.higher + place.ahead == 1 else "go"
        said.append(f"{' and '.join(parts)} {of} {verb} first")
    if place.other_tenants:
        said.append(f"tenant {row.tenant} takes turns with others {of}")
    return Reason(Why.TURN, f"waits for its turn: {'; '.join(said)}")
