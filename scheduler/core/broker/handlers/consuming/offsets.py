"""Named offsets of streams: where the readers that use a name go on.

The last one who stores an offset decides, unless it names the one that it expects: then a reader
that lost its place to another one with its name finds out.
"""

from __future__ import annotations

from quorate.runtime.errors import exhausted, invalid, not_found, precondition
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.message_queues import used_by
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.routing import checks
from scheduler.core.broker.rows import NO_SESSION, NamedOffset
from scheduler.core.broker.state import BrokerState


def on_offset_asked(
    state: BrokerState, limits: BrokerLimits, event: e.OffsetAsked, now: float, out: BrokerEffects
) -> None:
    queue = _stream(state, event.virtual_host, event.queue)
    checks.name("name", event.name)
    if event.offset > queue.next_offset:
        raise invalid(
            "offset",
            f"is {event.offset}; the next message of stream {event.queue!r} gets "
            f"{queue.next_offset}, so no reader is beyond that",
            reason="OFFSET_OUT_OF_RANGE",
            limit=queue.next_offset,
            value=event.offset,
        )
    known = queue.offsets.get(event.name)
    current = 0 if known is None else known.offset
    # What is there already is answered whatever was expected: a call may be repeated whose answer
    # was lost.
    if event.expected not in (None, current) and (known is None or event.offset != current):
        raise precondition(
            "STREAM_OFFSET_MOVED",
            f"offset {event.name!r} of stream {event.queue!r} is {current}, not {event.expected}; "
            "another reader has stored it",
            field="expected_offset",
            current=current,
        )
    if known is None:
        _room(state, limits, queue)
    row = NamedOffset(event.name, event.offset, now)
    if known is None or known.offset != row.offset:
        state.put_offset(queue.row.uid, row)
        out.writes.append(fx.PutOffset(queue.row.uid, row))
    out.after.append(fx.Reply(event.token, queue.offsets[event.name]))


def on_offset_drop_asked(
    state: BrokerState,
    _limits: BrokerLimits,
    event: e.OffsetDropAsked,
    _now: float,
    out: BrokerEffects,
) -> None:
    queue = _stream(state, event.virtual_host, event.queue)
    if event.name not in queue.offsets:
        raise not_found("stream_offset", event.name)
    state.drop_offset(queue.row.uid, event.name)
    out.writes.append(fx.DropOffset(queue.row.uid, event.name))
    out.after.append(fx.Reply(event.token, None))


def _stream(state: BrokerState, virtual_host: str, name: str) -> MessageQueue:
    queue = used_by(state, virtual_host, name, NO_SESSION)
    if not queue.is_stream:
        raise precondition(
            "NO_STREAM",
            f"message queue {name!r} is no stream, and has no offsets",
            message_queue=name,
        )
    return queue


def _room(state: BrokerState, limits: BrokerLimits, queue: MessageQueue) -> None:
    if len(queue.offsets) >= limits.stream_offsets:
        raise exhausted(
            "TOO_MANY_STREAM_OFFSETS",
            f"stream {queue.row.name!r} has {len(queue.offsets)} named offsets, the most it may "
            "have; delete some",
            limit=limits.stream_offsets,
        )
    if state.named_offsets >= limits.offsets:
        raise exhausted(
            "TOO_MANY_STREAM_OFFSETS",
            f"all streams together have {state.named_offsets} named offsets, the most there may "
            "be; delete some",
            limit=limits.offsets,
        )
