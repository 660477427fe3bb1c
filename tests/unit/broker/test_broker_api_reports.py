"""What calls of the Broker service report: where a message went, who consumes, what is bound."""

from __future__ import annotations

from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from tests.support.broker_calls import Consumer, publication, serving
from tests.unit.broker.test_broker_api_declarations import binding, exchange


def asked(*publications: m.Publication) -> pb.PublishRequest:
    return pb.PublishRequest(publications=publications, report_queues=True)


def to(name: str, key: str, *, mandatory: bool = False) -> m.Publication:
    return m.Publication(message=m.Message(exchange=name, routing_key=key), mandatory=mandatory)


async def test_a_publish_names_the_queues_that_it_was_routed_to_if_that_was_asked():
    async with serving() as broker:
        await broker.queue("a")
        await broker.queue("b")
        await broker.call(exchange("logs"))
        for one in (binding("logs", "b", "x.*"), binding("logs", "a", "x.#")):
            await broker.call(pb.CreateBindingRequest(binding=one))
        found = await broker.call(asked(to("logs", "x.y")))
        assert (list(found.queues), found.queue_count) == (["a", "b"], 2)
        found = await broker.call(pb.PublishRequest(publications=[to("logs", "x.y")]))
        assert (list(found.queues), found.queue_count) == ([], 0)
        for lost in (to("logs", "y", mandatory=True), to("none", "x.y")):
            answer = await broker.call(asked(lost))
            assert (list(answer.queues), len(answer.results)) == ([], 1)
        error = await broker.refused(asked(publication(), publication()))
        assert error.field == "report_queues"


async def test_at_most_100_queues_are_named_and_all_are_counted():
    async with serving() as broker:
        await broker.call(exchange("all", m.EXCHANGE_TYPE_FANOUT))
        for number in range(101):
            await broker.queue(f"q{number}")
            one = binding("all", f"q{number}", "")
            await broker.call(pb.CreateBindingRequest(binding=one))
        found = await broker.call(asked(to("all", "")))
        assert (len(found.queues), found.queue_count) == (100, 101)


async def test_an_exchange_counts_the_bindings_of_which_it_is_the_source():
    async with serving() as broker:
        await broker.queue("q")
        await broker.call(exchange("logs"))
        one = binding("logs", "q", "x")
        await broker.call(pb.CreateBindingRequest(binding=one))
        other = m.Binding(source="amq.fanout", exchange="logs")
        await broker.call(pb.CreateBindingRequest(binding=other))
        assert (await broker.call(pb.GetExchangeRequest(name="logs"))).exchange.bindings == 1
        assert (await broker.call(exchange("logs"))).exchange.bindings == 1
        await broker.call(pb.DeleteBindingRequest(binding=one))
        listed = (await broker.call(pb.ListExchangesRequest())).exchanges
        counts = {one.name: one.bindings for one in listed}
        assert (counts["logs"], counts["amq.fanout"]) == (0, 1)


async def test_a_message_queue_lists_its_consumers():
    async with serving() as broker:
        await broker.queue("q", single_active_consumer=True)
        await broker.call(pb.PublishRequest(publications=[publication()]))
        consumer = Consumer(broker)
        await consumer.open()
        await consumer.subscribe("q", prefetch=5, name="first")
        await consumer.deliveries(1)
        await consumer.subscribe("q", 2, automatic_ack=True)
        first, second = (await broker.call(pb.GetMessageQueueRequest(name="q"))).consumers
        assert (first.name, first.prefetch, first.unacknowledged) == ("first", 5, 1)
        assert (first.active, second.active) == (True, False)
        assert (second.consumer, second.automatic_ack, second.unacknowledged) == (2, True, 0)
        await consumer.close()
