"""Methods of producers: publish, confirm.select, tx."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.amqp.protocol.consuming import REPLY_TO
from gateway.amqp.protocol.effects import (
    Commit,
    Effect,
    Publication,
    Publish,
    Quiet,
    Raw,
    say,
)
from gateway.amqp.protocol.events import Published
from gateway.amqp.protocol.limits import MOST_TX, MOST_TX_BYTES, TX_MESSAGE
from gateway.amqp.protocol.state import State
from gateway.amqp.protocol.unsettled import settles
from gateway.amqp.wire import frames, properties
from gateway.amqp.wire.methods import Method
from gateway.amqp.wire.replies import AmqpError, Reply
from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.v1.message_pb2 import MessageProperties

_REPLY_TO: Final = REPLY_TO.encode()
_METHOD: Final = (60, 40)


def publish(state: State, event: Published) -> list[Effect]:
    """basic.publish. Raises AmqpError, Malformed."""
    publication = _publication(state, event)
    if not state.transacts:
        state.published += 1
        return [Publish(publication)]
    _transact(state, publication)
    return []


def _transact(state: State, publication: Publication) -> None:
    """A message waits for tx.commit."""
    state.publications.append(publication)
    # What comes back if it reaches no queue is the body once more.
    copies = 1 if publication.returned is None else 2
    held = copies * len(publication.message) + TX_MESSAGE
    state.transacting += held
    state.transacted += len(publication.message)
    state.transactions.held += held
    if len(state.publications) > MOST_TX or state.transacted > MOST_TX_BYTES:
        text = f"a transaction has at most {MOST_TX} messages and {MOST_TX_BYTES} bytes"
    elif state.transactions.held > max(state.transactions.most, state.transacting):
        text = (
            f"the transactions of a connection have at most {state.transactions.most} bytes of "
            "messages that are not committed"
        )
    else:
        return
    release(state)
    raise AmqpError(Reply.PRECONDITION_FAILED, text, _METHOD)


def release(state: State) -> None:
    """The messages of the transaction are committed, or are not wanted any more."""
    state.transactions.held -= state.transacting
    state.transacting = state.transacted = 0
    state.publications = []


def _publication(state: State, event: Published) -> Publication:
    asked = event.publish
    found = properties.read(event.properties)
    if state.user and properties.names_user(event.properties):
        _check_user(state.user, found)
    if _REPLY_TO in found:
        found = _with_address(state, found)
    message = wire.MessageEnvelope(
        exchange=asked.exchange, routing_key=asked.routing_key, properties=found, body=event.body
    ).SerializeToString()
    returned = None
    if asked.mandatory:
        returned = asked.exchange, asked.routing_key, event.properties, event.body
    return Publication(message, returned)


def _check_user(user: str, data: bytes) -> None:
    """https://www.rabbitmq.com/docs/validated-user-id"""
    named = MessageProperties.FromString(data).user_id
    if named != user:
        text = f"user_id property set to '{named}' but authenticated user was '{user}'"
        raise AmqpError(Reply.PRECONDITION_FAILED, text, _METHOD)


def _with_address(state: State, data: bytes) -> bytes:
    found = MessageProperties.FromString(data)
    if found.reply_to != REPLY_TO:
        return data
    if not state.replies_to:
        text = "fast reply consumer does not exist"
        raise AmqpError(Reply.PRECONDITION_FAILED, text, _METHOD)
    found.reply_to = state.replies_to
    return found.SerializeToString(deterministic=True)


# -- confirms


def confirm_select(state: State, method: Method) -> list[Effect]:
    if state.transacts:
        text = "cannot switch from tx to confirm mode"
        raise AmqpError(Reply.PRECONDITION_FAILED, text, method.id)
    if not state.confirms:
        state.confirms = True
        state.unconfirmed_at = state.published
    then = [] if method["no_wait"] else [say("confirm.select-ok")]
    # What was published before comes back before, if it reaches no queue, as in RabbitMQ.
    return [Quiet(then)] if state.published else [*then]


class Confirmed:
    """What became of publications, in their order, as frames: returns before confirms, several
    confirms as one.

    Args:
        since: the number of the last one that was confirmed before.
    """

    def __init__(self, state: State, since: int) -> None:
        self._state = state
        self._last = self._confirmed = since
        self._parts: list[bytes] = []

    def durable(self, number: int) -> None:
        self._last = number

    def returned(self, number: int, publication: Publication) -> None:
        """It reached no queue."""
        # What was published before may be confirmed later, not what comes behind it before.
        self._parts.append(returned(self._state, publication))
        self._last = number

    def refused(self, number: int) -> None:
        """A queue is full."""
        self._confirm()
        tag = number - self._state.unconfirmed_at
        if self._state.confirms and tag > 0:
            self._parts.append(
                frames.method(self._state.number, "basic.nack", delivery_tag=tag, multiple=False)
            )
        self._last = self._confirmed = number

    def frames(self) -> bytes:
        """What the client gets."""
        self._confirm()
        return b"".join(self._parts)

    def _confirm(self) -> None:
        state, before = self._state, self._confirmed
        self._confirmed = self._last
        tag = self._last - state.unconfirmed_at
        if state.confirms and tag > 0 and self._last > before:
            several = tag > max(before - state.unconfirmed_at, 0) + 1
            self._parts.append(frames.ack(state.number, tag, multiple=several))


def returned(state: State, publication: Publication) -> bytes:
    """basic.return of a mandatory message."""
    assert publication.returned is not None
    exchange, key, written, body = publication.returned
    method = frames.method(
        state.number,
        "basic.return",
        reply_code=int(Reply.NO_ROUTE),
        reply_text=Reply.NO_ROUTE.name,
        exchange=exchange,
        routing_key=key,
    )
    return method + frames.content(state.number, written, body, state.frame_max)


# -- transactions


def tx_select(state: State, method: Method) -> list[Effect]:
    if state.confirms:
        text = "cannot switch from confirm to tx mode"
        raise AmqpError(Reply.PRECONDITION_FAILED, text, method.id)
    state.transacts = True
    return [say("tx.select-ok")]


def tx_commit(state: State, method: Method) -> list[Effect]:
    """Messages and settlements are one commit; settlements of another session follow it: those of
    exclusive queues, if there are both."""
    _transacts(state, method)
    # They count until it is committed.
    publications, state.publications = state.publications, []
    taken = state.claims.commit(state.unsettled)
    found = [one for outcome, delivered in taken for one in settles(delivered, outcome)]
    owned = bool(found) and all(one.source.owned for one in found)
    together = [one for one in found if one.source.owned == owned]
    others = [one for one in found if one.source.owned != owned]
    return [Commit(publications, together, others, owned)]


def tx_rollback(state: State, method: Method) -> list[Effect]:
    """What was acknowledged is not any more; it is not delivered again
    (https://www.rabbitmq.com/docs/semantics#tx)."""
    _transacts(state, method)
    release(state)
    state.claims.clear()
    return [say("tx.rollback-ok")]


def commit_failed(state: State, commit: Commit) -> None:
    """tx.commit failed, which ends the channel: what it acknowledged is not acknowledged, and goes
    back with what else the channel has."""
    release(state)
    for settle in (*commit.settles, *commit.others):
        for id in settle.ids:
            # Under another tag; the client uses none any more.
            state.unsettled.put(settle.source, id)


def _transacts(state: State, method: Method) -> None:
    if not state.transacts:
        raise AmqpError(Reply.PRECONDITION_FAILED, "channel is not transactional", method.id)


def committed(state: State, unroutable: Iterable[Publication]) -> list[Effect]:
    """tx.commit is durable; mandatory messages that reach no queue come back before."""
    release(state)
    parts = [returned(state, one) for one in unroutable]
    return [Raw(b"".join(parts)), say("tx.commit-ok")]
