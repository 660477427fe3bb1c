"""The calls of `fake_servicer` that pause, resume and signal tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quorate.runtime.errors import precondition
from quorate.v1 import scheduler_pb2, task_pb2

if TYPE_CHECKING:
    from tests.support.fake_cluster import FakeCluster

WAITING = {task_pb2.TASK_STATE_PENDING, task_pb2.TASK_STATE_SCHEDULED}


class FakeControls:
    """A part of the servicer, which has `_cluster` and `_serving`."""

    _cluster: FakeCluster
    _serving: Any

    def PauseTask(self, request, context):
        with self._serving("PauseTask", context):
            task = self._cluster.find(request.id)
            if task.state not in WAITING:
                raise precondition("TASK_NOT_WAITING", "only a task that waits can be paused")
            task.state, task.pause.reason = task_pb2.TASK_STATE_PAUSED, request.reason
            return scheduler_pb2.PauseTaskResponse(task=task)

    def SendSignal(self, request, context):
        with self._serving("SendSignal", context):
            task = self._cluster.find(request.id)
            if task.state != task_pb2.TASK_STATE_RUNNING:
                raise precondition("TASK_NOT_RUNNING", "it does not run")
            self._cluster.signals.append((request.id, int(request.signal)))
            return scheduler_pb2.SendSignalResponse(task=task)

    def ResumeTask(self, request, context):
        with self._serving("ResumeTask", context):
            task = self._cluster.find(request.id)
            task.state = task_pb2.TASK_STATE_PENDING
            return scheduler_pb2.ResumeTaskResponse(task=task)
