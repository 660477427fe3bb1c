"""Why a live task is where it is: reasons, each with a plain sentence. Pure.

The same rules that placement goes by, asked for one task: the queue's pause, its limits, the
filters of each node, its place in the order. No scan: it looks at `LOOKED_AT` tasks and nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import IntEnum
from itertools import islice
from typing import Final, NamedTuple

from quorate.runtime.ids import NodeName, TaskId
from quorate.runtime.sizes import plural, size_text
from scheduler.core.graphs.members import place_of
from scheduler.core.model.limits.permits import of_key, of_queue, of_shared
from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.place_rules import (
    NODE_LABEL,
    Rules,
    broken_apart,
    broken_label,
    broken_near,
    not_tolerated,
)
from scheduler.core.placement.choosing import taints_of
from scheduler.core.placement.held_back import why_held_back
from scheduler.core.placement.reservation import keeps_from
from scheduler.core.placement.room import fits, fits_beside
from scheduler.core.queues.pending import Place
from scheduler.core.values import BLOB_STORE, NO_NEEDS, JobState, Needs, TaskPause, TaskState

NODES_SHOWN: Final = 50
LOOKED_AT: Final = 10_000
_HOLDERS: Final = 5
_CPU_ROUNDING: Final = 1e-6


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
    # Of subtasks, and of tasks of graphs.
    JOB_PAUSED = 61
    MAX_PARALLEL = 62
    JOB_LOADING = 63


class Filter(IntEnum):
    """Why a node does not take a task (`quorate.v1.NodeFilter`)."""

    NONE = 1
    DISCONNECTED = 2
    SUSPECT = 3
    CORDONED = 4
    DRAINING = 5
    DISK = 6
    CPU = 7
    MEMORY = 8
    COUNTER = 9
    SLOTS = 10
    RESOURCES = 11
    SCALING_DOWN = 12
    LABELS = 13
    TAINT = 14
    NEAR = 15
    APART = 16
    PLUGIN = 17
    RESERVED = 18


# Those that pass by themselves: the node could take the task.
_BUSY: Final = frozenset(
    (
        *(Filter.NONE, Filter.SLOTS, Filter.RESOURCES, Filter.SCALING_DOWN),
        *(Filter.NEAR, Filter.APART, Filter.RESERVED),
    )
)


class Reason(NamedTuple):
    """One reason. `until`: an instant, 0.0 where none is known."""

    why: Why
    sentence: str
    until: float = 0.0
    paused_by: str = ""
    holders: tuple[TaskId, ...] = ()


class Refused(NamedTuple):
    """Why a node does not take the task."""

    node: NodeName
    filter: Filter
    sentence: str


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
        return Explained((_blocked(row), *_paused(row)))
    if row.state is TaskState.PAUSED:
        return Explained((_held(row), *_paused(row)))
    if row.state is TaskState.SCHEDULED and row.not_before > now:
        return Explained((_scheduled(row), *_paused(row)))
    place = row.queue.pending.place_of(row, LOOKED_AT) if row.state is TaskState.PENDING else None
    names = sorted(state.nodes)
    filtered = [what_refuses(state, state.nodes[name], row) for name in islice(names, LOOKED_AT)]
    reasons = [*_paused(row), *_limited(state, row, now), *_reserved(state, row)]
    reasons.extend(_nodes(filtered))
    if place is not None and (place.ahead or place.higher or place.other_tenants):
        reasons.append(_turn(row, place))
    if not reasons:
        reasons.append(Reason(Why.STARTING, "nothing holds the task back: it starts in a moment"))
    return Explained(tuple(reasons), tuple(filtered[:NODES_SHOWN]), len(names), place)


def _blocked(row: TaskRow) -> Reason:
    """What a task of a job waits for."""
    member = row.member
    if member is None or member.job.members is None:
        return Reason(Why.BLOCKED, "the task waits for other tasks")
    job, nodes = member.job, member.job.members.nodes
    if job.loading:
        return Reason(Why.JOB_LOADING, "not all tasks of its job are created yet")
    if job.state is JobState.PAUSED:
        return Reason(Why.JOB_PAUSED, f"job {job.id} is paused; resume it")
    waits = [
        nodes[place_of(code)]
        for code in member.of.edges[:LOOKED_AT]
        if nodes[place_of(code)].outcome is None
    ]
    if not waits:
        return Reason(Why.BLOCKED, "all that the task waited for has ended: it goes on in a moment")
    first = waits[0]
    more = f" and {plural(len(waits) - 1, 'other task')}" if len(waits) > 1 else ""
    return Reason(
        Why.BLOCKED,
        f'the task waits for "{first.of.name}", which is {first.state.name}{more}',
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
        held = _held(row)
        sentence = f"{held.sentence}; its processes are stopped on node {row.node}"
        return held._replace(sentence=sentence)
    if not row.start_time:
        return Reason(
            Why.ASSIGNED, f"{where} was assigned at {at(row.assign_time)} and has not started there"
        )
    return Reason(Why.RUNNING, f"{where} has been running since {at(row.start_time)}")


def _held(row: TaskRow) -> Reason:
    by, reason, since = row.pause or TaskPause()
    sentence = f"the task is paused{by and f' by {by}'}{(since and f' since {at(since)}') or ''}"
    return Reason(Why.TASK_PAUSED, f"{sentence}{reason and f' ({reason})'}", paused_by=by)


def _scheduled(row: TaskRow) -> Reason:
    until = row.not_before
    if row.failures and row.past:
        last = row.past[-1]
        return Reason(
            Why.BACKOFF,
            f"attempt {last.number} failed with {last.error_type}; the next one may start at "
            f"{at(until)}",
            until,
        )
    return Reason(Why.NOT_BEFORE, f"the task may not start before {at(until)}", until)


def _paused(row: TaskRow) -> Iterator[Reason]:
    pause, queue = row.queue.pause, row.queue.name
    if not row.queue.paused or pause is None:
        return
    by = f" by {pause.by}" if pause.by else ""
    until = f" until {at(pause.until)}" if pause.until else ""
    why = f" ({pause.reason})" if pause.reason else ""
    sentence = f"queue {queue} is paused{by}{until}{why}"
    yield Reason(Why.QUEUE_PAUSED, sentence, pause.until, pause.by)


def _limited(state: State, row: TaskRow, now: float) -> Iterator[Reason]:
    sentence = why_held_back(state, row, now)
    if not sentence:
        return
    until = _next_start(state, row, now)
    holders: tuple[TaskId, ...] = ()
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
        sentence = f"node {held.node} keeps its room for the task since {at(held.since)}"
        yield Reason(Why.RESERVED, f"{sentence}: it starts when enough of it is free")


def _nodes(filtered: list[Refused]) -> Iterator[Reason]:
    if not filtered:
        yield Reason(Why.NO_NODE, "no node is registered")
        return
    if any(one.filter is Filter.NONE for one in filtered):
        return
    busy = [one for one in filtered if one.filter in _BUSY]
    if busy:
        sentence = f"every node that could take the task is busy: {busy[0].sentence}"
        if len(busy) > 1:
            sentence += f", and {plural(len(busy) - 1, 'more node')}"
        yield Reason(Why.NODES_BUSY, sentence)
        return
    sentence = f"no registered node can take the task: {filtered[0].sentence}"
    if len(filtered) > 1:
        sentence += f", and {plural(len(filtered) - 1, 'more node')}"
    yield Reason(Why.NO_NODE_FITS, sentence)


def what_refuses(state: State, node: NodeRow, row: TaskRow) -> Refused:
    """What placement says of a node for a task: its first filter that refuses."""
    found, words = _filter(state, node, row)
    return Refused(node.name, found, f"node {node.name} {words}")


def _filter(state: State, node: NodeRow, row: TaskRow) -> tuple[Filter, str]:
    control, needs = state.control(node.name), row.needs
    if node.suspect_since:
        return Filter.SUSPECT, "may be gone: its lease has ended"
    if not node.connected:
        return Filter.DISCONNECTED, "has no session with the leader"
    if control.draining:
        return Filter.DRAINING, "is being drained"
    if control.cordoned:
        return Filter.CORDONED, "is cordoned"
    if node.stats.disk_error:
        return Filter.DISK, f"cannot write to its disk ({node.stats.disk_error})"
    if (taint := not_tolerated(taints_of(state, node), row.rules)) is not None:
        return Filter.TAINT, f"has the taint {taint}, which the task does not tolerate"
    if row.rules is not None and (broken := _broken(row.rules, node)) is not None:
        return broken
    if needs is not NO_NEEDS and (lack := _lack(node, needs)) is not None:
        return lack
    if row.queue.place.filters and (why := state.plugins.rejection(row, node)):
        return Filter.PLUGIN, f"is refused by {why}"
    room = fits_beside if row.replica is not None else fits
    if not room(node, needs):
        if row.replica is None and len(node.allocation.rows) >= node.credit:
            return Filter.SLOTS, f"is full with {plural(len(node.allocation.rows), 'attempt')}"
        return Filter.RESOURCES, "has given the resources that the task needs to others"
    held = state.reservation
    if held is not None and keeps_from(held, node, row):
        return Filter.RESERVED, f"has free room held back for the reservation of {held.row.id}"
    if node.name in state.scaling_down:
        return Filter.SCALING_DOWN, "may be ended by a scale-down"
    return Filter.NONE, "has room"


def _broken(rules: Rules, node: NodeRow) -> tuple[Filter, str] | None:
    if (rule := broken_label(rules, node.name, node.labels)) is not None:
        value = node.labels.get(rule.label, node.name if rule.label == NODE_LABEL else None)
        has = f"{rule.label}={value}" if value is not None else f"no label {rule.label}"
        return Filter.LABELS, f"has {has}, and the task needs {rule}"
    running = node.allocation.labels
    if (near := broken_near(rules, running)) is not None:
        return Filter.NEAR, f"runs no task with the label {'='.join(near.label)}"
    if (apart := broken_apart(rules, running)) is not None:
        why = "each of these is on another node" if apart.distinct else "the task must be apart"
        return Filter.APART, f"runs a task with the label {'='.join(apart.label)}, and {why}"
    return None


def _lack(node: NodeRow, needs: Needs) -> tuple[Filter, str] | None:
    if needs.cpu > node.cpu + _CPU_ROUNDING:
        return Filter.CPU, f"has {node.cpu:g} cores, and the task needs {needs.cpu:g}"
    if needs.memory > node.memory:
        has, wanted = size_text(node.memory), size_text(needs.memory)
        return Filter.MEMORY, f"has {has} of memory, and the task needs {wanted}"
    for name, amount in needs.counters:
        if amount > node.counters.get(name, 0):
            there = node.counters.get(name, 0)
            if name == BLOB_STORE and not there:
                return Filter.COUNTER, "has no blob store for the task's large arguments"
            return Filter.COUNTER, f"has {there} {name}, and the task needs {amount}"
    return None


def _turn(row: TaskRow, place: Place) -> Reason:
    parts = []
    if place.higher:
        parts.append(f"{plural(place.higher, 'task')} with a higher priority")
    if place.ahead:
        about = "" if place.exact else "about "
        parts.append(f"{about}{plural(place.ahead, 'older task')} like it")
    sentence = ""
    if parts:
        verb = "goes" if place.higher + place.ahead == 1 else "go"
        sentence = f"{' and '.join(parts)} of queue {row.queue.name} {verb} before it"
    if place.other_tenants:
        turns = f"tenant {row.tenant} takes turns with others of queue {row.queue.name}"
        sentence = f"{sentence}; {turns}" if sentence else turns
    return Reason(Why.TURN, sentence)
