"""Transact: what a request may hold, and what its answer means."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from tests.support.broker_calls import Broker, Consumer, publication, serving

C = grpc.StatusCode
SESSION = "a session of the tests"


async def consuming(broker: Broker, *bodies: bytes) -> tuple[Consumer, list[int]]:
    """A session that has these messages of queue "in"."""
    await broker.queue("in")
    await broker.queue("out")
    sent = [publication(body, "in") for body in bodies]
    await broker.call(pb.PublishRequest(publications=sent))
    consumer = Consumer(broker)
    await consumer.open(SESSION)
    await consumer.subscribe("in")
    return consumer, [one.id for one in await consumer.deliveries(len(bodies))]


def settle(*ids: int, outcome: Any = pb.OUTCOME_ACK, **fields: Any) -> pb.Settle:
    return pb.Settle(consumer=1, ids=ids, outcome=outcome, **fields)


async def counts(broker: Broker, name: str) -> tuple[int, int]:
    queue = await broker.get(name)
    return queue.ready, queue.unacknowledged


async def test_messages_and_settlements_are_durable_together():
    async with serving() as broker:
        consumer, (one, two) = await consuming(broker, b"a", b"b")
        request = pb.TransactRequest(
            publications=[publication(b"A", "out")],
            session=SESSION,
            settles=[settle(one), settle(two, outcome=pb.OUTCOME_REJECT)],
            request_id="once",
        )
        for _ in range(2):
            assert await broker.call(request) == pb.TransactResponse()
        assert await counts(broker, "in") == (0, 0)
        assert await counts(broker, "out") == (1, 0)
        request.publications[0].message.body = b"B"
        error = await broker.refused(request)
        assert (error.code, error.reason) == (C.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
        await consumer.close()


async def test_numbers_of_a_producer_make_it_safe_to_repeat():
    async with serving() as broker:
        await broker.queue("out")
        request = pb.TransactRequest(
            publications=[publication(b"A", "out", number=1)], producer="p"
        )
        for _ in range(2):
            await broker.call(request)
        # The same numbers as those of Publish.
        again = pb.PublishRequest(publications=request.publications, producer="p")
        await broker.call(again)
        assert await counts(broker, "out") == (1, 0)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.TransactRequest(), "publications"),
        (pb.TransactRequest(settles=[settle(1)]), "session"),
        (pb.TransactRequest(session=SESSION, settles=[settle()]), "settles[0].ids"),
        (
            pb.TransactRequest(
                session=SESSION, settles=[settle(1), settle(1, outcome=pb.OUTCOME_UNSPECIFIED)]
            ),
            "settles[1].outcome",
        ),
        (
            pb.TransactRequest(session=SESSION, settles=[settle(1, outcome=pb.OUTCOME_TOUCH)]),
            "settles[0].outcome",
        ),
        (pb.TransactRequest(session=SESSION, settles=[settle(1)] * 1_025), "settles"),
        (
            pb.TransactRequest(
                session=SESSION, settles=[pb.Settle(ids=[1], outcome=pb.OUTCOME_ACK)]
            ),
            "settles[0].queue",
        ),
        (pb.TransactRequest(publications=[publication()], producer="p" * 256), "producer"),
        (pb.TransactRequest(publications=[publication()], request_id="r" * 129), "request_id"),
        (
            pb.TransactRequest(publications=[publication(), publication(to="k" * 256)]),
            "publications[1].message.routing_key",
        ),
    ],
)
async def test_what_is_wrong_is_named(request_: pb.TransactRequest, field: str):
    async with serving() as broker:
        consumer, _ = await consuming(broker, b"a")
        error = await broker.refused(request_)
        assert (error.code, error.field) == (C.INVALID_ARGUMENT, field)
        assert await counts(broker, "in") == (0, 1)
        await consumer.close()


async def test_what_cannot_be_done_whole_is_not_done():
    async with serving() as broker:
        consumer, (one,) = await consuming(broker, b"a")
        good: dict[str, Any] = {"session": SESSION, "settles": [settle(one)]}
        missing = [publication(b"A", "out"), publication(b"B", "none", mandatory=True)]
        error = await broker.refused(pb.TransactRequest(publications=missing, **good))
        assert (error.code, error.field) == (C.NOT_FOUND, "publications[1]")
        many = [publication(b"A", "out")] * 513
        error = await broker.refused(pb.TransactRequest(publications=many, **good))
        assert (error.code, error.metadata["limit"]) == (C.RESOURCE_EXHAUSTED, "512")
        large = [publication(bytes(300_000), "out")] * 2
        error = await broker.refused(pb.TransactRequest(publications=large, **good))
        assert (error.code, error.metadata["limit"]) == (C.RESOURCE_EXHAUSTED, str(512 << 10))
        error = await broker.refused(pb.TransactRequest(session=SESSION, settles=[settle(one + 1)]))
        assert (error.reason, error.field) == ("UNKNOWN_DELIVERY", "settles[0].ids[0]")
        assert await counts(broker, "in") == (0, 1)
        assert await counts(broker, "out") == (0, 0)
        await consumer.close()


async def test_what_fetch_got_is_settled_by_its_queue():
    async with serving() as broker:
        await broker.queue("in")
        await broker.call(pb.PublishRequest(publications=[publication(b"a", "in")]))
        consumer = Consumer(broker)
        await consumer.open(SESSION)
        consumer.send(fetch=pb.Fetch(number=1, queue="in"))
        delivery: m.Delivery = (await consumer.answer()).fetched.delivery
        done = pb.Settle(queue="in", ids=[delivery.id], outcome=pb.OUTCOME_ACK)
        await broker.call(pb.TransactRequest(session=SESSION, settles=[done]))
        assert await counts(broker, "in") == (0, 0)
        await consumer.close()
