"""PauseQueue: scope, reason and end; what a reader sees; bad requests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import queue_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.one_leader import Leader, leading
from tests.support.server import until as until_

BOTH = queue_pb2.PAUSE_SCOPE_BOTH


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


def at(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromNanoseconds(int(seconds * 1e9))
    return stamp


async def test_a_pause_is_seen_with_all_that_was_said(leader: Leader) -> None:
    until = at(leader.driver.clock.now() + 100)
    request = pb.PauseQueueRequest(name="default", reason="deploy", until=until, scope=BOTH)
    await leader.call("PauseQueue", request)
    queue = (await leader.call("GetQueue", pb.GetQueueRequest(name="default"))).queue
    assert queue.paused
    assert (queue.pause.scope, queue.pause.reason) == (BOTH, "deploy")
    assert abs(queue.pause.until.ToNanoseconds() - until.ToNanoseconds()) < 1e6
    assert queue.pause.HasField("pause_time")
    await leader.call("ResumeQueue", pb.ResumeQueueRequest(name="default"))
    queue = (await leader.call("GetQueue", pb.GetQueueRequest(name="default"))).queue
    assert (queue.paused, queue.HasField("pause")) == (False, False)


async def test_a_pause_ends_by_a_timer(leader: Leader) -> None:
    until = at(leader.driver.clock.now() + 0.05)
    await leader.call("PauseQueue", pb.PauseQueueRequest(name="default", until=until))

    async def resumed() -> bool:
        queue = (await leader.call("GetQueue", pb.GetQueueRequest(name="default"))).queue
        return not queue.paused

    await until_(resumed, "it is resumed")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reason": "x" * 257}, "reason"),
        ({"until": at(1.0)}, "until"),
        ({"until": at(4e9)}, "until"),
        ({"scope": 9}, "scope"),
    ],
)
async def test_bad_requests_name_the_field(
    leader: Leader, fields: dict[str, object], field: str
) -> None:
    with pytest.raises(QuorateError) as error:
        await leader.call("PauseQueue", pb.PauseQueueRequest(name="default", **fields))  # type: ignore[arg-type]
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.metadata["field"] == field
