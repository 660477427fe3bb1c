"""What a transaction loads and writes is bounded, and refused before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.etcd.journal.batch import weigh
from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.handlers.transactions.bounds import Weight
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.combining import weight
from scheduler.core.broker.routing.rows import Destination, DestinationKind
from scheduler.core.broker.rows import ConsumerNumber
from scheduler.core.broker.storage.format import unpack
from scheduler.storage.records.broker.writes import BrokerCodec
from tests.support.broker import HOST, Waiting, publication
from tests.support.consuming import CALLER, Client, Consumers
from tests.support.made_tasks import Tasks


def event(client: Client, *settles: e.Settled, **more: Any) -> tuple[Waiting, e.Transacted]:
    token = Waiting()
    sent = [publication(b"A", "out")]
    return token, e.Transacted(HOST, sent, client.id, settles, token, CALLER, **more)


def settle(
    client: Client, *ids: int, outcome: e.Outcome = e.Outcome.ACK, consumer: int = 1
) -> e.Settled:
    return e.Settled(client.id, 0, ConsumerNumber(consumer), "", ids, outcome)


def rejecting(count: int, **limits: int) -> tuple[Consumers, Client, e.Settled]:
    """A client that rejects messages of 1 kB, each in a chunk of its own. None is in memory."""
    broker = Consumers(BrokerLimits(**limits))
    broker.declare("out")
    broker.declare("dead")
    broker.declare("in", dead_letter_exchange="", dead_letter_routing_key="dead")
    client = broker.client()
    client.subscribe("in")
    for number in range(count):
        broker.put("in", f"{number:02}" + "x" * 1_000)
    rejected = settle(client, *client.ids(), outcome=e.Outcome.REJECT)
    broker.state.window.clear()
    broker.loads = False
    return broker, client, rejected


def test_bodies_that_memory_does_not_hold_together_are_each_loaded_once() -> None:
    """They are 40 kB, and memory takes 5 kB of bodies."""
    broker, client, rejected = rejecting(40, window_bytes=5_000)
    token, transacted = event(client, rejected)
    broker.step(transacted)
    loaded: list[Any] = []
    while not token.answered:
        assert broker.wanted, "it waits for a chunk"
        assert len(broker.wanted) <= 16
        loaded += broker.wanted
        broker.load()
        assert len(loaded) <= 5 * 40, "it is loaded in turns for ever"
    assert token.answer.results == ()
    uid = broker.state.queue(HOST, "dead").row.uid
    dead = [unpack(value) for place, value in broker.stored.items() if place[0] == uid]
    bodies = [MessageEnvelope.FromString(one.payload).body[:2] for some in dead for one in some]
    assert bodies == [b"%02d" % number for number in range(40)]


def test_dead_letters_that_one_commit_does_not_store_are_refused_before_all_are_loaded() -> None:
    broker, client, rejected = rejecting(64, step_bytes=10_000)
    token, transacted = event(client, rejected)
    broker.step(transacted)
    loads = 0
    while not token.answered:
        loads += len(broker.wanted)
        broker.load()
    error = token.answer
    assert (error.reason, error.metadata["limit"]) == ("TRANSACTION_TOO_LARGE", "10000")
    assert "10000" in error.message
    assert loads <= 32
    assert broker.state.queue(HOST, "in").unacknowledged == 64


def test_bodies_that_are_stored_apart_count_for_dead_letters_that_become_tasks() -> None:
    broker = Consumers(BrokerLimits(inline_bytes=3, step_bytes=10_000))
    broker.state.tasks = Tasks()
    broker.declare("out")
    broker.exchange("x")
    to_tasks = Destination(DestinationKind.TASK_QUEUE, "t")
    broker.ask(e.BindingAsked, HOST, "x", to_tasks, b"in", ())
    broker.declare("in", dead_letter_exchange="x")
    client = broker.client()
    client.subscribe("in")
    for number in range(64):
        broker.publish(publication(b"%02d" % number + bytes(1_000), "in"))
    rejected = settle(client, *client.ids(), outcome=e.Outcome.REJECT)
    assert len(rejected.ids) == 64
    broker.state.window.bodies.clear()
    broker.loads = False
    token, transacted = event(client, rejected)
    broker.step(transacted)
    loads = 0
    while not token.answered:
        assert broker.wanted_bodies, "it waits for a body"
        loads += len(broker.wanted_bodies)
        broker.load()
    error = token.answer
    assert (error.reason, error.metadata["limit"]) == ("TRANSACTION_TOO_LARGE", "10000")
    assert loads <= 32
    assert len(broker.parts) == 64


def test_nothing_more_is_loaded_for_a_caller_that_is_gone() -> None:
    broker, client, rejected = rejecting(40)
    token, transacted = event(client, rejected, producer="p")
    broker.step(transacted)
    behind, following = event(client, producer="p")
    broker.step(following)
    assert broker.wanted
    assert not behind.answered
    token.set_result("cancelled")
    broker.load()
    assert not broker.wanted
    assert behind.answer.results == ()
    assert broker.state.queue(HOST, "in").unacknowledged == 40
    assert not broker.state.publishing


def scattered(
    queues: int, chunks: int, **limits: int
) -> tuple[Consumers, Client, dict[int, list[int]]]:
    """Queues with chunks of which one message in four is done, and what a client has of each."""
    broker = Consumers(BrokerLimits(**limits))
    broker.declare("out")
    client = broker.client()
    left: dict[int, list[int]] = {}
    for number in range(1, queues + 1):
        broker.declare(f"q{number}")
        client.subscribe(f"q{number}", number)
        for _ in range(chunks):
            broker.put(f"q{number}", *"abcd")
        client.ack(*client.ids(number)[1::4], consumer=number)
        left[number] = client.ids(number)
    return broker, client, left


def test_records_that_acknowledgements_are_moved_to_count() -> None:
    """Each queue's `acks` is nearly full: with a little more, many chunks get records of their own
    in the same commit."""
    broker, client, left = scattered(4, 192, step_writes=150)
    requeue = e.Outcome.REQUEUE
    settles = [
        settle(client, *ids[:18:3], outcome=requeue, consumer=number)
        for number, ids in left.items()
    ]
    token, transacted = event(client, *settles)
    broker.effects.clear()
    broker.step(transacted)
    error = token.answer
    assert (error.reason, error.metadata["limit"]) == ("TRANSACTION_TOO_LARGE", "150")
    assert not any(out.writes for out in broker.effects)


@pytest.mark.parametrize(("queues", "chunks", "step"), [(3, 20, 2), (2, 190, 9), (1, 100, 2)])
def test_a_commit_is_not_larger_than_was_weighed(queues: int, chunks: int, step: int) -> None:
    broker, client, left = scattered(queues, chunks, step_writes=4_000)
    weighed = Weight()
    for number, ids in left.items():
        weighed.settle(broker.state.queue(HOST, f"q{number}"), ids[::step])
    settles = [
        settle(client, *ids[start :: 2 * step], outcome=outcome, consumer=number)
        for number, ids in left.items()
        for outcome, start in ((e.Outcome.ACK, 0), (e.Outcome.REQUEUE, step))
    ]
    token, transacted = event(client, *settles)
    broker.effects.clear()
    broker.step(transacted)
    assert token.answer.results == ()
    (commit,) = [out for out in broker.effects if out.additions]
    keys, size = weighed.total()
    assert weight(commit.writes) <= keys
    only = fx.BrokerEffects(writes=commit.writes)
    codec = BrokerCodec(b"/quorate/a-cluster/", {})
    encoded = codec.encode(only, lambda uid, sub_log: lambda chunks, revision: None)
    written = [*encoded.writes, *(one.begin([one]).seal()[0] for one in encoded.additions)]
    assert len(written) <= keys
    assert weigh(written) <= size


def test_the_bytes_of_what_is_settled_are_bounded() -> None:
    broker, client, left = scattered(3, 20, commit_bytes=40_000)
    settles = [settle(client, *ids[::2], consumer=number) for number, ids in left.items()]
    token, transacted = event(client, *settles)
    broker.step(transacted)
    error = token.answer
    assert (error.reason, error.metadata["limit"]) == ("TRANSACTION_TOO_LARGE", "40000")
    assert "bytes" in error.message
    assert broker.state.queue(HOST, "q1").unacknowledged == 60
