"""The gateway's watches are opened again when the cluster falls silent on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.cluster import service_view as view
from gateway.cluster.methods import Method
from gateway.cluster.service_view import ServiceView
from gateway.live.cluster import watch
from gateway.live.cluster.entries import Specs
from gateway.live.cluster.watch import TaskWatch
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import service_pb2


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
        async with asyncio.timeout(60):
            while len(cluster.tokens) < 4:
                await asyncio.sleep(0)
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert cluster.tokens[:4] == ["", "t1", "t2", "t3"]


class SilentServices:
    """A snapshot without services on each stream, and nothing more."""

    def __init__(self) -> None:
        self.opened = 0

    async def stream(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        self.opened += 1
        yield service_pb2.WatchServicesResponse(snapshot_complete=True, revision=self.opened)
        await asyncio.Event().wait()


class Taker:
    """Takes nothing."""

    def replace(self, services: Any) -> None: ...

    def apply(self, changed: Any, removed: Any) -> None: ...


async def test_the_view_of_services_is_opened_again_when_it_hears_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(view, "SILENCE", 0.02)
    monkeypatch.setattr(view, "FIRST_PAUSE", 0.001)
    cluster: Any = SilentServices()
    follow = ServiceView(cluster, Taker())
    run = asyncio.create_task(follow.run())
    try:
        async with asyncio.timeout(60):
            while cluster.opened < 3:
                await asyncio.sleep(0)
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert follow.snapshots >= 2
