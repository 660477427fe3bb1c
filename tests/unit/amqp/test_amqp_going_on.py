"""What is kept for the next leader: publications, deliveries, settlements."""

from __future__ import annotations

import pytest

from gateway.amqp.cluster.held import Held
from gateway.amqp.cluster.outbox import BATCH_BYTES, BATCH_MESSAGES, Outbox
from gateway.amqp.protocol.effects import Publication, Settle, Source
from gateway.amqp.protocol.unsettled import Unsettled
from gateway.amqp.wire.replies import AmqpError
from quorate.v1 import broker_pb2 as pb

SOURCE = Source(False, 1, "q")


def test_deliveries_that_are_put_back_are_taken_in_their_order():
    known = Unsettled()
    for id in range(10, 16):
        known.put(SOURCE, id)
    for _ in range(500):
        taken = known.take(3, multiple=False)
        known.put_back(taken)
    assert len(known._order) < 100
    known.put_back(known.take(5, multiple=False))
    assert len(known) == 6
    assert [one.tag for one in known.take(4, multiple=True)] == [1, 2, 3, 4]
    with pytest.raises(AmqpError):
        known.take(3, multiple=False)
    known.put_back(known.take(6, multiple=False))
    assert [one.id for one in known.take(0, multiple=True)] == [14, 15]
    assert len(known) == 0
    assert known.take(0, multiple=True) == []


def outbox(count: int) -> Outbox:
    found = Outbox()
    for number in range(count):
        found.add(Publication(b"%d" % number, None))
    return found


def numbers(box: Outbox) -> list[int]:
    return [one.number for one in box.batch()]


def test_publications_are_sent_again_to_the_next_leader():
    box = outbox(5)
    assert numbers(box) == [1, 2, 3, 4, 5]
    assert [one.number for one in box.settle(pb.PublishStreamResponse(confirmed=2))] == [1, 2]
    box.add(Publication(b"new", None))
    box.restart()
    assert numbers(box) == [3, 4, 5, 6]
    assert numbers(box) == []
    box.settle(pb.PublishStreamResponse(confirmed=6))
    assert (len(box), box.size) == (0, 0)


def test_batches_are_as_large_as_a_request_may_be():
    box = outbox(BATCH_MESSAGES + 1)
    assert len(numbers(box)) == BATCH_MESSAGES
    assert len(numbers(box)) == 1
    box = Outbox()
    for _ in range(3):
        box.add(Publication(b"x" * (BATCH_BYTES // 2 + 1), None))
    assert numbers(box) == [1]


def test_results_wait_for_what_is_before_them():
    box = outbox(3)
    box.batch()
    returned = pb.PublicationResult(number=2, kind=pb.PublicationResult.KIND_RETURNED)
    assert box.settle(pb.PublishStreamResponse(confirmed=0, results=[returned])) == []
    found = box.settle(pb.PublishStreamResponse(confirmed=3))
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
