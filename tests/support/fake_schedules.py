"""The schedules of a fake scheduler: stored as they are asked for. Nothing fires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from quorate.runtime.errors import QuorateError, already_exists, not_found
from quorate.v1 import schedule_pb2 as pb
from quorate.v1 import scheduler_pb2_grpc
from scheduler.api.masks import merged

if TYPE_CHECKING:
    from tests.support.fake_cluster import FakeCluster


class FakeSchedules(scheduler_pb2_grpc.SchedulerServicer):
    """What `tests.support.fake_servicer` answers about schedules."""

    _cluster: FakeCluster
    _serving: Any

    def CreateSchedule(self, request, context):
        with self._serving("CreateSchedule", context):
            schedule = pb.Schedule()
            schedule.CopyFrom(request.schedule)
            if schedule.name in self._cluster.schedules:
                raise already_exists("schedule", schedule.name)
            schedule.etag = "1"
            self._cluster.schedules[schedule.name] = schedule
            return pb.CreateScheduleResponse(schedule=schedule)

    def GetSchedule(self, request, context):
        with self._serving("GetSchedule", context):
            return pb.GetScheduleResponse(schedule=self._schedule(request.name))

    def ListSchedules(self, request, context):
        with self._serving("ListSchedules", context):
            found = sorted(self._cluster.schedules.values(), key=lambda one: one.name)
            return pb.ListSchedulesResponse(schedules=found)

    def UpdateSchedule(self, request, context):
        with self._serving("UpdateSchedule", context):
            there = self._schedule(request.schedule.name)
            if request.schedule.etag not in ("", there.etag):
                code = grpc.StatusCode.ABORTED
                raise QuorateError(code, "ETAG_MISMATCH", "changed since it was read")
            new = merged(there, request.schedule, request.update_mask.paths, ("spec",))
            new.etag = str(int(there.etag) + 1)
            self._cluster.schedules[new.name] = new
            return pb.UpdateScheduleResponse(schedule=new)

    def _schedule(self, name: str) -> pb.Schedule:
        if name not in self._cluster.schedules:
            raise not_found("schedule", name)
        return self._cluster.schedules[name]
