"""Why a subtask of an array is where it is: its job's reasons first, then those of any task. Pure.

A job with something to give out stands in its queue's order as one task. So what holds that one
holds each pending subtask."""

from __future__ import annotations

from collections.abc import Iterator

from quorate.runtime.ids import TaskId
from quorate.runtime.sizes import plural
from scheduler.core.arrays.positions import BLOCK
from scheduler.core.model.jobs.subtasks import ahead_in_chunk, chunk_of
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.core.placement.explain import Explained, Reason, Why, at, explain, waits_for
from scheduler.core.values import JobState


def explain_subtask(state: State, job: JobRow, position: int, now: float) -> Explained | None:
    """Explain a subtask; None when it has finished."""
    number, place = divmod(position, BLOCK)
    block = job.array.blocks.get(number)
    if block is not None:
        if block.finished >> place & 1:
            return None
        if block.out >> place & 1:
            return Explained((_out(state, job, number, place),))
    if job.over:
        return None
    if block is not None and block.waiting >> place & 1:
        due = max(due for due, mask in block.waits.items() if mask >> place & 1)
        if due > now:
            failed = f"attempt {block.attempts_of(place)} failed"
            sentence = f"waits until {at(due)} for its next attempt: {failed}"
            return Explained((Reason(Why.BACKOFF, sentence, float(due)), *_held(job)))
    held = (*_held(job), *_in_graph(job, number, place))
    if job.entry is None:
        return Explained(held or (Reason(Why.STARTING, "it starts in a moment"),))
    found = explain(state, job.entry, now)
    # The entry's place in the order is the job's.
    reasons = [one for one in found.reasons if one.why is not Why.STARTING]
    ahead = _ahead(job, number, place)
    if ahead:
        verb = "goes" if ahead == 1 else "go"
        sentence = f"waits for its turn: {plural(ahead, 'earlier subtask')} of the job {verb} first"
        reasons.append(Reason(Why.TURN, sentence))
    if not reasons:
        reasons.extend(found.reasons)
    return found._replace(reasons=(*held, *reasons))


def _in_graph(job: JobRow, number: int, place: int) -> Iterator[Reason]:
    """What of its graph holds a subtask of an array back."""
    member = job.member
    if member is None or member.job.members is None:
        return
    graph, members = member.job, member.job.members
    if graph.loading:
        yield Reason(Why.JOB_LOADING, "waits until all tasks of its graph are created")
    if graph.state is JobState.PAUSED:
        yield Reason(Why.JOB_PAUSED, f"waits until job {graph.id} is resumed: it is paused")
    if job.blocked and not graph.loading:
        yield waits_for(member, members.nodes)
    each = member.each
    if each is None or each not in members.arrays:
        return
    other = members.arrays[each]
    block = other.array.blocks.get(number)
    if block is None or not block.succeeded >> place & 1:
        name, index = members.nodes[each].of.name, other.index(number * BLOCK + place)
        sentence = f'waits for subtask {index} of "{name}" to succeed'
        yield Reason(Why.BLOCKED, sentence, holders=(TaskId(f"{other.id}.{index}"),))


def _held(job: JobRow) -> Iterator[Reason]:
    """What of the job itself holds its subtasks back."""
    if job.loading:
        yield Reason(Why.JOB_LOADING, "waits until the items of its job are written")
    if job.state is JobState.PAUSED:
        yield Reason(Why.JOB_PAUSED, f"waits until job {job.id} is resumed: it is paused")
    limit = job.spec.max_parallel
    if limit and len(job.chunks) >= limit:
        sentence = f"waits for max_parallel of its job: {len(job.chunks)} of {limit} in use"
        yield Reason(Why.MAX_PARALLEL, sentence)


def _ahead(job: JobRow, number: int, place: int) -> int:
    """Pending subtasks with a lower position. Each block takes some 100 ns."""
    array = job.array
    before = sum(array.pending_mask(n).bit_count() for n in range(array.cursor, number))
    return before + (array.pending_mask(number) & ((1 << place) - 1)).bit_count()


def _out(state: State, job: JobRow, number: int, place: int) -> Reason:
    row = chunk_of(job, number * BLOCK + place)
    assert row is not None
    assert row.chunk is not None
    block = job.array.blocks[number]
    attempt = block.attempts_of(place)
    where = f"attempt {attempt} on node {row.node}"
    if row.cancel_requested:
        return Reason(Why.STOPPING, f"the job was cancelled, and {where} is being ended")
    if row.chunk.is_cancelled(number, place):
        return Reason(Why.STOPPING, f"it was cancelled, and {where} is being ended")
    node = state.nodes.get(row.node)
    if node is None or node.instance != row.instance or node.suspect_since or not node.connected:
        return Reason(
            Why.NODE_UNREACHABLE,
            f"{where} may still run, but the leader does not reach the node; if the node is gone, "
            "the subtask starts on another one",
        )
    if before := ahead_in_chunk(row, number * BLOCK + place):
        return Reason(
            Why.ASSIGNED,
            f"{where} was assigned at {at(row.assign_time)}; as far as the node reported, "
            f"{plural(before, 'earlier subtask')} in the same slot "
            f"{'goes' if before == 1 else 'go'} before it",
        )
    if not row.start_time:
        return Reason(
            Why.ASSIGNED, f"{where} was assigned at {at(row.assign_time)} and has not started there"
        )
    return Reason(Why.RUNNING, f"{where} is running: it was assigned at {at(row.assign_time)}")
