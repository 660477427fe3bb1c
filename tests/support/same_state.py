"""Compares two states field by field: what a leader knows with what a standby folded of its writes.

Fields are found by introspection, so a new field is compared unless `EXCEPTIONS` names it. An entry
there says how the field is compared instead, and why; most of them are the leader's own memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from quorate.runtime.ids import TaskId
from scheduler.core.arrays.array import Array
from scheduler.core.arrays.block import Block
from scheduler.core.arrays.chunk import Chunk
from scheduler.core.graphs.members import Member, Members
from scheduler.core.model import transitions
from scheduler.core.model.indexes.audit_index import AuditIndex
from scheduler.core.model.indexes.usage import Usage
from scheduler.core.model.jobs.moves import come_due, next_due
from scheduler.core.model.limits.pauses import Pauses, usual_kind
from scheduler.core.model.limits.permits import Permits
from scheduler.core.model.rows import (
    Allocation,
    DedupRow,
    FinishedRow,
    JobRow,
    NodeRow,
    QueueRow,
    TaskRow,
)
from scheduler.core.model.schedules import ScheduleIndex, ScheduleRow
from scheduler.core.model.state import State
from scheduler.core.queues.index import TaskIndex
from scheduler.core.queues.lines import Line
from scheduler.core.queues.pending import PendingOrder
from scheduler.core.values import TaskState, is_due


class Sides(NamedTuple):
    """Two objects that are compared, and the states that they belong to."""

    leader: Any
    standby: Any
    leader_state: State
    standby_state: State


Rule = Callable[[Sides], bool]


def anything(sides: Sides) -> bool:
    """The field is not compared."""
    return True


def by(render: Callable[[Any, State], object]) -> Rule:
    """What `render(owner, state)` makes of both is equal."""
    return lambda sides: (
        render(sides.leader, sides.leader_state) == render(sides.standby, sides.standby_state)
    )


def _start_time(sides: Sides) -> bool:
    known, row = sides.standby.start_time, sides.leader
    recent = {(task, attempt) for _, task, attempt in sides.leader_state.recent_starts}
    return known == row.start_time or (not known and (row.id, row.attempt) in recent)


def _alive(done: Iterable[FinishedRow], state: State) -> list[str]:
    return sorted(row.id for row in done if state.finished.get(row.id) is row)


def _kinds(order: PendingOrder[TaskRow]) -> list[tuple[str, int]]:
    # Those that are paused wait in lanes of their own, once a leader has met them.
    sums: dict[str, int] = {}
    for needs, count in order.kinds():
        sums[repr(needs)] = sums.get(repr(needs), 0) + count
    return sorted(sums.items())


def _timers(state: State) -> set[tuple[float, str]]:
    return {(row.not_before, t) for t, row in state.tasks.items() if row.state.name == "SCHEDULED"}


def _live_timers(state: State, _: State) -> bool:
    """Each SCHEDULED task has its timer."""
    return _timers(state) <= set(state.timers)


def _dead(state: State) -> list[tuple[str, str, list[str]]]:
    return sorted((g.queue, g.id, sorted(g.rows)) for g in state.dead.groups())


def _expiring(state: State) -> tuple[int, float | None, list[tuple[TaskId, float]]]:
    rows = [r for r in state.tasks.values() if r.expires and r.state is TaskState.PENDING]
    expiring = sorted((row.id, row.expire_at) for row in rows)
    return state.deadlines.waiting, state.deadlines.next(), expiring


REFERENCE = "the row is compared where it belongs"
MEMORY = "the leader's memory, of this session or this call; no record has it"
OWN = "each process counts what it saw"

EXCEPTIONS: Mapping[tuple[type, str], tuple[Rule, str]] = {
    (State, "waiting"): (by(lambda s, _: sorted(s.waiting)), "the order of turns is memory"),
    (State, "allocations"): (
        by(
            lambda s, _: {
                i: (sorted(a.rows), round(a.cpu, 6), a.memory, _counted(a))
                for i, a in s.allocations.items()
                if a.rows
            }
        ),
        "empty ones of processes without a row come and go; sums of cores differ in the last bit",
    ),
    (State, "progress"): (anything, MEMORY),
    (State, "answers"): (
        by(lambda s, _: {kind: n for kind, n in s.answers.items() if n}),
        "a kind may have had answers",
    ),
    (State, "dedup_line"): (
        by(lambda s, _: {key for key in s.dedup_line if key in s.dedup}),
        "the order is by when they were looked at last, which is memory",
    ),
    (State, "replicas"): (by(lambda s, _: {n: set(r) for n, r in s.replicas.items()}), REFERENCE),
    (State, "touched"): (anything, "services are looked at by the leader alone"),
    (State, "_durable"): (anything, "a cache"),
    (State, "timers"): (by(_live_timers), "entries of tasks that moved on may be left"),
    (State, "_dead_timers"): (anything, "how many entries are left"),
    (State, "recent_starts"): (anything, MEMORY),
    (State, "illegal_moves"): (by(lambda s, _: s.illegal_moves), "checked, and never filled"),
    (State, "last_id"): (
        lambda sides: max(sides.leader.tasks, default="") <= sides.standby.last_id,
        "of tasks that are gone a snapshot knows nothing: their ids may be given again",
    ),
    (State, "last_instant"): (
        lambda sides: sides.standby.last_instant <= sides.leader.last_instant + 0.001,
        "the leader's is that of its last step, which may have written nothing; ids of audit "
        "entries, which are instants, may be some microseconds ahead",
    ),
    (TaskRow, "queue"): (by(lambda row, _: row.queue.name), REFERENCE),
    (TaskRow, "creator"): (by(lambda row, _: row.creator.name), REFERENCE),
    (TaskRow, "start_time"): (
        _start_time,
        "the start of an attempt is on record once it has lived for a second",
    ),
    (State, "deadlines"): (
        by(lambda s, _: _expiring(s)),
        "entries of tasks that left may be there",
    ),
    (State, "dead"): (by(lambda s, _: _dead(s)), "the order within a group is by time"),
    (FinishedRow, "dead"): (by(lambda row, _: row.dead and row.dead.id), REFERENCE),
    (FinishedRow, "queue"): (by(lambda row, _: row.queue.name), REFERENCE),
    (FinishedRow, "creator"): (by(lambda row, _: row.creator.name), REFERENCE),
    (QueueRow, "retained"): (
        by(lambda q, s: _alive(q.retained, s)),
        "rows that are deleted or live again are skipped when they are met",
    ),
    (QueueRow, "finished_total"): (anything, OWN),
    (QueueRow, "last_finish"): (anything, OWN),
    (QueueRow, "turn"): (anything, "where round robin goes on is memory"),
    (QueueRow, "text"): (anything, "a text that rows may share; the rows' are compared"),
    (Permits, "arrivals"): (
        lambda sides: (
            sides.leader.arrivals.keys() == sides.standby.arrivals.keys()
            and all(a <= sides.standby.arrivals[n] for n, a in sides.leader.arrivals.items())
        ),
        "one that is too far ahead under a changed limit is cut in memory",
    ),
    (Permits, "latest"): (anything, MEMORY),
    (Permits, "wake_at"): (anything, MEMORY),
    (Permits, "wakes"): (anything, MEMORY),
    (Permits, "waking"): (anything, MEMORY),
    (QueueRow, "coming_unique"): (anything, MEMORY),
    (Usage, "coming_tasks"): (anything, MEMORY),
    (Usage, "coming_units"): (anything, MEMORY),
    (Usage, "coming_blobs"): (anything, MEMORY),
    (Usage, "coming_subtasks"): (anything, MEMORY),
    (DedupRow, "waiters"): (anything, MEMORY),
    (NodeRow, "allocation"): (by(lambda n, _: sorted(n.allocation.rows)), REFERENCE),
    (NodeRow, "suspect_since"): (
        by(lambda n, _: bool(n.suspect_since)),
        "by the clock of whoever noticed",
    ),
    (NodeRow, "connected"): (anything, MEMORY),
    (NodeRow, "credit"): (anything, MEMORY),
    (NodeRow, "stats"): (anything, MEMORY),
    (NodeRow, "failure"): (anything, MEMORY),
    (ScheduleIndex, "live"): (by(lambda i, _: {n: set(t) for n, t in i.live.items()}), REFERENCE),
    (ScheduleIndex, "touched"): (anything, "schedules are looked at by the leader alone"),
    (ScheduleIndex, "timers"): (anything, "schedules are looked at by the leader alone"),
    (ScheduleRow, "due"): (anything, MEMORY),
    (ScheduleRow, "blocked"): (anything, MEMORY),
    (ScheduleRow, "blocked_since"): (anything, MEMORY),
    (ScheduleRow, "admitted"): (anything, MEMORY),
    (State, "job_timers"): (by(lambda s, _: next_due(s)), "entries that moved on may be left"),
    (State, "job_changes"): (anything, OWN),
    (State, "recall_at"): (anything, MEMORY),
    (State, "aside_at"): (anything, MEMORY),
    (State, "aside_from"): (anything, MEMORY),
    (State, "reservation"): (anything, MEMORY),
    (Pauses, "aside"): (anything, MEMORY),
    (Pauses, "over"): (anything, MEMORY),
    (TaskRow, "kind"): (
        by(lambda row, _: usual_kind(row.kind)),
        "what a pause holds back waits apart once a leader has met it",
    ),
    (State, "reserve_at"): (anything, MEMORY),
    (State, "slot_time"): (anything, MEMORY),
    (State, "to_merge"): (anything, MEMORY),
    (QueueRow, "jobs"): (by(lambda q, _: sorted(q.jobs)), REFERENCE),
    (QueueRow, "entries"): (by(lambda q, _: sorted(q.entries)), REFERENCE),
    (QueueRow, "retained_jobs"): (
        by(
            lambda q, _: sorted(
                {job.id for job in q.retained_jobs if job.finished and q.jobs.get(job.id) is job}
            )
        ),
        "rows that are live again are skipped when they are met",
    ),
    (TaskRow, "job"): (by(lambda row, _: row.job.id if row.job else ""), REFERENCE),
    (TaskRow, "member"): (by(lambda row, _: row.member and row.member.task), REFERENCE),
    (FinishedRow, "member"): (by(lambda row, _: row.member and row.member.task), REFERENCE),
    (Member, "job"): (by(lambda member, _: member.job.id), REFERENCE),
    (Member, "cursor"): (anything, MEMORY),
    (Member, "round"): (
        lambda sides: sides.leader.live or sides.leader.round == sides.standby.round,
        "it is on record with the end of the task",
    ),
    (Member, "part"): (by(lambda member, _: member.part.id if member.part else ""), REFERENCE),
    (Members, "arrays"): (by(lambda members, _: sorted(members.arrays)), REFERENCE),
    (Members, "each"): (
        by(lambda members, _: {n: sorted(places) for n, places in members.each.items()}),
        "the order is by which array came first",
    ),
    (Members, "nodes"): (by(lambda members, _: [node.task for node in members.nodes]), REFERENCE),
    (Members, "led"): (anything, MEMORY),
    (Members, "due"): (anything, MEMORY),
    (Members, "wanted"): (anything, MEMORY),
    (Members, "continuing"): (anything, MEMORY),
    (Members, "coming"): (anything, MEMORY),
    (Members, "coming_keys"): (anything, MEMORY),
    (Members, "_dependents"): (anything, "a cache"),
    (JobRow, "queue"): (by(lambda job, _: job.queue.name), REFERENCE),
    (JobRow, "creator"): (by(lambda job, _: job.creator.name), REFERENCE),
    (JobRow, "parent"): (by(lambda job, _: job.parent.id if job.parent else ""), REFERENCE),
    (JobRow, "member"): (by(lambda job, _: job.member and job.member.task), REFERENCE),
    (JobRow, "children"): (by(lambda job, _: list(job.children)), REFERENCE),
    (JobRow, "chunks"): (by(lambda job, _: sorted(job.chunks)), REFERENCE),
    (JobRow, "entry"): (by(lambda job, _: job.entry is not None), REFERENCE),
    (JobRow, "durations"): (anything, MEMORY),
    (JobRow, "settled"): (anything, MEMORY),
    (Chunk, "recalled"): (anything, MEMORY),
    (Chunk, "heard"): (anything, MEMORY),
    (Chunk, "reported"): (anything, MEMORY),
    (Chunk, "suspect"): (
        by(lambda chunk, _: bool(chunk.left) and chunk.suspect),
        "of what is left: of nothing, nobody asks",
    ),
}

# What is not made of fields that say something: these are compared by what they are for.
RENDERED: Mapping[type, Callable[[Any, State], object]] = {
    Array: lambda array, _: (
        array.count,
        {number: _block(block) for number, block in array.blocks.items() if _block(block)},
        round(array.run_seconds, 3),
        array.stored_bytes,
        array.gated,
        array.shut_out,
    ),
    # The greatest id ever given is in no record once all entries are gone.
    AuditIndex: lambda audit, _: (
        audit.below(1 << 62, 0, 1 << 20),
        audit.last if len(audit) else 0,
    ),
    PendingOrder: lambda order, _: (order.size, _kinds(order), getattr(order.oldest(), "id", "")),
    Line: lambda line, _: sorted(line.tasks),
    TaskIndex: lambda index, s: (index.size, [t for t in index.oldest_first("") if s.on_record(t)]),
}


def _block(block: Block) -> tuple[object, ...]:
    """What a block says; nothing of one that was touched and is as at the beginning."""
    failures = bytes(block.failures or b"").rstrip(b"\0")
    earlier = bytes(block.earlier or b"").rstrip(b"\0")
    waits = tuple(sorted(block.waits.items()))
    crashes = tuple(sorted(block.crashes.items()))
    said = (block.succeeded, block.failed, block.out, waits, failures, earlier, crashes)
    rest = (round(block.run_seconds, 3), block.run_count, block.stored_bytes)
    return (*said, *rest) if any(said) or any(rest) else ()


def differences(leader: State, standby: State) -> list[str]:
    """What differs, each with its path; empty when nothing does."""
    found: list[str] = []
    _fields(Sides(leader, standby, leader, standby), "state", found)
    return found


def settle(state: State, now: float) -> None:
    """Make tasks that are due PENDING, as the next leader would: nothing is written of it."""
    for row in list(state.tasks.values()):
        if row.state.name == "SCHEDULED" and is_due(row.not_before, now):
            transitions.come_due(state, row)
    come_due(state, now, 10_000)


def names_of(owner: object) -> set[str]:
    """The attributes of a state or a row."""
    if is_dataclass(owner):
        return {field.name for field in fields(owner)}
    return set(vars(owner))


def _counted(allocation: Allocation) -> dict[str, int]:
    return {name: count for name, count in allocation.counters.items() if count}


def _fields(sides: Sides, path: str, found: list[str]) -> None:
    leader, standby = sides.leader, sides.standby
    for name in sorted(names_of(leader) | names_of(standby)):
        here = f"{path}.{name}"
        rule = EXCEPTIONS.get((type(leader), name))
        one, other = getattr(leader, name, None), getattr(standby, name, None)
        if rule is None:
            _compare(sides._replace(leader=one, standby=other), here, found)
        elif not rule[0](sides):
            found.append(f"{here}: {one!r} is not {other!r} ({rule[1]})"[:2_000])


def _compare(sides: Sides, path: str, found: list[str]) -> None:
    leader, standby = sides.leader, sides.standby
    render = RENDERED.get(type(leader))
    if type(leader) is not type(standby):
        found.append(f"{path}: {leader!r} is not {standby!r}"[:2_000])
    elif render is not None:
        one, other = render(leader, sides.leader_state), render(standby, sides.standby_state)
        if one != other:
            found.append(f"{path}: {one!r} is not {other!r}"[:2_000])
    elif isinstance(leader, dict):
        if only := leader.keys() ^ standby.keys():
            found.append(f"{path}: only one has {sorted(map(str, only))}"[:2_000])
        for key in leader.keys() & standby.keys():
            both = sides._replace(leader=leader[key], standby=standby[key])
            _compare(both, f"{path}[{key!r}]", found)
    elif isinstance(leader, list | deque):
        if len(leader) != len(standby):
            found.append(f"{path}: {len(leader)} is not {len(standby)} entries")
        for place, (one, other) in enumerate(zip(leader, standby, strict=False)):
            both = sides._replace(leader=one, standby=other)
            _compare(both, f"{path}[{place}]", found)
    elif is_dataclass(leader):
        _fields(sides, path, found)
    elif leader != standby:
        found.append(f"{path}: {leader!r} is not {standby!r}"[:2_000])
