"""The gateway's watch of tasks is opened again when the cluster falls silent on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.live import watch
from gateway.live.entries import Specs
from gateway.live.watch import TaskWatch
from gateway.upstream import Method
from quorate.v1 import scheduler_pb2 as pb


class Silent:
    """Answers once on each stream, and never again."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    async def unary(
        self, method: Method, request: Any, *, timeout: float, reads: bool = False
    ) -> Any:
        raise AssertionError("a watch asks nothing else")

    async def stream(
        self, method: Method, request: Any, *, timeout: float | None = None
    ) -> AsyncIterator[Any]:
        self.tokens.append(request.resume_token)
        number = len(self.tokens)
        yield pb.WatchTasksResponse(resume_token=f"t{number}", revision=number)
        await asyncio.Event().wait()


async def test_a_watch_that_hears_nothing_goes_on_behind_its_last_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "SILENCE", 0.02)
    cluster = Silent()
    follow = TaskWatch(cluster, "", Specs(), None)
    run = asyncio.create_task(follow.run())
    try:
        async with asyncio.timeout(10):
            while len(cluster.tokens) < 4:
                await asyncio.sleep(0)
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert cluster.tokens[:4] == ["", "t1", "t2", "t3"]
