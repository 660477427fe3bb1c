"""`AsyncClient.schedules`: the twin of `methods`."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Unpack

import grpc

from quorate.client.ahandle import AsyncTaskHandle
from quorate.client.pages import apages
from quorate.client.schedules.requests import MOST_TRIES, Requests, ScheduledWork
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.rpcs import (
    CREATE_SCHEDULE,
    DELETE_SCHEDULE,
    GET_SCHEDULE,
    LIST_SCHEDULES,
    PAUSE_SCHEDULE,
    PREVIEW_BACKFILL,
    RESUME_SCHEDULE,
    RUN_SCHEDULE,
    UPDATE_SCHEDULE,
    new_request_id,
)
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.schedules import (
    Overlap,
    ScheduleArgs,
)
from quorate.client.work.texts import text_of
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import schedule_pb2 as pb


class AsyncSchedules:
    """As `Schedules`, for one event loop."""

    def __init__(self, calls: AsyncCalls, options: TaskOptions) -> None:
        self._calls = calls
        self._requests = Requests(options)

    async def create(
        self,
        name: str,
        work: ScheduledWork,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        items: Iterable[Any] | None = None,
        count: int | None = None,
        **when: Unpack[ScheduleArgs],
    ) -> pb.Schedule:
        """As `Schedules.create`."""
        request = self._requests.create(name, work, args, kwargs, when, items, count)
        return (await self._calls.call(CREATE_SCHEDULE, request)).schedule

    async def get(self, name: str) -> pb.Schedule:
        """As `Schedules.get`."""
        request = pb.GetScheduleRequest(name=text_of("name", name))
        return (await self._calls.call(GET_SCHEDULE, request)).schedule

    async def list(self, *, queue: str = "") -> AsyncIterator[pb.Schedule]:
        """As `Schedules.list`."""
        request = pb.ListSchedulesRequest(queue=text_of("queue", queue))
        async for answer in apages(self._calls, LIST_SCHEDULES, request):
            for schedule in answer.schedules:
                yield schedule

    async def update(
        self,
        name: str,
        work: ScheduledWork | None = None,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        etag: str = "",
        queue: str = "",
        options: OptionArgs | None = None,
        **when: Unpack[ScheduleArgs],
    ) -> pb.Schedule:
        """As `Schedules.update`."""
        if options:
            if work is not None:
                raise invalid("options", "of new work come from the client: client.options(...)")
            for left in reversed(range(MOST_TRIES)):
                there = await self.get(name)
                asked = self._requests.update_options(there, options, etag, queue, when)
                try:
                    return (await self._calls.call(UPDATE_SCHEDULE, asked)).schedule
                except QuorateError as error:
                    if etag or not left or error.code is not grpc.StatusCode.ABORTED:
                        raise
        request = self._requests.update(name, work, args, kwargs, etag, queue, when)
        return (await self._calls.call(UPDATE_SCHEDULE, request)).schedule

    async def apply(self, function: Any) -> pb.Schedule:
        """As `Schedules.apply`."""
        wanted = self._requests.declared(function)
        try:
            found = await self.get(wanted.schedule.name)
        except QuorateError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
            return (await self._calls.call(CREATE_SCHEDULE, wanted)).schedule
        change = self._requests.changed(wanted, found)
        if change is None:
            return found
        return (await self._calls.call(UPDATE_SCHEDULE, change)).schedule

    async def delete(self, name: str) -> None:
        """As `Schedules.delete`."""
        request = pb.DeleteScheduleRequest(name=text_of("name", name), request_id=new_request_id())
        await self._calls.call(DELETE_SCHEDULE, request)

    async def pause(
        self, name: str, reason: str = "", until: dt.datetime | None = None
    ) -> pb.Schedule:
        """As `Schedules.pause`."""
        request = self._requests.pause(name, reason, until)
        return (await self._calls.call(PAUSE_SCHEDULE, request)).schedule

    async def resume(self, name: str) -> pb.Schedule:
        """As `Schedules.resume`."""
        request = pb.ResumeScheduleRequest(name=text_of("name", name), request_id=new_request_id())
        return (await self._calls.call(RESUME_SCHEDULE, request)).schedule

    async def run(self, name: str) -> AsyncTaskHandle[Any]:
        """As `Schedules.run`."""
        answer = await self._calls.call(RUN_SCHEDULE, self._requests.run(name))
        return AsyncTaskHandle(self._calls, answer.task or answer.job)

    async def backfill(
        self,
        name: str,
        start: dt.datetime,
        end: dt.datetime | None = None,
        overlap: Overlap | None = None,
    ) -> int:
        """As `Schedules.backfill`."""
        request = self._requests.backfill(name, start, end, overlap)
        return (await self._calls.call(RUN_SCHEDULE, request)).ticks

    async def preview_backfill(
        self, name: str, start: dt.datetime, end: dt.datetime | None = None
    ) -> Sequence[dt.datetime]:
        """As `Schedules.preview_backfill`."""
        answer = await self._calls.call(PREVIEW_BACKFILL, self._requests.preview(name, start, end))
        return [tick.ToDatetime(dt.UTC) for tick in answer.ticks]
