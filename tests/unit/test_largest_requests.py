"""The largest request of each RPC holds the leader's loop for some milliseconds at most."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskId
from quorate.v1 import scheduler_pb2, task_pb2
from scheduler.api.forwarding.methods import method_of
from scheduler.api.request_sizes import DEFAULT, check_size
from scheduler.core.values import TaskSpec
from tests.support.one_leader import Leader, leading
from tests.support.registry import NOWHERE

METHODS = {m.name: m for m in scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"].methods}
# Those with a spec are below; the answer of GetCluster is etcd's.
OTHERS = ("CreateTask", "BatchCreateTasks", "GetCluster")
UNARY = sorted(n for n, m in METHODS.items() if not m.server_streaming and n not in OTHERS)
# CPU milliseconds in one go. A batch of 16 MiB is parsed, measured and digested as a whole: C code
# that cannot be cut.
MOST = 20.0
MOST_BATCH = 400.0


def filled(kind: Any, size: int) -> Message:
    """A message whose texts, lists and maps are as long as `size` bytes allow."""
    message = GetMessageClass(kind)()
    fields = [f for f in kind.fields if f.containing_oneof is None]
    for field in fields:
        share = max(1, size // (len(fields) + 1))
        if field.is_repeated:
            if field.message_type is None and field.type == FieldDescriptor.TYPE_STRING:
                getattr(message, field.name).extend(f"{n:032x}" for n in range(share // 34))
            elif field.type == FieldDescriptor.TYPE_ENUM:
                getattr(message, field.name).extend([1] * min(share, 20_000))
        elif field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, "a " * (share // 2))
        elif field.type == FieldDescriptor.TYPE_MESSAGE and share > 100:
            getattr(message, field.name).CopyFrom(filled(field.message_type, share))
    return message


async def held(leader: Leader, name: str, body: bytes) -> tuple[float, str]:
    """The longest CPU time of one turn of the loop while the call lasts, and its reason."""
    worst, stop = 0.0, False

    async def tick() -> None:
        nonlocal worst
        while not stop:
            began = time.thread_time()
            await asyncio.sleep(0)
            worst = max(worst, time.thread_time() - began)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    reason = ""
    try:
        await method_of(METHODS[name]).local(leader.service, body, NOWHERE)
    except QuorateError as error:
        reason = error.reason
    stop = True
    await ticking
    return worst * 1e3, reason


@pytest.mark.parametrize("name", UNARY)
async def test_a_request_as_large_as_it_may_be_holds_the_loop_for_little(name: str):
    body = filled(METHODS[name].input_type, DEFAULT - 4_096).SerializeToString()
    async with leading(MemoryEtcd()) as leader:
        worst, _ = await held(leader, name, body)
    assert worst < MOST, f"{worst:.1f} ms"


@pytest.mark.parametrize(
    "text",
    ["[" + "[1]," * 60_000 + "1]", "[" + '{"a":1},' * 30_000 + "1]", "[" + "1," * 120_000 + "1]"],
    ids=["arrays", "objects", "numbers"],
)
async def test_json_arguments_of_the_largest_size_hold_the_loop_for_little(text: str):
    spec = task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="a:b", json=text))
    request = scheduler_pb2.CreateTaskRequest(queue="q", spec=spec)
    async with leading(MemoryEtcd()) as leader:
        # NOT_FOUND: there is no such queue; known behind the checks.
        worst, reason = await held(leader, "CreateTask", request.SerializeToString())
    assert reason == "QUEUE_NOT_FOUND"
    assert worst < MOST, f"{worst:.1f} ms"


async def test_a_task_too_large_is_refused_before_it_is_parsed():
    text = '["' + "x" * (19 << 20) + '"]'
    spec = task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="a:b", json=text))
    request = scheduler_pb2.CreateTaskRequest(queue="q", spec=spec, request_id="r")
    async with leading(MemoryEtcd()) as leader:
        worst, reason = await held(leader, "CreateTask", request.SerializeToString())
    assert reason == "PAYLOAD_TOO_LARGE"
    assert worst < 5.0, f"{worst:.1f} ms"


async def test_a_batch_of_the_largest_size_is_checked_in_slices():
    text = "[" + "1," * 700 + "1]"
    spec = task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="a:b", json=text))
    request = scheduler_pb2.BatchCreateTasksRequest(queue="q", specs=[spec] * 10_000)
    async with leading(MemoryEtcd()) as leader:
        worst, reason = await held(leader, "BatchCreateTasks", request.SerializeToString())
    assert reason == "QUEUE_NOT_FOUND"
    assert worst < MOST_BATCH, f"{worst:.1f} ms"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_rpc_has_a_size_that_is_refused_by_its_field(name: str):
    with pytest.raises(QuorateError) as told:
        check_size(name, 20 << 20, 1 << 20)
    assert told.value.reason == "PAYLOAD_TOO_LARGE"
    assert told.value.metadata["field"] in told.value.message
    assert int(told.value.metadata["limit"]) <= 16 << 20


async def test_a_search_for_many_letters_is_refused_and_one_through_all_tasks_yields():
    async with leading(MemoryEtcd()) as leader:
        request = scheduler_pb2.ListTasksRequest(text=" ".join(map(chr, range(0x4E00, 0x4E09))))
        with pytest.raises(QuorateError) as told:
            await leader.call("ListTasks", request)
        assert told.value.metadata["limit"] == "8"
        state, queue = leader.driver.state, leader.driver.state.queues
        row = next(iter(queue.values()))
        for number in range(100_000):
            state.new_row(TaskId(f"{number:032x}"), row, TaskSpec(b"", text="name\nwork"), 1.0)
        body = scheduler_pb2.ListTasksRequest(text="a b c d e f g h").SerializeToString()
        worst, reason = await held(leader, "ListTasks", body)
    assert reason == ""
    assert worst < MOST, f"{worst:.1f} ms"
