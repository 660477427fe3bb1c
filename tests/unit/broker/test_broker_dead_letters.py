"""Dead letters: what they carry, where they go, and what becomes of circles."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.v1.message_pb2 import HeaderList, HeaderValue, MessageProperties
from scheduler.core.broker import effects as fx
from scheduler.core.broker.handlers.dead_letters import DeadLetterAsked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason, is_cycle
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import SessionId
from tests.support.broker import HOST, Broker, publication

TEXT = HeaderValue


def properties(payload: bytes) -> MessageProperties:
    return MessageProperties.FromString(MessageEnvelope.FromString(payload).properties)


def death(payload: bytes, number: int = 0) -> dict[str, Any]:
    """An entry of x-death, as plain values."""
    entries = properties(payload).headers["x-death"].list.values[number].table.entries
    found: dict[str, Any] = {}
    for name, value in entries.items():
        kind = value.WhichOneof("value")
        if kind == "list":
            found[name] = [one.text for one in value.list.values]
        elif kind == "timestamp":
            found[name] = value.timestamp.seconds
        else:
            found[name] = getattr(value, str(kind))
    return found


def headers(payload: bytes) -> dict[str, str]:
    return {
        name: value.text
        for name, value in properties(payload).headers.items()
        if value.WhichOneof("value") == "text"
    }


def reject(broker: Broker, queue: MessageQueue, reason: Reason = Reason.REJECTED) -> None:
    """Take all that is ready and reject it."""
    taken = queue.next_ready(1_000, broker.now).deliveries
    done = fx.SettleDone(SessionId("s"), 7)
    broker.effects.clear()
    broker.step(DeadLetterAsked(queue.row.uid, tuple(one.id for one in taken), reason, (done,)))
    assert [out.after.count(done) for out in broker.effects if out.after] == [1]


def test_a_rejected_message_carries_its_history() -> None:
    """https://www.rabbitmq.com/docs/dlx#effects"""
    broker = Broker()
    broker.declare("dead")
    jobs = broker.declare("jobs", dead_letter_exchange="", dead_letter_routing_key="dead")
    broker.exchange("in")
    broker.bind("in", "jobs", "key")
    cc = HeaderValue(list=HeaderList(values=[HeaderValue(text="other")]))
    bcc = HeaderValue(list=HeaderList(values=[HeaderValue(text="hidden")]))
    broker.publish(
        publication(
            b"body",
            "key",
            "in",
            headers={"mine": TEXT(text="kept"), "CC": cc, "BCC": bcc},
            expiration=Duration(seconds=90),
            message_id="m1",
        )
    )
    reject(broker, jobs)
    (letter,) = broker.receive("dead")
    envelope = MessageEnvelope.FromString(letter.payload)
    assert (envelope.exchange, envelope.routing_key, envelope.body) == ("", "dead", b"body")
    assert death(letter.payload) == {
        "count": 1,
        "reason": "rejected",
        "queue": "jobs",
        "time": int(broker.now),
        "exchange": "in",
        "routing-keys": ["key", "other"],
        "original-expiration": "90000",
    }
    assert headers(letter.payload) == {
        "mine": "kept",
        "x-first-death-queue": "jobs",
        "x-first-death-reason": "rejected",
        "x-first-death-exchange": "in",
        "x-last-death-queue": "jobs",
        "x-last-death-reason": "rejected",
        "x-last-death-exchange": "in",
    }
    found = properties(letter.payload)
    assert not found.HasField("expiration")
    assert found.message_id == "m1"
    assert "CC" not in found.headers
    assert "BCC" not in found.headers
    assert jobs.ready == jobs.unacknowledged == 0


def test_copy_and_removal_are_one_commit() -> None:
    """https://www.rabbitmq.com/docs/quorum-queues#dead-lettering: at least once."""
    broker = Broker()
    broker.declare("dead")
    jobs = broker.declare("jobs", dead_letter_exchange="", dead_letter_routing_key="dead")
    broker.publish(*(publication(b"%d" % n, "jobs") for n in range(3)))
    reject(broker, jobs)
    (out,) = [out for out in broker.effects if out.writes]
    assert [type(write) for write in out.writes] == [fx.ChangeSubLog]
    assert [len(added.messages) for added in out.additions] == [3]


def test_many_are_dead_lettered_in_parts() -> None:
    broker = Broker(BrokerLimits(step_bytes=1_000))
    broker.declare("dead")
    jobs = broker.declare("jobs", dead_letter_exchange="", dead_letter_routing_key="dead")
    broker.publish(*(publication(b"%d" % n, "jobs") for n in range(20)))
    reject(broker, jobs)
    assert len([out for out in broker.effects if out.writes]) > 3
    assert broker.bodies("dead") == [b"%d" % n for n in range(20)]


def test_copies_of_one_message_that_a_step_does_not_take_follow_and_it_goes_with_the_last() -> None:
    broker = Broker(BrokerLimits(step_writes=4))
    broker.exchange("all", "fanout")
    names = [f"dead{number}" for number in range(11)]
    for name in names:
        broker.declare(name)
        broker.bind("all", name)
    jobs = broker.declare("jobs", dead_letter_exchange="all")
    broker.publish(publication(b"a", "jobs"), publication(b"b", "jobs"))
    broker.effects.clear()
    reject(broker, jobs)
    steps = [out for out in broker.effects if out.additions]
    assert [len(out.additions) for out in steps] == [4, 4, 3, 4, 4, 3]
    assert [bool(out.writes) for out in steps] == [False, False, True] * 2
    assert [broker.bodies(name) for name in names] == [[b"a", b"b"]] * 11
    assert jobs.ready == jobs.unacknowledged == 0


def test_a_circle_is_counted_once_whatever_steps_it_takes() -> None:
    broker = Broker(BrokerLimits(step_writes=4))
    broker.exchange("all", "fanout")
    for number in range(7):
        broker.declare(f"dead{number}")
        broker.bind("all", f"dead{number}")
    broker.declare("jobs", message_ttl=5.0, dead_letter_exchange="all")
    broker.bind("all", "jobs")
    broker.publish(publication(b"a", "jobs"), publication(b"b", "jobs"))
    broker.pass_time(6)
    assert broker.state.totals.cycles == 2
    assert broker.bodies("dead6") == [b"a", b"b"]


def test_bodies_that_are_not_in_memory_are_loaded_first() -> None:
    broker = Broker()
    broker.declare("dead")
    jobs = broker.declare("jobs", dead_letter_exchange="", dead_letter_routing_key="dead")
    for n in range(4):
        broker.publish(publication(b"%d" % n, "jobs"))
    taken = jobs.next_ready(4, broker.now).deliveries
    broker.state.window.clear()
    broker.step(DeadLetterAsked(jobs.row.uid, tuple(t.id for t in taken), Reason.REJECTED))
    assert broker.bodies("dead") == [b"0", b"1", b"2", b"3"]
    assert jobs.unacknowledged == 0


def test_a_message_that_dies_again_counts_by_queue_and_reason() -> None:
    """https://www.rabbitmq.com/docs/dlx#effects: the newest first, one for each pair."""
    broker = Broker()
    jobs = broker.declare("jobs", dead_letter_exchange="", dead_letter_routing_key="retry")
    retry = broker.declare(
        "retry", message_ttl=5.0, dead_letter_exchange="", dead_letter_routing_key="jobs"
    )
    broker.publish(publication(b"a", "jobs"))
    for _ in range(3):
        reject(broker, jobs)
        assert retry.ready == 1
        broker.pass_time(5)
        assert (retry.ready, jobs.ready) == (0, 1)
    (delivery,) = broker.receive("jobs")
    first, second = death(delivery.payload), death(delivery.payload, 1)
    assert (first["queue"], first["reason"], first["count"]) == ("retry", "expired", 3)
    assert (second["queue"], second["reason"], second["count"]) == ("jobs", "rejected", 3)
    found = headers(delivery.payload)
    assert found["x-first-death-reason"] == "rejected"
    assert found["x-last-death-reason"] == "expired"


def test_a_circle_without_a_rejection_ends() -> None:
    """https://www.rabbitmq.com/docs/dlx#dead-letter-cycle"""
    broker = Broker()
    jobs = broker.declare("jobs", message_ttl=5.0, dead_letter_exchange="")
    broker.publish(publication(b"a", "jobs"))
    broker.pass_time(6)
    assert jobs.ready == 0
    assert broker.state.totals.cycles == 1
    assert not broker.stored


def test_what_makes_a_circle() -> None:
    """https://www.rabbitmq.com/docs/dlx#dead-letter-cycle"""
    assert is_cycle("a", [("a", "expired")])
    assert is_cycle("a", [("b", "maxlen"), ("a", "delivery_limit")])
    assert not is_cycle("a", [("b", "expired")])
    assert not is_cycle("a", [("b", "rejected"), ("a", "expired")])
    assert not is_cycle("a", [("a", "rejected")])
    assert is_cycle("a", [("a", "expired"), ("b", "rejected")])


def test_without_the_exchange_or_a_route_it_is_gone() -> None:
    """https://www.rabbitmq.com/docs/dlx: "If it is missing then, the messages are silently
    dropped"."""
    broker = Broker()
    jobs = broker.declare("jobs", dead_letter_exchange="none")
    broker.publish(publication(b"a", "jobs"))
    reject(broker, jobs)
    plain = broker.declare("plain")
    broker.publish(publication(b"a", "plain"))
    reject(broker, plain)
    assert not broker.stored
    assert (jobs.dead_lettered, plain.dropped) == (1, 1)


def test_a_full_queue_dead_letters_its_head() -> None:
    """https://www.rabbitmq.com/docs/maxlength and https://www.rabbitmq.com/docs/dlx: `maxlen`."""
    broker = Broker()
    broker.declare("dead")
    broker.declare("jobs", max_length=2, dead_letter_exchange="", dead_letter_routing_key="dead")
    broker.publish(*(publication(b"%d" % n, "jobs") for n in range(5)))
    assert broker.bodies("dead") == [b"0", b"1", b"2"]
    assert death(broker.receive("dead")[0].payload)["reason"] == "maxlen"


def test_an_internal_exchange_takes_dead_letters() -> None:
    """https://www.rabbitmq.com/docs/exchanges: clients cannot publish to an internal exchange; the
    broker does."""
    broker = Broker()
    broker.exchange("dlx", "fanout", internal=True)
    broker.declare("dead")
    broker.bind("dlx", "dead")
    jobs = broker.declare("jobs", dead_letter_exchange="dlx")
    broker.publish(publication(b"a", "jobs"))
    reject(broker, jobs, Reason.DELIVERY_LIMIT)
    assert death(broker.receive("dead")[0].payload)["reason"] == "delivery_limit"


def test_dead_letters_keep_their_own_keys_without_one_of_the_queue() -> None:
    """https://www.rabbitmq.com/docs/dlx#routing: "all their original routing keys", CC and BCC."""
    broker = Broker()
    broker.exchange("dlx")
    for name in ("one", "two", "three"):
        broker.declare(name)
        broker.bind("dlx", name, name)
    jobs = broker.declare("jobs", dead_letter_exchange="dlx")
    broker.exchange("in", "fanout")
    broker.bind("in", "jobs")
    cc = HeaderValue(list=HeaderList(values=[HeaderValue(text="two")]))
    bcc = HeaderValue(list=HeaderList(values=[HeaderValue(text="three")]))
    broker.publish(publication(b"a", "one", "in", headers={"CC": cc, "BCC": bcc}))
    reject(broker, jobs)
    for name in ("one", "two", "three"):
        (letter,) = broker.receive(name)
        assert "BCC" not in properties(letter.payload).headers
    assert "CC" in properties(letter.payload).headers


def test_what_producers_wrote_into_x_death_does_no_harm() -> None:
    broker = Broker()
    broker.declare("dead")
    jobs = broker.declare("jobs", dead_letter_exchange="", dead_letter_routing_key="dead")
    odd = [
        HeaderValue(text="nonsense"),
        HeaderValue(list=HeaderList(values=[HeaderValue(integer=5)])),
    ]
    for value in odd:
        broker.publish(publication(b"a", "jobs", headers={"x-death": value}))
    reject(broker, jobs)
    letters = broker.receive("dead")
    assert [death(letter.payload)["count"] for letter in letters] == [1, 1]
    assert broker.state.find_queue(HOST, "jobs") is jobs
