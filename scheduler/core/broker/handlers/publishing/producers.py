"""How far producers are: which numbers are settled, and how. Those that are idle are forgotten.

A call that is repeated with its request id is known in the same way: its key is a producer, and all
of it is number 1.
"""

from __future__ import annotations

from quorate.runtime.errors import invalid
from scheduler.core.broker import effects as fx
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.publishing import rejections
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import ProducerRow
from scheduler.core.broker.state import BrokerState

# Of timers: producers that are to be forgotten.
PRODUCERS = "producers"
_FORGET_EVERY = 60.0
_FORGOTTEN_AT_ONCE = 256


def check_same(known: ProducerRow | None, digest: bytes) -> None:
    """Raise INVALID_ARGUMENT if a request id was used for a call that asked for something else."""
    # Earlier versions noted none.
    if known is not None and known.digest and known.digest != digest:
        raise invalid(
            "request_id",
            "was used for a different request; choose a new one",
            reason="REQUEST_ID_REUSED",
        )


def hold(state: BrokerState, limits: BrokerLimits, row: ProducerRow) -> ProducerRow:
    """How far a producer is, as this leader knows it; within the bounds of `rejections`."""
    known = state.producers.pop(row.key, None)
    if known is not None:
        state.refused_runs -= len(known.refused)
    row = state.producers[row.key] = rejections.bounded(state, limits, row)
    state.refused_runs += len(row.refused)
    return row


def remember(
    state: BrokerState, limits: BrokerLimits, row: ProducerRow, now: float, out: BrokerEffects
) -> None:
    """How far a producer is goes on record. Those that published least lately make room."""
    out.writes.append(fx.PutProducer(hold(state, limits, row)))
    if len(state.producers) > limits.producers:
        _forget(state, next(iter(state.producers)), out)
    state.timers.sooner((PRODUCERS, ""), now + _FORGET_EVERY)


def producers_due(
    state: BrokerState, limits: BrokerLimits, _name: str, now: float, out: BrokerEffects
) -> None:
    """Producers that did not publish for long are forgotten, some at a time."""
    for _ in range(_FORGOTTEN_AT_ONCE):
        oldest = next(iter(state.producers.values()), None)
        if oldest is None:
            return
        if oldest.instant > now - limits.producer_keep:
            break
        _forget(state, oldest.key, out)
    else:
        state.timers.put((PRODUCERS, ""), now)
        return
    state.timers.put((PRODUCERS, ""), now + _FORGET_EVERY)


def _forget(state: BrokerState, key: str, out: BrokerEffects) -> None:
    state.refused_runs -= len(state.producers.pop(key).refused)
    out.writes.append(fx.DropProducer(key))
