"""REST answers: entity tags, compression, failures, streams, fixed pages."""

import gzip
import json

import grpc
import pytest

from gateway.cluster.upstream_errors import UpstreamError
from gateway.http.problems import HTTP_STATUS
from quorate.runtime.errors import QuorateError, not_found
from quorate.v1 import scheduler_pb2 as pb
from tests.support.rest import ScriptedUpstream, client_of, problem


@pytest.fixture
def upstream():
    return ScriptedUpstream()


@pytest.fixture
def client(upstream):
    return client_of(upstream)


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
    for method in ("PUT", "POST", "TRACE", "NONSENSE"):
        response = await client.request(method, "/v1/tasks/t")
        problem(response, 405, "METHOD_NOT_ALLOWED")
        assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"
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
