"""What is kept for the next leader: publications, deliveries, settlements."""

from __future__ import annotations

from math import inf

import pytest

from gateway.amqp.cluster.held import Held
from gateway.amqp.cluster.outbox import BATCH_BYTES, BATCH_MESSAGES, TURNAROUND, Outbox
from gateway.amqp.protocol.effects import Publication, Settle, Source
from gateway.amqp.protocol.unsettled import Claims, Unsettled
from gateway.amqp.wire.replies import AmqpError
from quorate.v1 import broker_pb2 as pb

SOURCE = Source(False, 1, "q")


def claimed(known: Unsettled, claims: Claims) -> list[tuple[int, list[int]]]:
    return [(outcome, [one.tag for one in found]) for outcome, found in claims.commit(known)]


def test_a_transaction_settles_each_delivery_once_in_the_order_of_its_claims():
    known, claims = Unsettled(), Claims()
    for id in range(10, 18):
        known.put(SOURCE, id)
    claims.add(known, 2, multiple=False, outcome=2)
    claims.add(known, 4, multiple=True, outcome=1)
    claims.add(known, 6, multiple=False, outcome=1)
    for again in (1, 2, 4, 6, 9):
        with pytest.raises(AmqpError, match=f"unknown delivery tag {again}"):
            claims.add(known, again, multiple=False, outcome=1)
    claims.add(known, 0, multiple=True, outcome=4)
    claims.add(known, 0, multiple=True, outcome=1)  # nothing is left for it
    assert claimed(known, claims) == [(2, [2]), (1, [1, 3, 4]), (1, [6]), (4, [5, 7, 8])]
    assert len(known) == 0
    claims.add(known, 0, multiple=True, outcome=1)
    assert claimed(known, claims) == []


def test_a_rollback_leaves_everything_where_it_was():
    known, claims = Unsettled(), Claims()
    for id in range(10, 15):
        known.put(SOURCE, id)
    before = dict(known._known)
    for _ in range(3):
        claims.add(known, 1, multiple=False, outcome=1)
        claims.add(known, 0, multiple=True, outcome=1)
        claims.clear()
    assert dict(known._known) == before
    claims.add(known, 5, multiple=False, outcome=1)
    assert claimed(known, claims) == [(1, [5])]


def test_recover_takes_what_a_transaction_has_not_claimed():
    known, claims = Unsettled(), Claims()
    for id in range(10, 16):
        known.put(SOURCE, id)
    claims.add(known, 2, multiple=True, outcome=1)
    claims.add(known, 5, multiple=False, outcome=1)
    assert [one.tag for one in claims.recover(known)] == [3, 4, 6]
    assert claims.recover(known) == []
    known.put(SOURCE, 20)
    assert [one.id for one in claims.recover(known)] == [20]
    claims.clear()
    assert [one.tag for one in claims.recover(known)] == [1, 2, 5]


def outbox(count: int) -> Outbox:
    found = Outbox()
    for number in range(count):
        found.add(Publication(b"%d" % number, None))
    return found


def numbers(box: Outbox, now: float = 100.0) -> list[int]:
    """Of what is sent at that moment."""
    return [one.number for one in box.batch()] if box.due(now) <= now else []


def confirm(box: Outbox, number: int, now: float = 0.0) -> list[int]:
    return [one.number for one in box.settle(pb.PublishStreamResponse(confirmed=number), now)]


def test_publications_are_sent_again_to_the_next_leader():
    box = outbox(5)
    assert numbers(box) == [1, 2, 3, 4, 5]
    assert confirm(box, 2) == [1, 2]
    box.add(Publication(b"new", None))
    box.restart()
    assert numbers(box) == [3, 4, 5, 6]
    assert numbers(box) == []
    confirm(box, 6)
    assert (len(box), box.size) == (0, 0)


def test_batches_are_as_large_as_a_request_may_be():
    box = outbox(BATCH_MESSAGES + 1)
    assert len(numbers(box)) == BATCH_MESSAGES
    confirm(box, BATCH_MESSAGES)
    assert len(numbers(box)) == 1
    box = Outbox()
    for _ in range(3):
        box.add(Publication(b"x" * (BATCH_BYTES // 2 + 1), None))
    assert numbers(box) == [1]


def test_what_comes_while_requests_are_on_their_way_goes_out_together():
    box = outbox(0)
    for number in (1, 2):
        box.add(Publication(b"x", None))
        assert numbers(box) == [number]
    for _ in range(5):
        box.add(Publication(b"x", None))
        assert numbers(box) == []
    assert box.has_unsent
    confirm(box, 1)
    assert numbers(box) == [3, 4, 5, 6, 7]
    box.add(Publication(b"x", None))
    assert numbers(box) == []
    box.restart()
    assert numbers(box) == [2, 3, 4, 5, 6, 7, 8]


def test_the_second_request_is_not_smaller_than_the_first():
    box = outbox(3)
    assert numbers(box) == [1, 2, 3]
    for number in (4, 5):
        box.add(Publication(b"x", None))
        assert box.due(0.0) == inf, number
    box.add(Publication(b"x", None))
    assert numbers(box) == [4, 5, 6]


def test_publishers_that_wait_for_their_confirms_share_the_next_request():
    box = outbox(3)
    assert numbers(box) == [1, 2, 3]
    assert confirm(box, 3, now=10.0) == [1, 2, 3]
    for _ in range(2):
        box.add(Publication(b"x", None))
        assert box.due(10.0) == 10.0 + TURNAROUND
    box.add(Publication(b"x", None))
    assert numbers(box, now=10.0) == [4, 5, 6]
    # One of them is done: the others wait for it for a moment alone.
    confirm(box, 6, now=11.0)
    box.add(Publication(b"x", None))
    assert numbers(box, now=11.0) == []
    assert numbers(box, now=11.0 + TURNAROUND) == [7]
    # Alone, a publisher never waits.
    confirm(box, 7, now=12.0)
    box.add(Publication(b"x", None))
    assert numbers(box, now=12.0) == [8]


def test_results_wait_for_what_is_before_them():
    box = outbox(3)
    box.batch()
    returned = pb.PublicationResult(number=2, kind=pb.PublicationResult.KIND_RETURNED)
    assert box.settle(pb.PublishStreamResponse(confirmed=0, results=[returned]), 0.0) == []
    found = box.settle(pb.PublishStreamResponse(confirmed=3), 0.0)
    assert [one.result for one in found] == [None, returned, None]


def sent(held: Held) -> pb.Settle:
    """The next settlement, which is there."""
    found = held.next()
    assert found is not None
    return found


def ask(held: Held, outcome: int, *ids: int) -> None:
    held.ask(Settle(SOURCE, ids, outcome))


def test_settlements_that_follow_each_other_are_one_request():
    held = Held()
    held.put(SOURCE, [1, 2, 3])
    ask(held, pb.OUTCOME_ACK, 1)
    ask(held, pb.OUTCOME_ACK, 2)
    ask(held, pb.OUTCOME_REJECT, 3)
    first, second = sent(held), sent(held)
    assert (list(first.ids), list(second.ids)) == ([1, 2], [3])
    assert held.next() is None
    held.settled(second.number)
    assert held.quiet
    assert not held.has(SOURCE)


def test_acknowledgements_gather_behind_one_that_is_on_its_way():
    held = Held()
    held.put(SOURCE, range(1, 9))
    ask(held, pb.OUTCOME_ACK, 1)
    number = sent(held).number
    for one in (2, 3, 4):
        ask(held, pb.OUTCOME_ACK, one)
        assert held.next() is None
    held.settled(number)
    assert list(sent(held).ids) == [2, 3, 4]
    ask(held, pb.OUTCOME_ACK, 5)
    assert held.next() is None
    # The session ends, say.
    found = held.next(gather=False)
    assert found is not None
    assert list(found.ids) == [5]


@pytest.mark.parametrize("more", [1, 2])
def test_acknowledgements_do_not_wait_when_the_client_may(more):
    held = Held()
    held.put(SOURCE, range(1, 3 + more))
    ask(held, pb.OUTCOME_ACK, 1)
    sent(held)
    ask(held, pb.OUTCOME_ACK, 2)
    # It has one more, or two.
    assert (held.next() is None) == (more > 1)
    ask(held, pb.OUTCOME_ACK, 3)
    assert held.next() is not None


def test_nothing_gathers_behind_another_outcome_or_when_somebody_waits():
    held, done = Held(), []
    held.put(SOURCE, range(1, 20))
    for outcome in (pb.OUTCOME_ACK, pb.OUTCOME_NACK, pb.OUTCOME_REJECT):
        ask(held, outcome, outcome)
        sent(held)
    ask(held, pb.OUTCOME_ACK, 11)
    assert held.next() is None
    held.barrier(SOURCE, lambda: done.append(1))
    assert list(sent(held).ids) == [11]
    held.settled(sent(held).number)
    assert done == [1]


def test_what_a_transaction_settled_is_not_left_to_settle():
    held = Held()
    held.put(SOURCE, [1, 2, 3])
    ask(held, pb.OUTCOME_ACK, 1)
    sent(held)
    held.committed(Settle(SOURCE, [2], pb.OUTCOME_ACK))
    ask(held, pb.OUTCOME_ACK, 3)
    assert list(sent(held).ids) == [3]


def test_acknowledgements_are_repeated_until_they_are_durable():
    held = Held()
    held.put(SOURCE, [1, 2, 3])
    ask(held, pb.OUTCOME_ACK, 1)
    number = sent(held).number
    ask(held, pb.OUTCOME_ACK, 2)
    (listed,) = held.restart()
    assert list(listed.ids) == [1, 2, 3]
    again, rest = sent(held), sent(held)
    assert (list(again.ids), list(rest.ids)) == ([1], [2])
    assert number < again.number < rest.number
    held.settled(again.number)
    (listed,) = held.restart()
    assert list(listed.ids) == [2, 3]


def test_what_was_put_back_is_not_claimed():
    held = Held()
    held.put(SOURCE, [1])
    ask(held, pb.OUTCOME_NACK, 1)
    number = sent(held).number
    # It may come again before that is durable.
    held.put(SOURCE, [1])
    held.settled(number)
    assert held.has(SOURCE)
    ask(held, pb.OUTCOME_NACK, 1)
    held.next()
    assert held.restart() == []
    assert held.next() is None


def test_a_barrier_outlives_a_leader():
    held, done = Held(), []
    held.put(SOURCE, [1])
    ask(held, pb.OUTCOME_NACK, 1)
    held.barrier(SOURCE, lambda: done.append(1))
    held.next(), held.next()
    held.restart()
    settle = sent(held)
    assert not settle.ids
    assert not done
    held.settled(settle.number)
    assert done == [1]


def test_long_settlements_are_split():
    held = Held()
    held.put(SOURCE, range(25_000))
    ask(held, pb.OUTCOME_ACK, *range(25_000))
    sizes = []
    while (settle := held.next()) is not None:
        sizes.append(len(settle.ids))
        assert settle.outcome == pb.OUTCOME_ACK
    assert sizes == [10_000, 10_000, 5_000]
