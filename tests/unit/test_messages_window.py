"""A producer's window: numbers, batches, confirms, and what the next stream gets again."""

from __future__ import annotations

import pytest

from quorate.client.errors import MessageRejected, MessageUnroutable
from quorate.client.messages.publishing.window import BATCH_MESSAGES, SILENCE, Window
from quorate.runtime.errors import QuorateError, unavailable
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2


def window(messages: int = 1_000, size: int = 8 << 20) -> Window[str]:
    return Window("", messages, size)


def add(made: Window[str], *names: str, body: bytes = b"x") -> None:
    for name in names:
        made.add(message_pb2.Publication(message=message_pb2.Message(body=body)), name)


def numbers(request: pb.PublishStreamRequest) -> list[int]:
    return [one.number for one in request.publications]


def test_all_that_waits_goes_into_one_request_with_consecutive_numbers():
    made = window()
    add(made, "a", "b", "c")
    first = made.batch(0.0)
    assert numbers(first) == [1, 2, 3]
    assert first.producer
    add(made, "d")
    second = made.batch(0.0)
    assert numbers(second) == [4]
    # Only the first request of a stream says who publishes.
    assert not second.producer


def test_a_request_has_at_most_its_bound_of_messages_and_bytes():
    made = window()
    add(made, *map(str, range(BATCH_MESSAGES + 1)))
    assert len(made.batch(0.0).publications) == BATCH_MESSAGES
    assert len(made.batch(0.0).publications) == 1
    add(made, "large", "larger", body=bytes(700_000))
    assert len(made.batch(0.0).publications) == 1


def test_a_confirm_settles_all_up_to_its_number_and_says_what_failed():
    made = window()
    add(made, "a", "b", "c", "d")
    made.batch(0.0)
    returned = pb.PublicationResult(
        number=2,
        kind=pb.PublicationResult.KIND_RETURNED,
        failure=pb.Failure(code=5, reason="ROUTE_NOT_FOUND", message="nowhere"),
    )
    rejected = pb.PublicationResult(
        number=3,
        kind=pb.PublicationResult.KIND_REJECTED,
        failure=pb.Failure(code=8, reason="MESSAGE_QUEUE_FULL", message="full"),
    )
    answer = pb.PublishStreamResponse(confirmed=3, results=[returned, rejected])
    (a, none), (b, unroutable), (c, full) = made.on_answer(answer, 1.0)
    assert (a, none, b, c) == ("a", None, "b", "c")
    assert isinstance(unroutable, MessageUnroutable)
    assert isinstance(full, MessageRejected)
    assert full.reason == "MESSAGE_QUEUE_FULL"
    assert (made.outstanding, made.failures) == (1, 2)


def test_the_next_stream_gets_what_is_not_confirmed_first_and_under_its_numbers():
    made = window()
    add(made, "a", "b", "c")
    producer = made.batch(0.0).producer
    made.on_answer(pb.PublishStreamResponse(confirmed=1), 0.0)
    add(made, "d")
    made.broken()
    again = made.batch(0.0)
    assert numbers(again) == [2, 3, 4]
    assert again.producer == producer
    assert [name for name, _ in made.on_answer(pb.PublishStreamResponse(confirmed=4), 0.0)] == [
        *("b", "c", "d")
    ]


def test_there_is_room_for_so_many_messages_and_bytes_and_again_once_they_are_confirmed():
    made = window(messages=2)
    add(made, "a", "b")
    assert not made.has_room
    made.batch(0.0)
    made.on_answer(pb.PublishStreamResponse(confirmed=1), 0.0)
    assert made.has_room
    small = window(size=1_000)
    add(small, "large", body=bytes(2_000))
    assert not small.has_room


def test_a_scheduler_that_says_nothing_to_what_was_sent_is_frozen_also_if_it_had_no_room_before():
    made = window()
    assert not made.is_silent(1_000.0)
    add(made, "a")
    assert not made.is_silent(1_000.0)
    made.batch(1_000.0)
    assert not made.is_silent(1_000.0 + SILENCE)
    assert made.is_silent(1_000.1 + SILENCE)
    made.on_answer(pb.PublishStreamResponse(blocked=True), 1_001.0)
    assert made.blocked
    made.on_answer(pb.PublishStreamResponse(blocked=True), 1_004.0)
    assert not made.is_silent(1_004.0 + SILENCE)
    assert made.is_silent(1_004.1 + SILENCE)


def test_when_it_gives_up_everybody_learns_why():
    made = window()
    add(made, "a", "b")
    made.batch(0.0)
    add(made, "c")
    error = unavailable("GONE", "gone")
    assert made.give_up(error) == [("a", error), ("b", error), ("c", error)]
    assert made.outstanding == 0


@pytest.mark.parametrize(("messages", "size"), [(0, 1), (100_001, 1), (1, 0), (True, 1)])
def test_a_bound_beyond_its_range_is_refused_by_name(messages: int, size: int):
    with pytest.raises(QuorateError, match=r"max_(messages|bytes): is .*; use 1 to"):
        window(messages, size)
