"""REST requests: bounds of bodies, other origins, sub-paths."""

import asyncio

import pytest

from gateway.http.problems import HttpError
from gateway.rest.bodies import BodyBudget
from tests.support.rest import JSON, ScriptedUpstream, client_of, problem


@pytest.fixture
def upstream():
    return ScriptedUpstream()


@pytest.fixture
def client(upstream):
    return client_of(upstream)


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
    with pytest.raises(HttpError) as refused:
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
        ({"Origin": "http://localhost"}, True),
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
