"""Small chunks are merged in the background, and chunks of which little is alive.

`storage.merging` says which and how.

One merge of a sub-log at a time. None while the database is half full: a merge writes before it
frees.
"""

from __future__ import annotations

from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects, ChangeSubLog, ReadToMerge
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import Overflow
from scheduler.core.broker.state import BrokerState, Space
from scheduler.core.broker.storage import merging
from scheduler.core.broker.storage.bodies import unpack_refs
from scheduler.core.broker.storage.format import BadChunk, summarize
from scheduler.core.broker.storage.places import DELAYED, SubLogName
from scheduler.core.broker.storage.records import PutChunk

# So many small chunks are left alone: a queue that is nearly empty is never merged. Nor is one that
# holds a few messages at most and loses the oldest: most would be gone before they are read back.
LEAST_SMALL = 64
LEAST_SMALL_OF_LIMITED = 1_024


def look(state: BrokerState, queue: MessageQueue, sub_log: SubLogName, out: BrokerEffects) -> None:
    """Begin a merge if a sub-log has many small chunks and none is under way."""
    log = queue.lane(sub_log).log
    if sub_log in queue.merging or log.chunks.small < LEAST_SMALL:
        return
    if state.space is not Space.PLENTY:
        return
    start = queue.merged_until.get(sub_log, 0)
    spec = queue.row.spec
    if (spec.max_length or spec.max_length_bytes) and spec.overflow is Overflow.DROP_HEAD:
        if log.chunks.small < LEAST_SMALL_OF_LIMITED:
            return
        # The older half may go soon.
        start = max(start, log.chunks.firsts[len(log.chunks) // 2])
    plan = merging.plan(log, start)
    queue.merged_until[sub_log] = plan.following
    if plan.firsts:
        queue.merging[sub_log] = None
        out.now.append(ReadToMerge(queue.row.uid, sub_log, plan.firsts))


def on_merge_read(
    state: BrokerState, _limits: BrokerLimits, event: e.MergeRead, now: float, out: BrokerEffects
) -> None:
    queue = state.queues.get(event.uid)
    if queue is None:
        return
    queue.merging.pop(event.sub_log, None)
    if state.space is Space.NONE:
        # Deletions would go ahead of the puts.
        return
    lane = queue.lane(event.sub_log)
    try:
        change = merging.merge(lane.log, event.chunks, now)
    except BadChunk:
        # Kept as it is; `format` says who may have written it.
        return
    if change is None or not change.writes:
        return
    for first, _ in event.chunks:
        state.window.drop(event.uid, event.sub_log, first, first)
    state.bodies.release(change.released)
    for write in change.writes:
        if type(write) is PutChunk:
            summary = summarize(write.value)
            for ref in unpack_refs(summary.bodies):
                state.bodies.refer(ref)
            lane.watch(summary.first, summary.expiry)
            if event.sub_log != DELAYED:
                state.window.put(event.uid, event.sub_log, write.first, write.value, wanted=False)
    out.writes.append(ChangeSubLog(event.uid, event.sub_log, change.writes))
    state.touched[event.uid] = None
    look(state, queue, event.sub_log, out)
