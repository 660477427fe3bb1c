"""Direct replies: see `consuming.replies`."""

from __future__ import annotations

from quorate.runtime.errors import precondition
from scheduler.core.broker.consuming.replies import PREFIX_BYTES, REPLY_TO, address
from scheduler.core.broker.consuming.sessions import Session
from scheduler.core.broker.handlers.consuming import records
from scheduler.core.broker.routing.rows import DEFAULT_EXCHANGE
from scheduler.core.broker.rows import ConsumerNumber, SubscribeSpec
from scheduler.core.broker.state import BrokerState


def subscribe(state: BrokerState, session: Session, spec: SubscribeSpec) -> str:
    """A consumer gets direct replies: its address. Nothing of it is on record.

    Raises:
        QuorateError: as other subscriptions; FAILED_PRECONDITION without automatic acknowledgement.
    """
    consuming = state.consuming
    records.check_spec(session, spec, consuming.consumers)
    if not spec.automatic_ack:
        raise precondition(
            "REPLY_TO_IS_AUTOMATIC",
            f"a consumer of {REPLY_TO!r} acknowledges automatically: nobody keeps its messages",
            field="automatic_ack",
        )
    name = address(session.id, spec.consumer)
    session.replies[spec.consumer] = name
    consuming.replies[name] = session, spec.consumer
    consuming.consumers += 1
    return name


def unsubscribe(state: BrokerState, session: Session, number: ConsumerNumber) -> bool:
    """A consumer of direct replies ends; False: it is none."""
    name = session.replies.pop(number, None)
    if name is None:
        return False
    del state.consuming.replies[name]
    state.consuming.consumers -= 1
    return True


def unsubscribe_all(state: BrokerState, session: Session) -> None:
    """A session ended."""
    for number in list(session.replies):
        unsubscribe(state, session, number)


def receiver(
    state: BrokerState, virtual_host: str, exchange: str, routing_key: bytes
) -> tuple[Session, ConsumerNumber] | None:
    """Who gets a message directly; None: it is no reply, or nobody is there for it."""
    if exchange != DEFAULT_EXCHANGE or not routing_key.startswith(PREFIX_BYTES):
        return None
    found = state.consuming.replies.get(routing_key.decode(errors="replace"))
    if found is None:
        return None
    session, number = found
    reachable = session.present and not session.paused
    return (session, number) if reachable and session.row.virtual_host == virtual_host else None
