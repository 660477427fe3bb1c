"""What comes back from the log: chunks that are committed, chunks and bodies that were read."""

from __future__ import annotations

from typing import NamedTuple

from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects, DropBody, PutBodyPart
from scheduler.core.broker.handlers import instants, merging
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.combining import weight
from scheduler.core.broker.queues.queue import Missing
from scheduler.core.broker.state import BrokerState


class BodiesLeft(NamedTuple):
    """More bodies are to be deleted."""


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
        for summary, _ in event.chunks:
            state.bodies.release(summary.bodies)
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


def on_body_loaded(
    state: BrokerState,
    _limits: BrokerLimits,
    event: e.BodyLoaded,
    _now: float,
    out: BrokerEffects,
) -> None:
    # A body without a reference is gone, and so are the messages that it was read for.
    if state.bodies.references(event.ref.id):
        state.window.put_body(*event, wanted=True)
    out.then += state.body_loaded(event.ref)


def drop_unused(state: BrokerState, limits: BrokerLimits, out: BrokerEffects) -> None:
    """At the end of a step: delete bodies that nothing refers to any more, as many as its commit
    has room for. A part that the same step was to write is not written: a Txn puts nothing that it
    deletes."""
    bodies = state.bodies
    if not bodies.has_unused:
        return
    most = min(limits.unused_bodies, limits.step_writes - weight(out.writes))
    gone = dict(bodies.take_unused(most))
    if gone:
        out.writes = [
            one for one in out.writes if not (type(one) is PutBodyPart and one.body in gone)
        ]
    for body, parts in gone.items():
        state.window.bodies.drop(body)
        out.writes.append(DropBody(body, parts))
    if bodies.has_unused:
        out.then.append(BodiesLeft())
