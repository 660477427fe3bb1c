"""What was returned or rejected is so again when it is repeated, to the next leader, too."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.v1 import broker_pb2 as pb
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import ResultKind
from scheduler.core.broker.handlers.publishing import rejections
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import Overflow, ProducerRow, Refused
from scheduler.core.broker.state import Space
from scheduler.storage.records.broker import rows
from tests.support.broker import HOST, Broker, Waiting, publication
from tests.support.broker_calls import publication as message
from tests.support.broker_calls import serving
from tests.support.consuming import CALLER, Consumers


def sent(number: int, key: str = "jobs", **more: Any) -> e.Publication:
    return publication(b"%d" % number, key, number=number, **more)


def told(answer: Any) -> list[tuple[int, ResultKind, str, str]]:
    """What a producer learns of those that are not simply queued."""
    return [
        (position, kind, error.code.name, error.reason) for position, kind, error in answer.results
    ]


@pytest.fixture
def broker() -> Consumers:
    """`jobs` takes two messages."""
    found = Consumers()
    found.declare("jobs", max_length=2, overflow=Overflow.REJECT_PUBLISH)
    found.declare("other")
    return found


def test_a_repetition_to_the_next_leader_gets_the_first_answer(broker: Consumers) -> None:
    """Its answer is lost with the leader. Meanwhile there is room, and a route."""
    all_of_it = [
        *(sent(1), sent(2), sent(3), sent(4, "nowhere", mandatory=True)),
        *(sent(5, "other"), sent(6), sent(7, "other"), sent(8, exchange="none")),
    ]
    first = told(broker.publish(*all_of_it, producer="p"))
    assert first == [
        (2, ResultKind.REJECTED, "RESOURCE_EXHAUSTED", "MESSAGE_QUEUE_FULL"),
        (3, ResultKind.RETURNED, "NOT_FOUND", "ROUTE_NOT_FOUND"),
        (5, ResultKind.REJECTED, "RESOURCE_EXHAUSTED", "MESSAGE_QUEUE_FULL"),
        (7, ResultKind.REJECTED, "NOT_FOUND", "EXCHANGE_NOT_FOUND"),
    ]
    assert broker.standby.producers == broker.state.producers
    broker.fail_over()
    broker.receive("jobs")
    broker.declare("nowhere")
    for start in (0, 2, 5):
        again = told(broker.publish(*all_of_it[start:], producer="p"))
        assert again == [(place - start, *rest) for place, *rest in first if place >= start]
    assert [broker.bodies(name) for name in ("jobs", "other", "nowhere")] == [[], [b"5", b"7"], []]
    assert broker.publish(sent(9), producer="p").results == ()
    assert broker.bodies("jobs") == [b"9"]


def test_a_text_names_the_message_and_the_reason(broker: Consumers) -> None:
    numbered = [sent(1), sent(2), sent(3), sent(4, "nowhere", mandatory=True)]
    broker.publish(*numbered, producer="p")
    full, none = [one.error for one in broker.publish(*numbered, producer="p").results]
    assert "number 3" in full.message
    assert "MESSAGE_QUEUE_FULL" in full.message
    assert "'nowhere'" in none.message


def test_nothing_behind_a_rejected_message_is_queued_twice(broker: Consumers) -> None:
    numbered = [sent(1, exchange="none"), sent(2, "other"), sent(3, "other")]
    broker.publish(*numbered, producer="p")
    broker.fail_over()
    assert len(broker.publish(*numbered, producer="p").results) == 1
    assert broker.bodies("other") == [b"2", b"3"]


def test_a_rejected_message_is_a_dead_letter_once() -> None:
    broker = Consumers()
    broker.declare("dead")
    broker.declare(
        "jobs",
        max_length=1,
        overflow=Overflow.REJECT_PUBLISH_DEAD_LETTER,
        dead_letter_exchange="",
        dead_letter_routing_key="dead",
    )
    for _ in range(2):
        assert len(broker.publish(sent(1), sent(2), producer="p").results) == 1
        broker.fail_over()
    assert broker.bodies("dead") == [b"2"]


def test_a_call_that_is_repeated_with_its_request_id_has_the_same_results(
    broker: Consumers,
) -> None:
    def call() -> Any:
        numbered = [sent(1), sent(2), sent(3)]
        token = Waiting()
        broker.step(e.MessagesPublished(HOST, "request", numbered, token, digest=b"d"))
        return told(token.answer)

    first = call()
    broker.fail_over()
    broker.receive("jobs")
    assert call() == first != []


def test_of_a_publish_in_parts_what_is_not_settled_is_looked_at_again() -> None:
    """The leader dies between two parts: of those that follow, what was refused says nothing."""
    broker = Consumers(BrokerLimits(step_bytes=400))
    broker.declare("jobs")
    broker.declare("full", max_length=1, overflow=Overflow.REJECT_PUBLISH)
    broker.publish(publication(b"x", "full"))
    body = b"x" * 100
    large = [publication(body, "full" if n in (2, 8) else "jobs", number=n) for n in range(1, 10)]
    out = broker.machine.step(e.MessagesPublished(HOST, "p", large, Waiting()), broker.now)
    broker._committed(out)
    assert out.then, "there are more parts; the leader dies here"
    assert 2 < broker.standby.producers["p"].number < 8
    broker.fail_over()
    broker.receive("full")
    assert [one.position for one in broker.publish(*large, producer="p").results] == [1]
    assert len(broker.bodies("jobs")) == 7
    assert broker.bodies("full") == [body]
    assert broker.state.producers["p"].refused == (Refused(2, 2, False, 8, "MESSAGE_QUEUE_FULL"),)


def test_what_is_remembered_is_bounded_and_what_is_forgotten_is_not_confirmed() -> None:
    broker = Broker()
    broker.declare("jobs")
    most = rejections.MOST_RUNS
    numbered = [
        sent(n, "jobs" if n % 2 else "none", mandatory=True) for n in range(1, 2 * most + 3)
    ]
    broker.publish(*numbered, producer="p")
    row = broker.state.producers["p"]
    assert (len(row.refused), row.forgotten) == (most, 2)
    assert len(rows.producer_record(row).SerializeToString()) < 4_096
    found = told(broker.publish(*numbered, producer="p"))
    assert found[:2] == [
        (place, ResultKind.REJECTED, "FAILED_PRECONDITION", "OUTCOME_FORGOTTEN") for place in (0, 1)
    ]
    assert {reason for _, _, _, reason in found[2:]} == {"ROUTE_NOT_FOUND"}
    assert len(found) == 2 + most
    assert len(broker.bodies("jobs")) == most + 1


def test_old_numbers_are_forgotten() -> None:
    broker = Broker()
    broker.declare("jobs")
    broker.publish(sent(1, "none", mandatory=True), producer="p")
    broker.publish(sent(rejections.WINDOW), producer="p")
    assert broker.state.producers["p"].refused
    broker.publish(sent(rejections.WINDOW + 1), producer="p")
    row = broker.state.producers["p"]
    assert row.forgotten == 1
    assert row.refused == (Refused(2, rejections.WINDOW - 1, False, 9, "NUMBER_SKIPPED"),)


def test_what_all_producers_remember_is_bounded() -> None:
    broker = Broker(BrokerLimits(refused_runs=10, producers=30))
    broker.declare("jobs")
    for name in range(40):
        numbered = [sent(n, "jobs" if n % 2 else "none", mandatory=True) for n in range(1, 9)]
        broker.publish(*numbered, producer=f"p{name}")
        held = sum(len(row.refused) for row in broker.state.producers.values())
        assert broker.state.refused_runs == held <= 10 + 30 + 4
    # The latest one, whatever there is.
    assert broker.state.producers["p39"].refused[-1].last == 8
    broker.state.refused_runs = 0
    broker.step(e.Elected())
    assert broker.state.refused_runs == held
    broker.pass_time(2_000)
    assert broker.state.refused_runs == 0


def test_a_number_that_was_passed_over_is_not_confirmed(broker: Consumers) -> None:
    """What its batch was refused with, before it was stepped, its producer may not have seen."""
    broker.publish(sent(1, "other"), producer="p")
    broker.publish(sent(4, "other"), sent(6, "other"), producer="p")
    broker.fail_over()
    numbered = [sent(n, "other") for n in range(1, 7)]
    found = told(broker.publish(*numbered, producer="p"))
    skipped = (ResultKind.REJECTED, "FAILED_PRECONDITION", "NUMBER_SKIPPED")
    assert found == [(1, *skipped), (2, *skipped), (4, *skipped)]
    assert broker.bodies("other") == [b"1", b"4", b"6"]


def test_what_an_unknown_producer_did_before_is_forgotten(broker: Consumers) -> None:
    broker.publish(sent(3, "other"), producer="p")
    found = told(broker.publish(sent(2, "other"), sent(3, "other"), producer="p"))
    assert found == [(0, ResultKind.REJECTED, "FAILED_PRECONDITION", "OUTCOME_FORGOTTEN")]
    assert broker.bodies("other") == [b"3"]


def test_numbers_are_taken_out_of_runs() -> None:
    runs = [Refused(2, 9, False, 8, "FULL"), Refused(12, 12, True, 5, "NONE")]
    known = ProducerRow("p", 1, 0.0, refused=tuple(runs))
    left = rejections.noted(known, [12, 2, 9, 5, 10, 11], ())
    assert left == (Refused(3, 4, False, 8, "FULL"), Refused(6, 8, False, 8, "FULL"))


# -- transactions ----------------------------------------------------------------------------------


def transact(broker: Consumers, *publications: e.Publication) -> Any:
    token = Waiting()
    client = broker.clients.get("") or broker.client(opened=False)
    broker.step(e.Transacted(HOST, publications, client.id, (), token, CALLER, "p"))
    return token.answer


def test_a_refused_transaction_is_refused_again_when_a_later_one_is_done(broker: Consumers) -> None:
    refused = [sent(1, "other"), sent(2, "nowhere", mandatory=True)]
    assert transact(broker, *refused).reason == "ROUTE_NOT_FOUND"
    assert transact(broker, sent(3, "other")).results == ()
    assert broker.standby.producers == broker.state.producers
    broker.fail_over()
    broker.declare("nowhere")
    error = transact(broker, *refused)
    assert (error.reason, error.code.name) == ("ROUTE_NOT_FOUND", "NOT_FOUND")
    assert "number 1" in error.message
    assert transact(broker, sent(3, "other")).results == ()
    assert (broker.bodies("other"), broker.bodies("nowhere")) == ([b"3"], [])


def test_a_refused_transaction_is_looked_at_again_while_it_is_the_last(broker: Consumers) -> None:
    refused = [sent(1, "other"), sent(2, "nowhere", mandatory=True)]
    assert transact(broker, *refused).reason == "ROUTE_NOT_FOUND"
    broker.fail_over()
    broker.declare("nowhere")
    for _ in range(2):
        assert transact(broker, *refused).results == ()
    assert (broker.bodies("other"), broker.bodies("nowhere")) == ([b"1"], [b"2"])
    assert broker.state.producers["p"].refused == ()


def test_what_was_refused_without_space_is_on_record_with_what_is_settled_next(
    broker: Consumers,
) -> None:
    broker.state.space = Space.NONE
    assert transact(broker, sent(1, "other")).reason == "ETCD_SPACE_LOW"
    assert not any(out.writes for out in broker.effects[-1:])
    broker.state.space = Space.PLENTY
    assert transact(broker, sent(2, "other")).results == ()
    broker.fail_over()
    assert transact(broker, sent(1, "other")).reason == "ETCD_SPACE_LOW"
    assert broker.bodies("other") == [b"2"]


def test_a_transaction_that_never_came_is_not_answered_as_done(broker: Consumers) -> None:
    """Two were under way: the first one was refused before it was stepped, or lost."""
    assert transact(broker, sent(1, "other")).results == ()
    assert transact(broker, sent(4, "other"), sent(5, "other")).results == ()
    assert broker.standby.producers == broker.state.producers
    broker.fail_over()
    for numbers in ((2, 3), (2,), (3, 4)):
        error = transact(broker, *[sent(number, "other") for number in numbers])
        assert (error.reason, error.code.name) == ("NUMBER_SKIPPED", "FAILED_PRECONDITION")
    assert transact(broker, sent(4, "other"), sent(5, "other")).results == ()
    assert transact(broker, sent(6, "other")).results == ()
    assert broker.bodies("other") == [b"1", b"4", b"5", b"6"]


def test_the_first_transaction_of_a_producer_that_never_came(broker: Consumers) -> None:
    assert transact(broker, sent(3, "other")).results == ()
    assert transact(broker, sent(1, "other"), sent(2, "other")).reason == "OUTCOME_FORGOTTEN"


def test_what_was_refused_before_is_not_passed_over(broker: Consumers) -> None:
    assert transact(broker, sent(2, "nowhere", mandatory=True)).reason == "ROUTE_NOT_FOUND"
    assert transact(broker, sent(5, "other")).results == ()
    found = [transact(broker, sent(number, "other")).reason for number in (1, 2, 3, 4)]
    assert found == ["OUTCOME_FORGOTTEN", "ROUTE_NOT_FOUND", "NUMBER_SKIPPED", "NUMBER_SKIPPED"]


# -- records ---------------------------------------------------------------------------------------


def test_rejections_are_on_record() -> None:
    row = ProducerRow(
        *("alice/p", 2**63, 1.5, b"digest"),
        (
            Refused(3, 3, True, 5, "ROUTE_NOT_FOUND"),
            Refused(4, 90, False, 8, "MESSAGE_QUEUE_FULL"),
            Refused(92, 2**62, True, 5, "ROUTE_NOT_FOUND"),
        ),
        2,
    )
    record = rows.producer_record(row)
    assert rows.producer_of(record) == row
    record.refused.extend([0, 1, 9, 7])
    assert rows.producer_of(record) == row, "a reason that is none, and half a run"


def test_a_commit_that_only_refuses_writes_the_producer_alone(broker: Consumers) -> None:
    broker.publish(sent(1, "nowhere", mandatory=True), producer="p")
    writes = [write for out in broker.effects for write in out.writes][-1:]
    assert writes == [fx.PutProducer(broker.state.producers["p"])]


def test_of_what_is_said_twice_of_a_number_the_first_holds() -> None:
    full, none = Refused(2, 2, False, 8, "FULL"), Refused(2, 2, True, 5, "NONE")
    wide = Refused(2, 4, True, 5, "NONE")
    assert rejections.joined([full, none]) == (full,)
    assert rejections.joined([full, wide]) == (full, Refused(3, 4, True, 5, "NONE"))
    assert rejections.joined([wide, full]) == (wide,)


@pytest.mark.parametrize("numbers", [(1, 1), (5, 3), (1, 0, 1)])
async def test_numbers_of_one_request_ascend(numbers: tuple[int, ...]) -> None:
    async with serving() as served:
        sent = [message(b"", "nowhere", number=number, mandatory=True) for number in numbers]
        error = await served.refused(pb.PublishRequest(producer="p", publications=sent))
        assert error.field == f"publications[{len(numbers) - 1}].number"
