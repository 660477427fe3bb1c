"""Messages of up to 16 MiB through the SDK and AMQP, on a cluster that takes them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

import quorate
from quorate.client.transport.discovery import LocalCluster
from quorate.errors import MessageRejected
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.amqp import Door, door_of
from tests.support.local import running

MIB = 1 << 20
# Below the most, so that a body is refused that the SDK itself does not refuse.
LIMIT = 15 * MIB
_numbers = count(1)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    plan = LocalPlan(
        data_dir=tmp_path_factory.mktemp("large") / "data",
        schedulers=2,
        nodes=1,
        slots=1,
        gateway=True,
        amqp=True,
        secure=tls.ON,
    )
    with pytest.MonkeyPatch.context() as patch:
        # The cluster's processes have it from here.
        patch.setenv("QUORATE_MAX_MESSAGE_KIB", str(LIMIT >> 10))
        with running(plan) as started:
            yield started


@pytest.fixture(scope="module")
def client(local: LocalCluster) -> Iterator[quorate.Client]:
    with quorate.Client(data_dir=local.data_dir) as opened:
        yield opened


@pytest.fixture(scope="module")
def door(local: LocalCluster) -> Door:
    return door_of(local)


@pytest.fixture
def queue(client: quorate.Client) -> Iterator[str]:
    name = f"large-{next(_numbers)}"
    client.declare_queue(name)
    yield name
    client.delete_message_queue(name)


def body_of(size: int, first: int = 0) -> bytes:
    return (bytes([first]) + bytes(range(256)) * (size // 256 + 1))[:size]


def test_the_sdk_publishes_and_consumes_bodies_up_to_the_limit(
    client: quorate.Client, queue: str
) -> None:
    bodies = [body_of(size, n) for n, size in enumerate((LIMIT - 1, LIMIT, MIB + 1, 100))]
    with client.producer(queue=queue) as producer:
        for body in bodies:
            producer.send(body)
    got = []
    with client.consume(queue, prefetch=2) as consumer:
        for delivery in consumer:
            got.append(delivery.body)
            delivery.ack()
            if len(got) == len(bodies):
                break
    assert got == bodies


def test_a_body_beyond_the_limit_is_rejected_alone(client: quorate.Client, queue: str) -> None:
    with client.producer(queue=queue) as producer:
        producer.send(body_of(LIMIT + 1))
        producer.send(b"small").result(60)
        with pytest.raises(MessageRejected) as rejected:
            producer.flush(60)
    assert rejected.value.reason == "MESSAGE_TOO_LARGE"
    assert rejected.value.metadata["limit"] == str(LIMIT)
    assert [one.body for one in client.receive(queue, 10)] == [b"small"]


def test_amqp_publishes_and_consumes_bodies_up_to_the_limit(
    door: Door, client: quorate.Client, queue: str
) -> None:
    bodies = [body_of(LIMIT, 1), body_of(2 * MIB, 2)]
    with pika.BlockingConnection(door.parameters()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish("", queue, body)
        got: list[bytes] = []
        for method, _, body in channel.consume(queue, inactivity_timeout=60):
            assert body is not None, "it came in time"
            got.append(body)
            channel.basic_ack(method.delivery_tag)
            if len(got) == len(bodies):
                break
        channel.cancel()
    assert got == bodies


def test_amqp_closes_the_channel_alone_for_a_larger_body(door: Door, queue: str) -> None:
    with pika.BlockingConnection(door.parameters()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        with pytest.raises(ChannelClosedByBroker) as closed:
            channel.basic_publish("", queue, body_of(LIMIT + 1))
        assert closed.value.reply_code == 406
        assert str(LIMIT) in closed.value.reply_text
        other = connection.channel()
        other.basic_publish("", queue, b"small")
        assert other.queue_declare(queue, passive=True).method.queue == queue


def test_one_body_for_many_queues_reaches_each(client: quorate.Client) -> None:
    name = f"large-{next(_numbers)}"
    queues = [f"{name}-{number}" for number in range(5)]
    client.declare_exchange(name, "fanout")
    for one in queues:
        client.declare_queue(one)
        client.bind(one, name)
    body = body_of(4 * MIB)
    client.publish(name, body)
    for one in queues:
        (got,) = client.receive(one, 1)
        assert got.body == body
        client.delete_message_queue(one)
    client.delete_exchange(name)
