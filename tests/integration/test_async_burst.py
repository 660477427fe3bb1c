"""Thousands of calls at once from one program: none of them fails for being one of many."""

from __future__ import annotations

import asyncio

import pytest

import quorate
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.futures import environment
from tests.support.served import Caller, Served, caller_of_served, served_by

served = served_by(nodes=0)
caller = caller_of_served
BURST = 5_000


async def test_the_asynchronous_client_submits_thousands_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(served, monkeypatch)
    async with quorate.AsyncClient() as client:
        handles = await asyncio.gather(*(client.submit(abs, n) for n in range(BURST)))
        assert len({handle.id for handle in handles}) == BURST
        assert (await client.cancel_tasks(handles)).cancelled == BURST


async def test_any_client_may_send_thousands_at_once(caller: Caller) -> None:
    """Plain generated stubs, without a bound or a retry of their own."""
    spec = t.TaskSpec(command=t.CommandWork(argv=["true"]))
    requests = [
        pb.CreateTaskRequest(spec=spec, request_id=f"burst {number}") for number in range(BURST)
    ]
    answers = await asyncio.gather(
        *(caller.call("CreateTask", request, timeout=120.0) for request in requests)
    )
    assert len({answer.task.id for answer in answers}) == BURST
