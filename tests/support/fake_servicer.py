"""The RPCs of the fake scheduler."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc

from quorate.runtime.errors import (
    QuorateError,
    already_exists,
    invalid,
    not_found,
    precondition,
    to_status,
)
from quorate.v1 import node_pb2, queue_pb2, scheduler_pb2, task_pb2
from tests.support.fake_controls import FakeControls
from tests.support.fake_jobs import JobServicer
from tests.support.fake_limits import FakeLimits
from tests.support.fake_logs import FakeLogs
from tests.support.fake_schedules import FakeSchedules
from tests.support.fake_subtasks import as_task

if TYPE_CHECKING:
    from tests.support.fake_scheduler import FakeServer


FINAL = {
    task_pb2.TASK_STATE_SUCCEEDED,
    task_pb2.TASK_STATE_FAILED,
    task_pb2.TASK_STATE_CANCELLED,
}


WAITING = {task_pb2.TASK_STATE_PENDING, task_pb2.TASK_STATE_SCHEDULED}
RETRIABLE = {task_pb2.TASK_STATE_FAILED, task_pb2.TASK_STATE_CANCELLED}


class Servicer(FakeControls, JobServicer, FakeLimits, FakeLogs, FakeSchedules):
    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._cluster = server.cluster

    @contextmanager
    def _serving(self, method: str, context):
        cluster = self._cluster
        cluster.calls.append((method, self._server.address))
        try:
            if cluster.faults[method]:
                code = cluster.faults[method].pop(0)
                raise QuorateError(code, "ORDERED", "ordered by the test")
            yield
        except QuorateError as error:
            status = to_status(error).SerializeToString()
            context.set_trailing_metadata((("grpc-status-details-bin", status),))
            context.abort(error.code, error.message)

    def CreateTask(self, request, context):
        with self._serving("CreateTask", context):
            if request.HasField("parent"):
                self._cluster.parents.append(request.parent)
            ids = self._cluster.create(request.queue, [request.spec], request.request_id)
            return scheduler_pb2.CreateTaskResponse(task=self._cluster.tasks[ids[0]])

    def BatchCreateTasks(self, request, context):
        with self._serving("BatchCreateTasks", context):
            ids = self._cluster.create(request.queue, request.specs, request.request_id)
            if self._cluster.answer_late:
                time.sleep(self._cluster.answer_late)
            return scheduler_pb2.BatchCreateTasksResponse(ids=ids)

    def GetTask(self, request, context):
        with self._serving("GetTask", context):
            job, _, index = request.id.partition(".")
            if index:
                task = as_task(self._job(job), int(index))
                return scheduler_pb2.GetTaskResponse(task=task)
            return scheduler_pb2.GetTaskResponse(task=self._cluster.find(request.id))

    def ListTasks(self, request, context):
        with self._serving("ListTasks", context):
            if not 0 <= request.page_size <= 1000:
                raise invalid("page_size", "must be 1 to 1,000", limit=1000)
            size, start = request.page_size or 100, int(request.page_token or 0)
            found = [
                task
                for task in sorted(self._cluster.tasks.values(), key=lambda t: t.id, reverse=True)
                if request.queue in ("", task.queue)
                and (not request.states or task.state in request.states)
                and request.text in " ".join((*task.spec.command.argv, task.id))
            ]
            token = str(start + size) if start + size < len(found) else ""
            return scheduler_pb2.ListTasksResponse(
                tasks=found[start : start + size], next_page_token=token
            )

    def WaitTask(self, request, context):
        with self._serving("WaitTask", context):
            task = self._cluster.find(request.id)
            with self._cluster.lock:
                self._cluster.lock.wait_for(
                    lambda: task.state in FINAL or self._server.stopped,
                    request.timeout.ToMilliseconds() / 1000,
                )
            return scheduler_pb2.WaitTaskResponse(task=task)

    def _left(self, generation: int) -> bool:
        return self._server.stopped or self._server.generation != generation

    def WatchTasks(self, request, context):
        with self._serving("WatchTasks", context):
            cluster, generation = self._cluster, self._server.generation
            with cluster.lock:
                position = int(request.resume_token or len(cluster.events))
                if position < cluster.first_event:
                    raise QuorateError(grpc.StatusCode.OUT_OF_RANGE, "COMPACTED", "list again")
            yield scheduler_pb2.WatchTasksResponse(resume_token=str(position))
            said = time.monotonic()
            while context.is_active():
                with cluster.lock:
                    # Short, so that a caller that left is noticed.
                    if len(cluster.events) <= position and not self._left(generation):
                        cluster.lock.wait(0.05)
                    while cluster.frozen and context.is_active():
                        cluster.lock.wait(0.02)
                    if self._left(generation):
                        raise QuorateError(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", "leaving")
                    events = [
                        event
                        for event in cluster.events[position:]
                        if event.kind
                        and request.queue in ("", event.task.queue)
                        and (not request.states or event.task.state in request.states)
                    ]
                    position = len(cluster.events)
                if events:
                    yield scheduler_pb2.WatchTasksResponse(
                        events=events, resume_token=str(position)
                    )
                elif time.monotonic() - said >= cluster.progress and not cluster.frozen:
                    said = time.monotonic()
                    cluster.progressed += 1
                    yield scheduler_pb2.WatchTasksResponse(resume_token=str(position))

    def CancelTask(self, request, context):
        with self._serving("CancelTask", context):
            return scheduler_pb2.CancelTaskResponse(task=self._cluster.cancel(request.id))

    def DeleteTask(self, request, context):
        with self._serving("DeleteTask", context), self._cluster.lock:
            task = self._cluster.tasks.get(request.id)
            if task is None:
                raise not_found("task", request.id)
            if task.state not in FINAL:
                raise precondition("TASK_NOT_FINISHED", f"task {request.id!r} is not finished")
            del self._cluster.tasks[request.id]
            return scheduler_pb2.DeleteTaskResponse()

    def CancelTasks(self, request, context):
        with self._serving("CancelTasks", context):
            answer = scheduler_pb2.CancelTasksResponse()
            self._cluster.bulk_cancels.append(request)
            with self._cluster.lock:
                wanted = request.ids or [
                    task.id
                    for task in self._cluster.tasks.values()
                    if request.queue in ("", task.queue) and task.state not in FINAL
                ]
                for task_id in dict.fromkeys(wanted):
                    task = self._cluster.tasks.get(task_id)
                    if task is None:
                        answer.not_found += 1
                        continue
                    if task.state in FINAL:
                        answer.finished += 1
                        continue
                    if request.states and task.state not in request.states:
                        answer.skipped += 1
                        continue
                    running = task.state == task_pb2.TASK_STATE_RUNNING
                    answer.stopping += running
                    answer.cancelled += not running
                    if not request.validate_only:
                        self._cluster.cancel(task_id)
            return answer

    def RetryTasks(self, request, context):
        with self._serving("RetryTasks", context):
            answer = scheduler_pb2.RetryTasksResponse()
            self._cluster.bulk_retries.append(request)
            for task in self._finished(request, answer):
                if task.state not in (request.states or RETRIABLE):
                    answer.skipped += 1
                    continue
                answer.retried += 1
                if not request.validate_only:
                    task.state = task_pb2.TASK_STATE_PENDING
            if request.max_rate and answer.retried:
                answer.last_start_time.FromSeconds(1_900_000_000)
            return answer

    def DeleteTasks(self, request, context):
        with self._serving("DeleteTasks", context):
            answer = scheduler_pb2.DeleteTasksResponse()
            for task in self._finished(request, answer):
                if request.states and task.state not in request.states:
                    answer.skipped += 1
                    continue
                answer.deleted += 1
                if not request.validate_only:
                    del self._cluster.tasks[task.id]
            return answer

    def _finished(self, request, answer) -> list[task_pb2.Task]:
        """The finished tasks of a call about many; the others are counted."""
        found = []
        with self._cluster.lock:
            wanted = request.ids or [
                task.id
                for task in self._cluster.tasks.values()
                if request.queue in ("", task.queue) and task.state in (request.states or FINAL)
            ]
            for task_id in dict.fromkeys(wanted):
                task = self._cluster.tasks.get(task_id)
                if task is None:
                    answer.not_found += 1
                elif task.state not in FINAL:
                    answer.not_finished += 1
                else:
                    found.append(task)
        return found

    def ListDeadLetters(self, request, context):
        with self._serving("ListDeadLetters", context):
            begin, groups = int(request.page_token or 0), self._cluster.dead_letters
            return scheduler_pb2.ListDeadLettersResponse(
                groups=groups[begin : begin + 2],
                next_page_token=str(begin + 2) if begin + 2 < len(groups) else "",
                total=sum(group.count for group in groups),
            )

    def UpdateTask(self, request, context):
        with self._serving("UpdateTask", context):
            self._cluster.task_updates.append(request)
            task = self._cluster.find(request.task.id)
            if task.state not in WAITING:
                raise precondition("TASK_NOT_WAITING", "only a waiting task can be updated")
            return scheduler_pb2.UpdateTaskResponse(task=task)

    def UpdateTasks(self, request, context):
        with self._serving("UpdateTasks", context):
            self._cluster.task_updates.append(request)
            answer = scheduler_pb2.UpdateTasksResponse()
            tasks = self._cluster.tasks
            for task_id in request.ids or [
                one.id for one in tasks.values() if request.queue in ("", one.queue)
            ]:
                if task_id not in tasks:
                    answer.not_found += 1
                elif tasks[task_id].state not in WAITING:
                    answer.not_waiting += 1
                else:
                    answer.updated += 1
            return answer

    def ExplainTask(self, request, context):
        with self._serving("ExplainTask", context):
            task = self._cluster.find(request.id)
            answer = scheduler_pb2.ExplainTaskResponse()
            answer.explanation.CopyFrom(self._cluster.explanation)
            answer.explanation.task.CopyFrom(task)
            return answer

    def RetryTask(self, request, context):
        with self._serving("RetryTask", context):
            self._cluster.retries.append(request)
            task = self._cluster.find(request.id)
            if task.state not in (task_pb2.TASK_STATE_FAILED, task_pb2.TASK_STATE_CANCELLED):
                raise precondition("TASK_NOT_FAILED", "only a failed task can be retried")
            task.state = task_pb2.TASK_STATE_PENDING
            self._cluster._pool.submit(self._cluster._run, task.id)
            return scheduler_pb2.RetryTaskResponse(task=task)

    def CreateQueue(self, request, context):
        with self._serving("CreateQueue", context):
            if request.queue.name in self._cluster.queues:
                raise already_exists("queue", request.queue.name)
            self._cluster.queues[request.queue.name] = request.queue
            return scheduler_pb2.CreateQueueResponse(queue=request.queue)

    def _queue(self, name: str) -> queue_pb2.Queue:
        if name not in self._cluster.queues:
            raise not_found("queue", name)
        return self._cluster.queues[name]

    def GetQueue(self, request, context):
        with self._serving("GetQueue", context):
            return scheduler_pb2.GetQueueResponse(queue=self._queue(request.name))

    def ListQueues(self, request, context):
        with self._serving("ListQueues", context):
            return scheduler_pb2.ListQueuesResponse(queues=self._cluster.queues.values())

    def DeleteQueue(self, request, context):
        with self._serving("DeleteQueue", context):
            self._queue(request.name)
            del self._cluster.queues[request.name]
            return scheduler_pb2.DeleteQueueResponse()

    def PauseQueue(self, request, context):
        with self._serving("PauseQueue", context):
            found = self._queue(request.name)
            found.paused = True
            return scheduler_pb2.PauseQueueResponse(queue=found)

    def ResumeQueue(self, request, context):
        with self._serving("ResumeQueue", context):
            found = self._queue(request.name)
            found.paused = False
            return scheduler_pb2.ResumeQueueResponse(queue=found)

    def ListNodes(self, request, context):
        with self._serving("ListNodes", context):
            return scheduler_pb2.ListNodesResponse(nodes=self._cluster.nodes.values())

    def _node(self, name: str, state) -> node_pb2.Node:
        if name not in self._cluster.nodes:
            raise not_found("node", name)
        self._cluster.nodes[name].state = state
        return self._cluster.nodes[name]

    def CordonNode(self, request, context):
        with self._serving("CordonNode", context):
            node = self._node(request.name, node_pb2.NODE_STATE_CORDONED)
            return scheduler_pb2.CordonNodeResponse(node=node)

    def UncordonNode(self, request, context):
        with self._serving("UncordonNode", context):
            node = self._node(request.name, node_pb2.NODE_STATE_READY)
            return scheduler_pb2.UncordonNodeResponse(node=node)

    def DrainNode(self, request, context):
        with self._serving("DrainNode", context):
            node = self._node(request.name, node_pb2.NODE_STATE_DRAINED)
            return scheduler_pb2.DrainNodeResponse(node=node)

    def DismissNode(self, request, context):
        with self._serving("DismissNode", context):
            if request.name not in self._cluster.nodes:
                raise not_found("node", request.name)
            del self._cluster.nodes[request.name]
            return scheduler_pb2.DismissNodeResponse()

    def ListAuditEntries(self, request, context):
        with self._serving("ListAuditEntries", context):
            self._cluster.audit_requests.append(request)
            begin = int(request.page_token or 0)
            end = begin + (request.page_size or 100)
            return scheduler_pb2.ListAuditEntriesResponse(
                entries=self._cluster.audit[begin:end],
                next_page_token=str(end) if end < len(self._cluster.audit) else "",
            )

    def GetCluster(self, request, context):
        with self._serving("GetCluster", context):
            answer = scheduler_pb2.GetClusterResponse()
            cluster = answer.cluster
            cluster.name, cluster.epoch, cluster.nodes = "fake", 7, len(self._cluster.nodes)
            cluster.live_tasks = sum(t.state not in FINAL for t in self._cluster.tasks.values())
            cluster.problems.extend(self._cluster.problems)
            cluster.problems_time.GetCurrentTime()
            for server in self._cluster.servers:
                if not server.stopped:
                    cluster.schedulers.add(
                        name=f"s{server.index + 1}",
                        address=server.address,
                        leader=server.index == self._cluster.leader,
                    )
            return answer
