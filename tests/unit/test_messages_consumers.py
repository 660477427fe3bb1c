"""Consumers and their threads and tasks, without a cluster."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from quorate.client.messages.arequesting import AsyncRequester
from quorate.client.messages.consuming.aconsumer import AsyncConsumer
from quorate.client.messages.consuming.consumer import Consumer
from quorate.client.messages.consuming.subscription import subscription
from quorate.client.messages.requesting import Requester
from quorate.client.messages.rpcs import PUBLISH
from quorate.client.messages.running import QueueConsumer
from quorate.client.messages.streams.open_streams import OpenStreams
from quorate.runtime.errors import QuorateError, unavailable
from quorate.v1 import broker_pb2 as pb
from tests.support.message_streams import Consuming, FakeAsyncCalls, FakeCalls

WAIT = 10.0


def consumer_of(calls: Any, **options: Any) -> Consumer:
    return Consumer(calls, OpenStreams(), subscription("q", **options))


def test_what_was_on_its_way_when_a_consumer_leaves_goes_back_as_not_delivered():
    served = Consuming(7, 8)
    with consumer_of(FakeCalls(served)):
        pass
    nacks = [one for one in served.settles if one.outcome == pb.OUTCOME_NACK]
    assert [list(one.ids) for one in nacks] == [[7, 8]]
    # Before the session ends: then they would count as delivered in vain.
    assert served.kinds[-1] == "close"


async def test_what_was_on_its_way_when_an_asyncio_consumer_leaves_goes_back():
    served = Consuming(7, 8)
    calls: Any = FakeAsyncCalls(served)
    async with AsyncConsumer(calls, OpenStreams(), subscription("q")):
        pass
    nacks = [one for one in served.settles if one.outcome == pb.OUTCOME_NACK]
    assert [list(one.ids) for one in nacks] == [[7, 8]]
    assert served.kinds[-1] == "close"


def test_a_consumer_that_closes_before_settlements_are_durable_says_so(
    caplog: pytest.LogCaptureFixture,
):
    consumer = consumer_of(FakeCalls(Consuming(ready=(7,), durable=False)))
    delivery = consumer.get(WAIT)
    assert delivery is not None
    delivery.ack()
    consumer.close(timeout=0)
    assert "'q' closes: settlements of 1 messages are not durable" in caplog.text


def test_a_consumer_whose_settlements_are_durable_closes_without_a_warning(
    caplog: pytest.LogCaptureFixture,
):
    with consumer_of(FakeCalls(Consuming(ready=(7,)))) as consumer:
        delivery = consumer.get(WAIT)
        assert delivery is not None
        delivery.ack()
    assert not caplog.records


@pytest.mark.parametrize("error", [SystemExit(3), ZeroDivisionError()])
def test_what_ends_one_thread_of_a_function_ends_its_run(error: BaseException):
    handlers = threading.Barrier(2)
    main = threading.current_thread()

    class Deliveries:
        """In place of a consumer: a message for each thread, then none until it is stopped."""

        def __init__(self) -> None:
            self.stopped = threading.Event()

        def stop(self) -> None:
            self.stopped.set()

        def __enter__(self) -> Deliveries:
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def __iter__(self) -> Iterator[str]:
            yield "delivery"
            assert self.stopped.wait(WAIT)

    class OneConsumer(QueueConsumer[Any]):
        def _handle(self, delivery: Any) -> None:
            handlers.wait(WAIT)
            if threading.current_thread() is not main:
                raise error

    class Client:
        def consume(self, *_args: Any, **_options: Any) -> Deliveries:
            return Deliveries()

    run = OneConsumer(
        print, "q", prefetch=1, concurrency=2, on_error="requeue", virtual_host=""
    ).run
    client: Any = Client()
    with pytest.raises(type(error)):
        run(client)


# -- left without a `with` block


def left_by_break(consumer: Consumer) -> None:
    for _ in consumer:
        break


def left_by_an_exception(consumer: Consumer) -> None:
    def read() -> None:
        for _ in consumer:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read()


def left_by_closing_its_generator(consumer: Consumer) -> None:
    deliveries: Any = iter(consumer)
    next(deliveries)
    deliveries.close()


@pytest.mark.parametrize(
    "leave", [left_by_break, left_by_an_exception, left_by_closing_its_generator]
)
def test_a_loop_that_is_left_ends_its_consumer_and_gives_messages_back(leave: Any):
    served = Consuming(ready=(7, 8))
    streams = OpenStreams()
    calls: Any = FakeCalls(served)
    consumer = Consumer(calls, streams, subscription("q"))
    leave(consumer)
    assert [list(one.ids) for one in served.settles if one.outcome == pb.OUTCOME_NACK] == [[8]]
    assert served.kinds[-1] == "close"
    assert not streams.take()
    with pytest.raises(QuorateError, match="this consumer is closed"):
        consumer.get(WAIT)


def test_a_loop_that_is_left_in_a_with_block_leaves_its_consumer_open():
    served = Consuming(ready=(7, 8))
    with consumer_of(FakeCalls(served)) as consumer:
        left_by_break(consumer)
        assert "close" not in served.kinds
        delivery = consumer.get(WAIT)
        assert delivery is not None
        assert delivery.id == 8
    assert served.kinds[-1] == "close"


def test_a_consumer_that_is_dropped_ends():
    served = Consuming(ready=(7,))
    consumer = consumer_of(FakeCalls(served))
    delivery = consumer.get(WAIT)
    assert delivery is not None
    del consumer
    # It can still be settled.
    assert "close" not in served.kinds
    delivery.ack()
    del delivery
    assert served.closed.wait(WAIT)
    assert [one.outcome for one in served.settles if one.ids] == [pb.OUTCOME_ACK]


async def closed(served: Consuming) -> None:
    assert await asyncio.to_thread(served.closed.wait, WAIT)


async def test_a_loop_of_asyncio_that_is_left_ends_its_consumer():
    served = Consuming(ready=(7, 8))
    calls: Any = FakeAsyncCalls(served)
    async for _ in AsyncConsumer(calls, OpenStreams(), subscription("q")):
        break
    await closed(served)
    assert [list(one.ids) for one in served.settles if one.outcome == pb.OUTCOME_NACK] == [[8]]
    await until_no_task()


async def test_a_consumer_of_asyncio_that_is_dropped_ends():
    served = Consuming(ready=(7,))
    calls: Any = FakeAsyncCalls(served)
    consumer = AsyncConsumer(calls, OpenStreams(), subscription("q"))
    delivery = await consumer.get(WAIT)
    assert delivery is not None
    del consumer, delivery
    await closed(served)
    await until_no_task()


async def test_a_consumer_that_is_cancelled_while_it_is_read_ends_its_session():
    served = Consuming()
    calls: Any = FakeAsyncCalls(served)
    streams = OpenStreams()

    async def read() -> None:
        async for _ in AsyncConsumer(calls, streams, subscription("q")):
            pass

    reading = asyncio.create_task(read())
    while "subscribe" not in served.kinds:
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait((reading,), timeout=WAIT)
    assert reading.cancelled()
    await closed(served)
    assert not streams.take()
    await until_no_task()


# -- request and reply


def test_a_request_waits_for_its_timeout_alone_although_nobody_answers():
    calls: Any = FakeCalls(Consuming(opens=False))
    streams = OpenStreams()
    requester = Requester(calls, streams, "")
    with pytest.raises(TimeoutError, match=r"no reply within 0\.01 s"):
        requester.request("", "q", b"x", {}, 0.01)
    assert not requester.failed
    close(streams)


@pytest.mark.parametrize("timeout", [2.0, 600.0])
def test_a_request_publishes_within_its_timeout(timeout: float):
    calls: Any = FakeCalls(Consuming())
    streams = OpenStreams()
    published: list[dict[str, float]] = []

    def call(rpc: Any, _request: Any, **options: float) -> Any:
        if rpc is PUBLISH:
            published.append(options)
            raise unavailable("NOBODY", "nobody answers")
        return rpc.response()

    calls.call = call
    requester = Requester(calls, streams, "")
    with pytest.raises(QuorateError, match="nobody answers"):
        requester.request("", "q", b"x", {}, timeout)
    [one] = published
    assert 0 < one["deadline"] <= PUBLISH.deadline
    assert 0 < one["retry_for"] <= timeout - 2 * one["deadline"]
    close(streams)


def close(streams: OpenStreams) -> None:
    [consumer] = streams.take()
    consumer.close(timeout=0)


# -- cancelled


def tasks() -> list[asyncio.Task[Any]]:
    return [one for one in asyncio.all_tasks() if one.get_name() == "quorate-consumer"]


async def until_no_task() -> None:
    if found := tasks():
        await asyncio.wait(found, timeout=WAIT)
    assert not tasks()


async def test_a_consumer_that_is_cancelled_while_it_is_entered_ends():
    calls: Any = FakeAsyncCalls()
    streams = OpenStreams()
    consumer = AsyncConsumer(calls, streams, subscription("q"))
    entering = asyncio.create_task(consumer.__aenter__())
    call = await calls.opened.get()
    assert tasks()
    entering.cancel()
    await asyncio.wait((entering,), timeout=WAIT)
    assert entering.cancelled()
    await until_no_task()
    assert not streams.take()
    await call.ended()


async def test_a_consumer_that_is_cancelled_while_it_is_closed_ends():
    served = Consuming(durable=False)
    calls: Any = FakeAsyncCalls(served)
    streams = OpenStreams()
    consumer = AsyncConsumer(calls, streams, subscription("q"))
    await asyncio.wait_for(consumer.__aenter__(), WAIT)
    call = await calls.opened.get()
    closing = asyncio.create_task(consumer.close(timeout=1_000))
    while not consumer.link.ledger.is_draining:
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait((closing,), timeout=WAIT)
    assert closing.cancelled()
    await until_no_task()
    # Otherwise the cluster would keep its messages for a while.
    assert served.kinds[-1] == "close"
    assert not streams.take()
    await call.ended()


async def test_a_request_that_times_out_leaves_the_consumer_of_replies_to_the_others():
    calls: Any = FakeAsyncCalls(Consuming(opens=False))
    streams = OpenStreams()
    requester = AsyncRequester(calls, streams, "")
    with pytest.raises(TimeoutError, match=r"no reply within 0\.01 s"):
        await requester.request("", "q", b"x", {}, 0.01)
    assert not requester.failed
    assert tasks()
    [consumer] = streams.take()
    await consumer.close(timeout=0)
    await asyncio.wait((requester._task,), timeout=WAIT)
    await until_no_task()
