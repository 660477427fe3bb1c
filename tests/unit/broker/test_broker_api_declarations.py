"""Exchanges, bindings, virtual hosts and message queues by the calls of the Broker service."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.core.broker.rows import Overflow, QueueType
from tests.support.broker_calls import Broker, Consumer, publication, serving

C = grpc.StatusCode
DIRECT, TOPIC = m.EXCHANGE_TYPE_DIRECT, m.EXCHANGE_TYPE_TOPIC


def text(value: str) -> m.HeaderValue:
    return m.HeaderValue(text=value)


def number(value: int, bits: int = 0) -> m.HeaderValue:
    return m.HeaderValue(integer=value, bits=bits)


def exchange(name: str, kind: Any = TOPIC, **fields: Any) -> pb.CreateExchangeRequest:
    return pb.CreateExchangeRequest(exchange=m.Exchange(name=name, type=kind, **fields))


def binding(source: str, queue: str, key: str, **fields: Any) -> m.Binding:
    return m.Binding(source=source, message_queue=queue, routing_key=key, **fields)


async def test_an_exchange_is_created_read_listed_and_deleted():
    async with serving() as broker:
        arguments = {"alternate-exchange": text("amq.fanout"), "x-nested": m.HeaderValue()}
        arguments["x-nested"].table.entries["n"].integer = -3
        arguments["x-nested"].table.entries["n"].bits = 16
        made = (await broker.call(exchange("logs", durable=True, arguments=arguments))).exchange
        assert (made.virtual_host, made.name, made.type, made.durable) == ("/", "logs", TOPIC, True)
        assert dict(made.arguments) == arguments
        assert made.create_time.seconds > 0
        assert (await broker.call(pb.GetExchangeRequest(name="logs"))).exchange == made
        assert (await broker.call(pb.CreateExchangeRequest(exchange=made))).exchange == made
        listed = (await broker.call(pb.ListExchangesRequest())).exchanges
        assert [one.name for one in listed] == sorted(
            ["amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic", "logs"]
        )
        assert [one.name for one in listed if one.HasField("create_time")] == ["logs"]
        await broker.call(pb.DeleteExchangeRequest(name="logs"))
        gone = await broker.refused(pb.GetExchangeRequest(name="logs"))
        assert (gone.code, gone.reason) == (C.NOT_FOUND, "EXCHANGE_NOT_FOUND")


async def test_another_declaration_of_an_exchange_names_the_field():
    async with serving() as broker:
        await broker.call(exchange("logs"))
        error = await broker.refused(exchange("logs", DIRECT))
        assert (error.code, error.reason) == (C.FAILED_PRECONDITION, "EXCHANGE_DIFFERS")
        assert error.metadata["field"] == "type"


async def test_virtual_hosts_are_name_spaces():
    async with serving() as broker:
        for _ in range(2):
            await broker.call(pb.CreateVirtualHostRequest(name="eu/west"))
        listed = (await broker.call(pb.ListVirtualHostsRequest())).virtual_hosts
        assert [one.name for one in listed] == ["/", "eu/west"]
        there = m.MessageQueue(virtual_host="eu/west", name="q")
        await broker.call(pb.CreateMessageQueueRequest(message_queue=there))
        assert (await broker.refused(pb.GetMessageQueueRequest(name="q"))).code is C.NOT_FOUND
        full = await broker.refused(pb.DeleteVirtualHostRequest(name="eu/west"))
        assert full.reason == "VIRTUAL_HOST_NOT_EMPTY"
        await broker.call(pb.DeleteMessageQueueRequest(virtual_host="eu/west", name="q"))
        await broker.call(pb.DeleteVirtualHostRequest(name="eu/west"))
        missing = await broker.refused(pb.ListExchangesRequest(virtual_host="eu/west"))
        assert missing.reason == "VIRTUAL_HOST_NOT_FOUND"
        kept = await broker.refused(pb.DeleteVirtualHostRequest(name="/"))
        assert kept.code is C.FAILED_PRECONDITION


async def test_a_message_queue_is_what_was_declared_of_it():
    async with serving() as broker:
        spec: dict[str, Any] = {
            "type": m.MESSAGE_QUEUE_TYPE_QUEUE,
            "message_ttl": Duration(seconds=60),
            "expires": Duration(seconds=1_800, nanos=500_000_000),
            "max_length": 1_000,
            "max_length_bytes": 1 << 20,
            "overflow": m.OVERFLOW_REJECT_PUBLISH,
            "dead_letter_exchange": "",
            "dead_letter_routing_key": "dead",
            "max_priority": 9,
            "delivery_limit": 0,
            "single_active_consumer": True,
            "durable": True,
            "consumer_timeout": Duration(seconds=90),
        }
        made = await broker.queue("jobs", **spec)
        assert made.spec == m.MessageQueueSpec(**spec)
        assert len(made.uid) == 16
        assert made.create_time.seconds > 0
        again = await broker.queue("jobs", **spec)
        assert again.uid == made.uid
        differs = m.MessageQueue(name="jobs", spec=m.MessageQueueSpec(**{**spec, "max_length": 7}))
        error = await broker.refused(pb.CreateMessageQueueRequest(message_queue=differs))
        assert (error.code, error.reason) == (C.FAILED_PRECONDITION, "MESSAGE_QUEUE_DIFFERS")
        assert error.metadata["field"] == "max_length"


async def test_unset_fields_mean_the_usual_values():
    async with serving() as broker:
        made = await broker.queue("plain")
        assert made.spec == m.MessageQueueSpec(type=m.MESSAGE_QUEUE_TYPE_QUEUE, delivery_limit=20)
        assert (await broker.queue("plain", type=m.MESSAGE_QUEUE_TYPE_QUEUE)).uid == made.uid


async def test_a_message_ttl_may_be_longer_than_other_times():
    """Celery's delayed delivery: https://docs.celeryq.dev, 28 queues of up to 2^27 s."""
    async with serving() as broker:
        longest = {"x-message-ttl": number((1 << 27) * 1_000)}
        await broker.queue("celery_delayed_27", arguments=longest)
        row = broker.term.broker.state.queue("/", "celery_delayed_27").row.spec
        assert row.message_ttl == 1 << 27


async def test_arguments_of_amqp_say_what_fields_say():
    async with serving() as broker:
        arguments = {
            "x-queue-type": text("quorum"),
            "x-message-ttl": number(1_500, 32),
            "x-expires": number(60_000, 32),
            "x-max-length": number(10, 8),
            "x-max-length-bytes": number(1_000),
            "x-overflow": text("reject-publish-dlx"),
            "x-dead-letter-exchange": text("amq.direct"),
            "x-dead-letter-routing-key": text("dead"),
            "x-max-priority": number(255, -8),
            "x-delivery-limit": number(-1),
            "x-single-active-consumer": m.HeaderValue(boolean=True),
            "x-consumer-timeout": number(9_000),
            "x-queue-leader-locator": text("balanced"),
        }
        made = await broker.queue("amqp", arguments=arguments)
        row = broker.term.broker.state.queue("/", "amqp").row.spec
        assert (row.message_ttl, row.expires, row.consumer_timeout) == (1.5, 60.0, 9.0)
        assert (row.max_length, row.max_length_bytes) == (10, 1_000)
        assert row.overflow is Overflow.REJECT_PUBLISH_DEAD_LETTER
        assert (row.dead_letter_exchange, row.dead_letter_routing_key) == ("amq.direct", "dead")
        assert (row.max_priority, row.delivery_limit) == (31, 0)
        assert row.single_active_consumer
        assert dict(made.spec.arguments) == arguments
        # What was read is declared again.
        assert (await broker.queue("amqp", arguments=arguments, max_length=10)).uid == made.uid
        stream = {"x-queue-type": text("stream"), "x-max-age": text("7D")}
        await broker.queue("log", arguments=stream)
        row = broker.term.broker.state.queue("/", "log").row.spec
        assert (row.type, row.max_age) == (QueueType.STREAM, 7 * 86_400.0)


async def test_a_length_of_0_is_no_backlog_over_amqp():
    async with serving() as broker:
        for name, arguments in (
            ("a", {"x-max-length": number(0)}),
            ("b", {"x-max-length": number(7), "x-max-length-bytes": number(0)}),
        ):
            made = await broker.queue(name, arguments=arguments)
            row = broker.term.broker.state.queue("/", name).row.spec
            assert (row.no_backlog, row.max_length, row.max_length_bytes) == (True, 0, 0)
            assert made.spec.no_backlog
            assert (await broker.queue(name, arguments=arguments, no_backlog=True)).uid == made.uid
        stream = {"x-queue-type": text("stream"), "x-max-length-bytes": number(0)}
        await broker.queue("log", arguments=stream)
        assert not broker.term.broker.state.queue("/", "log").row.spec.no_backlog
        spec = m.MessageQueueSpec(max_length=5, no_backlog=True)
        request = pb.CreateMessageQueueRequest(message_queue=m.MessageQueue(name="q", spec=spec))
        assert (await broker.refused(request)).field == "spec.no_backlog"


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("x-queue-type", text("mirrored"), "classic, quorum, stream"),
        ("x-message-ttl", number(-1), "use 0 to"),
        ("x-message-ttl", text("60000"), "is no integer"),
        ("x-message-ttl", m.HeaderValue(boolean=True), "is no integer"),
        ("x-expires", number(0), "use 1 to"),
        ("x-max-priority", number(256), "use 0 to 255"),
        ("x-delivery-limit", number(0), "-1 for no limit"),
        ("x-overflow", text("drop"), "drop-head"),
        ("x-single-active-consumer", text("true"), "is no boolean"),
        ("x-max-age", text("7 days"), "such as 7D"),
        ("x-max-age", text("999999Y"), "at most 31536000 s"),
        ("x-dead-letter-exchange", number(1), "is no string"),
        ("x-own", number(300, 8), "8 bits hold -128 to 127"),
        ("x-own", number(1, 7), "use 8, 16, 32 or 64"),
        ("x-" + "n" * 254, number(1), "use at most 255"),
    ],
)
async def test_a_bad_argument_is_named_with_its_limit(name, value, part):
    async with serving() as broker:
        spec = m.MessageQueueSpec(arguments={name: value})
        request = pb.CreateMessageQueueRequest(message_queue=m.MessageQueue(name="q", spec=spec))
        error = await broker.refused(request)
        assert error.code is C.INVALID_ARGUMENT
        assert error.field == f"spec.arguments.{name[:255]}"
        assert part in error.message
        assert not broker.term.broker.state.queues


async def test_a_field_and_an_argument_do_not_contradict_each_other():
    async with serving() as broker:
        spec = m.MessageQueueSpec(max_length=5, arguments={"x-max-length": number(6)})
        request = pb.CreateMessageQueueRequest(message_queue=m.MessageQueue(name="q", spec=spec))
        error = await broker.refused(request)
        assert (error.reason, error.field) == ("CONTRADICTION", "spec.arguments.x-max-length")


def nested(levels: int) -> m.HeaderValue:
    value = number(1)
    for _ in range(levels):
        outer = m.HeaderValue()
        outer.list.values.append(value)
        value = outer
    return value


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [
        ({f"x-{n}": number(n) for n in range(65)}, "64"),
        ({"x-deep": nested(8)}, "8"),
        ({"x-large": text("t" * (64 << 10))}, str(64 << 10)),
    ],
    ids=["entries", "levels", "bytes"],
)
async def test_tables_are_bounded(arguments, limit):
    async with serving() as broker:
        error = await broker.refused(exchange("e", arguments=arguments))
        assert (error.code, error.field) == (C.INVALID_ARGUMENT, "exchange.arguments")
        assert error.metadata["limit"] == limit


def queue(name: str = "q", **spec: Any) -> pb.CreateMessageQueueRequest:
    spec_ = m.MessageQueueSpec(**spec)
    return pb.CreateMessageQueueRequest(message_queue=m.MessageQueue(name=name, spec=spec_))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.CreateMessageQueueRequest(), "message_queue"),
        (pb.PublishRequest(), "publications"),
        (queue("n" * 256), "message_queue.name"),
        (queue("ü" * 128), "message_queue.name"),
        (queue("amq.mine"), "message_queue.name"),
        (queue(message_ttl=Duration(seconds=36_501 * 86_400)), "spec.message_ttl"),
        (queue(expires=Duration()), "spec.expires"),
        (queue(max_priority=32), "spec.max_priority"),
        (queue(max_length=1 << 63), "spec.max_length"),
        (queue(max_age=Duration(seconds=9)), "spec.max_age"),
        (queue(dead_letter_routing_key="k"), "spec.dead_letter_routing_key"),
        (queue(type=9), "spec.type"),
        (queue(overflow=9), "spec.overflow"),
        (queue(type=m.MESSAGE_QUEUE_TYPE_STREAM, max_priority=3), "spec.max_priority"),
        (exchange(""), "exchange.name"),
        (exchange("e", 0), "exchange.type"),
        (exchange("e", 77), "exchange.type"),
        (pb.GetExchangeRequest(), "name"),
        (pb.GetMessageQueueRequest(name="n" * 300), "name"),
        (pb.GetMessageQueueRequest(name="q", virtual_host="v" * 256), "virtual_host"),
        (pb.GetMessageQueueRequest(name="q", session="s" * 129), "session"),
        (pb.CreateBindingRequest(binding=m.Binding(source="amq.topic")), "binding.destination"),
        (
            pb.CreateBindingRequest(binding=binding("amq.topic", "q", "k" * 256)),
            "binding.routing_key",
        ),
        (pb.CreateVirtualHostRequest(), "name"),
        (pb.ListMessageQueuesRequest(page_size=1_001), "page_size"),
        (pb.ListBindingsRequest(page_token="x"), "page_token"),
        (pb.PeekMessagesRequest(name="q", max_messages=101), "max_messages"),
        (pb.ReceiveMessagesRequest(name="q", max_messages=-1), "max_messages"),
        (pb.MoveMessagesRequest(name="q", destination="d", max_messages=10_001), "max_messages"),
        (pb.MoveMessagesRequest(name="q"), "destination"),
    ],
)
async def test_bad_input_names_the_field(request_, field):
    async with serving() as broker:
        error = await broker.refused(request_)
        assert (error.code, error.field) == (C.INVALID_ARGUMENT, field), error.message


async def test_a_name_that_the_cluster_makes_is_the_same_for_a_repeated_call():
    async with serving() as broker:
        unnamed = pb.CreateMessageQueueRequest(message_queue=m.MessageQueue())
        names = {(await broker.call(unnamed)).message_queue.name for _ in range(2)}
        assert len(names) == 2
        assert all(name.startswith("amq.gen-") for name in names)
        unnamed.request_id = "once"
        first = (await broker.call(unnamed)).message_queue
        assert (await broker.call(unnamed)).message_queue.uid == first.uid


async def test_a_message_queue_is_deleted_as_asked(broker_with_message: Broker):
    broker = broker_with_message
    full = await broker.refused(pb.DeleteMessageQueueRequest(name="q", if_empty=True))
    assert full.reason == "MESSAGE_QUEUE_NOT_EMPTY"
    assert (await broker.call(pb.PurgeMessageQueueRequest(name="q"))).messages == 1
    assert (await broker.call(pb.DeleteMessageQueueRequest(name="q", if_empty=True))).messages == 0
    again = await broker.refused(pb.DeleteMessageQueueRequest(name="q"))
    assert again.reason == "MESSAGE_QUEUE_NOT_FOUND"


@pytest.fixture
async def broker_with_message():
    async with serving() as broker:
        await broker.queue("q")
        await broker.call(pb.PublishRequest(publications=[publication()]))
        yield broker


async def test_an_exclusive_queue_needs_a_session():
    async with serving() as broker:
        error = await broker.refused(queue(exclusive=True))
        assert (error.code, error.reason) == (C.FAILED_PRECONDITION, "SESSION_NOT_FOUND")


async def test_an_exclusive_queue_is_bound_and_unbound_by_its_session_alone():
    async with serving() as broker:
        consumer = Consumer(broker)
        session = await consumer.open()
        declared = queue(exclusive=True)
        declared.session = session
        name = (await broker.call(declared)).message_queue.name
        row = binding("amq.topic", name, "#")
        for request in (pb.CreateBindingRequest, pb.DeleteBindingRequest):
            for stranger in ("", "the session of another"):
                error = await broker.refused(request(binding=row, session=stranger))
                assert (error.code, error.reason) == (C.FAILED_PRECONDITION, "MESSAGE_QUEUE_LOCKED")
            await broker.call(request(binding=row, session=session))
        await consumer.close()


async def test_lists_of_message_queues_have_pages():
    async with serving() as broker:
        for name in ("c", "a/1", "b"):
            await broker.queue(name)
        first = await broker.call(pb.ListMessageQueuesRequest(page_size=2))
        rest = await broker.call(pb.ListMessageQueuesRequest(page_token=first.next_page_token))
        assert [one.name for one in first.message_queues] == ["a/1", "b"]
        assert [one.name for one in rest.message_queues] == ["c"]
        assert not rest.next_page_token


async def test_what_changed_something_is_in_the_audit_log_once():
    async with serving() as broker:
        for _ in range(2):
            await broker.queue("q")
            await broker.call(exchange("e"))
            await broker.call(pb.CreateBindingRequest(binding=binding("e", "q", "#")))
        assert len(broker.term.driver.state.audit) == 3
        await broker.call(pb.DeleteBindingRequest(binding=binding("e", "q", "#")))
        await broker.call(pb.DeleteBindingRequest(binding=binding("e", "q", "#")))
        await broker.refused(pb.DeleteExchangeRequest(name="none"))
        assert len(broker.term.driver.state.audit) == 4
