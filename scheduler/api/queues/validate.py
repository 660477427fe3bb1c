"""Bounds of the requests about queues; see `scheduler.api.validate`."""

from __future__ import annotations

from typing import Final

from quorate.runtime.errors import invalid
from quorate.security.identity import current_caller
from quorate.security.message_names import check_exchange
from quorate.v1 import queue_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api import rates
from scheduler.api.validate import (
    DAY,
    MAX_AHEAD,
    MAX_LABEL,
    NAME,
    at_most,
    between,
    duration,
    known_enum,
)
from scheduler.core.broker.routing.checks import RESERVED
from scheduler.core.broker.routing.virtual_host import PREDECLARED
from scheduler.core.broker.state import DEFAULT_VIRTUAL_HOST
from scheduler.core.place_rules import PlaceSettings
from scheduler.core.values import (
    Disconnect,
    EventsTo,
    LengthPolicy,
    PauseScope,
    Placement,
    QueueLimits,
    QueueOrder,
    QueuePause,
    QueueSettings,
)

MAX_RETAINED = 1_000_000
MAX_WEIGHTS = 1_000
MAX_FILTERS = 8
# Bytes of the name of an exchange or a virtual host.
MAX_EXCHANGE = 255
_PREDECLARED: Final = frozenset(name for name, _ in PREDECLARED)
# What UpdateQueue may change.
SETTABLE: Final = (
    *("placement", "retention", "disconnect"),
    *("max_running", "rate", "max_running_per_key", "rate_per_key"),
    *("max_length", "length_policy", "weights", "aging", "share"),
    *("spread_label", "filters", "score", "events"),
)


def settings(queue: queue_pb2.Queue) -> QueueSettings:
    """The settings of a queue, defaults included.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field and the limit.
    """
    age, count = retention(queue)
    placement = known_enum("queue.placement", queue.placement, range(len(Placement) + 1))
    disconnect = known_enum("queue.disconnect", queue.disconnect, range(3))
    policy = known_enum("queue.length_policy", queue.length_policy, range(3))
    length = rates.count(queue, "max_length", "queue")
    if policy and not length:
        raise invalid("queue.length_policy", "has an effect only with max_length; set it too")
    return QueueSettings(
        Placement(placement or Placement.LEAST_LOADED),
        Disconnect(disconnect or Disconnect.KEEP),
        age,
        count,
        QueueLimits(
            rates.count(queue, "max_running", "queue"),
            rates.rate(queue, "rate", "queue"),
            rates.count(queue, "max_running_per_key", "queue"),
            rates.rate(queue, "rate_per_key", "queue"),
            length,
            LengthPolicy(policy or LengthPolicy.REJECT),
        ),
        _order(queue),
        _place(queue),
        _events(queue),
    )


def _events(queue: queue_pb2.Queue) -> EventsTo | None:
    """Where messages about ends of its tasks go. The exchange need not exist."""
    if not queue.HasField("events"):
        return None
    to, field = queue.events, "queue.events.exchange"
    if not to.exchange:
        raise invalid(field, f"is required; a name has 1 to {MAX_EXCHANGE} bytes")
    at_most(field, len(to.exchange.encode()), MAX_EXCHANGE, "bytes")
    if to.exchange.startswith(RESERVED) and to.exchange not in _PREDECLARED:
        # Nobody can declare it, so that no message would ever arrive.
        raise invalid(
            field,
            f"{to.exchange[:80]!r}: there is no such exchange, and names that begin with "
            f"{RESERVED!r} are reserved; use another name",
            reason="RESERVED_NAME",
        )
    at_most("queue.events.virtual_host", len(to.virtual_host.encode()), MAX_EXCHANGE, "bytes")
    return EventsTo(to.exchange, to.virtual_host or DEFAULT_VIRTUAL_HOST)


def check_events(to: EventsTo | None) -> None:
    """Refuse an exchange into which the caller may not publish.

    Raises:
        QuorateError: PERMISSION_DENIED, `FOREIGN_EXCHANGE`.
    """
    caller = current_caller()
    if to is not None and caller is not None:
        check_exchange(caller, "queue.events.exchange", to.virtual_host, to.exchange)


def _place(queue: queue_pb2.Queue) -> PlaceSettings:
    """What it says of placement besides its strategy. Plug-ins are not looked up."""
    label = queue.spread_label
    at_most("queue.spread_label", len(label), MAX_LABEL, "characters")
    if label and queue.placement != queue_pb2.PLACEMENT_STRATEGY_SPREAD:
        raise invalid("queue.spread_label", "has an effect only with the placement SPREAD; set it")
    at_most("queue.filters", len(queue.filters), MAX_FILTERS, "filters")
    for place, name in enumerate(queue.filters):
        if not NAME.fullmatch(name):
            raise invalid(f"queue.filters[{place}]", f"{name[:80]!r} is not a filter's name")
    if queue.score and not NAME.fullmatch(queue.score):
        raise invalid("queue.score", f"{queue.score[:80]!r} is not a score's name")
    return PlaceSettings(label, tuple(dict.fromkeys(queue.filters)), queue.score)


def _order(queue: queue_pb2.Queue) -> QueueOrder:
    """In what order its tasks go."""
    aging = 0.0
    if queue.HasField("aging"):
        aging = duration("queue.aging", queue.aging, MAX_AHEAD)
        between("queue.aging", aging, 1, MAX_AHEAD)
    at_most("queue.weights", len(queue.weights), MAX_WEIGHTS, "weights")
    for key, weight in queue.weights.items():
        at_most("queue.weights", len(key), 256, "characters")
        between(f"queue.weights[{key[:80]}]", weight, 0.001, 1_000)
    share = queue.share or 1.0
    between("queue.share", share, 0.001, 1_000)
    return QueueOrder(aging, tuple(sorted(queue.weights.items())), share)


def retention(queue: queue_pb2.Queue) -> tuple[float, int]:
    """(age in seconds, count) of a queue."""
    age, count = DAY, 100_000
    if queue.retention.HasField("age"):
        age = duration("queue.retention.age", queue.retention.age, MAX_AHEAD)
        between("queue.retention.age", age, 1, MAX_AHEAD)
    if queue.retention.count:
        count = queue.retention.count
        between("queue.retention.count", count, 1, MAX_RETAINED)
    return age, count


MAX_REASON: Final = 256


def pause(request: pb.PauseQueueRequest, now: float) -> QueuePause:
    """Scope, reason and end of a pause."""
    at_most("reason", len(request.reason), MAX_REASON, "characters")
    scope = known_enum("scope", request.scope, range(len(PauseScope) + 1))
    until = 0.0
    if request.HasField("until"):
        until = request.until.seconds + request.until.nanos / 1e9
        if not now < until <= now + MAX_AHEAD:
            raise invalid(
                "until",
                "must be in the future, at most 366 days ahead",
                limit=MAX_AHEAD,
                value=until,
            )
    return QueuePause(PauseScope(scope or PauseScope.DISPATCH), "", request.reason, 0.0, until)
