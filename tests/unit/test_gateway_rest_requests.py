"""REST requests against an upstream that the test scripts: binding, idempotency, deadlines."""

import pytest

from quorate.v1 import scheduler_pb2 as pb
from tests.support.rest import JSON, ScriptedUpstream, client_of, problem


@pytest.fixture
def upstream():
    return ScriptedUpstream()


@pytest.fixture
def client(upstream):
    return client_of(upstream)


# -- binding


async def test_path_body_and_key_become_one_request(client, upstream):
    upstream.answers["CreateTask"] = pb.CreateTaskResponse(task={"id": "t1"})
    body = {"spec": {"name": "n"}}
    key = {"Idempotency-Key": "key-1"}
    response = await client.post("/v1/queues/blue%20q/tasks", json=body, headers=key)
    assert (response.status_code, response.json()) == (200, {"task": {"id": "t1"}})
    (call,) = upstream.calls
    expected = pb.CreateTaskRequest(queue="blue q", spec={"name": "n"}, request_id="key-1")
    assert call == ("CreateTask", expected, 30.0)


async def test_query_parameters_are_bound_by_either_name(client, upstream):
    query = "states=TASK_STATE_RUNNING&states=3&pageSize=7&page_token=a%26b+c&queue=%C3%A9"
    assert (await client.get(f"/v1/tasks?{query}")).status_code == 200
    assert upstream.calls[0][1] == pb.ListTasksRequest(
        states=["TASK_STATE_RUNNING", "TASK_STATE_PENDING"],
        page_size=7,
        page_token="a&b c",
        queue="é",
    )


async def test_a_duration_in_a_query_has_its_json_form(client, upstream):
    await client.get("/v1/tasks/t:wait?timeout=1.5s")
    request = upstream.calls[0][1]
    assert (request.timeout.seconds, request.timeout.nanos) == (1, 500_000_000)


@pytest.mark.parametrize(
    ("path", "field", "reason"),
    [
        ("/v1/tasks?nonsense=1", "nonsense", "UNKNOWN_FIELD"),
        ("/v1/tasks?", None, None),
        ("/v1/tasks?pageSize=x", "page_size", "WRONG_TYPE"),
        ("/v1/tasks?pageSize=", "page_size", "WRONG_TYPE"),
        ("/v1/tasks?pageSize=1&page_size=2", "page_size", "MALFORMED_QUERY"),
        ("/v1/tasks?pageSize.x=1", "pageSize.x", "UNKNOWN_FIELD"),
        ("/v1/tasks?states=RUNNING", "states", "WRONG_TYPE"),
        ("/v1/tasks?queue=%FF", "query", "MALFORMED_QUERY"),
        ("/v1/tasks?=1", "query", "UNKNOWN_FIELD"),
        ("/v1/tasks/t?id=t", "id", "UNKNOWN_FIELD"),
        ("/v1/tasks/t:wait?timeout=5", "timeout", "WRONG_TYPE"),
        ("/v1/tasks/t:wait?timeout.seconds=5", "timeout.seconds", "UNKNOWN_FIELD"),
        ("/v1/tasks/t/logs?follow=yes", "follow", "WRONG_TYPE"),
        ("/v1/tasks/t/logs?offset=9223372036854775808", "offset", "WRONG_TYPE"),
        ("/v1/tasks/%FF", "id", "MALFORMED_PATH"),
    ],
)
async def test_nothing_in_a_query_is_silently_ignored(client, upstream, path, field, reason):
    response = await client.get(path)
    if field is None:
        assert response.status_code == 200
        return
    body = problem(response, 400, reason)
    assert [one["field"] for one in body["violations"]] == [field]
    assert not upstream.calls


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (b"{", "body", "MALFORMED_JSON"),
        (b"[]", "body", "MALFORMED_JSON"),
        (b'{"spec": {"argv": []}}', "spec.argv", "UNKNOWN_FIELD"),
        (b'{"spec": {"priority": "high"}}', "spec.priority", "WRONG_TYPE"),
        (b'{"queue": "other"}', "queue", "CONTRADICTION"),
    ],
)
async def test_a_bad_body_is_refused_by_its_field(client, upstream, body, field, reason):
    response = await client.post("/v1/queues/q/tasks", content=body, headers=JSON)
    assert problem(response, 400, reason)["violations"][0]["field"] == field
    assert not upstream.calls


async def test_the_body_may_repeat_what_the_path_says(client, upstream):
    response = await client.post("/v1/queues/q/tasks", json={"queue": "q"})
    assert response.status_code == 200


async def test_a_body_where_none_belongs_is_refused(client):
    response = await client.request("DELETE", "/v1/tasks/t", json={})
    problem(response, 400, "UNEXPECTED_BODY")
    response = await client.post("/v1/queues/q:pause?requestId=x")
    problem(response, 400, "UNKNOWN_FIELD")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_a_body_that_is_not_plain_json_is_unsupported(client, headers):
    response = await client.post("/v1/queues/q/tasks", content=b"{}", headers=headers)
    problem(response, 415, "UNSUPPORTED_MEDIA_TYPE")


# -- idempotency


async def test_key_and_request_id_may_agree_but_not_differ(client, upstream):
    key = {"Idempotency-Key": "a"}
    path = "/v1/queues/q/tasks"
    assert (await client.post(path, json={"requestId": "a"}, headers=key)).status_code == 200
    problem(await client.post(path, json={"requestId": "b"}, headers=key), 400, "CONTRADICTION")
    assert (await client.delete("/v1/tasks/t?requestId=b")).status_code == 200
    problem(await client.delete("/v1/tasks/t?requestId=b", headers=key), 400, "CONTRADICTION")
    assert [call[1].request_id for call in upstream.calls] == ["a", "b"]


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 129, "\xe9"])
async def test_a_malformed_key_is_refused(client, key):
    headers = [("Idempotency-Key", key.encode("latin-1"))]
    response = await client.post("/v1/queues/q/tasks", headers=headers)
    assert problem(response, 400, "MALFORMED_HEADER")["metadata"]["field"] == "Idempotency-Key"


# -- deadlines


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 30.0),
        ({"X-Request-Timeout": "2.5"}, 2.5),
        ({"X-Request-Timeout": "1e1"}, 10.0),
        ({"Grpc-Timeout": "500m"}, 0.5),
        ({"Grpc-Timeout": "1H"}, 3600.0),
        ({"X-Request-Timeout": "999999999"}, 3700.0),
    ],
)
async def test_the_deadline_is_passed_on_within_a_cap(client, upstream, headers, seconds):
    await client.get("/v1/cluster", headers=headers)
    assert upstream.calls[0][2] == seconds


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-Timeout": value}
        for value in ("", "x", "0", "-1", "nan", "inf", "1s", "1_0", "1,5", "9" * 50)
    ]
    + [{"Grpc-Timeout": value} for value in ("", "5", "0S", "5s", "123456789S")]
    + [{"Grpc-Timeout": "1S", "X-Request-Timeout": "1"}]
    + [[("X-Request-Timeout", "1"), ("X-Request-Timeout", "2")]],
)
async def test_a_malformed_deadline_is_refused(client, upstream, headers):
    problem(await client.get("/v1/cluster", headers=headers), 400, "MALFORMED_HEADER")
    assert not upstream.calls


async def test_a_long_poll_is_cut_to_its_deadline_and_otherwise_gets_its_time(client, upstream):
    await client.get("/v1/tasks/t:wait", headers={"X-Request-Timeout": "10"})
    await client.get("/v1/tasks/t:wait?timeout=2s", headers={"X-Request-Timeout": "10"})
    await client.get("/v1/tasks/t:wait?timeout=600s")
    await client.get("/v1/tasks/t:wait")
    found = [(call[1].timeout.ToMilliseconds() / 1000, call[2]) for call in upstream.calls]
    assert found == [(9.75, 10.0), (2.0, 10.0), (600.0, 630.0), (0.0, 90.0)]
