"""RabbitMQ's definitions as requests: https://www.rabbitmq.com/docs/definitions"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from quorate.cli.messages import definitions, importing
from quorate.cli.messages.definitions import Step, plan_of
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import message_pb2 as m
from tests.support.broker_calls import serving

# As RabbitMQ 4.1 exports it, shortened.
EXPORTED: dict[str, Any] = {
    "rabbit_version": "4.1.0",
    "product_name": "RabbitMQ",
    "users": [{"name": "guest", "password_hash": "x", "tags": ["administrator"], "limits": {}}],
    "vhosts": [{"name": "/", "metadata": {}}, {"name": "eu", "default_queue_type": "quorum"}],
    "permissions": [
        {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    ],
    "topic_permissions": [],
    "parameters": [
        {
            "component": "operator_policy",
            "vhost": "/",
            "name": "most",
            "value": {"pattern": ".*", "apply-to": "queues", "priority": 0,
                      "definition": {"max-length": 9000}},
        },
        {"component": "shovel", "vhost": "/", "name": "dig", "value": {}},
    ],
    "global_parameters": [
        {"name": "cluster_name", "value": "rabbit@a"},
        {"name": "own", "value": 1},
    ],
    "policies": [
        {
            "vhost": "/",
            "name": "limits",
            "pattern": "^jobs",
            "apply-to": "queues",
            "definition": {"max-length": 10, "message-ttl": 1500, "ha-mode": "all"},
            "priority": 2,
        },
        {"vhost": "/", "name": "ha", "pattern": ".*", "definition": {"ha-mode": "all"}},
    ],
    "queues": [
        {
            "name": "jobs",
            "vhost": "/",
            "durable": True,
            "auto_delete": False,
            "arguments": {"x-queue-type": "quorum", "x-delivery-limit": 5},
        },
        {"name": "mail", "vhost": "eu", "durable": True, "auto_delete": False, "arguments": []},
        {"name": "amq.gen-x", "vhost": "/", "durable": False, "auto_delete": True, "arguments": {}},
    ],
    "exchanges": [
        {
            "name": "work",
            "vhost": "/",
            "type": "topic",
            "durable": True,
            "auto_delete": False,
            "internal": False,
            "arguments": {"alternate-exchange": "amq.fanout"},
        },
        {"name": "later", "vhost": "/", "type": "x-delayed-message", "arguments": {}},
        {"name": "spread", "vhost": "/", "type": "x-consistent-hash", "arguments": {}},
        {"name": "amq.topic", "vhost": "/", "type": "topic", "arguments": {}},
    ],
    "bindings": [
        {
            "source": "work",
            "vhost": "/",
            "destination": "jobs",
            "destination_type": "queue",
            "routing_key": "#",
            "arguments": {},
        },
        {
            "source": "work",
            "vhost": "/",
            "destination": "spread",
            "destination_type": "exchange",
            "routing_key": "a",
            "arguments": {},
        },
        {"source": "later", "vhost": "/", "destination": "jobs", "routing_key": ""},
        {"source": "", "vhost": "/", "destination": "jobs", "routing_key": "jobs"},
    ],
}  # fmt: skip


def document(**changes: Any) -> bytes:
    return json.dumps(EXPORTED | changes).encode()


def test_a_document_is_declared_in_order_and_the_rest_is_named():
    plan = plan_of(document())
    assert [(step.kind, step.virtual_host, step.name) for step in plan.steps] == [
        ("virtual host", "", "eu"),
        ("exchange", "/", "work"),
        ("exchange", "/", "spread"),
        ("queue", "/", "jobs"),
        ("queue", "eu", "mail"),
        ("binding", "/", "work -> jobs (#)"),
        ("binding", "/", "work -> spread (a)"),
        ("policy", "/", "limits"),
        ("operator policy", "/", "most"),
    ]
    assert [(one.kind, one.name) for one in plan.unsupported] == [
        ("exchange", "later"),
        ("queue", "amq.gen-x"),
        ("binding", "later -> jobs"),
        ("policy", "limits"),
        ("policy", "ha"),
        ("parameter", "shovel/dig"),
        ("user", "guest"),
        ("permission", "guest"),
        ("parameter", "own"),
    ]
    assert "ha-mode" in plan.unsupported[3].why
    queue = plan.steps[3].request.message_queue
    assert queue.spec.durable
    assert queue.spec.arguments["x-delivery-limit"].integer == 5
    policy = plan.steps[7].request.policy
    assert (policy.priority, policy.apply_to, policy.definition.max_length) == (2, "queues", 10)
    assert policy.definition.message_ttl.ToMilliseconds() == 1500
    assert plan.steps[8].request.policy.operator


def test_the_document_of_one_virtual_host_names_none():
    queues = [{"name": "jobs", "durable": True, "auto_delete": False, "arguments": {}}]
    text = json.dumps({"queues": queues, "exchanges": [], "bindings": []}).encode()
    assert plan_of(text).steps[0].virtual_host == "/"
    assert plan_of(text, "eu").steps[0].request.message_queue.virtual_host == "eu"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b"{", "FILE"),
        (b"[" * 100_000, "FILE"),
        (b"[]", "FILE"),
        (b"{}", "FILE"),
        (document(queues={}), "queues"),
        (document(queues=[1]), "queues[0]"),
        (document(queues=[{"vhost": "/"}]), "queues[0].name"),
        (document(queues=[{"name": "q", "durable": 1}]), "queues[0].durable"),
        (document(queues=[{"name": "q", "arguments": 3}]), "queues[0].arguments"),
        (document(queues=[{"name": "q", "arguments": {"x": 1 << 70}}]), "queues[0].arguments.x"),
        (document(exchanges=[{"name": "x"}]), "exchanges[0].type"),
        (document(bindings=[{"source": "a"}]), "bindings[0].destination"),
        (document(policies=[{"name": "p", "pattern": ""}]), "policies[0].definition"),
        (
            document(policies=[{"name": "p", "pattern": "", "definition": {"max-length": "1"}}]),
            "policies[0].definition.max-length",
        ),
    ],
)
def test_a_bad_document_is_refused_with_its_entry(text: bytes, field: str) -> None:
    with pytest.raises(QuorateError) as refused:
        plan_of(text)
    assert (refused.value.code, refused.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


def test_documents_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(definitions, "MOST_ENTRIES", 16)
    with pytest.raises(QuorateError, match="more than 16"):
        plan_of(document())
    monkeypatch.setattr(definitions, "MOST_BYTES", 100)
    with pytest.raises(QuorateError) as refused:
        plan_of(document())
    assert refused.value.metadata["limit"] == "100"


async def test_a_cluster_takes_each_declaration_and_takes_it_again():
    plan = plan_of(document())
    async with serving() as broker:
        for _ in range(2):
            for step in plan.steps:
                await broker.call(step.request)
        jobs = await broker.get("jobs")
        assert (jobs.policy, jobs.operator_policy) == ("limits", "most")
        assert (jobs.effective_spec.max_length, jobs.spec.delivery_limit) == (10, 5)
        assert jobs.spec.type in (m.MESSAGE_QUEUE_TYPE_QUEUE, m.MESSAGE_QUEUE_TYPE_UNSPECIFIED)


def fake(failures: dict[str, QuorateError]) -> Any:
    """A client whose calls fail by the name of the RPC."""

    def call(rpc: Any, request: Any) -> None:
        if rpc.name in failures:
            raise failures[rpc.name]

    return SimpleNamespace(calls=SimpleNamespace(call=call))


def test_an_entry_that_fails_stops_no_other_one(capsys: pytest.CaptureFixture[str]):
    plan = plan_of(document())
    done: list[Step] = []
    failed: list[tuple[Step, QuorateError]] = []
    client = fake({"CreateMessageQueue": invalid("spec.max_length", "differs")})
    importing._apply(client, plan, done, failed)
    assert [step.name for step, _ in failed] == ["jobs", "mail"]
    assert len(done) == len(plan.steps) - 2
    importing._print(plan, done, failed, dry_run=False)
    shown = capsys.readouterr().out
    assert "declared: 2 of kind exchange\n" in shown
    assert "declared: 0 of kind queue\n" in shown
    assert "  queue mail in eu: spec.max_length: differs\n" in shown
    assert "not tried" not in shown


def test_a_cluster_that_is_gone_ends_the_import(capsys: pytest.CaptureFixture[str]):
    plan = plan_of(document())
    done: list[Step] = []
    failed: list[tuple[Step, QuorateError]] = []
    gone = QuorateError(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "nobody answers")
    importing._apply(fake({"CreateMessageQueue": gone}), plan, done, failed)
    assert [step.kind for step in done] == ["virtual host", "exchange", "exchange"]
    assert len(failed) == 1
    importing._print(plan, done, failed, dry_run=False)
    assert "not tried: 5" in capsys.readouterr().out
