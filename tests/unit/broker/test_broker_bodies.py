"""Bodies that are stored apart from their messages: large ones, and those that queues share."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.handlers.dead_letters import DeadLetterAsked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.queues.combining import weight
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.rows import NO_SESSION, PositionKind, QueueType, StreamPosition
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.bodies import PART_BYTES
from scheduler.core.broker.storage.format import MESSAGE_BYTES, summarize, unpack
from tests.support.broker import HOST, Broker, Waiting, publication
from tests.support.consuming import Consumers

INLINE = BrokerLimits().inline_bytes
SHARED = BrokerLimits().step_bytes
MOST = 16 << 20
# A body of a few bytes is stored apart, so that histories are small.
SMALL = BrokerLimits(inline_bytes=3)


def fanout(broker: Broker, count: int, **spec: Any) -> list[str]:
    names = [f"q{number}" for number in range(count)]
    broker.exchange("all", "fanout")
    for name in names:
        broker.declare(name, **spec)
        broker.bind("all", name)
    return names


def body_of(delivery: fx.Delivery) -> bytes:
    return MessageEnvelope.FromString(delivery.payload).body


def parts(broker: Broker) -> list[int]:
    """How many parts each stored body has."""
    return [len(of_body) for of_body in broker.parts.values()]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (INLINE - 1, []),
        (INLINE, []),
        (INLINE + 1, [3]),
        (MOST - 1, [32]),
        (MOST, [32]),
    ],
)
def test_a_large_body_is_written_in_parts_and_read_back_whole(
    size: int, expected: list[int]
) -> None:
    broker = Broker()
    queue = broker.declare("q")
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert broker.publish(publication(body, "q")).results == ()
    assert parts(broker) == expected
    for of_body in broker.parts.values():
        assert max(map(len, of_body.values())) <= PART_BYTES
    assert queue.size > size, "a queue has the bytes of its bodies"
    broker.state.window.clear()
    (taken,) = broker.receive("q")
    assert body_of(taken) == body
    assert not broker.parts, "it is deleted with its message"


@pytest.mark.parametrize(("more", "stored"), [(-1, 0), (0, 0), (1, 1)])
def test_a_body_is_stored_once_if_its_copies_are_more_than_512_kib(more: int, stored: int) -> None:
    broker = Broker()
    names = fanout(broker, 2)
    frame = len(publication(b"x" * (SHARED // 2), exchange="all").payload) - SHARED // 2
    # Two copies have an even number of bytes together.
    body = b"x" * (SHARED // 2 - MESSAGE_BYTES - frame + more)
    broker.publish(publication(body, exchange="all"))
    assert len(broker.parts) == stored
    for place, name in enumerate(names):
        assert len(broker.parts) == stored
        (taken,) = broker.receive(name)
        assert body_of(taken) == body, place
    assert not broker.parts


@pytest.mark.parametrize(("size", "together"), [(100, True), (256 << 10, False)])
def test_a_message_over_256_kib_is_a_chunk_of_its_own(size: int, together: bool) -> None:
    broker = Broker()
    queue = broker.declare("q")
    broker.publish(*(publication(body, "q") for body in (b"a", b"b" * size, b"c")))
    assert (len(queue.lanes[0].log.chunks) == 1) is together


def test_a_reference_weighs_as_much_as_its_body() -> None:
    broker = Broker()
    names = fanout(broker, 3)
    # Two of them are in one chunk without sharing, three are not.
    broker.publish(*(publication(b"x" * 100_000, exchange="all") for _ in range(3)))
    assert not broker.parts
    inline = len(broker.state.queue(HOST, names[0]).lanes[0].log.chunks)
    fanout_of = [publication(b"y" * 180_000, exchange="all") for _ in range(2)]
    broker.publish(*fanout_of)
    assert len(broker.parts) == 2
    queue = broker.state.queue(HOST, names[0])
    assert len(queue.lanes[0].log.chunks) == inline + 2, "each is a chunk of its own"
    assert queue.size > 3 * 100_000 + 2 * 180_000
    summary = list(queue.lanes[0].log.chunks)[-1]
    stored = broker.stored[queue.row.uid, "p00", summary.first]
    assert summarize(stored) == summary
    assert len(stored) < 1_000


def test_a_body_goes_with_the_last_message_that_refers_to_it() -> None:
    broker = Broker(SMALL)
    names = fanout(broker, 3)
    broker.publish(publication(b"body", exchange="all"))
    (body,) = broker.parts
    assert broker.state.bodies.references(body) == 3
    broker.receive(names[0])
    broker.ask(e.PurgeAsked, HOST, names[1], NO_SESSION)
    assert list(broker.parts) == [body]
    broker.ask(e.MessageQueueDeleteAsked, HOST, names[2], NO_SESSION, False, False)
    assert not broker.parts
    assert not broker.state.bodies.on_record


def test_a_message_that_reaches_no_queue_stores_nothing() -> None:
    broker = Broker(SMALL)
    broker.publish(publication(b"body", "nowhere"))
    assert not broker.parts
    assert not broker.state.bodies.writing


@pytest.mark.parametrize("size", [3 * PART_BYTES, 2 * PART_BYTES + 1])
def test_a_queue_that_goes_between_two_parts_leaves_nothing(size: int) -> None:
    """A short last part has the copies in its step, or would have."""
    broker = Broker(SMALL)
    broker.declare("q")
    machine, state = broker.machine, broker.state
    token = Waiting()
    publications = [publication(b"x" * size, "q")]
    out = machine.step(e.MessagesPublished(HOST, "", publications, token), broker.now)
    assert [type(write) for write in out.writes] == [fx.PutBodyPart]
    assert state.bodies.writing == size
    broker.commit(out)
    broker.ask(e.MessageQueueDeleteAsked, HOST, "q", NO_SESSION, False, False)
    for following in out.then:
        broker.step(following)
    assert token.answered
    assert not broker.parts
    assert not state.bodies.writing


def test_dead_letters_and_moves_keep_the_body_where_it_is() -> None:
    broker = Broker(SMALL)
    broker.declare("dead")
    broker.declare("moved")
    broker.declare("q", dead_letter_exchange="", dead_letter_routing_key="dead")
    broker.publish(publication(b"body", "q"))
    stored = dict(broker.parts)
    queue = broker.state.queue(HOST, "q")
    broker.loads = False
    broker.state.window.bodies.clear()
    (delivery,) = [one for lane in queue.lanes.values() for _, one in lane.ready_sequences()]
    queue.lanes[0].take(delivery)
    token = Waiting()
    after = (fx.Reply(token, None),)
    broker.step(DeadLetterAsked(queue.row.uid, (delivery,), Reason.REJECTED, after))
    assert token.answered, "nothing is read for it"
    broker.ask(e.MoveAsked, HOST, "dead", "moved", 10)
    assert broker.parts == stored
    broker.loads = True
    (taken,) = broker.receive("moved")
    assert body_of(taken) == b"body"
    assert b"x-death" in taken.payload
    assert not broker.parts


def test_a_dead_letter_for_many_queues_is_one_commit() -> None:
    broker = Broker()
    fanout(broker, 30)
    broker.declare("q", dead_letter_exchange="all", max_length=1)
    bodies = [b"%d" % number + b"x" * 400_000 for number in range(3)]
    for body in bodies:
        broker.publish(publication(body, "q"))
    assert len(broker.parts) == 2
    assert [body[:1] for body in broker.bodies("q29")] == [b"0", b"1"]


def test_a_delayed_message_keeps_its_body_where_it_is() -> None:
    broker = Consumers(SMALL)
    broker.declare("q")
    client = broker.client()
    client.subscribe("q")
    broker.publish(publication(b"body", "q"))
    stored = dict(broker.parts)
    client.nack(delay=5.0)
    assert broker.parts == stored
    broker.pass_time(5.0)
    assert client.bodies() == ["body", "body"]
    client.ack()
    assert not broker.parts


def test_a_due_message_and_an_expired_one_keep_and_lose_their_bodies() -> None:
    broker = Broker(SMALL)
    broker.declare("q")
    broker.publish(publication(b"late", "q", deliver_after=Duration(seconds=5)))
    broker.publish(publication(b"gone", "q", expiration=Duration(seconds=9)))
    broker.pass_time(6.0)
    assert broker.bodies("q") == [b"gone", b"late"]
    broker.pass_time(4.0)
    assert broker.bodies("q") == [b"late"]
    assert len(broker.parts) == 1


def test_a_merge_keeps_references() -> None:
    broker = Broker(BrokerLimits(inline_bytes=3))
    queue = broker.declare("q")
    for number in range(100):
        broker.publish(publication(b"%05d" % number, "q"))
    assert len(queue.lanes[0].log.chunks) < 100, "small chunks were merged"
    assert len(broker.parts) == 100
    assert broker.bodies("q") == [b"%05d" % number for number in range(100)]
    broker.receive("q")
    assert not broker.parts


def test_a_new_leader_deletes_what_nothing_refers_to_in_bounded_steps() -> None:
    broker = Broker(BrokerLimits(inline_bytes=3, unused_bodies=2))
    broker.declare("q")
    broker.publish(publication(b"kept", "q"))
    for number in range(5):
        broker.write(fx.PutBodyPart(100 + number, 0, b"part of a publish that was not committed"))
    kept = BrokerState(broker.limits)
    kept.put_queue(broker.state.queue(HOST, "q").row)
    for (uid, sub_log, _), value in broker.stored.items():
        kept.queues[uid].lane(sub_log).log.fold_chunk(summarize(value))  # type: ignore[index, arg-type]
    for body in broker.parts:
        kept.bodies.fold(body)
    broker.state, broker.machine = kept, BrokerMachine(kept, broker.limits)
    steps = broker.step(e.Elected())
    assert [len(out.writes) for out in steps if out.writes] == [2, 2, 1]
    assert len(broker.parts) == 1
    broker.publish(publication(b"new", "q"), publication(b"other", "q"))
    assert max(broker.parts) > 104, "no id is given twice"
    assert broker.bodies("q") == [b"kept", b"new", b"other"]


def test_a_body_that_cannot_be_read_stops_nobody() -> None:
    broker = Consumers(SMALL)
    broker.declare("q")
    broker.publish(publication(b"broken", "q"), publication(b"whole", "q"))
    broker.parts[min(broker.parts)][0] = b"?"
    broker.state.window.clear()
    client = broker.client()
    client.subscribe("q")
    assert client.bodies() == ["whole"]
    assert broker.bodies("q") == []


def test_bodies_push_out_bodies_and_not_the_chunks_of_others() -> None:
    limits = BrokerLimits(inline_bytes=3_000, window_bytes=40_000)
    broker = Broker(limits)
    small = broker.declare("small")
    broker.declare("large")
    broker.publish(publication(b"s" * 2_000, "small"))
    for _ in range(20):
        broker.publish(publication(b"x" * 5_000, "large"))
    window = broker.state.window
    broker.loads = False
    assert small.peek(1, broker.now, 1)[0], "its chunk is in memory"
    broker.loads = True
    assert window.bodies.size <= limits.window_bytes // 2
    for _ in range(20):
        assert len(broker.receive("large", 1)) == 1
        assert window.bodies.size <= limits.window_bytes // 2
    assert window.size + window.bodies.size <= limits.window_bytes


def test_a_reader_of_a_stream_gets_bodies_and_trimming_deletes_them() -> None:
    broker = Consumers(SMALL)
    broker.declare("s", type=QueueType.STREAM, max_length_bytes=1_000)
    for number in range(30):
        broker.publish(publication(b"%d" % number * 50, "s"))
    assert len(broker.parts) < 30
    client = broker.client()
    client.read("s", StreamPosition(PositionKind.FIRST))
    assert len(client.bodies()) == len(broker.parts)


def test_a_message_lies_in_its_chunk_without_its_body() -> None:
    broker = Broker(SMALL)
    broker.declare("q")
    broker.publish(publication(b"body", "q", app_id="app"))
    ((_, value),) = broker.stored.items()
    (message,) = unpack(value)
    assert message.body is not None
    assert message.body.size == 4
    assert b"body" not in value
    head = MessageEnvelope.FromString(message.payload)
    assert (head.routing_key, head.body) == ("q", b"")


def test_a_step_that_writes_much_deletes_bodies_in_the_next_one() -> None:
    broker = Broker(BrokerLimits(inline_bytes=3, step_writes=12))
    broker.declare("q")
    for number in range(30):
        broker.publish(publication(b"%05d" % number, "q"))
    broker.effects.clear()
    assert len(broker.receive("q", 30)) == 30
    assert not broker.parts
    counts = [
        (weight(out.writes), sum(isinstance(one, fx.DropBody) for one in out.writes))
        for out in broker.effects
    ]
    assert sum(count for _, count in counts) == 30
    assert all(count == 0 or size <= 12 for size, count in counts)
