"""The handlers of consuming, for the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from scheduler.core.broker import events as e
from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.consuming import (
    consumers,
    inventory,
    offsets,
    returning,
    sessions,
    settling,
    times,
)
from scheduler.core.broker.handlers.consuming.deliveries import delivering, fetching, sending
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.state import BrokerState

# Any: each handler takes its own event type; the key is the proof.
HANDLERS: Final[
    dict[type, Callable[[BrokerState, BrokerLimits, Any, float, BrokerEffects], None]]
] = {
    e.SessionOpened: sessions.on_session_opened,
    e.SessionLost: sessions.on_session_lost,
    e.SessionClosed: sessions.on_session_closed,
    e.SessionPaused: consumers.on_session_paused,
    e.OutgoingTaken: consumers.on_outgoing_taken,
    e.Subscribed: consumers.on_subscribed,
    e.Unsubscribed: consumers.on_unsubscribed,
    e.CreditChanged: consumers.on_credit_changed,
    e.OffsetAsked: offsets.on_offset_asked,
    e.OffsetDropAsked: offsets.on_offset_drop_asked,
    e.Settled: settling.on_settled,
    e.Fetched: fetching.on_fetched,
    ce.SubscriptionRecorded: consumers.on_subscription_recorded,
    ce.FetchRecorded: fetching.on_fetch_recorded,
    ce.AutomaticAcksCommitted: delivering.on_automatic_acks_committed,
    ce.InventoryContinued: inventory.on_inventory_continued,
    ce.SessionEnding: sessions.on_session_ending,
    ce.SettleContinued: settling.on_settle_continued,
    ce.Returned: returning.on_returned,
    ce.ConsumerReturning: returning.on_consumer_returning,
}
DUE: Final[dict[str, Callable[[BrokerState, BrokerLimits, str, float, BrokerEffects], None]]] = {
    sessions.GRACE: sessions.grace_due,
    sending.REATTACH: sessions.reattach_due,
    sending.RECORD: times.record_due,
    sending.TIMEOUT: times.timeout_due,
}
