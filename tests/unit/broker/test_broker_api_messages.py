"""Messages through the calls of the Broker service: published, read, taken, moved."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.api.broker.publishing import stream as publish_stream
from tests.support.broker_calls import publication, serving
from tests.unit.broker.test_broker_api_declarations import nested, number

C = grpc.StatusCode
Kind = pb.PublicationResult.Kind


async def test_messages_come_as_they_were_published():
    async with serving() as broker:
        await broker.queue("q")
        message = m.Message(
            routing_key="q",
            body=b"\0body\xff",
            properties=m.MessageProperties(
                content_type="text/plain",
                headers={"n": number(-5, 16), "s": m.HeaderValue(text="t")},
                priority=200,
                message_id="m1",
                timestamp=Timestamp(seconds=5),
                expiration=Duration(seconds=60),
            ),
        )
        request = pb.PublishRequest(publications=[m.Publication(message=message)])
        assert not (await broker.call(request)).results
        peeked = (await broker.call(pb.PeekMessagesRequest(name="q"))).messages
        taken = await broker.call(pb.ReceiveMessagesRequest(name="q"))
        for one in (*peeked, *taken.messages):
            assert one.message == message
            assert one.queue == "q"
            assert one.publish_time.seconds > 0
        assert taken.ready == 0
        queue = await broker.get("q")
        assert (queue.ready, queue.published_total, queue.delivered_total) == (0, 1, 1)


async def test_counts_say_what_is_in_a_queue():
    async with serving() as broker:
        await broker.queue("q")
        later = publication(properties={"deliver_after": Duration(seconds=600)})
        await broker.call(pb.PublishRequest(publications=[publication(), publication(), later]))
        queue = await broker.get("q")
        assert (queue.ready, queue.delayed, queue.unacknowledged) == (2, 1, 0)
        assert queue.bytes > 0
        (first,) = (await broker.call(pb.PeekMessagesRequest(name="q", max_messages=1))).messages
        assert queue.oldest_time == first.publish_time
        await broker.call(pb.ReceiveMessagesRequest(name="q", max_messages=2))
        assert not (await broker.get("q")).HasField("oldest_time")


async def test_messages_that_reach_no_queue_are_returned_if_that_was_asked():
    async with serving() as broker:
        await broker.queue("q")
        answer = await broker.call(
            pb.PublishRequest(
                publications=[
                    publication(),
                    publication(to="none", mandatory=True),
                    publication(to="none"),
                    publication(exchange="missing"),
                ]
            )
        )
        found = [(one.number, one.kind) for one in answer.results]
        assert found == [(1, Kind.KIND_RETURNED), (3, Kind.KIND_REJECTED)]
        assert "missing" in answer.results[1].failure.message
        assert (await broker.get("q")).ready == 1


async def test_a_repeated_publish_is_queued_once():
    async with serving() as broker:
        await broker.queue("q")
        request = pb.PublishRequest(publications=[publication()] * 3, request_id="once")
        for _ in range(2):
            await broker.call(request)
        numbered = pb.PublishRequest(publications=[publication(number=1)], producer="p")
        for _ in range(2):
            await broker.call(numbered)
        assert (await broker.get("q")).ready == 4
        request.publications[0].message.body = b"another"
        error = await broker.refused(request)
        assert (error.code, error.reason) == (C.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
        assert (await broker.get("q")).ready == 4


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({"headers": {f"h{n}": number(n) for n in range(1_025)}}, "headers"),
        ({"headers": {"deep": nested(8)}}, "headers"),
        ({"headers": {"large": m.HeaderValue(text="t" * (64 << 10))}}, "headers"),
        ({"headers": {"narrow": number(128, 8)}}, "headers.narrow"),
        ({"headers": {"n" * 256: number(1)}}, "headers." + "n" * 255),
        ({"priority": 256}, "priority"),
        ({"expiration": Duration(seconds=-1)}, "expiration"),
        ({"deliver_after": Duration(seconds=366 * 86_400)}, "deliver_after"),
        ({"ordering_key": "k" * 256}, "ordering_key"),
        ({"correlation_id": "c" * 256}, "correlation_id"),
    ],
)
async def test_a_malformed_message_is_refused_with_its_field(properties, field):
    async with serving() as broker:
        await broker.queue("q")
        bad = publication(properties=properties)
        error = await broker.refused(pb.PublishRequest(publications=[publication(), bad]))
        assert error.code is C.INVALID_ARGUMENT
        assert error.field == f"publications[1].message.properties.{field}"
        assert (await broker.get("q")).ready == 0


async def test_publishes_are_bounded():
    async with serving() as broker:
        await broker.queue("q")
        many = await broker.refused(pb.PublishRequest(publications=[publication()] * 1_025))
        assert (many.field, many.metadata["limit"]) == ("publications", "1024")
        large = publication(bytes((1 << 20) + 1))
        error = await broker.refused(pb.PublishRequest(publications=[large]))
        assert error.reason == "MESSAGE_TOO_LARGE"
        assert error.metadata["limit"] == str(1 << 20)
        assert error.field == "publications[0].message.body"
        key = await broker.refused(pb.PublishRequest(publications=[publication(to="k" * 256)]))
        assert key.field == "publications[0].message.routing_key"
        await broker.call(pb.PublishRequest(publications=[publication(bytes(1 << 20))]))
        assert (await broker.get("q")).ready == 1


async def test_messages_are_moved_to_another_queue():
    async with serving() as broker:
        await broker.queue("q")
        await broker.queue("other")
        bodies = [b"1", b"2", b"3"]
        await broker.call(pb.PublishRequest(publications=[publication(one) for one in bodies]))
        move = pb.MoveMessagesRequest(name="q", destination="other", max_messages=2)
        answer = await broker.call(move)
        assert (answer.moved, answer.ready) == (2, 1)
        taken = await broker.call(pb.ReceiveMessagesRequest(name="other", max_messages=9))
        assert [one.message.body for one in taken.messages] == bodies[:2]


# -- PublishStream


async def test_a_stream_confirms_in_order_what_is_queued():
    async with serving() as broker:
        await broker.queue("q")
        stream = broker.stream()
        stream.send([publication(number=n) for n in (1, 2)], producer="p")
        stream.send([publication(number=3)])
        answers = await stream.until(3)
        assert [one.confirmed for one in answers] == sorted({one.confirmed for one in answers})
        assert not any(one.results for one in answers)
        assert (await broker.get("q")).ready == 3
        stream.end()
        with pytest.raises(StopAsyncIteration):
            await stream.answer()


async def test_what_was_confirmed_is_not_queued_again():
    async with serving() as broker:
        await broker.queue("q")
        for last in (2, 3):
            stream = broker.stream()
            stream.send([publication(number=n) for n in range(1, last + 1)], producer="p")
            await stream.until(last)
            await stream.close()
        assert (await broker.get("q")).ready == 3


async def test_results_have_the_numbers_of_their_publications():
    async with serving() as broker:
        await broker.queue("q")
        stream = broker.stream()
        stream.send(
            [
                publication(number=11),
                publication(number=12, to="k" * 256),
                publication(number=13, to="none", mandatory=True),
                publication(number=14),
            ]
        )
        answers = await stream.until(14)
        results = {one.number: one.kind for answer in answers for one in answer.results}
        assert results == {12: Kind.KIND_REJECTED, 13: Kind.KIND_RETURNED}
        assert (await broker.get("q")).ready == 2
        await stream.close()


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ([1], [3], "publications.number"),
        ([1], [1], "publications.number"),
        ([0], [], "publications.number"),
    ],
)
async def test_numbers_are_consecutive(first, second, field):
    async with serving() as broker:
        await broker.queue("q")
        stream = broker.stream()
        stream.send([publication(number=n) for n in first])
        stream.send([publication(number=n) for n in second])
        with pytest.raises(QuorateError) as caught:
            await stream.until(1 << 60)
        assert (caught.value.code, caught.value.field) == (C.INVALID_ARGUMENT, field)


async def test_a_stream_that_begins_where_there_is_no_virtual_host_ends():
    async with serving() as broker:
        stream = broker.stream()
        stream.send([publication(number=1)], virtual_host="none")
        with pytest.raises(QuorateError) as caught:
            await stream.answer()
        assert caught.value.reason == "VIRTUAL_HOST_NOT_FOUND"


async def test_the_producer_is_named_once():
    async with serving() as broker:
        stream = broker.stream()
        stream.send([publication(number=1)], producer="p")
        stream.send([publication(number=2)], producer="p")
        with pytest.raises(QuorateError) as caught:
            await stream.until(1 << 60)
        assert caught.value.field == "producer"


async def test_bytes_that_are_no_request_end_the_stream():
    async with serving() as broker:
        stream = broker.stream()
        stream.sent.put_nowait(b"\xff")
        with pytest.raises(QuorateError) as caught:
            await stream.answer()
        assert caught.value.reason == "MALFORMED_REQUEST"


class Held(MemoryEtcd):
    """Commits nothing while `go_on` is not set."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def txn(self, *args: Any, **options: Any) -> Any:
        await self.go_on.wait()
        return await super().txn(*args, **options)


async def test_a_stream_reads_no_more_than_may_be_unconfirmed(monkeypatch):
    monkeypatch.setattr(publish_stream, "MOST_UNCONFIRMED", 4)
    etcd = Held()
    async with serving(etcd) as broker:
        await broker.queue("q")
        etcd.go_on.clear()
        stream = broker.stream()
        for number in range(1, 41):
            stream.send([publication(number=number)])
        reading = asyncio.create_task(stream.until(40))
        # Far more turns of the loop than reading all of them takes.
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert stream.taken == 4
        etcd.go_on.set()
        await reading
        assert (await broker.get("q")).ready == 40
        await stream.close()


async def test_a_stream_says_that_the_cluster_has_no_room(monkeypatch):
    monkeypatch.setattr(publish_stream, "_LOOK", 0.01)
    async with serving() as broker:
        await broker.queue("q")
        stream = broker.stream()
        stream.send([publication(number=1)])
        await stream.until(1)
        broker.term.full = "etcd is nearly full"
        # It was waiting for a request, which is held until there is room.
        stream.send([publication(number=2)])
        assert (await stream.answer()).blocked
        stream.send([publication(number=3)])
        assert (await broker.get("q")).ready == 1
        broker.term.full = None
        answers = await stream.until(3)
        assert not answers[-1].blocked
        assert (await broker.get("q")).ready == 3
        await stream.close()


async def test_a_stream_says_again_that_the_cluster_has_no_room(monkeypatch):
    monkeypatch.setattr(publish_stream, "_LOOK", 0.01)
    monkeypatch.setattr(publish_stream, "_REPEAT", 0.01)
    async with serving() as broker:
        await broker.queue("q")
        stream = broker.stream()
        stream.send([publication(number=1)])
        await stream.until(1)
        broker.term.full = "etcd is nearly full"
        stream.send([publication(number=2)])
        for _ in range(3):
            answer = await stream.answer()
            assert (answer.blocked, answer.confirmed) == (True, 1)
        broker.term.full = None
        answers = await stream.until(2)
        assert not answers[-1].blocked
        await stream.close()


async def test_a_stream_ends_with_the_term():
    async with serving() as broker:
        await broker.queue("q")
        stream = broker.stream()
        stream.send([publication(number=1)])
        await stream.until(1)
        broker.term.broker.close()
        stream.send([publication(number=2)])
        with pytest.raises(QuorateError) as caught:
            await stream.answer()
        assert (caught.value.code, caught.value.reason) == (C.UNAVAILABLE, "LEADER_LOST")
        await stream.close()
