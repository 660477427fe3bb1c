"""Messages from programs: publish, consume, settle, streams, request and reply."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from itertools import count

import pytest

import quorate
from quorate.client.transport.discovery import LocalCluster
from quorate.errors import (
    ConsumerEnded,
    MessageRejected,
    MessageUnroutable,
    QuorateError,
)
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.local import running

_numbers = count(1)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    data = tmp_path_factory.mktemp("messages") / "data"
    with running(
        LocalPlan(data_dir=data, schedulers=1, nodes=1, slots=1, secure=tls.ON)
    ) as started:
        yield started


@pytest.fixture(scope="module")
def client(local: LocalCluster) -> Iterator[quorate.Client]:
    with quorate.Client(data_dir=local.data_dir) as opened:
        yield opened


@pytest.fixture
def queue(client: quorate.Client) -> Iterator[str]:
    name = f"queue-{next(_numbers)}"
    client.declare_queue(name)
    yield name
    client.delete_message_queue(name)


@pytest.fixture
def exchange(client: quorate.Client) -> Iterator[str]:
    name = f"exchange-{next(_numbers)}"
    client.declare_exchange(name, "topic")
    yield name
    client.delete_exchange(name)


def bodies(client: quorate.Client, queue: str) -> list[str]:
    return [one.text for one in client.peek(queue, 100)]


def ready(client: quorate.Client, queue: str, count: int) -> None:
    """Wait until so many messages are: those of a closed session come back shortly after."""
    for _ in range(2_000):
        if client.message_queue(queue).ready == count:
            return
        threading.Event().wait(0.01)
    raise AssertionError(client.message_queue(queue))


# -- publishing


def test_a_published_message_is_consumed_with_its_properties(client, queue, exchange):
    client.bind(queue, exchange, "orders.#")
    client.publish(exchange, {"id": 7}, routing_key="orders.new", headers={"n": 1}, message_id="m")
    with client.consume(queue, timeout=60) as consumer:
        delivery = consumer.get(20)
        assert delivery is not None
        assert (delivery.json(), delivery.headers, delivery.message_id) == (
            {"id": 7},
            {"n": 1},
            "m",
        )
        assert (delivery.exchange, delivery.routing_key) == (exchange, "orders.new")
        assert not delivery.redelivered
        assert abs(delivery.publish_time.timestamp() - dt.datetime.now(dt.UTC).timestamp()) < 600
        delivery.ack()
        consumer.flush(20)
    assert client.message_queue(queue).ready == 0


def test_what_reaches_no_queue_is_an_error_where_that_was_asked_for(client, exchange):
    client.publish(exchange, "gone", routing_key="nobody")
    with pytest.raises(MessageUnroutable):
        client.publish(exchange, "x", routing_key="nobody", mandatory=True)
    with pytest.raises(MessageUnroutable):
        client.publish_to_queue("no-such-queue", "x")
    with pytest.raises(MessageRejected) as raised:
        client.publish("no-such-exchange", "x")
    assert raised.value.reason == "EXCHANGE_NOT_FOUND"


def test_a_producer_keeps_the_order_and_confirms_each_message(client, queue):
    with client.producer(queue=queue, max_messages=50) as producer:
        confirms = [producer.send(str(number)) for number in range(300)]
        confirms[-1].result(20)
        assert all(confirm.done() for confirm in confirms)
    found: list[str] = []
    while len(found) < 300:
        found += [one.text for one in client.receive(queue, 1_000)]
    assert found == [str(number) for number in range(300)]


def test_a_producer_says_which_message_failed_and_flush_says_that_one_did(client):
    full = f"full-{next(_numbers)}"
    client.declare_queue(full, max_length=1, overflow="reject-publish")
    called = threading.Event()
    producer = client.producer(queue=full)
    first, second = producer.send("a"), producer.send("b", routing_key="no-such-queue")
    first.result(20)
    with pytest.raises(MessageUnroutable):
        second.result(20)
    third = producer.send("c")
    third.add_done_callback(lambda confirm: called.set())
    assert isinstance(third.exception(20), MessageRejected)
    assert called.wait(20)
    with pytest.raises(MessageUnroutable):
        producer.flush(20)
    producer.flush(20)
    producer.close()
    with pytest.raises(QuorateError, match="this producer is closed"):
        producer.send("d")
    client.delete_message_queue(full)


def test_a_request_id_publishes_once(client, queue):
    for _ in range(2):
        client.publish_to_queue(queue, "x", request_id=f"{queue}-once")
    assert bodies(client, queue) == ["x"]


# -- consuming


def test_the_outcomes_of_a_delivery(client):
    queue, dead = f"work-{next(_numbers)}", f"dead-{next(_numbers)}"
    client.declare_queue(dead)
    client.declare_queue(
        queue, dead_letter_exchange="", dead_letter_routing_key=dead, delivery_limit=1
    )
    for body in ("reject", "nack", "requeue"):
        client.publish_to_queue(queue, body)
    seen: list[tuple[str, int]] = []
    with client.consume(queue, prefetch=1, timeout=60) as consumer:
        for delivery in consumer:
            seen.append((delivery.text, delivery.failed_deliveries))
            if delivery.text == "reject":
                delivery.reject()
            elif delivery.text == "requeue":
                delivery.requeue()
            elif not delivery.redelivered:
                delivery.touch()
                delivery.nack()
            else:
                delivery.ack()
            if len(seen) == 5:
                break
        consumer.flush(20)
        with pytest.raises(QuorateError, match="is settled already"):
            delivery.ack()
    assert seen == [
        *(("reject", 0), ("nack", 0), ("nack", 0), ("requeue", 0), ("requeue", 1)),
    ]
    assert bodies(client, dead) == ["reject", "requeue"]
    client.delete_message_queue(queue)
    client.delete_message_queue(dead)


@pytest.mark.parametrize(("settle", "failed"), [("nack", 0), ("requeue", 1)])
def test_what_is_put_back_with_a_delay_comes_again_later(client, queue, settle, failed):
    client.publish_to_queue(queue, "x")
    with client.consume(queue, timeout=60) as consumer:
        delivery = consumer.get(20)
        assert delivery is not None
        getattr(delivery, settle)(delay=0.2)
        consumer.flush(20)
        again = consumer.get(20)
        assert again is not None
        assert (again.redelivered, again.failed_deliveries) == (True, failed)
        again.ack()


def test_a_loop_that_is_left_gives_its_messages_back(client, queue):
    for body in ("1", "2", "3"):
        client.publish_to_queue(queue, body)
    for delivery in client.consume(queue):
        delivery.ack()
        break
    # At once: the messages are not kept until the session is missed.
    assert bodies(client, queue) == ["2", "3"]
    assert client.message_queue(queue).consumers == 0
    with client.consume(queue) as consumer:
        again = consumer.get(20)
        assert again is not None
        # The others were never in its hands.
        assert not again.failed_deliveries
        again.ack()


def test_prefetch_bounds_what_is_unsettled_and_can_be_changed(client, queue):
    with client.producer(queue=queue) as producer:
        for number in range(10):
            producer.send(str(number))
    with client.consume(queue, prefetch=2) as consumer:
        assert [consumer.get(20).text for _ in range(2)] == ["0", "1"]
        assert client.message_queue(queue).unacknowledged == 2
        consumer.prefetch = 4
        assert [consumer.get(20).text for _ in range(2)] == ["2", "3"]
        assert client.message_queue(queue).unacknowledged == 4
    # What was taken and not settled, and what was not taken, is back.
    ready(client, queue, 10)
    assert bodies(client, queue) == [str(number) for number in range(10)]


def test_what_was_not_taken_goes_back_without_counting(client, queue):
    client.publish_to_queue(queue, "a")
    client.publish_to_queue(queue, "b")
    with client.consume(queue) as consumer:
        assert consumer.get(20).text == "a"
    ready(client, queue, 2)
    counts = {one.text: one.failed_deliveries for one in client.receive(queue, 10)}
    assert counts == {"a": 1, "b": 0}


def test_automatic_acknowledgement_takes_messages_off_at_once(client, queue):
    client.publish_to_queue(queue, "x")
    with client.consume(queue, auto_ack=True) as consumer:
        delivery = consumer.get(20)
        assert delivery.text == "x"
        delivery.ack()
    assert client.message_queue(queue).ready == 0


def test_an_exclusive_consumer_is_alone(client, queue):
    with client.consume(queue, exclusive=True):
        with pytest.raises(QuorateError) as raised, client.consume(queue):
            pass
        assert raised.value.code.name in ("FAILED_PRECONDITION", "PERMISSION_DENIED")


def test_a_consumer_of_no_queue_and_one_whose_queue_is_deleted_raise(client):
    with pytest.raises(QuorateError) as raised, client.consume("no-such-queue"):
        pass
    assert raised.value.reason == "MESSAGE_QUEUE_NOT_FOUND"
    name = f"short-lived-{next(_numbers)}"
    client.declare_queue(name)
    with client.consume(name) as consumer:
        client.delete_message_queue(name)
        with pytest.raises(ConsumerEnded) as ended:
            consumer.get(20)
    assert ended.value.reason == "MESSAGE_QUEUE_DELETED"


def test_a_stopped_consumer_ends_its_iteration(client, queue):
    with client.consume(queue) as consumer:
        timer = threading.Timer(0.05, consumer.stop)
        timer.start()
        assert list(consumer) == []
        timer.join()


def test_a_stream_is_read_from_where_one_likes(client):
    name = f"stream-{next(_numbers)}"
    client.declare_stream(name, max_age=3600)
    with client.producer(queue=name) as producer:
        for number in range(5):
            producer.send(str(number))
    for offset, expected in (("first", ["0", "1"]), (3, ["3", "4"])):
        with client.consume(name, offset=offset, prefetch=10) as consumer:
            assert [consumer.get(20).text for _ in expected] == expected
    since = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    with client.consume(name, since=since) as consumer:
        assert consumer.get(20).text == "0"
    with client.consume(name) as consumer:
        client.publish_to_queue(name, "new")
        assert consumer.get(20).text == "new"
    client.delete_message_queue(name)


def test_subscribers_each_get_what_an_exchange_gets(client, exchange):
    with (
        client.subscribe(exchange, "orders.*") as orders,
        client.subscribe(exchange, "#") as everything,
    ):
        client.publish(exchange, "a", routing_key="orders.new")
        client.publish(exchange, "b", routing_key="mail")
        assert orders.get(20).text == "a"
        assert [everything.get(20).text for _ in range(2)] == ["a", "b"]
        private = orders.queue
    with pytest.raises(QuorateError, match="does not exist"):
        client.message_queue(private)


# -- request and reply, handlers


def test_a_request_gets_the_reply_of_a_consumer_function(client, queue):
    @quorate.consumer(queue, concurrency=2)
    def double(delivery: quorate.Delivery) -> int:
        number: int = delivery.json()
        return 2 * number

    thread = threading.Thread(target=double.run, args=(client,))
    thread.start()
    try:
        for number in (1, 21):
            reply = client.request("", number, routing_key=queue, timeout=20)
            assert reply.json() == 2 * number
    finally:
        double.stop()
        thread.join(20)
    assert not thread.is_alive()
    with pytest.raises(TimeoutError, match=r"no reply within 0\.1 s"):
        client.request("", 1, routing_key=queue, timeout=0.1)
    with pytest.raises(MessageUnroutable):
        client.request("", 1, routing_key="no-such-queue", timeout=20)


def test_what_a_consumer_function_raises_says_what_becomes_of_its_message(client):
    queue, dead = f"handled-{next(_numbers)}", f"failed-{next(_numbers)}"
    client.declare_queue(dead)
    client.declare_queue(
        queue, dead_letter_exchange="", dead_letter_routing_key=dead, delivery_limit=2
    )
    for body in ("fails", "cancels", "snoozes", "returns"):
        client.publish_to_queue(queue, body)
    seen: list[str] = []

    @quorate.consumer(queue, prefetch=1)
    def handle(delivery: quorate.Delivery) -> None:
        seen.append(delivery.text)
        if delivery.text == "fails":
            raise ValueError
        if delivery.text == "cancels":
            raise quorate.Cancel("not needed")
        if delivery.text == "snoozes" and seen.count("snoozes") == 1:
            raise quorate.Snooze(0.1)
        if len(seen) == 7:
            handle.stop()

    handle.run(client)
    assert sorted(seen) == ["cancels", *["fails"] * 3, "returns", "snoozes", "snoozes"]
    assert sorted(bodies(client, dead)) == ["cancels", "fails"]
    client.delete_message_queue(queue)
    client.delete_message_queue(dead)


# -- declarations


def test_declared_things_are_listed_and_a_difference_is_named(client, exchange):
    queue = client.declare_queue("", max_length=5).name
    assert queue.startswith("amq.gen-")
    client.bind(queue, exchange, "a.*")
    client.bind_exchange("amq.fanout", exchange, "b")
    assert {one.routing_key for one in client.bindings(exchange=exchange)} == {"a.*", "b"}
    (found,) = [one for one in client.bindings(to_exchange="amq.fanout") if one.source == exchange]
    assert found.routing_key == "b"
    client.unbind(queue, exchange, "a.*")
    client.unbind_exchange("amq.fanout", exchange, "b")
    assert list(client.bindings(exchange=exchange)) == []
    assert exchange in [one.name for one in client.exchanges()]
    assert queue in [one.name for one in client.message_queues()]
    with pytest.raises(QuorateError) as raised:
        client.declare_queue(queue, max_length=6)
    assert raised.value.reason == "MESSAGE_QUEUE_DIFFERS"
    with pytest.raises(QuorateError) as raised:
        client.declare_exchange(exchange, "fanout")
    assert raised.value.reason == "EXCHANGE_DIFFERS"
    client.delete_message_queue(queue)


def test_messages_are_peeked_received_moved_and_purged(client, queue):
    other = f"other-{next(_numbers)}"
    client.declare_queue(other)
    for number in range(4):
        client.publish_to_queue(queue, str(number))
    assert [one.text for one in client.peek(queue, 2)] == ["0", "1"]
    assert [one.text for one in client.receive(queue)] == ["0"]
    assert client.move(queue, other, 2) == 2
    assert bodies(client, other) == ["1", "2"]
    assert client.purge(queue) == 1
    assert client.delete_message_queue(other) == 2
    with pytest.raises(QuorateError) as raised:
        client.purge(other)
    assert raised.value.reason == "MESSAGE_QUEUE_NOT_FOUND"
