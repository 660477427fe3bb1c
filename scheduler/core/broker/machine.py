"""The broker's machine: `step(event, now) -> BrokerEffects`.

Deterministic: the same events at the same times make the same effects. It never blocks, never
fails on an event (bad input is answered with a `QuorateError`), and every step is bounded.

At the end of each step the queues that went, and those in which something became ready, are handed
to who keeps the consumers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import events as e
from scheduler.core.broker.consuming.bounds import STEP_MESSAGES
from scheduler.core.broker.effects import BrokerEffects, Reply
from scheduler.core.broker.handlers import (
    announcing,
    chunks,
    dead_letters,
    instants,
    merging,
    message_queues,
    overflow,
    policies,
    taking,
    terms,
    topology,
)
from scheduler.core.broker.handlers.consuming import consumers
from scheduler.core.broker.handlers.consuming import table as consuming
from scheduler.core.broker.handlers.consuming.deliveries import delivering
from scheduler.core.broker.handlers.publishing import parts, producers
from scheduler.core.broker.handlers.transactions import transacting
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.combining import combined, weight
from scheduler.core.broker.state import BrokerState

_Handler: TypeAlias = Callable[[BrokerState, BrokerLimits, Any, float, BrokerEffects], None]


class ServingContinued(NamedTuple):
    """Queues are left to be served."""


def _nothing(
    _state: BrokerState, _limits: BrokerLimits, _event: object, _now: float, _out: BrokerEffects
) -> None:
    pass


# Any: each handler takes its own event type; the key is the proof.
_HANDLERS: Final[dict[type, _Handler]] = {
    e.VirtualHostAsked: topology.on_virtual_host_asked,
    e.VirtualHostDeleteAsked: topology.on_virtual_host_delete_asked,
    e.ExchangeDeclared: topology.on_exchange_declared,
    e.ExchangeDeleteAsked: topology.on_exchange_delete_asked,
    e.ExchangeDeleteContinued: topology.on_exchange_delete_continued,
    e.BindingAsked: topology.on_binding_asked,
    e.UnbindAsked: topology.on_unbind_asked,
    e.MessageQueueDeclared: message_queues.on_message_queue_declared,
    e.MessageQueueDeleteAsked: message_queues.on_message_queue_delete_asked,
    e.QueueDropped: message_queues.on_queue_dropped,
    e.MessagesPublished: parts.on_messages_published,
    parts.PublishContinued: parts.on_publish_continued,
    parts.PublishResumed: parts.on_publish_resumed,
    announcing.AnnouncingContinued: announcing.on_announcing_continued,
    e.Transacted: transacting.on_transacted,
    transacting.TransactionResumed: transacting.on_transaction_resumed,
    e.ReceiveAsked: taking.on_receive_asked,
    policies.PolicyAsked: policies.on_policy_asked,
    policies.PolicyDeleteAsked: policies.on_policy_delete_asked,
    policies.PoliciesDue: policies.on_policies_due,
    e.PeekAsked: taking.on_peek_asked,
    e.PurgeAsked: taking.on_purge_asked,
    taking.PurgeContinued: taking.on_purge_continued,
    e.MoveAsked: taking.on_move_asked,
    taking.MoveContinued: taking.on_move_continued,
    dead_letters.DeadLetterAsked: dead_letters.on_dead_letter_asked,
    instants.InstantsDue: instants.on_instants_due,
    overflow.OverflowDue: overflow.on_overflow_due,
    e.MergeRead: merging.on_merge_read,
    e.ChunksCommitted: chunks.on_chunks_committed,
    e.ChunkLoaded: chunks.on_chunk_loaded,
    e.BodyLoaded: chunks.on_body_loaded,
    # What is left is deleted at the end of the step.
    chunks.BodiesLeft: _nothing,
    e.Elected: terms.on_elected,
    # The queues that are served at the end of the step are all there is to it.
    ServingContinued: _nothing,
    **consuming.HANDLERS,
}
# By kind of timer; the string says whose.
_DUE: Final[dict[str, Callable[[BrokerState, BrokerLimits, str, float, BrokerEffects], None]]] = {
    message_queues.UNUSED: message_queues.unused_due,
    instants.INSTANTS: instants.instants_due,
    overflow.AGE: overflow.age_due,
    producers.PRODUCERS: producers.producers_due,
    **consuming.DUE,
}
# Timers that one step serves.
MOST_DUE: Final = 64
# Queues that one step serves.
MOST_SERVED: Final = 256


class BrokerMachine:
    """One leader's term over a state."""

    def __init__(self, state: BrokerState, limits: BrokerLimits | None = None) -> None:
        self.state = state
        self.limits = limits or BrokerLimits()

    def step(self, event: object, now: float) -> BrokerEffects:
        """What `event` at `now` (seconds since the epoch) makes necessary. Time that goes back
        stands still."""
        state, limits = self.state, self.limits
        out = BrokerEffects()
        now = state.instant = max(state.instant, now)
        if type(event) is e.TimePassed:
            self._time_passed(event, now, out)
        else:
            try:
                _HANDLERS[type(event)](state, limits, event, now, out)
            except QuorateError as error:
                token = getattr(event, "token", None)
                assert token is not None, event
                assert not out.writes, event
                assert not out.additions, event
                out.after.append(Reply(token, error))
        while state.gone:
            consumers.queue_gone(state, state.gone.pop(), now, out)
        self._serve(now, out)
        chunks.drop_unused(state, limits, out)
        out.writes = combined(out.writes)
        out.next_due = state.timers.earliest
        return out

    def announce(
        self, announced: Iterable[tuple[str, Sequence[e.Publication]]], now: float
    ) -> BrokerEffects:
        """Messages that go with the commit of another machine's step, by virtual host: see
        `handlers.announcing`.

        Nothing is served: what becomes ready does so once they are committed.
        """
        out = BrokerEffects()
        now = self.state.instant = max(self.state.instant, now)
        announcing.announce(self.state, self.limits, announced, now, out)
        return out

    def _time_passed(self, event: e.TimePassed, now: float, out: BrokerEffects) -> None:
        state = self.state
        for _ in range(MOST_DUE):
            key = state.timers.pop(now)
            if key is None:
                return
            _DUE[key[0]](state, self.limits, key[1], now, out)
            if weight(out.writes) >= self.limits.step_writes // 2:
                break
        out.then.append(event)

    def _serve(self, now: float, out: BrokerEffects) -> None:
        """In the queues that were touched something became ready, or a consumer has room: deliver,
        then drop what is too much. What one step has no room for follows."""
        state, left = self.state, STEP_MESSAGES
        for _ in range(MOST_SERVED):
            if not state.touched:
                return
            if left <= 0 or weight(out.writes) >= self.limits.step_writes // 2:
                break
            uid = next(iter(state.touched))
            del state.touched[uid]
            queue = state.queues.get(uid)
            if queue is not None:
                left -= delivering.serve(state, self.limits, queue, now, out)
                # Not if consumers may get more of it in the next step.
                if uid not in state.touched:
                    overflow.shorten(state, self.limits, queue, now, out)
        if state.touched:
            out.then.append(ServingContinued())
