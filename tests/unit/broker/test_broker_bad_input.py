"""Bad input to the broker: the right code, nothing lost, neighbours undisturbed.

`COVERED` names the tests of each kind of bad input, over gRPC and AMQP; those that stand nowhere
else are below and in `tests/unit/amqp/test_amqp_bad_input.py`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from tests.support.broker_calls import Consumer, publication, serving

TESTS = Path(__file__).parents[2]
CALLS, CONSUME = "unit/broker/test_broker_api_messages.py", "unit/broker/test_broker_api_consume.py"
DECLARED = "unit/broker/test_broker_api_declarations.py"
CONNECTION = "unit/amqp/test_amqp_connection.py"
PIKA = "e2e/test_amqp_pika.py"
AMQP = "unit/amqp/test_amqp_bad_input.py"
HERE = "unit/broker/test_broker_bad_input.py"
COVERED = {
    "unknown exchange or queue": (
        (CALLS, "test_messages_that_reach_no_queue_are_returned_if_that_was_asked"),
        (CONSUME, "test_what_is_refused_is_told_and_the_session_goes_on"),
        (PIKA, "test_soft_errors_close_the_channel_alone"),
        (PIKA, "test_publishing_where_no_exchange_is_closes_the_channel"),
    ),
    "mismatching re-declare": (
        (DECLARED, "test_another_declaration_of_an_exchange_names_the_field"),
        ("unit/broker/test_broker_topology.py", "test_a_declaration_that_differs_names_the_field"),
        (PIKA, "test_a_queue_that_differs_is_named"),
    ),
    "binding cycles": (
        ("unit/test_routing_topologies.py", "test_in_a_circle_each_queue_gets_one_copy"),
        (
            "unit/test_routing_topologies.py",
            "test_alternates_form_a_chain_and_a_circle_ends",
        ),
    ),
    "body at the limit -1, 0, +1": (
        (HERE, "test_a_body_of_almost_the_limit_is_taken"),
        (CALLS, "test_publishes_are_bounded"),
        (AMQP, "test_a_body_up_to_the_limit_is_taken"),
        (AMQP, "test_a_body_beyond_the_limit_closes_its_channel_alone"),
    ),
    "header values of every type and depth": (
        (HERE, "test_headers_of_every_type_come_back_from_every_depth"),
        (CALLS, "test_a_malformed_message_is_refused_with_its_field"),
        ("unit/amqp/test_amqp_wire.py", "test_a_table_has_every_type_at_any_depth"),
        ("unit/amqp/test_amqp_wire.py", "test_a_table_that_nests_too_deep_is_refused"),
    ),
    "credit of 0 and 2^31": (
        (HERE, "test_a_credit_of_0_is_no_limit_and_one_of_2_31_is_refused"),
        (CONSUME, "test_bad_requests_end_the_stream_with_their_field"),
    ),
    "ack of an unknown, foreign or already settled tag": (
        (
            "unit/broker/test_broker_settling.py",
            "test_unknown_deliveries_are_refused_and_the_others_settled",
        ),
        ("unit/amqp/test_amqp_channel.py", "test_what_is_refused_at_once"),
    ),
    "two consumers on an exclusive queue": (
        ("unit/broker/test_broker_consumers.py", "test_an_exclusive_queue_is_its_sessions_alone"),
        ("unit/broker/test_broker_consumers.py", "test_an_exclusive_consumer_is_alone"),
        (PIKA, "test_exclusive_queues_belong_to_their_connection"),
        (PIKA, "test_an_exclusive_consumer_is_alone"),
    ),
    "topic patterns with empty words, 255 characters, #.#.#": (
        ("unit/test_routing_topics.py", "test_patterns"),
        ("unit/test_routing_topics.py", "test_patterns_of_255_characters"),
        ("unit/test_routing_topics.py", "test_the_empty_key_has_no_words"),
    ),
    "frames: wrong end, oversize, on channel 0, out of order, of an unknown class": (
        (CONNECTION, "test_what_a_client_does_wrong_closes_the_connection"),
        (CONNECTION, "test_frames_are_as_large_as_the_client_agreed_to"),
        ("unit/amqp/test_amqp_wire.py", "test_a_malformed_frame_is_a_frame_error"),
        ("unit/amqp/test_amqp_wire.py", "test_a_method_that_does_not_exist_is_not_implemented"),
        (PIKA, "test_what_is_no_amqp_ends_its_own_connection_alone"),
    ),
    "heartbeats missed": ((CONNECTION, "test_heartbeats_are_sent_and_missed"),),
    "a connection that opens 2,048 channels": (
        (AMQP, "test_a_connection_opens_2047_channels_and_not_one_more"),
    ),
    "a client that publishes without reading confirms": (
        (AMQP, "test_a_client_that_does_not_read_its_confirms_loses_none"),
        ("unit/amqp/test_amqp_client_connection.py", "test_a_client_that_floods_is_not_read"),
        (CALLS, "test_a_stream_reads_no_more_than_may_be_unconfirmed"),
    ),
}
MOST_DEEP = 7
VALUES = {
    "boolean": m.HeaderValue(boolean=True),
    **{f"integer of {bits}": m.HeaderValue(integer=5, bits=bits) for bits in (8, -16, 32, 64)},
    "number": m.HeaderValue(number=0.5),
    "small number": m.HeaderValue(small_number=0.5),
    "text": m.HeaderValue(text="t"),
    "binary": m.HeaderValue(binary=b"\xff"),
    "timestamp": m.HeaderValue(timestamp=Timestamp(seconds=5)),
    "decimal": m.HeaderValue(decimal=m.Decimal(scale=2, value=-314)),
    "void": m.HeaderValue(void=True),
    "list": m.HeaderValue(list=m.HeaderList()),
    "table": m.HeaderValue(table=m.HeaderTable()),
}


@pytest.mark.parametrize("what", COVERED)
def test_each_kind_of_bad_input_has_tests(what: str) -> None:
    for path, name in COVERED[what]:
        functions = {
            one.name
            for one in ast.walk(ast.parse((TESTS / path).read_text()))
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in functions, path


async def test_a_body_of_almost_the_limit_is_taken() -> None:
    async with serving() as broker:
        await broker.queue("q")
        body = bytes((1 << 20) - 1)
        await broker.call(pb.PublishRequest(publications=[publication(body)]))
        taken = await broker.call(pb.ReceiveMessagesRequest(name="q"))
        assert [one.message.body for one in taken.messages] == [body]


async def test_headers_of_every_type_come_back_from_every_depth() -> None:
    async with serving() as broker:
        await broker.queue("q")
        headers = {
            f"{name}, {depth} deep": wrapped(value, depth)
            for name, value in VALUES.items()
            for depth in range(MOST_DEEP)
        }
        sent = publication(properties={"headers": headers})
        await broker.call(pb.PublishRequest(publications=[sent]))
        (taken,) = (await broker.call(pb.ReceiveMessagesRequest(name="q"))).messages
        assert dict(taken.message.properties.headers) == headers


def wrapped(value: m.HeaderValue, depth: int) -> m.HeaderValue:
    """A value in lists and tables, in turn."""
    for level in range(depth):
        outer = m.HeaderValue()
        if level % 2:
            outer.table.entries["in"].CopyFrom(value)
        else:
            outer.list.values.append(value)
        value = outer
    return value


async def test_a_credit_of_0_is_no_limit_and_one_of_2_31_is_refused() -> None:
    async with serving() as broker:
        await broker.queue("q")
        sent = [publication(b"%d" % number) for number in range(5)]
        await broker.call(pb.PublishRequest(publications=sent))
        consumer, neighbour = Consumer(broker), Consumer(broker)
        await consumer.open()
        await consumer.subscribe("q", prefetch=1)
        assert len(await consumer.deliveries(1)) == 1
        consumer.send(credit=pb.Credit(consumer=1, prefetch=0))
        assert len(await consumer.deliveries(4)) == 4
        await neighbour.open()
        await neighbour.subscribe("q", prefetch=1)
        consumer.send(credit=pb.Credit(consumer=1, prefetch=1 << 31))
        with pytest.raises(QuorateError) as caught:
            await consumer.answer()
        error = caught.value
        assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, "credit.prefetch")
        assert error.metadata["limit"] == "65535"
        await consumer.close()
        await broker.call(pb.PublishRequest(publications=[publication(b"later")]))
        assert len(await neighbour.deliveries(1)) == 1
        await neighbour.close()
