"""Producers, consumers and transactions of the SDK go on by themselves while leaders are killed.

Every confirmed message arrives, once in its queue; none comes again after its acknowledgement was
durable; a reader of a stream misses nothing and reads nothing twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.client.transport.discovery import LocalCluster, read_local_cluster
from quorate.errors import QuorateError
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.local import running

ALL = 3_000
WINDOW = 100


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    data = tmp_path_factory.mktemp("failover") / "data"
    plan = LocalPlan(data_dir=data, schedulers=2, nodes=1, slots=1, secure=tls.ON)
    with running(plan) as started:
        yield started


def kill_leader(client: quorate.Client, local: LocalCluster) -> None:
    """SIGKILL; it is started again. Another one stands by before it dies."""
    for _ in range(600):
        schedulers = client.cluster().schedulers
        if len(schedulers) == 2 and any(one.leader for one in schedulers):
            break
        threading.Event().wait(0.05)
    leader = next(one.name for one in schedulers if one.leader)
    found = read_local_cluster(Path(local.data_dir))
    assert found is not None
    os.kill(next(one.pid for one in found.processes if one.name == leader), signal.SIGKILL)


class Seen:
    """What a consumer got.

    Attributes:
        durable: deliveries of which it knows that their acknowledgement is.
        repeated: those of them that came again.
        numbers: all that came, in order.
    """

    def __init__(self) -> None:
        self.durable: set[int] = set()
        self.repeated: list[int] = []
        self.numbers: list[int] = []
        self._waiting: list[int] = []

    def on_delivery(self, delivery: quorate.Received) -> bool:
        """Whether it is time to flush."""
        if delivery.id in self.durable:
            self.repeated.append(delivery.id)
        self.numbers.append(int(delivery.body))
        self._waiting.append(delivery.id)
        return len(self._waiting) >= WINDOW

    def on_flushed(self) -> None:
        self.durable.update(self._waiting)
        self._waiting.clear()

    def is_whole(self) -> bool:
        return set(self.numbers) == set(range(ALL))


def test_a_program_goes_on_while_leaders_are_killed(local: LocalCluster) -> None:
    work, log = Seen(), Seen()
    with quorate.Client(data_dir=local.data_dir) as client:
        client.declare_exchange("numbers", "fanout")
        client.declare_queue("numbers-work")
        client.declare_stream("numbers-log")
        client.bind("numbers-work", "numbers")
        client.bind("numbers-log", "numbers")

        def consume() -> None:
            with client.consume("numbers-work", prefetch=200) as consumer:
                for delivery in consumer:
                    full = work.on_delivery(delivery)
                    delivery.ack()
                    if full or work.is_whole():
                        consumer.flush(60)
                        work.on_flushed()
                    if work.is_whole():
                        return

        def read() -> None:
            with client.consume("numbers-log", offset="first", prefetch=200) as consumer:
                for delivery in consumer:
                    log.on_delivery(delivery)
                    delivery.ack()
                    if len(log.numbers) >= ALL:
                        return

        def publish() -> None:
            with client.producer("numbers", max_messages=WINDOW) as producer:
                for number in range(ALL):
                    producer.send(str(number))

        threads = [threading.Thread(target=one, daemon=True) for one in (consume, read, publish)]
        for thread in threads:
            thread.start()
        for part in (1, 2):
            reached(work, part * ALL // 4)
            kill_leader(client, local)
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert not work.repeated
        assert len(work.durable) == ALL
        assert log.numbers == list(range(ALL))
        assert client.message_queue("numbers-work").ready == 0
        client.delete_message_queue("numbers-work")
        client.delete_message_queue("numbers-log")
        client.delete_exchange("numbers")


def test_each_message_has_its_effect_once_by_transactions(local: LocalCluster) -> None:
    with quorate.Client(data_dir=local.data_dir) as client:
        client.declare_queue("effects-in")
        client.declare_queue("effects-out")
        with client.producer(queue="effects-in") as producer:
            for number in range(150):
                producer.send(str(number))
        done = 0
        with client.consume("effects-in", prefetch=20) as consumer:
            for delivery in consumer:
                if done == 50:
                    kill_leader(client, local)
                effect = quorate.Message(delivery.body, queue="effects-out")
                client.transact([effect], ack=[delivery])
                done += 1
                if done == 150:
                    break
        effects = [one.text for one in client.receive("effects-out", 1_000)]
        assert sorted(effects, key=int) == [str(number) for number in range(150)]
        assert client.delete_message_queue("effects-in") == 0
        client.delete_message_queue("effects-out")


def test_a_transaction_publishes_and_settles_or_does_nothing(local: LocalCluster) -> None:
    with quorate.Client(data_dir=local.data_dir) as client:
        queue, results = "tx-in", "tx-out"
        client.declare_queue(queue)
        client.declare_queue(results)
        with client.producer(queue=queue) as producer:
            for number in range(3):
                producer.send(str(number))
        with client.consume(queue) as consumer:
            first, second, third = (taken(consumer) for _ in range(3))
            with pytest.raises(QuorateError) as raised:
                client.transact(
                    [
                        quorate.Message("a", queue=results),
                        quorate.Message("b", queue="no-such-queue"),
                    ],
                    ack=[first],
                )
            assert raised.value.reason == "ROUTE_NOT_FOUND"
            assert [one.text for one in client.peek(results)] == []
            client.transact([quorate.Message("a", queue=results)], ack=[first], requeue=[third])
            with pytest.raises(QuorateError, match="is settled already"):
                client.transact(ack=[first])
            second.ack()
            again = taken(consumer)
            assert (again.text, again.failed_deliveries) == ("2", 1)
            client.transact(reject=[again])
        assert [one.text for one in client.peek(results)] == ["a"]
        assert client.message_queue(queue).ready == 0
        with pytest.raises(QuorateError, match="a transaction has messages or deliveries, or both"):
            client.transact()
        client.transact([quorate.Message("alone", queue=results)])
        assert [one.text for one in client.peek(results)] == ["a", "alone"]
        client.delete_message_queue(results)
        client.delete_message_queue(queue)


def test_a_transaction_with_a_lost_delivery_does_nothing(
    local: LocalCluster,
) -> None:
    with quorate.Client(data_dir=local.data_dir) as client:
        name = "tx-short-lived"
        client.declare_queue(name)
        client.publish_to_queue(name, "x")
        with client.consume(name) as consumer:
            delivery = taken(consumer)
            client.delete_message_queue(name)
            with pytest.raises(QuorateError) as raised:
                client.transact(ack=[delivery])
            assert raised.value.reason in ("UNKNOWN_DELIVERY", "MESSAGE_QUEUE_DELETED")


async def test_an_asyncio_program_goes_on_while_the_leader_is_killed(local: LocalCluster) -> None:
    seen = Seen()
    with quorate.Client(data_dir=local.data_dir) as controls:
        async with quorate.AsyncClient(data_dir=local.data_dir) as client:
            await client.declare_queue("anumbers")

            async def consume() -> None:
                async with client.consume("anumbers", prefetch=200) as consumer:
                    async for delivery in consumer:
                        full = seen.on_delivery(delivery)
                        await delivery.ack()
                        if full or seen.is_whole():
                            await consumer.flush(60)
                            seen.on_flushed()
                        if seen.is_whole():
                            return

            async def publish() -> None:
                async with client.producer(queue="anumbers", max_messages=WINDOW) as producer:
                    for number in range(ALL):
                        await producer.send(str(number))

            async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
                tasks.create_task(consume())
                tasks.create_task(publish())
                while len(seen.numbers) < ALL // 3:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(kill_leader, controls, local)
            assert not seen.repeated
            assert len(seen.durable) == ALL
            assert (await client.message_queue("anumbers")).ready == 0
            await client.delete_message_queue("anumbers")


def taken(consumer: quorate.Consumer) -> quorate.Delivery:
    """The next one, which must come."""
    delivery = consumer.get(20)
    assert delivery is not None
    return delivery


def reached(seen: Seen, count: int) -> None:
    for _ in range(6_000):
        if len(seen.numbers) >= count:
            return
        threading.Event().wait(0.01)
    raise AssertionError("it does not come so far")
