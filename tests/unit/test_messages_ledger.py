"""A consumer's ledger: what it holds, what it settled, and its inventory under the next leader."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.client.errors import DeliveryLost
from quorate.client.messages.consuming.ledger import QUIET, SILENCE, Ledger
from quorate.client.messages.consuming.subscription import subscription
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2


def ledger(**options: Any) -> Ledger:
    made = Ledger(subscription("q", **options))
    made.opening(0.0)
    made.subscribe()
    [request] = sent(made)
    assert request.subscribe.queue == "q"
    made.on_subscribed(pb.Subscribed(consumer=1))
    return made


def deliver(made: Ledger, *ids: int) -> None:
    made.on_deliveries(
        pb.Deliveries(consumer=1, deliveries=[message_pb2.Delivery(id=one) for one in ids])
    )


def sent(made: Ledger, now: float = 0.0) -> list[pb.ConsumeRequest]:
    assert made.has_requests
    found = list(made.requests(now))
    assert not made.has_requests
    return found


def settles(made: Ledger) -> list[tuple[int, list[int], int]]:
    return [(one.settle.number, list(one.settle.ids), one.settle.outcome) for one in sent(made)]


def unsettled(request: pb.ConsumeRequest) -> list[int]:
    return sorted(one for group in request.open.unsettled for one in group.ids)


ACK, NACK, TOUCH = pb.OUTCOME_ACK, pb.OUTCOME_NACK, pb.OUTCOME_TOUCH


def test_settlements_of_one_kind_go_together_and_others_keep_their_order():
    made = ledger()
    deliver(made, 1, 2, 3, 4)
    for one, outcome in ((1, ACK), (2, ACK), (3, NACK), (4, ACK)):
        assert made.settle(one, outcome)
    assert settles(made) == [(1, [1, 2], ACK), (2, [3], NACK), (3, [4], ACK)]
    assert (made.held, made.pending) == (0, 4)
    made.on_settled(2)
    assert made.pending == 1


def test_the_inventory_has_what_is_held_and_what_is_not_durable_and_that_is_settled_again():
    made = ledger()
    deliver(made, 1, 2, 3)
    made.settle(1, ACK)
    sent(made)
    made.on_settled(1)
    made.settle(2, ACK)
    sent(made)
    made.broken()
    again = made.opening(0.0)
    assert unsettled(again) == [2, 3]
    assert [one.queue for one in again.open.consumers] == ["q"]
    assert again.open.session == made.session
    assert settles(made) == [(3, [2], ACK)]
    made.on_settled(3)
    assert (made.pending, made.held) == (0, 1)


def test_what_is_durable_is_known_by_the_order_in_which_it_was_asked_for():
    made = ledger()
    deliver(made, 1, 2)
    made.settle(1, ACK)
    sent(made)
    first = made.serial
    made.settle(2, ACK)
    sent(made)
    assert not made.is_durable(first)
    made.on_settled(1)
    assert made.is_durable(first)
    assert not made.is_durable(made.serial)


def test_a_delivery_that_comes_again_is_held_and_its_old_settlement_is_not_repeated():
    made = ledger()
    deliver(made, 1, 2)
    made.settle(1, NACK)
    made.settle(2, NACK)
    sent(made)
    deliver(made, 1)
    made.broken()
    assert unsettled(made.opening(0.0)) == [1, 2]
    assert settles(made) == [(2, [2], NACK)]
    assert made.settle(1, ACK)


def test_a_delivery_is_settled_once_and_a_touch_settles_nothing():
    made = ledger()
    deliver(made, 1)
    assert made.settle(1, TOUCH)
    assert made.settle(1, ACK)
    assert not made.settle(1, ACK)
    assert made.pending == 1
    assert [one[2] for one in settles(made)] == [TOUCH, ACK]


def test_a_delivery_that_comes_again_during_its_transaction_is_held():
    made = ledger()
    deliver(made, 1, 2)
    made.take([1, 2])
    # The transaction puts 2 back, and that is faster than its answer.
    deliver(made, 2)
    made.taken([1, 2], settled=True)
    assert made.held == 1
    with pytest.raises(DeliveryLost, match="delivery 1 is not this consumer's any more"):
        made.take([1])
    made.take([2])
    made.taken([2], settled=False)
    assert made.settle(2, ACK)


def test_a_refused_settlement_is_told_once():
    made = ledger()
    failure = pb.Failure(code=9, reason="UNKNOWN_DELIVERY")
    made.on_refused(pb.SettleRefused(failure=failure, ids=[7, 9]))
    assert made.refused == 2
    lost = made.take_lost()
    assert isinstance(lost, DeliveryLost)
    assert (lost.reason, lost.deliveries) == ("UNKNOWN_DELIVERY", (7, 9))
    assert made.take_lost() is None


def test_a_refused_subscription_is_the_error_that_a_call_would_have_raised():
    made = Ledger(subscription("q"))
    failure = pb.Failure(code=5, reason="MESSAGE_QUEUE_NOT_FOUND", message="no q")
    with pytest.raises(QuorateError, match="no q") as raised:
        made.on_subscribed(pb.Subscribed(consumer=1, failure=failure))
    assert raised.value.code.name == "NOT_FOUND"


def test_a_stream_is_read_on_behind_the_last_offset_as_another_consumer():
    made = ledger(offset="first")
    made.on_subscribed(pb.Subscribed(consumer=1, stream=True))
    deliver(made, 7, 8, 9)
    made.settle(7, ACK)
    sent(made)
    made.broken()
    [consumer] = made.opening(0.0).open.consumers
    assert consumer.position.offset == 10
    assert consumer.consumer == 2


def test_a_stream_that_is_read_from_now_on_loses_nothing_to_a_break_before_its_first_message():
    made = ledger(offset="next")
    made.on_subscribed(pb.Subscribed(consumer=1, stream=True, offset=42))
    made.broken()
    [consumer] = made.opening(0.0).open.consumers
    assert consumer.position.offset == 42


def test_with_automatic_acknowledgements_nothing_is_held():
    made = ledger(auto_ack=True)
    deliver(made, 1)
    assert made.held == 0


def test_the_prefetch_of_a_consumer_that_goes_on_is_the_last_one():
    made = ledger(prefetch=10)
    made.change_prefetch(20)
    [request] = sent(made)
    assert request.credit.prefetch == 20
    made.broken()
    assert made.opening(0.0).open.consumers[0].prefetch == 20


def test_a_quiet_scheduler_is_asked_for_a_sign_of_life_and_then_given_up():
    made = ledger()
    assert not made.is_dead(QUIET - 0.1, paused=False)
    assert not made.is_dead(QUIET, paused=False)
    [request] = sent(made, QUIET)
    assert (request.settle.outcome, list(request.settle.ids)) == (TOUCH, [])
    # Once is enough.
    assert not made.is_dead(QUIET + 1, paused=False)
    assert not made.has_requests
    assert made.is_dead(QUIET + SILENCE, paused=False)
    made.on_answer(QUIET + SILENCE)
    assert not made.is_dead(QUIET + SILENCE + 1, paused=False)


def test_a_program_that_does_not_read_gives_nobody_up():
    made = ledger()
    assert not made.is_dead(1_000.0, paused=True)
    assert not made.is_dead(1_001.0, paused=False)


def test_it_leaves_once_all_its_settlements_are_durable_and_then_closes():
    made = ledger()
    deliver(made, 1)
    made.settle(1, ACK)
    made.drain()
    first, second, marker = sent(made)
    assert first.unsubscribe.consumer == 1
    assert list(second.settle.ids) == [1]
    assert (marker.settle.outcome, list(marker.settle.ids)) == (TOUCH, [])
    made.on_settled(1)
    # What was on its way before it left may still come.
    assert not made.is_drained
    made.on_settled(2)
    assert made.is_drained
    made.close()
    [last] = sent(made)
    assert last.WhichOneof("request") == "close"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prefetch": -1}, "prefetch: is -1; use 1 to 65,535, or 0 for no limit but 64 MiB"),
        ({"prefetch": 65_536}, "prefetch: is 65536"),
        ({"priority": 128}, "priority: is 128; use -128 to 127"),
        ({"offset": "begin"}, 'offset: is \'begin\'; use a number, "first", "last" or "next"'),
        ({"offset": -1}, "offset: is -1"),
    ],
)
def test_an_option_beyond_its_range_is_refused_by_name(options: dict[str, Any], sentence: str):
    with pytest.raises(QuorateError) as raised:
        subscription("q", **options)
    assert sentence in str(raised.value)
