"""What a caller may name that is bound to names: message queues, exchanges, where messages go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
import pytest_asyncio

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.security.identity import Caller, How, Role
from quorate.security.identity import _caller as current
from quorate.security.permissions import check_request, rule_of
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from quorate.v1 import queue_pb2
from quorate.v1 import scheduler_pb2 as spb
from tests.support.broker_calls import Consumer, publication, serving
from tests.support.one_leader import Leader, leading

DENIED = grpc.StatusCode.PERMISSION_DENIED
METHODS = pb.DESCRIPTOR.services_by_name["Broker"].methods_by_name
BOUND = Caller("alice", Role.SUBMITTER, How.TOKEN, ("mail*", "team/*"))


@contextmanager
def calling(caller: Caller = BOUND) -> Iterator[None]:
    token = current.set(caller)
    try:
        yield
    finally:
        current.reset(token)


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


def queue(name: str, host: str = "", **spec: Any) -> m.MessageQueue:
    return m.MessageQueue(virtual_host=host, name=name, spec=m.MessageQueueSpec(**spec))


def binding(source: str, host: str = "", **to: Any) -> m.Binding:
    return m.Binding(virtual_host=host, source=source, **to)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.GetMessageQueueRequest(name="mail.in"), ""),
        (pb.GetMessageQueueRequest(name="orders"), "FOREIGN_MESSAGE_QUEUE"),
        # Another virtual host: its name counts.
        (pb.GetMessageQueueRequest(name="mail.in", virtual_host="/"), ""),
        (pb.GetMessageQueueRequest(name="mail.in", virtual_host="eu"), "FOREIGN_MESSAGE_QUEUE"),
        (pb.GetMessageQueueRequest(name="any", virtual_host="team"), ""),
        # What nobody can guess.
        (pb.GetMessageQueueRequest(name="amq.gen-x"), ""),
        (pb.GetMessageQueueRequest(name="amq.rabbitmq.reply-to.x"), ""),
        (pb.CreateMessageQueueRequest(message_queue=queue("mail")), ""),
        (pb.CreateMessageQueueRequest(message_queue=queue("")), ""),
        (pb.CreateMessageQueueRequest(message_queue=queue("orders")), "FOREIGN_MESSAGE_QUEUE"),
        (pb.DeleteMessageQueueRequest(name="orders"), "FOREIGN_MESSAGE_QUEUE"),
        (pb.PurgeMessageQueueRequest(name="orders"), "FOREIGN_MESSAGE_QUEUE"),
        (pb.PeekMessagesRequest(name="orders"), "FOREIGN_MESSAGE_QUEUE"),
        (pb.ReceiveMessagesRequest(name="orders"), "FOREIGN_MESSAGE_QUEUE"),
        (pb.MoveMessagesRequest(name="mail", destination="mail.dead"), ""),
        (pb.MoveMessagesRequest(name="mail", destination="orders"), "FOREIGN_MESSAGE_QUEUE"),
        (pb.MoveMessagesRequest(name="orders", destination="mail"), "FOREIGN_MESSAGE_QUEUE"),
        (pb.CreateExchangeRequest(exchange=m.Exchange(name="mail")), ""),
        (pb.CreateExchangeRequest(exchange=m.Exchange(name="orders")), "FOREIGN_EXCHANGE"),
        (pb.GetExchangeRequest(name="amq.topic"), "FOREIGN_EXCHANGE"),
        (pb.DeleteExchangeRequest(name="orders"), "FOREIGN_EXCHANGE"),
        (pb.CreateBindingRequest(binding=binding("mail", message_queue="mail.in")), ""),
        (pb.CreateBindingRequest(binding=binding("mail", message_queue="amq.gen-x")), ""),
        (pb.CreateBindingRequest(binding=binding("mail", exchange="mail2")), ""),
        (
            pb.CreateBindingRequest(binding=binding("orders", message_queue="mail")),
            "FOREIGN_EXCHANGE",
        ),
        (
            pb.CreateBindingRequest(binding=binding("mail", message_queue="orders")),
            "FOREIGN_MESSAGE_QUEUE",
        ),
        (pb.CreateBindingRequest(binding=binding("mail", exchange="orders")), "FOREIGN_EXCHANGE"),
        (
            pb.DeleteBindingRequest(binding=binding("mail", message_queue="orders")),
            "FOREIGN_MESSAGE_QUEUE",
        ),
        (pb.CreateBindingRequest(binding=binding("mail", task_queue="mail")), ""),
        (pb.CreateBindingRequest(binding=binding("mail", task_queue="other")), "FOREIGN_QUEUE"),
        (pb.ListBindingsRequest(task_queue="other"), "FOREIGN_QUEUE"),
        (pb.ListBindingsRequest(source="mail"), ""),
        (pb.ListBindingsRequest(message_queue="orders"), "FOREIGN_MESSAGE_QUEUE"),
        (pb.ListBindingsRequest(exchange="mail"), ""),
        (pb.ListBindingsRequest(exchange="orders"), "FOREIGN_EXCHANGE"),
        (pb.ListBindingsRequest(source="mail", exchange="orders"), "FOREIGN_EXCHANGE"),
        (pb.ListBindingsRequest(), "BOUND_CALLER"),
        (pb.CreateVirtualHostRequest(name="team"), "BOUND_CALLER"),
        (pb.DeleteVirtualHostRequest(name="team"), "BOUND_CALLER"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_a_bound_caller_names_what_it_is_bound_to(request_: Any, reason: str) -> None:
    rule = rule_of(METHODS[type(request_).__name__.removesuffix("Request")])
    assert rule is not None
    if reason:
        with pytest.raises(QuorateError) as raised:
            check_request(rule, BOUND, request_, lambda task: None)
        assert (raised.value.code, raised.value.reason) == (DENIED, reason)
    else:
        check_request(rule, BOUND, request_, lambda task: None)
    check_request(rule, Caller("bob", Role.ADMIN, How.TOKEN), request_, lambda task: None)


@pytest.mark.parametrize(
    ("pattern", "host", "name", "may"),
    [
        ("mail*", "/", "mail.in", True),
        ("mail*", "", "mail.in", True),
        # A name may hold slashes, and a pattern without one stays in "/".
        ("mail*", "/", "mail/in", True),
        ("mail*", "mail", "in", False),
        ("mail*", "mail/eu", "in", False),
        ("*mail", "eu", "mail", False),
        ("????*", "eu", "mail", False),
        # What a name in "/" holds names no virtual host.
        ("team/*", "team", "any", True),
        ("team/*", "team", "a/b", True),
        ("team/*", "/", "team/any", False),
        ("team/*", "/", "any", False),
        ("team/*", "team/eu", "any", False),
        ("team/*", "team2", "any", False),
        ("team/mail*", "team", "mail/in", True),
        ("team/mail*", "team", "orders", False),
        ("team/a/b", "team", "a/b", True),
        ("team/a/b", "team/a", "b", False),
        # Patterns of virtual hosts: others than "/".
        ("team*/mail", "team2", "mail", True),
        ("team*/mail", "team2", "x/mail", False),
        ("team?eu/*", "team/eu", "any", True),
        ("*/mail", "eu", "mail", True),
        ("*/mail", "/", "mail", False),
        ("*/*", "/", "x/mail", False),
        # Nothing before the slash: "/".
        ("/a/b", "/", "a/b", True),
        ("/a/b", "a", "b", False),
        ("/*", "/", "any", True),
        ("/*", "eu", "any", False),
        ("*", "eu", "any", True),
    ],
)
def test_patterns_of_a_virtual_host_match_no_other(
    pattern: str, host: str, name: str, may: bool
) -> None:
    caller = Caller("alice", Role.SUBMITTER, How.TOKEN, ("zzz", pattern))
    assert caller.may_name_in(host, name) is may


async def test_the_ends_of_tasks_are_announced_where_the_caller_may_publish(
    leader: Leader,
) -> None:
    def request(exchange: str, host: str = "") -> Any:
        events = queue_pb2.TaskEvents(exchange=exchange, virtual_host=host)
        return queue_pb2.Queue(name="mail", events=events)

    async def refused(method: str, message: Any) -> tuple[Any, str, str]:
        with pytest.raises(QuorateError) as raised:
            await leader.call(method, message)
        return raised.value.code, raised.value.reason, raised.value.field

    foreign = (DENIED, "FOREIGN_EXCHANGE", "queue.events.exchange")
    with calling():
        for name, host in (("orders", ""), ("mail", "eu"), ("amq.topic", "")):
            asked = spb.CreateQueueRequest(queue=request(name, host))
            assert await refused("CreateQueue", asked) == foreign
        await leader.call("CreateQueue", spb.CreateQueueRequest(queue=request("mail", "/")))
        for paths in ([], ["events"], ["events.exchange"], ["*"]):
            update = spb.UpdateQueueRequest(queue=request("orders"))
            update.update_mask.paths.extend(paths)
            assert await refused("UpdateQueue", update) == foreign, paths
    # What another caller chose may stay when something else is changed, or be removed.
    await leader.call("UpdateQueue", spb.UpdateQueueRequest(queue=request("orders")))
    with calling():
        other = spb.UpdateQueueRequest(queue=queue_pb2.Queue(name="mail", share=2.0))
        changed = (await leader.call("UpdateQueue", other)).queue
        assert (changed.events.exchange, changed.share) == ("orders", 2.0)
        update = spb.UpdateQueueRequest(queue=queue_pb2.Queue(name="mail"))
        update.update_mask.paths.append("events")
        changed = (await leader.call("UpdateQueue", update)).queue
        assert not changed.HasField("events")


@pytest.mark.parametrize(
    ("exchange", "host", "field"),
    [
        ("", "", "exchange"),
        ("x" * 256, "", "exchange"),
        ("é" * 128, "", "exchange"),
        ("amq.unknown", "", "exchange"),
        ("ends", "h" * 256, "virtual_host"),
    ],
)
async def test_bad_names_for_the_ends_of_tasks_are_refused(
    leader: Leader, exchange: str, host: str, field: str
) -> None:
    events = queue_pb2.TaskEvents(exchange=exchange, virtual_host=host)
    queue = queue_pb2.Queue(name="q", events=events)
    with pytest.raises(QuorateError) as raised:
        await leader.call("CreateQueue", spb.CreateQueueRequest(queue=queue))
    assert raised.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.field == f"queue.events.{field}"


def test_each_rpc_names_something_or_says_that_its_servicer_checks() -> None:
    for method in METHODS.values():
        rule = rule_of(method)
        assert rule is not None
        named = bool(rule.message_queues or rule.exchanges)
        # Those that change what belongs to others are for callers without patterns.
        for_all = method.name.endswith(("VirtualHost", "MessagePolicy", "MessagePolicies"))
        assert named != rule.unbound or for_all, method.name


async def test_lists_leave_out_what_others_have() -> None:
    async with serving() as broker:
        await broker.queue("mail.in")
        await broker.queue("orders")
        await broker.queue("")
        for name in ("mail", "orders"):
            exchange = m.Exchange(name=name, type=m.EXCHANGE_TYPE_FANOUT)
            await broker.call(pb.CreateExchangeRequest(exchange=exchange))
        with calling():
            queues = await broker.call(pb.ListMessageQueuesRequest())
            exchanges = await broker.call(pb.ListExchangesRequest())
        assert [one.name for one in queues.message_queues] == ["mail.in"]
        assert [one.name for one in exchanges.exchanges] == ["mail"]


def cc(*keys: str) -> dict[str, m.HeaderValue]:
    values = [m.HeaderValue(text=key) for key in keys]
    return {"BCC": m.HeaderValue(list=m.HeaderList(values=values))}


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (publication(to="mail.in"), ""),
        (publication(to="orders"), "FOREIGN_MESSAGE_QUEUE"),
        (publication(to="amq.rabbitmq.reply-to.7"), ""),
        (publication(exchange="mail", to="anything"), ""),
        (publication(exchange="orders"), "FOREIGN_EXCHANGE"),
        (publication(to="mail.in", properties={"headers": cc("mail.2")}), ""),
        (publication(to="mail.in", properties={"headers": cc("orders")}), "FOREIGN_MESSAGE_QUEUE"),
    ],
)
async def test_messages_go_where_the_caller_may_publish(sent: m.Publication, reason: str) -> None:
    async with serving() as broker:
        for name in ("mail.in", "orders"):
            await broker.queue(name)
        for name in ("mail", "orders"):
            exchange = m.Exchange(name=name, type=m.EXCHANGE_TYPE_FANOUT)
            await broker.call(pb.CreateExchangeRequest(exchange=exchange))
        with calling():
            for request in (
                pb.PublishRequest(publications=[sent]),
                pb.TransactRequest(publications=[sent]),
            ):
                if reason:
                    error = await broker.refused(request)
                    assert (error.code, error.reason) == (DENIED, reason)
                    assert error.field.startswith("publications[0].message.")
                else:
                    await broker.call(request)
            stream = broker.stream()
            sent.number = 1
            stream.send([sent])
            (answer,) = await stream.until(1)
            assert [one.failure.reason for one in answer.results] == [reason] * bool(reason)
            await stream.close()
        assert (await broker.get("orders")).ready == 0


async def test_a_message_is_published_in_the_virtual_host_that_is_named() -> None:
    async with serving() as broker:
        await broker.call(pb.CreateVirtualHostRequest(name="eu"))
        with calling():
            request = pb.PublishRequest(virtual_host="eu", publications=[publication(to="mail.in")])
            assert (await broker.refused(request)).reason == "FOREIGN_MESSAGE_QUEUE"


async def test_a_consumer_reads_what_its_caller_may_name() -> None:
    async with serving() as broker:
        for name in ("mail.in", "orders"):
            await broker.queue(name)
            await broker.call(pb.PublishRequest(publications=[publication(b"1", name)]))
        with calling():
            consumer = Consumer(broker)
            await consumer.open()
            refused = (await consumer.subscribe("orders", 1)).failure
            assert (refused.code, refused.reason) == (DENIED.value[0], "FOREIGN_MESSAGE_QUEUE")
            consumer.send(fetch=pb.Fetch(number=1, queue="orders"))
            assert (await consumer.answer()).fetched.failure.reason == "FOREIGN_MESSAGE_QUEUE"
            assert not (await consumer.subscribe("mail.in", 2)).HasField("failure")
            await consumer.deliveries(1)
            direct = await consumer.subscribe("amq.rabbitmq.reply-to", 3, automatic_ack=True)
            assert direct.reply_to
            await consumer.close()
        assert (await broker.get("orders")).ready == 1


@pytest.mark.parametrize("field", ["consumers", "unsettled"])
async def test_a_session_that_goes_on_lists_what_its_caller_may_name(field: str) -> None:
    async with serving() as broker:
        await broker.queue("orders")
        listed: dict[str, Any] = {
            "consumers": [pb.Subscribe(queue="orders", consumer=1)],
            "unsettled": [pb.Unsettled(queue="orders", ids=[1])],
        }
        with calling():
            consumer = Consumer(broker)
            consumer.send(open=pb.OpenSession(session="s" * 16, **{field: listed[field]}))
            with pytest.raises(QuorateError) as raised:
                await consumer.answer()
            assert (raised.value.code, raised.value.reason) == (DENIED, "FOREIGN_MESSAGE_QUEUE")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"dead_letter_exchange": "mail"}, ""),
        ({"dead_letter_exchange": "orders"}, "FOREIGN_EXCHANGE"),
        ({"dead_letter_exchange": "", "dead_letter_routing_key": "mail.dead"}, ""),
        (
            {"dead_letter_exchange": "", "dead_letter_routing_key": "orders"},
            "FOREIGN_MESSAGE_QUEUE",
        ),
        # The message's own key could be any queue.
        ({"dead_letter_exchange": ""}, "FOREIGN_MESSAGE_QUEUE"),
        (
            {"arguments": {"x-dead-letter-exchange": m.HeaderValue(text="orders")}},
            "FOREIGN_EXCHANGE",
        ),
    ],
)
async def test_dead_letters_go_where_the_caller_may_publish(
    spec: dict[str, Any], reason: str
) -> None:
    async with serving() as broker:
        with calling():
            request = pb.CreateMessageQueueRequest(message_queue=queue("mail", **spec))
            if reason:
                error = await broker.refused(request)
                assert (error.code, error.reason) == (DENIED, reason)
            else:
                await broker.call(request)


@pytest.mark.parametrize(("alternate", "denied"), [("mail2", False), ("orders", True), ("", True)])
async def test_an_alternate_exchange_is_one_that_the_caller_may_name(
    alternate: str, denied: bool
) -> None:
    arguments = {"alternate-exchange": m.HeaderValue(text=alternate)}
    exchange = m.Exchange(name="mail", type=m.EXCHANGE_TYPE_FANOUT, arguments=arguments)
    async with serving() as broker:
        with calling():
            request = pb.CreateExchangeRequest(exchange=exchange)
            if denied:
                assert (await broker.refused(request)).reason == "FOREIGN_EXCHANGE"
            else:
                await broker.call(request)
