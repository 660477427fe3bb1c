"""What the management API answers: paths, logins, shapes."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.amqp.management.views import PATHS
from gateway.auth.credentials import Access
from quorate.cli.messages.definitions import plan_of
from quorate.runtime.errors import QuorateError, not_found
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from tests.support.amqp_cluster import Client
from tests.support.amqp_management import Api, basic, queue

C = grpc.StatusCode


async def test_a_queue_is_found_as_keda_asks_for_it() -> None:
    """https://keda.sh/docs/latest/scalers/rabbitmq-queue/, protocol http."""
    api = Api()
    row = queue("orders", ready=7, unacknowledged=2, delayed=1, consumers=1)
    consumer = pb.MessageQueueConsumer(consumer=3, name="tag", prefetch=10, active=True)
    answer = pb.GetMessageQueueResponse(message_queue=row, consumers=[consumer])
    api.answer("GetMessageQueue", answer)
    found = (await api.get("/api/queues/%2F/orders")).value
    asked = api.cluster.calls[-1]
    assert (asked.virtual_host, asked.name) == ("/", "orders")
    counts = ("messages", "messages_ready", "messages_unacknowledged", "messages_delayed")
    assert [found[one] for one in counts] == [9, 7, 2, 1]
    assert found["message_stats"]["publish_details"]["rate"] == 0
    assert found["message_stats"]["deliver_get_details"]["rate"] == 0
    assert (found["name"], found["vhost"], found["consumers"]) == ("orders", "/", 1)
    (told,) = found["consumer_details"]
    assert (told["consumer_tag"], told["prefetch_count"]) == ("tag", 10)
    only = await api.get("/api/queues/%2F/orders?columns=messages,message_stats.publish")
    assert only.value == {"messages": 9, "message_stats": {"publish": 0}}


async def test_queues_are_found_by_an_expression_as_keda_asks_for_them() -> None:
    api = Api()
    api.queues(queue("mail-1", ready=1), queue("mail-2", ready=2), queue("other", ready=4))
    query = "page=1&use_regex=true&pagination=false&name=%5Email-%5B0-9%5D%2B%24&page_size=100"
    found = (await api.get(f"/api/queues/%2F?{query}")).value
    assert [one["messages"] for one in found["items"]] == [1, 2]
    counts = ("page", "page_count", "page_size", "item_count", "filtered_count", "total_count")
    assert [found[one] for one in counts] == [1, 1, 100, 2, 2, 3]


@pytest.mark.parametrize(
    "path", ["/api/queues/%2F", "/api/queues//", "/api/queues/", "/api/queues"]
)
async def test_queues_are_listed_as_flower_asks_for_them(path: str) -> None:
    api = Api()
    api.queues(queue("celery", ready=3, consumers=2))
    (found,) = (await api.get(path)).value
    # What its page "Broker" shows.
    names = ("name", "messages", "messages_unacknowledged", "messages_ready", "consumers")
    assert [found[one] for one in names] == ["celery", 3, 0, 3, 2]


async def test_rates_come_from_two_readings() -> None:
    api = Api()
    found: dict[str, Any] = {}
    for now, published, delivered in ((100, 10, 10), (110, 30, 15), (112, 36, 15), (120, 0, 0)):
        api.now = now
        api.queues(queue("q", published_total=published, delivered_total=delivered))
        (entry,) = (await api.get("/api/queues")).value
        stats = entry["message_stats"]
        names = ("publish_details", "deliver_get_details")
        found[str(now)] = [stats["publish"], *(stats[one]["rate"] for one in names)]
    # The third reading comes within 5 s of the second; the fourth is of another leader.
    assert found == {
        "100": [10, 0, 0],
        "110": [30, 2.0, 0.5],
        "112": [36, 2.167, 0.417],
        "120": [0, 0, 0],
    }


async def test_exchanges_and_bindings_have_rabbitmqs_shapes() -> None:
    api = Api()
    rows = [
        m.Exchange(virtual_host="/", name="amq.topic", type=m.EXCHANGE_TYPE_TOPIC),
        m.Exchange(
            virtual_host="/",
            name="spread",
            type=m.EXCHANGE_TYPE_CONSISTENT_HASH,
            internal=True,
            create_time={"seconds": 1},
            arguments={"alternate-exchange": m.HeaderValue(text="amq.topic")},
        ),
    ]
    api.answer("ListExchanges", pb.ListExchangesResponse(exchanges=rows))
    predeclared, spread = (await api.get("/api/exchanges")).value
    assert (predeclared["type"], predeclared["durable"]) == ("topic", True)
    assert (spread["type"], spread["durable"], spread["internal"]) == (
        *("x-consistent-hash", False, True),
    )
    assert spread["arguments"] == {"alternate-exchange": "amq.topic"}
    bindings = [
        m.Binding(virtual_host="/", source="spread", message_queue="q", routing_key="1"),
        m.Binding(virtual_host="/", source="spread", exchange="other"),
        m.Binding(virtual_host="/", source="spread", task_queue="work"),
    ]
    api.answer("ListBindings", pb.ListBindingsResponse(bindings=bindings))
    found = (await api.get("/api/exchanges/%2F/spread/bindings/source")).value
    assert api.cluster.calls[-1].source == "spread"
    names = ("destination", "destination_type", "routing_key", "properties_key")
    assert [[one[name] for name in names] for one in found] == [
        ["q", "queue", "1", "1"],
        ["other", "exchange", "", "~"],
        ["work", "task_queue", "", "~"],
    ]
    await api.get("/api/exchanges/%2F/spread/bindings/destination")
    assert api.cluster.calls[-1].exchange == "spread"
    await api.get("/api/queues/%2F/q/bindings")
    assert api.cluster.calls[-1].message_queue == "q"


async def test_the_default_exchange_has_no_bindings_that_are_listed() -> None:
    api = Api()
    bindings = [m.Binding(virtual_host="/", source="spread", message_queue="q")]
    api.answer("ListBindings", pb.ListBindingsResponse(bindings=bindings))
    path = "/api/exchanges/%2F//bindings"
    assert (await api.get(f"{path}/source")).value == []
    assert (await api.get(f"{path}/source?page=1")).value["items"] == []
    await api.get(f"{path}/destination", status=404)
    await api.get("/api/queues/%2F//bindings", status=404)
    assert not [one for one in api.cluster.calls if isinstance(one, pb.ListBindingsRequest)]


async def test_definitions_hold_what_outlives_connections() -> None:
    api = Api()
    kept = m.MessageQueueSpec(
        durable=True,
        message_ttl=Duration(seconds=60),
        delivery_limit=0,
        dead_letter_exchange="",
        max_length=5,
        overflow=m.OVERFLOW_REJECT_PUBLISH,
    )
    stream = m.MessageQueueSpec(
        type=m.MESSAGE_QUEUE_TYPE_STREAM, durable=True, max_age=Duration(seconds=9)
    )
    api.queues(
        queue("kept", spec=kept),
        queue("private", spec=m.MessageQueueSpec(exclusive=True)),
        queue("log", spec=stream),
    )
    topic = m.EXCHANGE_TYPE_TOPIC
    exchanges = [
        m.Exchange(virtual_host="/", name=one, type=topic) for one in ("amq.topic", "mine")
    ]
    api.answer("ListExchanges", pb.ListExchangesResponse(exchanges=exchanges))
    bindings = [
        m.Binding(virtual_host="/", source="mine", **{kind: name})  # type: ignore[arg-type]
        for kind, name in (
            ("message_queue", "kept"),
            ("message_queue", "private"),
            ("task_queue", "work"),
            ("exchange", "amq.topic"),
        )
    ]
    api.answer("ListBindings", pb.ListBindingsResponse(bindings=bindings))
    policies = [
        m.MessagePolicy(
            virtual_host="/",
            name=name,
            pattern="^k",
            apply_to="queues",
            definition=m.PolicyDefinition(max_length=9, message_ttl=Duration(seconds=1)),
            operator=operator,
        )
        for name, operator in (("p", False), ("o", True))
    ]
    api.answer("ListMessagePolicies", pb.ListMessagePoliciesResponse(policies=policies))
    found = (await api.get("/api/definitions")).value
    assert found["vhosts"] == [{"name": "/"}]
    value = {
        "pattern": "^k",
        "apply-to": "queues",
        "definition": {"max-length": 9, "message-ttl": 1_000},
        "priority": 0,
    }
    assert found["policies"] == [{"vhost": "/", "name": "p", **value}]
    operator_policy = {"component": "operator_policy", "vhost": "/", "name": "o", "value": value}
    assert found["parameters"] == [operator_policy]
    # What is exported is what `quorate mq import` takes.
    kinds = [step.kind for step in plan_of(json.dumps(found).encode()).steps]
    assert kinds == ["exchange", *["queue"] * 2, *["binding"] * 2, "policy", "operator policy"]
    assert {one["name"]: one["arguments"] for one in found["queues"]} == {
        "kept": {
            "x-message-ttl": 60_000,
            "x-max-length": 5,
            "x-overflow": "reject-publish",
            "x-dead-letter-exchange": "",
            "x-delivery-limit": -1,
        },
        "log": {"x-queue-type": "stream", "x-max-age": "9s"},
    }
    assert [one["name"] for one in found["exchanges"]] == ["mine"]
    assert [one["destination"] for one in found["bindings"]] == ["kept", "amq.topic"]
    of_one = (await api.get("/api/definitions/%2F")).value
    assert "vhosts" not in of_one
    assert all("vhost" not in one for one in of_one["queues"])


async def test_the_overview_adds_up_what_the_caller_may_list() -> None:
    api = Api()
    api.queues(queue("a", ready=1, unacknowledged=2, consumers=3), queue("b", ready=4))
    found = (await api.get("/api/overview")).value
    assert found["queue_totals"] == {
        "messages": 7,
        "messages_ready": 5,
        "messages_unacknowledged": 2,
    }
    assert found["object_totals"]["consumers"] == 3
    assert (found["cluster_name"], found["management_version"]) == ("demo", "1.2.3")


async def test_alarms_say_why_messages_are_refused() -> None:
    api = Api()
    assert (await api.get("/api/health/checks/alarms")).value == {"status": "ok"}
    api.caller("anonymous", refuses="etcd is full")
    found = await api.get("/api/health/checks/alarms", status=503)
    assert (found.value["status"], found.value["reason"]) == ("failed", "etcd is full")


async def test_callers_see_their_own_connections_and_operators_all() -> None:
    api = Api()
    clients = [Client() for _ in range(2)]
    # They have one name, and are two callers.
    for client, caller in zip(clients, ("submitter:ci", "worker:ci"), strict=True):
        await client.open(client_properties={"product": m.HeaderValue(text="pika")})
        login = client.connection._login_event
        assert login is not None
        client.connection._login_event = login._replace(user="ci", caller=caller)
        api.hall.connections[client.connection] = None
    api.caller("submitter:ci")
    (own,) = (await api.get("/api/connections", basic("ci", "t"))).value
    assert (own["user"], own["channels"], own["protocol"]) == ("ci", 1, "AMQP 0-9-1")
    (channel,) = (await api.get("/api/channels", basic("ci", "t"))).value
    assert (channel["number"], channel["user"]) == (1, "ci")
    assert (await api.get("/api/whoami", basic("ci", "t"))).value == {
        "name": "ci",
        "tags": ["management"],
    }
    api.caller("operator:ann", ("audit.read",))
    assert len((await api.get("/api/connections", basic("ann", "t"))).value) == 2
    for client in clients:
        await client.leave()


# -- who asks


async def test_a_login_is_a_token_and_the_name_of_its_owner() -> None:
    api = Api(Access(required=True, certified=True))
    api.caller("submitter:ci")
    for user in ("ci", "submitter:ci"):
        await api.get("/api/whoami", basic(user, "secret"))
    await api.get("/api/whoami", "Bearer secret")
    for shown in (
        basic("other", "secret"),
        basic("ci", ""),
        None,
        "Basic %%%",
        "Basic Y2k=",
        "Digest x",
    ):
        found = await api.get("/api/whoami", shown, status=401)
        assert found.headers["www-authenticate"].startswith("Basic ")
        assert found.value["error"] == "not_authorized"
    api.answer("GetCluster", QuorateError(C.UNAUTHENTICATED, "TOKEN_UNKNOWN", "who?"))
    await api.get("/api/whoami", basic("ci", "old"), status=401)


async def test_without_authentication_anybody_may_ask() -> None:
    api = Api()
    for shown in (None, basic("guest", "guest"), basic("", "")):
        assert (await api.get("/api/whoami", shown)).value["name"] == "anonymous"


# -- what is wrong


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/queues?page=0", 400, "page: '0'"),
        ("/api/queues?page=x", 400, "page: 'x'"),
        ("/api/queues?page=%c2%b2", 400, "page: "),
        ("/api/queues?page=1&page_size=501", 400, "from 1 to 500"),
        ("/api/queues?page=2", 400, "Page out of range"),
        ("/api/queues?name=(&use_regex=true", 400, "name: this regular expression"),
        ("/api/queues?use_regex=maybe", 400, "use_regex: 'maybe'"),
        ("/api/queues?sort_reverse=1", 400, "sort_reverse: '1'"),
        ("/api/queues?columns=" + ",".join(["a"] * 65), 400, "columns: 65"),
        ("/api/queues?" + "a=1&" * 33, 400, "32 parameters"),
        ("/api/queues/%2F/gone", 404, "gone"),
        ("/api/vhosts/gone", 404, "Not Found"),
        ("/api/nodes", 404, "Not Found"),
        ("/", 404, "Not Found"),
        ("/api", 404, "Not Found"),
        ("/api/queues/a/b/c/d/e", 404, "Not Found"),
    ],
)
async def test_bad_requests_are_refused(path: str, status: int, says: str) -> None:
    api = Api()
    api.answer("GetMessageQueue", not_found("message_queue", "gone"))
    found = await api.get(path, status=status)
    assert says in found.value["reason"]


async def test_nothing_can_be_changed() -> None:
    api = Api()
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        await api.get("/api/queues/%2F/q", method=method, status=405)
    assert api.cluster.calls == []


@pytest.mark.parametrize(
    ("code", "status"),
    [(C.PERMISSION_DENIED, 403), (C.RESOURCE_EXHAUSTED, 429), (C.UNAVAILABLE, 503)],
)
async def test_what_the_cluster_refuses_is_refused(code: grpc.StatusCode, status: int) -> None:
    api = Api()
    api.answer("ListMessageQueues", QuorateError(code, "WHY", "because"))
    assert (await api.get("/api/queues", status=status)).value["reason"] == "because"


async def test_each_path_has_an_answer_for_an_empty_cluster() -> None:
    api = Api()
    for pattern in PATHS:
        path = "/".join("%2F" if one == "*" else one for one in pattern)
        found = await api.get(f"/api/{path}")
        assert found.headers["content-type"] == "application/json"
