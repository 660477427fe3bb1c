"""REST requests against an upstream that the test scripts: binding, conditions, failures."""

import asyncio
import gzip
import json

import grpc
import httpx
import pytest

from gateway.app import build_app
from gateway.config import GatewaySettings
from gateway.part import Context
from gateway.rest.bodies import BodyBudget
from gateway.rest.part import rest_part
from gateway.rest.problems import HTTP_STATUS, HttpFault
from gateway.upstream import UpstreamError
from quorate.runtime.errors import QuorateError, not_found
from quorate.v1 import scheduler_pb2 as pb

JSON = {"Content-Type": "application/json"}


class ScriptedUpstream:
    """Answers every call with `answers[method]`: a message, an exception, or a list to stream."""

    addresses = ("nowhere",)

    def __init__(self):
        self.answers = {}
        self.calls = []

    def _answer(self, method, request, timeout):
        self.calls.append((method.name, request, timeout))
        return self.answers.get(method.name, method.response() if not method.streams else [])

    async def unary(self, method, request, *, timeout, reads=False, metadata=()):
        answer = self._answer(method, request, timeout)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def stream(self, method, request, *, timeout=None, metadata=()):
        for one in self._answer(method, request, timeout):
            if isinstance(one, Exception):
                raise one
            yield one


@pytest.fixture
def upstream():
    return ScriptedUpstream()


def client_of(upstream, **chosen):
    settings = GatewaySettings(**chosen)
    parts = [rest_part(Context(settings, upstream, asyncio.Event()))]
    transport = httpx.ASGITransport(build_app(settings, parts), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


@pytest.fixture
def client(upstream):
    return client_of(upstream)


def problem(response, status, reason):
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["status"], body["reason"]) == (status, status, reason)
    assert {"type", "title", "detail", "instance", "code", "domain"} <= set(body)
    return body


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


# -- entity tags and compression


async def test_a_resource_known_already_is_not_sent_again(client, upstream):
    upstream.answers["GetQueue"] = pb.GetQueueResponse(queue={"name": "q"})
    tag = (await client.get("/v1/queues/q")).headers["etag"]
    for known in (tag, f'"x", W/{tag}', "*"):
        again = await client.get("/v1/queues/q", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    upstream.answers["GetQueue"].queue.paused = True
    changed = await client.get("/v1/queues/q", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    problem(await client.get("/v1/queues/q", headers={"If-Match": tag}), 412, "ETAG_MISMATCH")


async def test_a_change_of_a_stale_resource_is_refused(client, upstream):
    upstream.answers["GetQueue"] = pb.GetQueueResponse(queue={"name": "q"})
    tag = (await client.get("/v1/queues/q")).headers["etag"]
    fresh = {"If-Match": f'"other", {tag}'}
    assert (await client.post("/v1/queues/q:pause", headers=fresh)).status_code == 200
    assert (await client.delete("/v1/queues/q", headers={"If-Match": "*"})).status_code == 200
    upstream.answers["GetQueue"].queue.paused = True
    upstream.calls.clear()
    for stale in (tag, f"W/{tag}"):
        response = await client.delete("/v1/queues/q", headers={"If-Match": stale})
        problem(response, 412, "ETAG_MISMATCH")
    assert {call[0] for call in upstream.calls} == {"GetQueue"}
    upstream.answers["GetQueue"] = not_found("queue", "q")
    response = await client.delete("/v1/queues/q", headers={"If-Match": "*"})
    problem(response, 404, "QUEUE_NOT_FOUND")


@pytest.mark.parametrize("value", ["abc", '"abc', '"a" "b"', "", ",", '"a"b"', 'w/"a"'])
async def test_malformed_conditions_are_refused(client, value):
    for name in ("If-Match", "If-None-Match"):
        response = await client.get("/v1/queues/q", headers={name: value})
        problem(response, 400, "MALFORMED_HEADER")


async def test_conditions_where_nothing_has_a_tag_are_refused(client, upstream):
    response = await client.post("/v1/queues", headers={"If-Match": "*"})
    problem(response, 400, "MALFORMED_HEADER")
    response = await client.post("/v1/queues/q:pause", headers={"If-None-Match": "*"})
    problem(response, 400, "MALFORMED_HEADER")
    assert not upstream.calls


@pytest.mark.parametrize("tasks", [20, 3000])
async def test_large_answers_are_compressed_for_those_who_ask(client, upstream, tasks):
    upstream.answers["ListTasks"] = pb.ListTasksResponse(
        tasks=[{"id": f"t{n}"} for n in range(tasks)] * 5
    )
    plain = await client.get("/v1/tasks", headers={"Accept-Encoding": "gzip;q=0"})
    small = await client.get("/v1/tasks", headers={"Accept-Encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == small.headers["vary"] == "Accept-Encoding"
    assert int(small.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    assert plain.json() == small.json()
    # Another representation has another tag; both are current.
    assert plain.headers["etag"] != small.headers["etag"]
    for tag in (plain.headers["etag"], small.headers["etag"]):
        known = await client.get("/v1/tasks", headers={"If-None-Match": tag})
        assert known.status_code == 304


# -- failures


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name != "OK"])
async def test_every_code_has_its_status_and_keeps_its_details(client, upstream, code):
    error = QuorateError(code, "SOME_REASON", "a sentence", metadata={"task": "t"})
    violations = [("a.b", "why"), ("c", "why not")]
    upstream.answers["GetTask"] = UpstreamError(error, domain="elsewhere", violations=violations)
    body = problem(await client.get("/v1/tasks/t"), HTTP_STATUS[code], "SOME_REASON")
    assert body["type"] == "urn:quorate:problem:SOME_REASON"
    assert (body["detail"], body["code"], body["domain"]) == ("a sentence", code.name, "elsewhere")
    assert body["metadata"] == {"task": "t"}
    assert body["violations"] == [
        {"field": "a.b", "description": "why"},
        {"field": "c", "description": "why not"},
    ]


async def test_a_bug_is_a_500_without_a_traceback(client, upstream):
    upstream.answers["GetTask"] = ZeroDivisionError("secret")
    response = await client.get("/v1/tasks/t")
    problem(response, 500, "INTERNAL")
    assert "secret" not in response.text
    assert "Traceback" not in response.text


async def test_unknown_routes_and_methods_are_problems(client):
    for path in ("/nope", "/v1/nope", "/v1/tasks/", "/v1/tasks/t:nope", "/docs/"):
        problem(await client.get(path), 404, "ROUTE_NOT_FOUND")
    for method in ("PUT", "PATCH", "POST", "TRACE", "NONSENSE"):
        response = await client.request(method, "/v1/tasks/t")
        problem(response, 405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS"
    response = await client.post("/openapi.json")
    problem(response, 405, "METHOD_NOT_ALLOWED")
    assert "GET" in response.headers["allow"]


async def test_options_names_the_methods_and_head_is_a_get(client, upstream):
    response = await client.options("/v1/queues/q:pause")
    assert (response.status_code, response.headers["allow"]) == (204, "OPTIONS, POST")
    head = await client.head("/v1/cluster")
    assert head.status_code == 200
    assert head.headers["etag"]
    refused = await client.head("/v1/tasks:watch")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, OPTIONS")


async def test_what_a_caller_sent_stays_on_one_short_line(client):
    response = await client.get("/v1/nope%0d%0aSet-Cookie:x" + "y" * 5000)
    assert len(problem(response, 404, "ROUTE_NOT_FOUND")["detail"]) < 300


# -- bounds


async def test_a_body_beyond_the_limit_is_refused(upstream):
    client = client_of(upstream, max_body_kib=1)

    async def pieces():
        for _ in range(3):
            yield b" " * 600

    for content in (b" " * 1025, pieces()):
        response = await client.post("/v1/queues/q/tasks", content=content, headers=JSON)
        problem(response, 413, "BODY_TOO_LARGE")
        assert response.headers["connection"] == "close"
    assert not upstream.calls


async def test_bodies_together_are_bounded():
    budget = BodyBudget(100)
    budget.take(60)
    with pytest.raises(HttpFault) as refused:
        budget.take(41)
    assert (refused.value.status, budget.held) == (503, 60)
    budget.give_back(60)
    budget.take(100)


async def test_a_body_that_does_not_come_is_given_up(upstream):
    client = client_of(upstream, read_timeout=0.05)

    async def pieces():
        yield b"{"
        await asyncio.Event().wait()

    response = await client.post("/v1/queues/q/tasks", content=pieces(), headers=JSON)
    problem(response, 408, "REQUEST_TIMEOUT")


# -- other origins, sub-path


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://gateway"}, True),
        ({"Origin": "http://evil"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://evil", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://front", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, True),
    ],
)
async def test_pages_of_other_origins_may_not_make_changes(client, upstream, headers, allowed):
    response = await client.post("/v1/queues/q:pause", headers=headers)
    if allowed:
        assert response.status_code == 200
    else:
        problem(response, 403, "FOREIGN_ORIGIN")
        assert not upstream.calls
    assert "access-control-allow-origin" not in response.headers


async def test_cors_answers_only_the_configured_origins(upstream):
    client = client_of(upstream, cors_origins="https://good.example, http://localhost:1")
    good, evil = {"Origin": "https://good.example"}, {"Origin": "https://evil.example"}
    response = await client.post("/v1/queues/q:pause", headers=good)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://good.example"
    assert "ETag" in response.headers["access-control-expose-headers"]
    assert (await client.post("/v1/queues/q:pause", headers=evil)).status_code == 403
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,idempotency-key,if-match",
    }
    assert (await client.options("/v1/queues/q:pause", headers=good | ask)).status_code == 200
    assert (await client.options("/v1/queues/q:pause", headers=evil | ask)).status_code == 400


async def test_a_sub_path_works_stripped_and_not(upstream):
    client = client_of(upstream, root_path="/quorate/")
    for prefix in ("", "/quorate"):
        assert (await client.get(f"{prefix}/v1/tasks/a%2Fb")).status_code == 200
        document = (await client.get(f"{prefix}/openapi.json")).json()
        assert document["servers"] == [{"url": "/quorate"}]
    assert [call[1].id for call in upstream.calls] == ["a/b", "a/b"]
    problem(await client.get("/quoratex/v1/cluster"), 404, "ROUTE_NOT_FOUND")


# -- streams


EVENTS = [pb.WatchTasksResponse(resume_token="1"), pb.WatchTasksResponse(resume_token="2")]


async def test_a_stream_is_ndjson_by_default(client, upstream):
    upstream.answers["WatchTasks"] = EVENTS
    for accept in ("*/*", "application/x-ndjson", "application/json", ""):
        response = await client.get("/v1/tasks:watch", headers={"Accept": accept})
        assert response.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line) for line in response.text.splitlines()] == [
            {"resumeToken": "1"},
            {"resumeToken": "2"},
        ]


async def test_a_stream_is_events_when_preferred(client, upstream):
    upstream.answers["WatchTasks"] = EVENTS
    response = await client.get("/v1/tasks:watch", headers={"Accept": "text/event-stream"})
    assert response.headers["content-type"] == "text/event-stream"
    assert response.text.split("\n\n") == [
        "retry: 500",
        'id: 1\ndata: {"resumeToken":"1"}',
        'id: 2\ndata: {"resumeToken":"2"}',
        "event: end\ndata: {}",
        "",
    ]


async def test_last_event_id_goes_before_the_urls_token(client, upstream):
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "new"}
    await client.get("/v1/tasks:watch?resumeToken=old", headers=headers)
    assert upstream.calls[0][1].resume_token == "new"
    headers["Last-Event-ID"] = "x" * 1025
    problem(await client.get("/v1/tasks:watch", headers=headers), 400, "MALFORMED_HEADER")


async def test_a_failure_before_the_first_answer_is_a_problem(client, upstream):
    upstream.answers["StreamTaskLogs"] = [not_found("task", "t")]
    for accept in ("application/x-ndjson", "text/event-stream"):
        response = await client.get("/v1/tasks/t/logs", headers={"Accept": accept})
        problem(response, 404, "TASK_NOT_FOUND")


async def test_a_failure_under_way_is_told_in_the_stream(client, upstream):
    upstream.answers["WatchTasks"] = [EVENTS[0], not_found("task", "t")]
    lines = (await client.get("/v1/tasks:watch")).text.splitlines()
    assert json.loads(lines[-1])["error"]["reason"] == "TASK_NOT_FOUND"
    response = await client.get("/v1/tasks:watch", headers={"Accept": "text/event-stream"})
    *_, last, empty = response.text.split("\n\n")
    assert last.startswith("event: problem\ndata: {")
    assert empty == ""


# -- the document and its page


async def test_the_document_and_the_page_are_served_without_other_hosts(client):
    response = await client.get("/openapi.json")
    assert response.json()["openapi"] == "3.1.0"
    tag = response.headers["etag"]
    assert (await client.get("/openapi.json", headers={"If-None-Match": tag})).status_code == 304
    page = await client.get("/docs", headers={"Accept-Encoding": "identity"})
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/docs/page.css", "/docs/page.js", "/docs/schema.js"):
        asset = await client.get(path)
        assert asset.status_code == 200
        assert "://" not in asset.text
    assert "://" not in page.text


async def test_fixed_pages_are_sent_compressed(client):
    async with client.stream("GET", "/docs", headers={"Accept-Encoding": "gzip"}) as response:
        raw = b"".join([part async for part in response.aiter_raw()])
    assert gzip.decompress(raw).startswith(b"<!doctype html>")
