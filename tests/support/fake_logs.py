"""The logs of a fake scheduler: pieces as a test put them there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2, scheduler_pb2_grpc, task_pb2

if TYPE_CHECKING:
    from tests.support.fake_cluster import FakeCluster

_FINAL = {
    task_pb2.TASK_STATE_SUCCEEDED,
    task_pb2.TASK_STATE_FAILED,
    task_pb2.TASK_STATE_CANCELLED,
}


class FakeLogs(scheduler_pb2_grpc.SchedulerServicer):
    """What `tests.support.fake_servicer` answers about logs."""

    _cluster: FakeCluster
    _serving: Any

    def StreamTaskLogs(self, request, context):
        with self._serving("StreamTaskLogs", context):
            self._cluster.log_requests.append(request)
            task = self._cluster.find(request.id)
            if request.follow:
                with self._cluster.lock:
                    self._cluster.lock.wait_for(lambda: task.state in _FINAL, 60)
            elif task.state == task_pb2.TASK_STATE_PENDING:
                code = grpc.StatusCode.NOT_FOUND
                raise QuorateError(code, "ATTEMPT_NOT_FOUND", "has no attempt on record")
            for chunk in list(self._cluster.logs[request.id]):
                if self._cluster.faults["LogChunk"]:
                    raise QuorateError(self._cluster.faults["LogChunk"].pop(0), "ORDERED", "")
                rest = scheduler_pb2.LogChunk(
                    stream=chunk.stream,
                    offset=max(chunk.offset, request.offset),
                    data=chunk.data[max(0, request.offset - chunk.offset) :],
                    time=chunk.time if chunk.HasField("time") else None,
                )
                yield scheduler_pb2.StreamTaskLogsResponse(chunk=rest)

    def SearchTaskLogs(self, request, context):
        """A match a call, by the pieces of the log."""
        with self._serving("SearchTaskLogs", context):
            self._cluster.find(request.id)
            text, begins = request.text.encode(), [0, request.stdout_from, request.stderr_from]
            answer = scheduler_pb2.SearchTaskLogsResponse(attempt=1, complete=True)
            for chunk in self._cluster.logs[request.id]:
                at = chunk.data.find(text)
                if at < 0 or chunk.offset < begins[chunk.stream]:
                    continue
                begin = chunk.data.rfind(b"\n", 0, at) + 1
                line = chunk.data[begin:].splitlines()[0]
                place = chunk.offset + begin
                answer.matches.add(
                    stream=chunk.stream, offset=place, at=chunk.offset + at, line=line
                )
                begins[chunk.stream] = chunk.offset + 1
                answer.complete = False
                break
            answer.stdout_next, answer.stderr_next = begins[1:]
            return answer
