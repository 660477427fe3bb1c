"""Policies: what is in force of queues and exchanges."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from quorate.etcd.memory.store import MemoryEtcd
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.policies import effective, merged
from scheduler.core.broker.rows import (
    MessageQueueSpec,
    Overflow,
    PolicyDefinition,
    QueueType,
)
from scheduler.storage.records.broker.codec import policy_key
from scheduler.storage.records.broker.rows import policy_record
from tests.support.broker_calls import Broker, publication, serving
from tests.support.broker_term import PREFIX, Follower, leading

C = grpc.StatusCode


def policy(name: str = "p", pattern: str = ".*", **fields: Any) -> pb.SetMessagePolicyRequest:
    asked = {
        field: fields.pop(field)
        for field in ("priority", "apply_to", "operator", "virtual_host")
        if field in fields
    }
    definition = m.PolicyDefinition(**fields)
    made = m.MessagePolicy(name=name, pattern=pattern, definition=definition, **asked)
    return pb.SetMessagePolicyRequest(policy=made)


def drop(name: str = "p", **fields: Any) -> pb.DeleteMessagePolicyRequest:
    return pb.DeleteMessagePolicyRequest(name=name, **fields)


async def in_force(broker: Broker, name: str) -> tuple[str, str, int]:
    """Policy, operator policy and maximum length of a queue."""
    found = await broker.get(name)
    return found.policy, found.operator_policy, found.effective_spec.max_length


async def test_a_policy_holds_for_queues_that_are_there_and_that_come():
    """https://www.rabbitmq.com/docs/policies"""
    async with serving() as broker:
        await broker.queue("orders.eu")
        await broker.queue("mail")
        made = (await broker.call(policy("limit", "^orders\\.", max_length=2))).policy
        assert (made.apply_to, made.virtual_host) == ("all", "/")
        await broker.queue("orders.us")
        for name in ("orders.eu", "orders.us"):
            assert await in_force(broker, name) == ("limit", "", 2)
            for _ in range(4):
                await broker.call(pb.PublishRequest(publications=[publication(to=name)]))
            assert (await broker.get(name)).ready == 2
        assert await in_force(broker, "mail") == ("", "", 0)
        listed = (await broker.call(pb.ListMessagePoliciesRequest())).policies
        assert list(listed) == [made]
        # What was declared is what a declaration is compared with.
        await broker.queue("orders.eu")
        await broker.call(drop("limit"))
        assert await in_force(broker, "orders.eu") == ("", "", 0)
        assert not (await broker.get("orders.eu")).HasField("effective_spec")


async def test_a_policy_that_shortens_a_queue_drops_what_is_too_much():
    async with serving() as broker:
        await broker.queue("jobs")
        for _ in range(5):
            await broker.call(pb.PublishRequest(publications=[publication(to="jobs")]))
        await broker.call(policy(max_length=2))
        assert (await broker.get("jobs")).ready == 2


async def test_the_highest_priority_applies_alone_and_letters_count():
    async with serving() as broker:
        await broker.queue("jobs")
        await broker.call(policy("low", max_length=5))
        await broker.call(policy("high", "^jobs$", priority=1, max_length_bytes=7))
        await broker.call(policy("other", "^JOBS$", priority=2, max_length=1))
        found = (await broker.get("jobs")).effective_spec
        assert (found.max_length, found.max_length_bytes) == (0, 7)
        await broker.call(drop("high"))
        assert await in_force(broker, "jobs") == ("low", "", 5)
        await broker.call(policy("also", max_length=6))
        assert await in_force(broker, "jobs") == ("also", "", 6), "by name, of equal priorities"


async def test_an_operator_policy_lowers_limits():
    """https://www.rabbitmq.com/docs/policies#operator-policies"""
    async with serving() as broker:
        await broker.queue("jobs", max_length=10)
        await broker.call(policy(max_length=20, dead_letter_exchange="dead"))
        await broker.call(policy("p", operator=True, max_length=4))
        assert await in_force(broker, "jobs") == ("p", "p", 4)
        assert (await broker.get("jobs")).effective_spec.dead_letter_exchange == "dead"
        await broker.call(drop(operator=True))
        assert await in_force(broker, "jobs") == ("p", "", 10)


@pytest.mark.parametrize(
    ("apply_to", "names"),
    [
        ("all", "classic plain quorum stream"),
        ("queues", "classic plain quorum stream"),
        ("classic_queues", "classic plain"),
        ("quorum_queues", "quorum"),
        ("streams", "stream"),
        ("exchanges", ""),
    ],
)
async def test_what_a_policy_is_for(apply_to: str, names: str) -> None:
    async with serving() as broker:
        for name in ("classic", "quorum", "stream"):
            kind = m.HeaderValue(text=name)
            await broker.queue(name, arguments={"x-queue-type": kind})
        await broker.queue("plain")
        await broker.call(policy(apply_to=apply_to, max_length_bytes=9))
        every = (await broker.call(pb.ListMessageQueuesRequest())).message_queues
        assert [one.name for one in every if one.policy] == names.split()


async def test_an_exchange_gets_its_alternate_from_a_policy():
    """https://www.rabbitmq.com/docs/ae"""
    async with serving() as broker:
        await broker.queue("left")
        for name in ("x", "unrouted"):
            made = m.Exchange(name=name, type=m.EXCHANGE_TYPE_FANOUT)
            await broker.call(pb.CreateExchangeRequest(exchange=made))
        binding = m.Binding(source="unrouted", message_queue="left")
        await broker.call(pb.CreateBindingRequest(binding=binding))
        await broker.call(policy(apply_to="exchanges", alternate_exchange="unrouted"))
        await broker.call(pb.PublishRequest(publications=[publication(exchange="x")]))
        assert (await broker.get("left")).ready == 1
        await broker.call(drop())
        await broker.call(pb.PublishRequest(publications=[publication(exchange="x")]))
        assert (await broker.get("left")).ready == 1


async def test_a_standby_has_what_the_leader_has_and_a_new_leader_ends_what_is_left():
    store = MemoryEtcd()
    follower = Follower(store)
    async with serving(store) as broker:
        for name in ("a", "b", "c"):
            await broker.queue(name)
        overflow = m.OVERFLOW_REJECT_PUBLISH
        await broker.call(policy(max_length=3, overflow=overflow, expires=Duration(seconds=90)))
        state = broker.term.broker.state
        assert facts(follower.follow().broker.state) == facts(state)
        (row,) = state.policies.rows.values()
    # A leader died when the change was on record, and no queue followed it.
    changed = policy_record(replace(row, definition=PolicyDefinition(max_length=7)))
    await store.put(PREFIX + policy_key(row.key), changed.SerializeToString())
    async with leading(store, follower.follow()) as term:
        state = term.broker.state
        await Broker(term).queue("d")
        assert {queue.row.spec.max_length for queue in state.queues.values()} == {7}
        assert facts(follower.follow().broker.state) == facts(state)


def facts(state: Any) -> Any:
    return state.policies.rows, {queue.row.name: queue.row for queue in state.queues.values()}


TABLE = [
    ("nope", policy(pattern="("), "policy.pattern"),
    ("look", policy(pattern="^(?!amq)", max_length=1), "policy.pattern"),
    ("long", policy(pattern="x" * 257, max_length=1), "policy.pattern"),
    ("states", policy(pattern="x{100}y", max_length=1), "policy.pattern"),
    ("empty", policy(), "policy.definition"),
    ("name", policy("", max_length=1), "policy.name"),
    ("long name", policy("n" * 256, max_length=1), "policy.name"),
    ("kind", policy(apply_to="tasks", max_length=1), "policy.apply_to"),
    ("zero", policy(max_length=0), "policy.definition.max_length"),
    ("huge", policy(max_length_bytes=1 << 63), "policy.definition.max_length_bytes"),
    ("time", policy(expires=Duration(seconds=0)), "policy.definition.expires"),
    ("age", policy(max_age=Duration(seconds=1 << 40)), "policy.definition.max_age"),
    ("overflow", policy(overflow=9), "policy.definition.overflow"),
    ("operator", policy(operator=True, max_age=Duration(seconds=1)), "policy.definition.max_age"),
    (
        "alternate",
        policy(apply_to="queues", alternate_exchange="x"),
        "policy.definition.alternate_exchange",
    ),
]


@pytest.mark.parametrize(("name", "request_", "field"), TABLE, ids=[one[0] for one in TABLE])
async def test_a_bad_policy_is_refused(name: str, request_: Any, field: str) -> None:
    async with serving() as broker:
        error = await broker.refused(request_)
        assert (error.code, error.field) == (C.INVALID_ARGUMENT, field)
        assert not broker.term.broker.state.policies.rows


async def test_policies_are_bounded_and_their_host_has_to_be_there():
    async with serving() as broker:
        broker.term.broker.machine.limits = BrokerLimits(host_policies=2)
        for name in ("a", "b", "a"):
            await broker.call(policy(name, max_length=1))
        error = await broker.refused(policy("c", max_length=1))
        assert (error.code, error.reason) == (C.RESOURCE_EXHAUSTED, "TOO_MANY_POLICIES")
        error = await broker.refused(policy("c", max_length=1, virtual_host="none"))
        assert error.reason == "VIRTUAL_HOST_NOT_FOUND"
        error = await broker.refused(drop("none"))
        assert (error.code, error.reason) == (C.NOT_FOUND, "POLICY_NOT_FOUND")


async def test_a_virtual_host_takes_its_policies_along():
    store = MemoryEtcd()
    async with serving(store) as broker:
        await broker.call(pb.CreateVirtualHostRequest(name="eu"))
        await broker.call(policy(virtual_host="eu", max_length=1))
        await broker.call(pb.DeleteVirtualHostRequest(name="eu"))
        assert not broker.term.broker.state.policies.rows
        assert not Follower(store).follow().broker.state.policies.rows


numbers = st.none() | st.integers(1, 9)


@given(st.integers(0, 9), numbers, numbers)
def test_the_lowest_of_all_limits_is_in_force(declared: int, one: int | None, other: int | None):
    """https://www.rabbitmq.com/docs/maxlength: the minimum of both is used."""
    definition = merged([PolicyDefinition(max_length=one), PolicyDefinition(max_length=other)])
    found = effective(MessageQueueSpec(max_length=declared), definition).max_length
    given = [number for number in (declared, one, other) if number]
    assert found == (min(given) if given else 0)


def test_a_declaration_wins_but_for_numbers():
    """https://www.rabbitmq.com/docs/dlx, https://www.rabbitmq.com/docs/quorum-queues"""
    definition = PolicyDefinition(
        message_ttl=5.0,
        overflow=Overflow.REJECT_PUBLISH,
        dead_letter_exchange="policy",
        dead_letter_routing_key="key",
        delivery_limit=50,
    )
    found = effective(MessageQueueSpec(message_ttl=9.0), definition)
    assert (found.message_ttl, found.expires, found.overflow) == (5.0, inf, Overflow.REJECT_PUBLISH)
    assert (found.dead_letter_exchange, found.dead_letter_routing_key) == ("policy", "key")
    assert found.delivery_limit == 50, "the default is no declaration"
    declared = MessageQueueSpec(
        message_ttl=1.0,
        dead_letter_exchange="mine",
        delivery_limit=3,
        overflow=Overflow.REJECT_PUBLISH_DEAD_LETTER,
    )
    found = effective(declared, definition)
    assert (found.message_ttl, found.dead_letter_exchange, found.delivery_limit) == (1.0, "mine", 3)
    assert found.overflow is Overflow.REJECT_PUBLISH_DEAD_LETTER
    no_limit = replace(declared, delivery_limit=0)
    assert effective(no_limit, definition).delivery_limit == 50
    assert effective(replace(declared, no_backlog=True), PolicyDefinition(max_length=9)).no_backlog


def test_of_a_stream_age_and_size_follow():
    declared = MessageQueueSpec(type=QueueType.STREAM, max_length_bytes=100)
    definition = PolicyDefinition(max_age=60.0, max_length_bytes=200, max_length=5)
    found = effective(declared, definition)
    assert (found.max_age, found.max_length_bytes, found.max_length) == (60.0, 100, 0)
