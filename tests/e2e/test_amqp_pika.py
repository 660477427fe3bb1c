"""pika, as it is, through a real gateway."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    NackError,
    UnroutableError,
)

from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.amqp import Door, door_of, snippet, until
from tests.support.local import running

DURABLE = pika.BasicProperties(delivery_mode=2)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("amqp") / "c"
    plan = LocalPlan(data_dir=folder, schedulers=1, nodes=1, gateway=True, amqp=True, secure=tls.ON)
    with running(plan) as local:
        yield door_of(local)


@pytest.fixture
def connection(door: Door) -> Iterator[pika.BlockingConnection]:
    connection = pika.BlockingConnection(door.parameters())
    yield connection
    if connection.is_open:
        connection.close()


@pytest.fixture
def channel(connection: Any) -> Any:
    return connection.channel()


@pytest.fixture
def queue(door: Door) -> Iterator[str]:
    """A queue of the test's own, gone behind it."""
    name = f"pika-{uuid.uuid4().hex}"
    yield name
    with pika.BlockingConnection(door.parameters()) as connection:
        connection.channel().queue_delete(name)


def got(channel: Any, queue: str, count: int, **more: Any) -> list[tuple[Any, Any, bytes]]:
    """The next messages of a queue, from a consumer."""
    found: list[tuple[Any, Any, bytes]] = []
    for message in channel.consume(queue, inactivity_timeout=20, **more):
        assert message[0] is not None, f"{len(found)} of {count} came"
        found.append(message)
        if len(found) == count:
            return found
    raise AssertionError("the consumer ended")


def count(connection: Any, queue: str) -> int:
    """Messages that are ready."""
    channel = connection.channel()
    found = channel.queue_declare(queue, passive=True).method.message_count
    channel.close()
    return int(found)


def test_messages_go_through_a_queue(channel, queue):
    declared = channel.queue_declare(queue, durable=True).method
    assert (declared.queue, declared.message_count, declared.consumer_count) == (queue, 0, 0)
    properties = pika.BasicProperties(
        content_type="text/plain",
        headers={"text": "ü", "number": -5, "list": [1, {"deep": True}], "none": None},
        delivery_mode=2,
        priority=3,
        correlation_id="c",
        reply_to="r",
        message_id="m",
        timestamp=1_700_000_000,
        type="t",
        app_id="a",
    )
    channel.basic_publish("", queue, b"first", properties)
    channel.basic_publish("", queue, b"x" * 400_000, DURABLE)
    assert channel.queue_declare(queue, passive=True).method.message_count == 2
    first, second = got(channel, queue, 2)
    assert (first[0].exchange, first[0].routing_key, first[0].redelivered) == ("", queue, False)
    assert first[1] == properties
    assert (first[2], second[2]) == (b"first", b"x" * 400_000)
    channel.basic_ack(second[0].delivery_tag, multiple=True)
    channel.cancel()
    assert channel.queue_declare(queue, passive=True).method.message_count == 0


def test_get_and_ack_and_nack_and_reject(channel, queue):
    channel.queue_declare(queue)
    assert channel.basic_get(queue) == (None, None, None)
    for number in range(3):
        channel.basic_publish("", queue, str(number))
    method, _, body = channel.basic_get(queue)
    assert (method.message_count, body) == (2, b"0")
    channel.basic_nack(method.delivery_tag)
    method, _, body = channel.basic_get(queue)
    assert (body, method.redelivered) == (b"0", True)
    channel.basic_reject(method.delivery_tag, requeue=False)
    assert channel.basic_get(queue, auto_ack=True)[2] == b"1"
    method, _, body = channel.basic_get(queue)
    assert (method.message_count, body) == (0, b"2")
    channel.basic_ack(method.delivery_tag)
    assert channel.basic_get(queue) == (None, None, None)
    channel.basic_ack(99)
    with pytest.raises(ChannelClosedByBroker) as closed:
        channel.queue_declare(queue, passive=True)
    assert closed.value.reply_code == 406
    assert "unknown delivery tag 99" in closed.value.reply_text


def test_what_a_closed_channel_had_is_delivered_again(connection, queue):
    channel = connection.channel()
    channel.queue_declare(queue)
    channel.basic_publish("", queue, b"m")
    got(channel, queue, 1)
    # Not `cancel`, which would put it back itself.
    channel.close()
    again = connection.channel()
    method, properties, _ = until(lambda: (found := again.basic_get(queue))[0] and found)
    assert method.redelivered
    assert properties.headers["x-delivery-count"] == 1


def test_confirms_returns_and_refusals(channel, queue):
    channel.queue_declare(queue, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"fits", mandatory=True)
    with pytest.raises(NackError):
        channel.basic_publish("", queue, b"does not")
    with pytest.raises(UnroutableError) as unroutable:
        channel.basic_publish("amq.direct", "nowhere", b"lost", mandatory=True)
    (returned,) = unroutable.value.messages
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert (returned.method.exchange, returned.body) == ("amq.direct", b"lost")
    channel.basic_publish("amq.direct", "nowhere", b"not mandatory")


@pytest.mark.parametrize(
    ("ask", "code", "text"),
    [
        (lambda c: c.queue_declare("nobody", passive=True), 404, "no queue 'nobody' in vhost '/'"),
        (lambda c: c.exchange_declare("none", passive=True), 404, "no exchange 'none' in vhost"),
        (lambda c: c.basic_get("nobody"), 404, "no queue 'nobody'"),
        (lambda c: c.basic_consume("nobody", print), 404, "no queue 'nobody'"),
        (lambda c: c.queue_bind("nobody", "amq.direct"), 404, "no queue 'nobody'"),
        (lambda c: c.queue_declare("amq.mine"), 403, "reserved"),
        (lambda c: c.exchange_declare("amq.mine"), 403, "reserved"),
        (lambda c: c.exchange_delete("amq.topic"), 403, "predeclared"),
        (lambda c: c.queue_declare("bad", arguments={"x-max-length": "x"}), 406, "x-max-length"),
        (lambda c: c.exchange_declare("amq.direct", "topic"), 406, "inequivalent arg 'type'"),
    ],
)
def test_soft_errors_close_the_channel_alone(connection, ask, code, text):
    channel = connection.channel()
    with pytest.raises(ChannelClosedByBroker) as closed:
        ask(channel)
    assert closed.value.reply_code == code
    assert text in closed.value.reply_text
    assert connection.is_open
    connection.channel().close()


def test_publishing_where_no_exchange_is_closes_the_channel(connection):
    channel = connection.channel()
    channel.confirm_delivery()
    with pytest.raises(ChannelClosedByBroker) as closed:
        channel.basic_publish("none", "k", b"m")
    assert (closed.value.reply_code, connection.is_open) == (404, True)


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda c: c.basic_qos(prefetch_size=1), 540),
        (lambda c: c.basic_recover(requeue=False), 540),
    ],
)
def test_hard_errors(door, ask, code):
    connection = pika.BlockingConnection(door.parameters())
    with pytest.raises(ConnectionClosedByBroker) as closed:
        ask(connection.channel())
    assert closed.value.reply_code == code


def test_a_queue_that_differs_is_named(channel, queue):
    channel.queue_declare(queue, durable=True, arguments={"x-message-ttl": 60_000})
    with pytest.raises(ChannelClosedByBroker) as closed:
        channel.queue_declare(queue, durable=False, arguments={"x-message-ttl": 60_000})
    assert closed.value.reply_text == (
        f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{queue}' in vhost '/': "
        "received 'false' but current is 'true'"
    )


def test_exclusive_queues_belong_to_their_connection(door, connection, channel):
    queue = channel.queue_declare("", exclusive=True).method.queue
    assert queue.startswith("amq.gen-")
    channel.basic_publish("", queue, b"m")
    other = connection.channel()
    assert other.basic_get(queue, auto_ack=True)[2] == b"m"
    channel.basic_publish("", queue, b"n")
    assert got(other, queue, 1, auto_ack=True)[0][2] == b"n"
    with pika.BlockingConnection(door.parameters()) as stranger:
        for ask in (
            lambda c: c.queue_declare(queue, passive=True),
            lambda c: c.basic_consume(queue, print),
            lambda c: c.basic_get(queue),
            lambda c: c.queue_delete(queue),
        ):
            with pytest.raises(ChannelClosedByBroker) as closed:
                ask(stranger.channel())
            assert closed.value.reply_code == 405, closed.value
            assert "RESOURCE_LOCKED" in closed.value.reply_text
        connection.close()

        def gone() -> bool:
            try:
                stranger.channel().queue_declare(queue, passive=True)
            except ChannelClosedByBroker as closed:
                return bool(closed.reply_code == 404)
            return False

        until(gone)


def test_an_exclusive_consumer_is_alone(connection, queue):
    channel, other = connection.channel(), connection.channel()
    channel.queue_declare(queue)
    channel.basic_consume(queue, print, exclusive=True)
    with pytest.raises(ChannelClosedByBroker) as closed:
        other.basic_consume(queue, print)
    assert (closed.value.reply_code, "in exclusive use" in closed.value.reply_text) == (403, True)


def test_prefetch_bounds_what_a_consumer_has(connection, queue):
    channel = connection.channel()
    channel.queue_declare(queue)
    for number in range(10):
        channel.basic_publish("", queue, str(number))
    channel.basic_qos(prefetch_count=3)
    have: list[Any] = []
    channel.basic_consume(queue, lambda *message: have.append(message))
    until(lambda: connection.process_data_events(0.02) or len(have) == 3)
    assert count(connection, queue) == 7
    channel.basic_ack(have[1][1].delivery_tag, multiple=True)
    until(lambda: connection.process_data_events(0.02) or len(have) == 5)
    assert [message[3] for message in have] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_transaction_is_done_as_a_whole_or_not_at_all(connection, channel, queue):
    channel.queue_declare(queue)
    channel.queue_declare(f"{queue}-out", exclusive=True)
    channel.basic_publish("", queue, b"in")
    channel.tx_select()
    returned: list[Any] = []
    channel.add_on_return_callback(lambda *message: returned.append(message))
    ((method, _, _),) = got(channel, queue, 1)
    channel.basic_publish("", f"{queue}-out", b"out")
    channel.basic_ack(method.delivery_tag)
    channel.tx_rollback()
    assert channel.queue_declare(f"{queue}-out", passive=True).method.message_count == 0
    channel.basic_publish("", f"{queue}-out", b"out")
    channel.basic_publish("", "nowhere", b"back", mandatory=True)
    channel.basic_publish("", f"{queue}-out", b"put")
    channel.basic_ack(method.delivery_tag)
    channel.tx_commit()
    until(lambda: connection.process_data_events(0.02) or returned)
    assert returned[0][3] == b"back"
    assert channel.queue_declare(f"{queue}-out", passive=True).method.message_count == 2
    connection.close()


def test_bindings_of_queues_and_exchanges(channel, queue):
    channel.queue_declare(queue)
    channel.exchange_declare(f"{queue}-t", "topic", auto_delete=True)
    channel.exchange_bind(f"{queue}-t", "amq.topic", "a.#")
    channel.queue_bind(queue, f"{queue}-t", "a.*.c")
    channel.queue_bind(queue, "amq.headers", arguments={"x-match": "all", "n": 1})
    channel.basic_publish("amq.topic", "a.b.c", b"topic")
    channel.basic_publish("amq.topic", "b", b"elsewhere")
    headers = pika.BasicProperties(headers={"n": 1})
    channel.basic_publish("amq.headers", "", b"headers", headers)
    assert [message[2] for message in got(channel, queue, 2)] == [b"topic", b"headers"]
    channel.cancel()
    channel.queue_unbind(queue, f"{queue}-t", "a.*.c")
    # It was its last binding as a source.
    with pytest.raises(ChannelClosedByBroker) as closed:
        channel.exchange_declare(f"{queue}-t", passive=True)
    assert closed.value.reply_code == 404


def test_dead_letters_have_their_history(channel, queue):
    channel.queue_declare(f"{queue}-dead", exclusive=True)
    arguments = {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"{queue}-dead",
        "x-message-ttl": 10,
    }
    channel.queue_declare(queue, arguments=arguments)
    channel.basic_publish("", queue, b"m", pika.BasicProperties(headers={"BCC": ["nobody"]}))
    ((method, properties, _),) = got(channel, f"{queue}-dead", 1)
    (death,) = properties.headers["x-death"]
    assert (death["queue"], death["reason"], death["count"]) == (queue, "expired", 1)
    assert (death["exchange"], death["routing-keys"]) == ("", [queue])
    assert properties.headers["x-first-death-queue"] == queue
    assert "BCC" not in properties.headers
    assert method.routing_key == f"{queue}-dead"


def test_a_deleted_queue_cancels_its_consumers(connection, queue):
    channel = connection.channel()
    channel.queue_declare(queue)
    cancelled: list[Any] = []
    channel.add_on_cancel_callback(cancelled.append)
    tag = channel.basic_consume(queue, print)
    connection.channel().queue_delete(queue)
    until(lambda: connection.process_data_events(0.02) or cancelled)
    assert cancelled[0].method.consumer_tag == tag


def test_a_direct_reply(connection, queue):
    client, server = connection.channel(), connection.channel()
    server.queue_declare(queue)
    answers: list[bytes] = []
    client.basic_consume(
        "amq.rabbitmq.reply-to", lambda *message: answers.append(message[3]), auto_ack=True
    )
    properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to")
    client.basic_publish("", queue, b"question", properties)
    ((_, asked, _),) = got(server, queue, 1, auto_ack=True)
    server.basic_publish("", asked.reply_to, b"answer")
    until(lambda: connection.process_data_events(0.02) or answers)
    assert answers == [b"answer"]
    assert asked.reply_to.startswith("amq.rabbitmq.reply-to.")
    server.queue_declare(asked.reply_to, passive=True)
    client.close()
    # Nothing of it is stored.
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        server.queue_declare(asked.reply_to, passive=True)
    assert closed.value.reply_code == 404


def test_a_stream_is_read_from_an_offset(connection, queue):
    channel = connection.channel()
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "stream"})
    for number in range(5):
        channel.basic_publish("", queue, str(number))
    channel.basic_qos(prefetch_count=10)
    found = got(channel, queue, 3, arguments={"x-stream-offset": 2})
    assert [message[2] for message in found] == [b"2", b"3", b"4"]
    assert [message[1].headers["x-stream-offset"] for message in found] == [2, 3, 4]


def test_what_is_no_amqp_ends_its_own_connection_alone(door):
    if tls.ON:
        return
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"AMQP\0\0\x09\x01" + b"\xff" * 4_096, b"\0" * 64):
        with socket.create_connection(("127.0.0.1", door.port), timeout=60) as client:
            client.sendall(data)
            while client.recv(4_096):
                pass
    with pika.BlockingConnection(door.parameters()) as connection:
        assert connection.channel().is_open


def test_another_virtual_host_has_to_be_there(door):
    with pytest.raises(AMQPConnectionError) as closed:
        pika.BlockingConnection(door.parameters(virtual_host="elsewhere"))
    assert "vhost elsewhere not found" in repr(closed.value.args)


def test_what_was_published_before_the_connection_closed_is_there(door, connection, queue):
    with pika.BlockingConnection(door.parameters()) as publishing:
        channel = publishing.channel()
        channel.queue_declare(queue)
        for number in range(500):
            channel.basic_publish("", queue, str(number))
    assert count(connection, queue) == 500


def test_the_page_for_users_does_what_it_says(door):
    if not tls.ON:
        exec(snippet(__file__, door.url), {})
