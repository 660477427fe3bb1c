"""What comes back from the log: chunks that are committed, chunks that were read."""

from __future__ import annotations

from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers import instants, merging
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.queue import Missing
from scheduler.core.broker.state import BrokerState


def on_chunks_committed(
    state: BrokerState,
    _limits: BrokerLimits,
    event: e.ChunksCommitted,
    _now: float,
    out: BrokerEffects,
) -> None:
    queue = state.queues.get(event.uid)
    if queue is None:
        # It was deleted meanwhile; its keys go after these.
        return
    queue.committed(event.sub_log, event.chunks)
    state.touched[event.uid] = None
    instants.watch(state, queue)
    merging.look(state, queue, event.sub_log, out)


def on_chunk_loaded(
    state: BrokerState,
    _limits: BrokerLimits,
    event: e.ChunkLoaded,
    _now: float,
    out: BrokerEffects,
) -> None:
    uid, sub_log, first, value = event
    # Those who look again look the sequence up again: the chunk may be merged by now.
    out.then += state.loaded(uid, Missing(sub_log, first))
    queue = state.queues.get(uid)
    if queue is None:
        return
    if value is not None and first in queue.lane(sub_log).log.chunks:
        state.window.put(uid, sub_log, first, value, wanted=True)
    state.touched[uid] = None
