"""Keys of instances: how the leader follows them, and what etcd refuses."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import QuorateError
from quorate.v1 import service_pb2
from scheduler.core.model import events as e
from scheduler.core.model.state import State
from scheduler.core.values import ServiceName
from scheduler.storage import keys
from scheduler.storage.instances import InstanceKeys, follow_instances

PREFIX, LEADER = b"/quorate/c/", b"/quorate/c/election/scheduler/1"
INSTANCE = service_pb2.ServiceInstance(service="web", id="a", address="127.0.0.1:1")


async def test_an_etcd_without_space_is_said_to_be_that_and_not_to_be_silent() -> None:
    etcd = MemoryEtcd()
    elected = await etcd.put(LEADER, b"")
    await etcd.put(PREFIX + keys.service_key("web"), b"")
    instances = InstanceKeys(etcd, PREFIX, LEADER, elected)
    lease = await instances.put(INSTANCE, 0, 60)
    etcd.no_space = True
    for known in (0, lease):
        with pytest.raises(QuorateError) as refused:
            await instances.put(INSTANCE, known, 60)
        assert refused.value.reason == "ETCD_SPACE_LOW"
    etcd.no_space = False
    assert await instances.put(INSTANCE, lease, 60) == lease


@dataclass
class NotingDriver:
    """Knows one instance, takes events, and only notes them."""

    state: State = field(default_factory=State)
    events: list[e.Event] = field(default_factory=list)

    def handle(self, events: Any) -> None:
        self.events.extend(events)


@pytest.mark.parametrize(
    "key", [b"services/", b"services/a", b"services/a/b/c", b"services/\xff/x"]
)
@pytest.mark.parametrize("compacted", [False, True])
async def test_a_key_that_names_no_instance_is_passed_over(key: bytes, compacted: bool) -> None:
    """Every agent may write below `services/`: a broken one must not end the leader's term."""
    record = r.InstanceRecord(instance=INSTANCE)
    record.instance.state = service_pb2.INSTANCE_STATE_HEALTHY
    value = record.SerializeToString()
    etcd, driver = MemoryEtcd(), NotingDriver()
    lease = (await etcd.lease_grant(60)).id
    begin = await etcd.put(PREFIX + key, value, lease=lease)
    await etcd.put(PREFIX + keys.instance_key("web", "a"), value, lease=lease)
    if compacted:
        await etcd.compact(await etcd.put(b"/elsewhere", b""))
    following = asyncio.create_task(
        follow_instances(driver, etcd, PREFIX, begin - 1)  # type: ignore[arg-type]
    )
    async with asyncio.timeout(60):
        while not driver.events and not following.done():
            await asyncio.sleep(0)
        await etcd.delete(PREFIX + key)
        await etcd.delete(PREFIX + keys.instance_key("web", "a"))
        while len(driver.events) < 2 and not following.done():
            await asyncio.sleep(0)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    seen, gone = driver.events
    assert isinstance(seen, e.InstanceSeen)
    assert gone == e.InstanceGone(ServiceName("web"), "a")
