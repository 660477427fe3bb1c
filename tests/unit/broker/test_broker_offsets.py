"""Named offsets of streams."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from quorate.etcd.api import Range, prefix_end
from quorate.etcd.memory.store import MemoryEtcd
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.core.broker.limits import BrokerLimits
from tests.support.broker_calls import Broker, Consumer, publication, serving
from tests.support.broker_term import PREFIX, Follower

C = grpc.StatusCode
STREAM = m.MESSAGE_QUEUE_TYPE_STREAM


async def stream(broker: Broker, name: str = "log", messages: int = 5) -> None:
    await broker.queue(name, type=STREAM)
    for _ in range(messages):
        await broker.call(pb.PublishRequest(publications=[publication(to=name)]))


def store(offset: int, name: str = "billing", to: str = "log", **fields: Any) -> Any:
    return pb.SetStreamOffsetRequest(message_queue=to, name=name, offset=offset, **fields)


async def offsets(broker: Broker, name: str = "log") -> dict[str, int]:
    answer = await broker.call(pb.ListStreamOffsetsRequest(message_queue=name))
    return {one.name: one.offset for one in answer.stream_offsets}


async def begins_at(broker: Broker, name: str = "billing") -> int:
    """The first message that a consumer with this position gets."""
    consumer = Consumer(broker)
    await consumer.open()
    answer = await consumer.subscribe("log", position=pb.StreamPosition(named=name))
    first = (await consumer.deliveries(1))[0].id
    await consumer.close()
    assert answer.offset == first
    return first


async def test_a_reader_goes_on_at_its_named_offset():
    async with serving() as broker:
        await stream(broker)
        assert await begins_at(broker) == 0
        made = (await broker.call(store(3))).stream_offset
        assert (made.name, made.offset) == ("billing", 3)
        assert made.update_time.seconds > 0
        assert await begins_at(broker) == 3
        await broker.call(store(0, "audit"))
        assert list((await offsets(broker)).items()) == [("audit", 0), ("billing", 3)]
        await broker.call(pb.DeleteStreamOffsetRequest(message_queue="log", name="billing"))
        assert await offsets(broker) == {"audit": 0}
        assert await begins_at(broker) == 0


async def test_a_standby_folds_offsets_and_loses_them_with_the_stream():
    store_ = MemoryEtcd()
    async with serving(store_) as broker:
        await stream(broker)
        await broker.call(store(3))
        await broker.call(store(4))
        await broker.call(store(2, "audit"))
        await broker.call(pb.DeleteStreamOffsetRequest(message_queue="log", name="audit"))
        follower = Follower(store_)
        state = follower.follow().broker.state
        found = state.queue("/", "log").offsets
        assert {name: row.offset for name, row in found.items()} == {"billing": 4}
        assert found == broker.term.broker.state.queue("/", "log").offsets
        assert state.named_offsets == broker.term.broker.state.named_offsets == 1
        await broker.call(pb.DeleteMessageQueueRequest(name="log"))
        left = await store_.range(Range(PREFIX, prefix_end(PREFIX)))
        assert not [kv.key for kv in left.kvs if b"/offsets/" in kv.key]
        assert follower.follow().broker.state.named_offsets == 0
        assert broker.term.broker.state.named_offsets == 0


async def test_who_lost_its_name_to_another_reader_finds_out():
    async with serving() as broker:
        await stream(broker)
        await broker.call(store(2, expected_offset=0))
        await broker.call(store(3, expected_offset=2))
        # Its answer was lost, and it is repeated.
        await broker.call(store(3, expected_offset=2))
        error = await broker.refused(store(4, expected_offset=2))
        assert (error.code, error.reason) == (C.FAILED_PRECONDITION, "STREAM_OFFSET_MOVED")
        assert error.metadata["current"] == "3"
        assert await offsets(broker) == {"billing": 3}


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (store(6), C.INVALID_ARGUMENT, "OFFSET_OUT_OF_RANGE"),
        (store(1, ""), C.INVALID_ARGUMENT, "INVALID_FIELD"),
        (store(1, "n" * 256), C.INVALID_ARGUMENT, "INVALID_FIELD"),
        (store(1, to="none"), C.NOT_FOUND, "MESSAGE_QUEUE_NOT_FOUND"),
        (store(0, to="jobs"), C.FAILED_PRECONDITION, "NO_STREAM"),
        (
            pb.DeleteStreamOffsetRequest(message_queue="log", name="none"),
            C.NOT_FOUND,
            "STREAM_OFFSET_NOT_FOUND",
        ),
        (
            pb.ListStreamOffsetsRequest(message_queue="none"),
            C.NOT_FOUND,
            "MESSAGE_QUEUE_NOT_FOUND",
        ),
    ],
)
async def test_a_bad_offset_is_refused(request_: Any, code: Any, reason: str) -> None:
    async with serving() as broker:
        await stream(broker)
        await broker.queue("jobs")
        error = await broker.refused(request_)
        assert (error.code, error.reason) == (code, reason)
        await broker.call(store(5, "n" * 255))


async def test_offsets_are_bounded():
    async with serving() as broker:
        await stream(broker)
        await stream(broker, "other")
        broker.term.broker.machine.limits = BrokerLimits(stream_offsets=2, offsets=3)
        for name in ("a", "b"):
            await broker.call(store(1, name))
        error = await broker.refused(store(1, "c"))
        assert (error.code, error.reason) == (C.RESOURCE_EXHAUSTED, "TOO_MANY_STREAM_OFFSETS")
        assert error.metadata["limit"] == "2"
        await broker.call(store(1, "a", "other"))
        error = await broker.refused(store(1, "b", "other"))
        assert error.metadata["limit"] == "3"
        await broker.call(store(2, "b"))
