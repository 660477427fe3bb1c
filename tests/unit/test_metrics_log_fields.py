"""What log lines carry without being told: the epoch of a term, what a failed call was about."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.contextvars import get_contextvars
from structlog.testing import capture_logs

from quorate.etcd.election import Election
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.runtime.timing.clock import SystemClock
from quorate.v1 import scheduler_pb2
from scheduler.api.forwarding.methods import method_of
from scheduler.api.servicer import Servicer
from scheduler.leadership.elector import Leadership
from scheduler.leadership.trust import Trust


class Broken:
    async def CancelTask(self, request: Any, context: Any) -> None:
        raise ZeroDivisionError


async def test_a_call_that_fails_is_logged_with_its_request_and_its_task() -> None:
    service = scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"]
    method = method_of(service.methods_by_name["CancelTask"])
    request = scheduler_pb2.CancelTaskRequest(id="some-task", request_id="some-request")
    broken = Servicer({"CancelTask": Broken().CancelTask})  # type: ignore[dict-item]
    with capture_logs() as lines, pytest.raises(QuorateError, match="log has the traceback"):
        await method.local(broken, request.SerializeToString(), None)  # type: ignore[arg-type]
    (line,) = lines
    assert (line["method"], line["id"], line["request_id"]) == (
        "CancelTask",
        "some-task",
        "some-request",
    )


async def test_whatever_a_term_logs_says_when_its_leader_was_elected() -> None:
    etcd, clock = MemoryEtcd(), SystemClock()
    seen: dict[str, Any] = {}
    led = asyncio.Event()

    async def lead(elected: int, key: bytes, trust: Trust) -> None:
        seen.update(get_contextvars(), led=elected)
        led.set()
        await asyncio.Event().wait()

    leadership = Leadership(
        etcd,
        Election(etcd, b"/quorate/t/election/scheduler"),
        CandidateRecord(name="s1"),
        lead,
        clock=clock,
    )
    running = asyncio.create_task(leadership.run())
    async with asyncio.timeout(60):
        await led.wait()
    assert leadership.lease is not None
    assert leadership.lease.trusted()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert seen["elected"] == seen["led"] > 0
    assert "elected" not in get_contextvars()
    assert leadership.lease is None
