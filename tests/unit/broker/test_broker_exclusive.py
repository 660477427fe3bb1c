"""Exclusive queues: what other sessions than their owner may do.

https://www.rabbitmq.com/docs/queues#exclusive-queues: "An exclusive queue can only be used
(consumed from, purged, deleted, etc) by its declaring connection." AMQP: 405 RESOURCE_LOCKED.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import events as e
from scheduler.core.broker.routing.rows import Destination, DestinationKind
from scheduler.core.broker.rows import MessageQueueSpec, QueueUid, SessionId
from tests.support.broker import HOST, publication
from tests.support.consuming import Consumers

QUEUE = Destination(DestinationKind.QUEUE, "own")
UID = QueueUid("f" * 16)
# What each asks for, given the session of the caller.
USES: dict[str, Callable[[SessionId], tuple[Any, ...]]] = {
    "declare": lambda session: (
        *(e.MessageQueueDeclared, HOST, "own", MessageQueueSpec(exclusive=True), session),
        UID,
    ),
    "delete": lambda session: (e.MessageQueueDeleteAsked, HOST, "own", session, False, False),
    "purge": lambda session: (e.PurgeAsked, HOST, "own", session),
    "receive": lambda session: (e.ReceiveAsked, HOST, "own", session, 1),
}
# Those whose session comes last.
LATER: dict[str, tuple[Any, ...]] = {
    "bind": (e.BindingAsked, HOST, "amq.direct", QUEUE, b"k", ()),
    "unbind": (e.UnbindAsked, HOST, "amq.direct", QUEUE, b"k", ()),
    "peek": (e.PeekAsked, HOST, "own", 1, 0),
    "move from": (e.MoveAsked, HOST, "own", "other", 1),
    "move to": (e.MoveAsked, HOST, "other", "own", 1),
}


@pytest.fixture
def broker() -> Consumers:
    found = Consumers()
    owner = found.client("owner")
    found.client("stranger")
    found.declare("own", owner.id, exclusive=True)
    found.declare("other")
    found.put("own", "a")
    return found


def ask(broker: Consumers, what: str, session: SessionId) -> Any:
    if what in USES:
        return broker.ask(*USES[what](session))
    return broker.ask(*LATER[what], session=session)


@pytest.mark.parametrize("what", [*LATER, *USES])
def test_only_its_session_uses_it(broker: Consumers, what: str) -> None:
    for stranger in (next(id for id in broker.clients if id.startswith("stranger")), ""):
        with pytest.raises(QuorateError) as refused:
            ask(broker, what, SessionId(stranger))
        assert refused.value.reason == "MESSAGE_QUEUE_LOCKED"
        assert refused.value.code.name == "FAILED_PRECONDITION"
        assert refused.value.metadata["message_queue"] == "own"
    assert broker.state.queue(HOST, "own").ready == 1
    owner = next(id for id in broker.clients if id.startswith("owner"))
    ask(broker, what, SessionId(owner))


def test_only_its_session_consumes_from_it(broker: Consumers) -> None:
    stranger, owner = (broker.clients[id] for id in sorted(broker.clients, reverse=True))
    assert stranger.subscribe("own").answer.reason == "MESSAGE_QUEUE_LOCKED"
    answer = stranger.fetch("own")
    assert answer is not None
    assert answer.error is not None
    assert answer.error.reason == "MESSAGE_QUEUE_LOCKED"
    owner.subscribe("own")
    assert owner.bodies() == ["a"]


def test_everybody_publishes_into_it(broker: Consumers) -> None:
    """https://www.rabbitmq.com/tutorials/tutorial-six-python: the callback queue of a client is
    exclusive, and the server answers into it through the default exchange."""
    assert broker.publish(publication(b"answer", "own", mandatory=True)).results == ()
    assert broker.state.queue(HOST, "own").ready == 2
