"""The limits of a fake scheduler: kept as they are asked for, and shown as used a little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quorate.runtime.errors import not_found
from quorate.v1 import limit_pb2, queue_pb2, scheduler_pb2, scheduler_pb2_grpc

if TYPE_CHECKING:
    from tests.support.fake_cluster import FakeCluster


class FakeLimits(scheduler_pb2_grpc.SchedulerServicer):
    """What `tests.support.fake_servicer` answers about limits."""

    _cluster: FakeCluster
    _serving: Any
    _queue: Any

    def UpdateQueue(self, request, context):
        with self._serving("UpdateQueue", context):
            found: queue_pb2.Queue = self._queue(request.queue.name)
            self._cluster.updates.append(request)
            return scheduler_pb2.UpdateQueueResponse(queue=found)

    def CreateLimit(self, request, context):
        with self._serving("CreateLimit", context):
            limit = limit_pb2.Limit()
            limit.CopyFrom(request.limit)
            limit.running, limit.live_tasks = 1, 2
            self._cluster.limits[limit.name] = limit
            return limit_pb2.CreateLimitResponse(limit=limit)

    def _limit(self, name: str) -> limit_pb2.Limit:
        if name not in self._cluster.limits:
            raise not_found("limit", name)
        return self._cluster.limits[name]

    def GetLimit(self, request, context):
        with self._serving("GetLimit", context):
            return limit_pb2.GetLimitResponse(limit=self._limit(request.name))

    def ListLimits(self, request, context):
        with self._serving("ListLimits", context):
            return limit_pb2.ListLimitsResponse(limits=self._cluster.limits.values())

    def UpdateLimit(self, request, context):
        with self._serving("UpdateLimit", context):
            limit = self._limit(request.limit.name)
            for field in request.update_mask.paths:
                limit.ClearField(field)
                if request.limit.HasField(field):
                    only = limit_pb2.Limit()
                    only.CopyFrom(request.limit)
                    for other in {"name", "max_running", "rate"} - {field}:
                        only.ClearField(other)
                    limit.MergeFrom(only)
            return limit_pb2.UpdateLimitResponse(limit=limit)

    def DeleteLimit(self, request, context):
        with self._serving("DeleteLimit", context):
            self._limit(request.name)
            del self._cluster.limits[request.name]
            return limit_pb2.DeleteLimitResponse()
