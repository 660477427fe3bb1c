"""Followed registrations: a process that comes again within one batch gets a new session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from quorate.etcd.api import KeyValue, WatchBatch, WatchEvent
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import NodeName
from scheduler.core.model import events as e
from scheduler.core.model.state import State
from scheduler.leadership.registrations import follow_registrations
from tests.support.core import Cluster

KEY = b"/q/nodes/n1"


class Driver:
    """As far as registrations need one."""

    def __init__(self) -> None:
        self.cluster = Cluster()

    @property
    def state(self) -> State:
        return self.cluster.state

    def handle(self, events: tuple[e.Event, ...]) -> None:
        for event in events:
            self.cluster.step(event)


class Sessions:
    """Ends what is not registered, as the sessions of a leader do."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.open: dict[str, None] = {}
        self.opened: list[str] = []

    def sync(self) -> None:
        known = [node.instance for node in self._driver.state.nodes.values()]
        self.open = {instance: None for instance in self.open if instance in known}
        self.opened += [instance for instance in known if instance not in self.open]
        self.open.update(dict.fromkeys(known))


class Watch:
    """An etcd with one watch, which brings these batches and then nothing."""

    def __init__(self, batches: list[WatchBatch]) -> None:
        self._batches = batches

    @asynccontextmanager
    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        async def each() -> AsyncIterator[WatchBatch]:
            for batch in self._batches:
                yield batch
            raise EOFError

        yield each()


def registered(lease: int, revision: int) -> WatchEvent:
    record = r.NodeRecord(name="n1", instance="i1", address="127.0.0.1:1", slots=2)
    return WatchEvent(False, KeyValue(KEY, record.SerializeToString(), 1, revision, 1, lease))


@pytest.mark.parametrize("together", [False, True])
async def test_a_process_whose_lease_ended_and_that_registered_again_has_a_new_session(
    together: bool,
) -> None:
    """Also when both changes come in one batch: its row says that no session is open."""
    gone = WatchEvent(True, KeyValue(KEY, b"", 0, 3, 0, 0))
    later = [gone, registered(2, 4)]
    batches = [WatchBatch(2, [registered(1, 2)])]
    batches += [WatchBatch(4, later)] if together else [WatchBatch(4, [one]) for one in later]
    driver = Driver()
    sessions = Sessions(driver)
    with pytest.raises(EOFError):
        async with asyncio.timeout(60):
            await follow_registrations(Watch(batches), b"/q/", driver, sessions, 1)  # type: ignore[arg-type]
    assert driver.state.nodes[NodeName("n1")].lease == 2
    assert sessions.opened == ["i1", "i1"]
