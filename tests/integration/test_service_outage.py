"""Calls while etcd is away: told so, in kind; afterwards everything goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc

from quorate.etcd.server.launcher import EtcdProcess
from quorate.v1 import queue_pb2 as q
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.served import Refused, calling, serve

AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
SPEC = t.TaskSpec(command=t.CommandWork(argv=["true"]))


async def test_calls_while_etcd_is_away(own_etcd: Callable[..., Awaitable[EtcdProcess]]) -> None:
    etcd = await own_etcd()
    with serve(etcd.endpoint) as served:
        async with calling(served) as caller:
            made = await caller.call("CreateTask", pb.CreateTaskRequest(spec=SPEC))
            task = made.task.id
            calls = (
                ("CreateTask", pb.CreateTaskRequest(spec=SPEC, request_id="outage")),
                ("BatchCreateTasks", pb.BatchCreateTasksRequest(specs=[SPEC], request_id="many")),
                ("GetTask", pb.GetTaskRequest(id=task)),
                ("ListTasks", pb.ListTasksRequest()),
                ("WatchTasks", pb.WatchTasksRequest()),
                ("CancelTask", pb.CancelTaskRequest(id=task, request_id="cancel")),
                ("StreamTaskLogs", pb.StreamTaskLogsRequest(id=task)),
                ("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name="new"))),
                ("GetQueue", pb.GetQueueRequest(name="default")),
                ("ListQueues", pb.ListQueuesRequest()),
                ("ListNodes", pb.ListNodesRequest()),
                ("GetCluster", pb.GetClusterRequest()),
            )
            await etcd.kill()
            answers = await asyncio.gather(
                *(caller.call(method, request, timeout=8.0) for method, request in calls),
                return_exceptions=True,
            )
            for (method, _), answer in zip(calls, answers, strict=True):
                assert isinstance(answer, Refused), (method, answer)
                assert answer.code in AWAY, (method, answer)
                if answer.code is grpc.StatusCode.UNAVAILABLE:
                    assert answer.info is not None, (method, answer)
                    assert answer.info.domain == "quorate"
            assert any(isinstance(a, Refused) and a.info for a in answers)
            await etcd.start()
            async with asyncio.timeout(60):
                while True:
                    try:
                        repeated = await caller.call(*calls[0])
                        break
                    except Refused as rejection:
                        assert rejection.code in AWAY, rejection  # noqa: PT017
            assert (await caller.call(*calls[0])).task.id == repeated.task.id
        log = (served.folder / "scheduler.log").read_text()
        assert "call_handler_failed" not in log
