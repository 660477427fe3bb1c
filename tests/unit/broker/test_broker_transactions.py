"""Publish and settle in one commit: all of it or nothing, and once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import ConsumerNumber, Overflow, QueueType, SessionId
from scheduler.core.broker.state import Space
from tests.support.broker import HOST, Waiting, publication
from tests.support.consuming import CALLER, Client, Consumers


@pytest.fixture
def broker() -> Consumers:
    found = Consumers()
    found.declare("in")
    found.declare("out")
    return found


def settle(
    client: Client, *ids: int, outcome: e.Outcome = e.Outcome.ACK, consumer: int = 1
) -> e.Settled:
    return e.Settled(client.id, 0, ConsumerNumber(consumer), "", ids, outcome)


def send(body: str, to: str = "out", size: int = 0, **more: Any) -> e.Publication:
    return publication(body.encode() + b"x" * size, to, **more)


def transact(
    client: Client,
    publications: Sequence[e.Publication] = (),
    settles: Sequence[e.Settled] = (),
    **more: Any,
) -> Waiting:
    """The caller of a transaction, who is answered once it is committed."""
    token = Waiting()
    event = e.Transacted(HOST, publications, client.id, settles, token, CALLER)
    client.broker.step(event._replace(**more))
    return token


def refused(token: Waiting) -> QuorateError:
    assert isinstance(token.answer, QuorateError), token.answer
    return token.answer


def counts(broker: Consumers, name: str) -> tuple[int, int]:
    queue = broker.state.queue(HOST, name)
    return queue.ready, queue.unacknowledged


def test_all_of_it_is_one_commit(broker: Consumers) -> None:
    """Two exchanges, two queues, an acknowledgement and a dead letter."""
    broker.declare("more")
    broker.declare("dead")
    broker.declare("bad", dead_letter_exchange="", dead_letter_routing_key="dead")
    broker.exchange("all", "fanout")
    broker.bind("all", "out")
    broker.bind("all", "more")
    client = broker.client()
    client.subscribe("in")
    client.subscribe("bad", 2)
    broker.put("in", "a")
    broker.put("bad", "b")
    broker.effects.clear()
    token = transact(
        client,
        [send("1", exchange="all"), send("2")],
        [
            settle(client, *client.ids()),
            settle(client, *client.ids(2), outcome=e.Outcome.REJECT, consumer=2),
        ],
    )
    assert not token.answer.results
    (commit,) = [out for out in broker.effects if out.additions or out.writes]
    assert {added.uid for added in commit.additions} == {
        broker.state.queue(HOST, name).row.uid for name in ("out", "more", "dead")
    }
    assert {write.uid for write in commit.writes if isinstance(write, fx.ChangeSubLog)} == {
        broker.state.queue(HOST, name).row.uid for name in ("in", "bad")
    }
    assert [counts(broker, name) for name in ("in", "bad", "out", "more", "dead")] == [
        *((0, 0), (0, 0)),
        *((2, 0), (1, 0), (1, 0)),
    ]


def test_what_the_leader_did_not_commit_has_not_happened(broker: Consumers) -> None:
    """It dies before the Txn; its client repeats the transaction under the next one."""
    client = broker.client()
    client.subscribe("in")
    broker.put("in", "a", "b")
    one, other = client.ids()
    settles = [settle(client, one), settle(client, other, outcome=e.Outcome.REJECT)]
    broker.holding = True
    token = transact(client, [send("A")], settles, request="r", digest=b"d")
    assert not token.answered
    broker.holding = False
    broker.fail_over()
    client.open(inventory=True)
    assert counts(broker, "in") == (0, 2)
    assert counts(broker, "out") == (0, 0)
    assert transact(client, [send("A")], settles, request="r", digest=b"d").answer.results == ()
    assert (counts(broker, "in"), counts(broker, "out")) == ((0, 0), (1, 0))


@pytest.mark.parametrize("how", ["request", "numbers"])
def test_what_is_repeated_after_a_lost_answer_is_done_once(broker: Consumers, how: str) -> None:
    """The leader dies after the Txn, before its answer; then the client repeats it once more."""
    client = broker.client()
    client.subscribe("in")
    broker.put("in", "a")
    settles = [settle(client, *client.ids())]
    known: dict[str, Any] = (
        {"request": "r", "digest": b"d"} if how == "request" else {"producer": "p"}
    )
    publications = [send("A", number=1), send("B", number=2)]
    assert transact(client, publications, settles, **known).answer.results == ()
    broker.fail_over()
    client.open(inventory=True)
    for _ in range(2):
        assert transact(client, publications, settles, **known).answer.results == ()
    assert (counts(broker, "in"), counts(broker, "out")) == ((0, 0), (2, 0))


def test_a_request_id_of_another_call_is_refused(broker: Consumers) -> None:
    client = broker.client()
    transact(client, [send("A")], request="r", digest=b"d")
    error = refused(transact(client, [send("B")], request="r", digest=b"e"))
    assert (error.reason, error.field) == ("REQUEST_ID_REUSED", "request_id")
    assert counts(broker, "out") == (1, 0)


def test_numbers_that_are_settled_in_part_are_refused(broker: Consumers) -> None:
    client = broker.client()
    broker.publish(send("1", number=1), producer="p")
    both = [send("1", number=1), send("2", number=2)]
    error = refused(transact(client, both, producer="p"))
    assert (error.reason, error.field) == ("NUMBERS_SETTLED", "publications[1].number")
    transact(client, both[1:], producer="p")
    assert counts(broker, "out") == (2, 0)
    assert broker.state.producers["p"].number == 2


def test_it_waits_for_a_publish_of_its_producer_that_goes_on_in_parts() -> None:
    """Else its number would be on record before all messages of the one before it are."""
    broker = Consumers(BrokerLimits(step_bytes=400))
    broker.declare("out")
    client = broker.client()
    large = [send(f"{n}", size=100, number=n) for n in range(1, 8)]
    first = Waiting()
    out = broker.machine.step(e.MessagesPublished(HOST, "p", large, first), broker.now)
    token = transact(client, [send("last", number=8)], producer="p")
    assert not token.answered
    for follows in (*broker.commit(out), *out.then):
        broker.step(follows)
    assert (first.answered, token.answered) == (True, True)
    assert broker.bodies("out")[-1] == b"last"
    assert broker.state.producers["p"].number == 8


def test_what_is_put_back_is_ready_once_it_is_durable(broker: Consumers) -> None:
    client, other = broker.client(), broker.client("other")
    client.subscribe("in")
    broker.put("in", "a", "b", "c")
    one, two, three = client.ids()
    other.subscribe("in")
    broker.holding = True
    transact(
        client,
        [send("A")],
        [
            settle(client, one),
            settle(client, two, outcome=e.Outcome.NACK),
            settle(client, three, outcome=e.Outcome.REQUEUE),
        ],
    )
    client.unsubscribe()
    assert other.bodies() == []
    broker.flush()
    assert other.bodies() == ["b", "c"]
    assert [(one.redelivered, one.failed) for one in other.got[1]] == [(True, 0), (True, 1)]


def test_a_delivery_beyond_the_limit_is_dead_lettered_in_the_same_commit(broker: Consumers) -> None:
    """https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling"""
    broker.declare("dead")
    broker.declare(
        "jobs", delivery_limit=1, dead_letter_exchange="", dead_letter_routing_key="dead"
    )
    client = broker.client()
    client.subscribe("jobs")
    broker.put("jobs", "a")
    for _ in range(2):
        assert counts(broker, "dead") == (0, 0)
        broker.effects.clear()
        transact(client, [], [settle(client, *client.ids(), outcome=e.Outcome.REQUEUE)])
    (commit,) = [out for out in broker.effects if out.additions or out.writes]
    assert commit.additions
    assert commit.writes
    assert (counts(broker, "jobs"), counts(broker, "dead")) == ((0, 0), (1, 0))


def test_dead_letters_whose_bodies_are_not_in_memory_are_loaded_first() -> None:
    broker = Consumers()
    broker.declare("out")
    broker.declare("dead")
    broker.declare("in", dead_letter_exchange="", dead_letter_routing_key="dead")
    client = broker.client()
    client.subscribe("in")
    broker.put("in", "a")
    broker.put("in", "b")
    rejected = settle(client, *client.ids(), outcome=e.Outcome.REJECT)
    broker.state.window.clear()
    broker.loads = False
    token = transact(client, [send("A", number=1)], [rejected], producer="p")
    late = transact(client, [send("B", number=2)], producer="p")
    assert not token.answered
    assert not late.answered, "its number is above that of the one before"
    broker.loads = True
    broker.load()
    assert (token.answer.results, late.answer.results) == ((), ())
    assert broker.bodies("dead") == [b"a", b"b"]
    assert broker.bodies("out") == [b"A", b"B"]


def test_what_a_stream_delivered_gives_room(broker: Consumers) -> None:
    broker.declare("log", type=QueueType.STREAM)
    client = broker.client()
    client.subscribe("log", prefetch=1)
    broker.put("log", "a", "b")
    transact(client, [send("A")], [settle(client, *client.ids())])
    assert client.bodies() == ["a", "b"]
    assert broker.state.queue(HOST, "log").ready == 2


@pytest.mark.parametrize(
    ("publications", "field", "reason"),
    [
        ([send("A"), send("B", "none", mandatory=True)], "publications[1]", "ROUTE_NOT_FOUND"),
        ([send("A", exchange="none")], "publications[0]", "EXCHANGE_NOT_FOUND"),
        ([send("A"), send("B", "full")], "publications[1]", "MESSAGE_QUEUE_FULL"),
        (
            [send("A", ordering_key="k" * 256)],
            "publications[0].message.properties.ordering_key",
            "INVALID_FIELD",
        ),
    ],
)
def test_a_publication_that_cannot_be_queued_as_asked_refuses_all(
    broker: Consumers, publications: Any, field: str, reason: str
) -> None:
    broker.declare("full", max_length=1, overflow=Overflow.REJECT_PUBLISH)
    broker.put("full", "x")
    client = broker.client()
    client.subscribe("in")
    broker.put("in", "a")
    broker.effects.clear()
    error = refused(transact(client, publications, [settle(client, *client.ids())], request="r"))
    assert (error.field, error.reason) == (field, reason)
    assert not any(out.writes or out.additions for out in broker.effects)
    assert (counts(broker, "in"), counts(broker, "out")) == ((0, 1), (0, 0))
    assert not broker.state.producers


@pytest.mark.parametrize("which", ["unknown", "settled", "twice", "foreign", "no consumer"])
def test_a_delivery_that_the_consumer_does_not_have_refuses_all(
    broker: Consumers, which: str
) -> None:
    client, other = broker.client(), broker.client("other")
    client.subscribe("in", prefetch=2)
    broker.put("in", "a", "b", "c")
    one, two = client.ids()
    other.subscribe("in")
    consumer = 1
    match which:
        case "unknown":
            ids = (one, 999)
        case "settled":
            client.ack(two)
            ids = (one, two)
        case "twice":
            ids = (one, one)
        case "foreign":
            ids = (one, other.ids()[0])
        case _:
            ids, consumer = (one, two), 7
    ready = counts(broker, "in")
    broker.effects.clear()
    settles = [settle(client, *ids[:1]), settle(client, *ids[1:], consumer=consumer)]
    error = refused(transact(client, [send("A")], settles))
    assert (error.reason, error.field) == ("UNKNOWN_DELIVERY", "settles[1].ids[0]")
    assert not any(out.writes or out.additions for out in broker.effects)
    assert (counts(broker, "in"), counts(broker, "out")) == (ready, (0, 0))


def test_what_a_transaction_may_not_do(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("in")
    broker.put("in", "a")
    one = settle(client, *client.ids())
    for bad, field in (
        (one._replace(outcome=e.Outcome.TOUCH), "settles[0].outcome"),
        (one._replace(outcome=e.Outcome.NACK, delay=1.0), "settles[0].delay_millis"),
    ):
        error = refused(transact(client, [send("A")], [bad]))
        assert (error.reason, error.field) == ("BAD_OUTCOME", field)
    gone = transact(client, [send("A")], [one], session=SessionId("x" * 20))
    assert refused(gone).reason == "SESSION_NOT_FOUND"
    assert refused(transact(client, [send("A")], [one], caller="x")).reason == "SESSION_OF_ANOTHER"
    other = transact(client, [send("A")], [one], virtual_host="other")
    assert refused(other).reason == "VIRTUAL_HOST_NOT_FOUND"
    assert (counts(broker, "in"), counts(broker, "out")) == ((0, 1), (0, 0))


@pytest.mark.parametrize("what", ["bytes", "dead letters", "messages", "deliveries", "keys"])
def test_what_one_commit_does_not_take_is_refused_whole(what: str) -> None:
    broker = Consumers(BrokerLimits(step_writes=9, step_bytes=4_000))
    for name in ("out", "dead"):
        broker.declare(name)
    broker.declare("in", dead_letter_exchange="", dead_letter_routing_key="dead")
    client = broker.client()
    client.subscribe("in")
    for _ in range(3):
        broker.put("in", "x" * 600, "y" * 600)
    ids = client.ids()
    publications, settles, limit = [send("A")], [settle(client, ids[0])], "9"
    match what:
        case "bytes":
            publications, limit = [send("A", size=2_500), send("B", size=2_500)], "4000"
        case "dead letters":
            publications = [send("A", size=2_500)]
            settles = [settle(client, *ids[:2], outcome=e.Outcome.REJECT)]
            limit = "4000"
        case "messages":
            publications, limit = [send("A")] * 513, "512"
        case "deliveries":
            settles, limit = [settle(client, *ids, *range(10_000, 15_000))], "5000"
        case _:
            settles = [settle(client, *ids[::2])]
            broker.declare("other")
            publications = [send("A"), send("B", "other")]
    broker.effects.clear()
    error = refused(transact(client, publications, settles, request="r"))
    assert (error.reason, error.metadata["limit"]) == ("TRANSACTION_TOO_LARGE", limit)
    assert error.code.name == "RESOURCE_EXHAUSTED"
    assert limit in error.message.replace(",", "")
    assert not any(out.writes or out.additions for out in broker.effects)
    assert (counts(broker, "in"), counts(broker, "out")) == ((0, 6), (0, 0))
    assert not broker.state.producers


def test_nothing_is_done_while_etcd_has_no_space(broker: Consumers) -> None:
    """Deletions would be committed ahead of the messages."""
    client = broker.client()
    client.subscribe("in")
    broker.put("in", "a")
    broker.state.space = Space.NONE
    error = refused(transact(client, [], [settle(client, *client.ids())]))
    assert error.reason == "ETCD_SPACE_LOW"
    assert counts(broker, "in") == (0, 1)


def test_only_messages(broker: Consumers) -> None:
    client = broker.client(opened=False)
    assert transact(client, [send("A"), send("B"), send("C", "nowhere")]).answer.results == ()
    assert counts(broker, "out") == (2, 0)
