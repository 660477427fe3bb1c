"""What one agent is sent of chunks: nothing is sent when there is nothing to say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from quorate.runtime.ids import InstanceId, TaskId
from quorate.v1 import node_agent_pb2 as pb
from scheduler.agents.chunk_orders import ChunkOrders
from scheduler.core.values import TaskState

INSTANCE = InstanceId("i1")


class Values:
    """Every template is in memory, and no job has items."""

    def known_template(self, job: str) -> bytes:
        return f"template of {job}".encode()


def chunk(job: str, name: str) -> Any:
    """As much of a row as is sent of it."""
    spec = SimpleNamespace(items=False, first_index=0, index_step=1)
    of = SimpleNamespace(
        parent=None,
        level=0,
        id=TaskId(job),
        spec=spec,
        open=False,
        array=SimpleNamespace(count=3),
        durations=SimpleNamespace(seconds=0.0),
    )
    return SimpleNamespace(
        id=TaskId(name),
        job=of,
        chunk=SimpleNamespace(ranges=[(0, 2)]),
        state=TaskState.RUNNING,
        attempt=1,
        instance=INSTANCE,
        queue=SimpleNamespace(name="default", disconnect=0),
    )


async def test_a_job_to_forget_does_not_go_ahead_of_a_chunk_that_is_read() -> None:
    orders = ChunkOrders(INSTANCE)
    values: Any = Values()
    orders.start(chunk("first", "c1"), 1)
    await orders.fetch(values, lambda: None)
    message = pb.SessionRequest()
    orders.fill(message)
    assert [one.spec for one in message.assign] == [b"template of first"]

    # Otherwise the link would send empty messages for ever, and never read what the chunk needs.
    orders.forget(TaskId("first"))
    orders.start(chunk("second", "c2"), 1)
    assert not orders.anything

    await orders.fetch(values, lambda: None)
    assert orders.anything
    message = pb.SessionRequest()
    orders.fill(message)
    assert [one.task_id for one in message.assign] == ["c2"]
    assert list(message.forget_jobs) == ["first"]
    assert not orders.anything
