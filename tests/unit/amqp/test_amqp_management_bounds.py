"""How much one request of the management API costs, and how many are answered at a time."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from gateway.amqp.management import reading, turns
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import scheduler_pb2
from tests.support.amqp_management import Api, basic, queue


async def test_an_answer_takes_so_many_rows_and_calls_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "MOST_ROWS", 5)
    api = Api()
    api.queues(*(queue(f"q{n}") for n in range(5)))
    # One is the virtual host.
    assert "more than 5 entries" in (await api.get("/api/queues", status=400)).value["reason"]
    assert len((await api.get("/api/queues/%2F")).value) == 5
    monkeypatch.setattr(reading, "MOST_ROWS", 1_000)
    monkeypatch.setattr(reading, "MOST_CALLS", 3)
    hosts = [pb.VirtualHost(name=f"h{n}") for n in range(3)]
    api.answer("ListVirtualHosts", pb.ListVirtualHostsResponse(virtual_hosts=hosts))
    assert "more than 3 calls" in (await api.get("/api/queues", status=400)).value["reason"]


async def test_pages_of_the_cluster_are_followed() -> None:
    api = Api()

    async def page(request: pb.ListMessageQueuesRequest) -> pb.ListMessageQueuesResponse:
        if request.page_token:
            return pb.ListMessageQueuesResponse(message_queues=[queue("b")])
        rows = [queue("a")]
        return pb.ListMessageQueuesResponse(message_queues=rows, next_page_token="more")

    api.answer("ListMessageQueues", page)
    assert [one["name"] for one in (await api.get("/api/queues/%2F")).value] == ["a", "b"]


@pytest.mark.parametrize(("names", "at_once"), [("a", 4), ("abc", 8)])
async def test_so_many_requests_are_answered_at_a_time(names: str, at_once: int) -> None:
    """Of one caller, and of all."""
    api = Api()
    callers = itertools.cycle(names)
    waiting, most, release = 0, 0, asyncio.Event()

    async def who(_request: Any) -> Any:
        return scheduler_pb2.GetClusterResponse(caller={"name": f"viewer:{next(callers)}"})

    async def slow(_request: Any) -> pb.ListMessageQueuesResponse:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await release.wait()
        waiting -= 1
        return pb.ListMessageQueuesResponse()

    api.answer("GetCluster", who)
    api.answer("ListMessageQueues", slow)
    ways = [api.get("/api/queues/%2F", "Bearer t") for _ in range(24)]
    asking = [asyncio.create_task(way) for way in ways]
    async with asyncio.timeout(60):
        while waiting < at_once:
            await asyncio.sleep(0)
        # More of them would come now.
        for _ in range(100):
            await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*asking)
    assert most == at_once
    assert api.turns._own == {}


async def test_so_many_requests_of_one_caller_wait() -> None:
    api = Api()
    release = asyncio.Event()

    async def slow(_request: Any) -> pb.ListMessageQueuesResponse:
        await release.wait()
        return pb.ListMessageQueuesResponse()

    api.answer("ListMessageQueues", slow)
    most = turns.OF_ONE + turns.MOST_WAITING
    asking = [asyncio.create_task(api.get("/api/queues/%2F")) for _ in range(most)]
    async with asyncio.timeout(60):
        while api.turns._own.get("anonymous", (None, 0))[1] < most:
            await asyncio.sleep(0)
        refused = await api.get("/api/queues/%2F", status=429)
        assert refused.value["error"] == "too_many_requests"
        assert "32 requests of this caller wait" in refused.value["reason"]
        # Others are not refused.
        api.caller("submitter:ci")
        others = asyncio.create_task(api.get("/api/whoami", basic("ci", "t")))
        release.set()
        await asyncio.gather(others, *asking)
    assert api.turns._own == {}
