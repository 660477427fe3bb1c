"""Keys of outside processes: what a caller is told when etcd refuses them."""

from __future__ import annotations

import pytest

from quorate.etcd.memory import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import service_pb2
from scheduler.storage import keys
from scheduler.storage.instances import InstanceKeys

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
