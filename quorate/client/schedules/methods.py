"""`client.schedules`: tasks that the cluster creates by itself, at instants.

    client.schedules.create("nightly", report, cron="30 2 * * *", time_zone="Europe/Berlin")
    client.schedules.create("sync", ["/usr/bin/sync-files", "--all"], every=300)
    client.options(queue="slow", retries=3).schedules.create("weekly", report, cron="@weekly")

Options of the runs' tasks are those of the client. Each method exists on `AsyncClient.schedules`
too, as a coroutine or an asynchronous iterator. Answers are `quorate.v1.schedule_pb2.Schedule`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Unpack

import grpc

from quorate.client.handle import TaskHandle
from quorate.client.pages import pages
from quorate.client.schedules.requests import MOST_TRIES, Requests, ScheduledWork
from quorate.client.transport.calls import Calls
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


class Schedules:
    """The schedules of a cluster, through one client."""

    def __init__(self, calls: Calls, options: TaskOptions) -> None:
        self._calls = calls
        self._requests = Requests(options)

    def create(
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
        """Create a schedule; durable when this returns.

        Args:
            work: a function, the `module:qualname` of one, a program with its arguments, a graph
                (`Client.graph`, of at most 48 tasks), or a spec of a task or a job.
            args, kwargs: of a function.
            items, count: each run is a job, an array with a subtask for each item, or of so many:
                as in `Client.array`.
            when: see `ScheduleArgs`.

        Raises:
            QuorateError: ALREADY_EXISTS; INVALID_ARGUMENT naming the field of what can never fire
                or is out of bounds.
        """
        request = self._requests.create(name, work, args, kwargs, when, items, count)
        return self._calls.call(CREATE_SCHEDULE, request).schedule

    def get(self, name: str) -> pb.Schedule:
        """A schedule with its next ticks and last runs. Raises QuorateError NOT_FOUND."""
        request = pb.GetScheduleRequest(name=text_of("name", name))
        return self._calls.call(GET_SCHEDULE, request).schedule

    def list(self, *, queue: str = "") -> Iterator[pb.Schedule]:
        """Schedules by name, of one queue if it is given."""
        request = pb.ListSchedulesRequest(queue=text_of("queue", queue))
        for answer in pages(self._calls, LIST_SCHEDULES, request):
            yield from answer.schedules

    def update(
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
        """Change what is given; the rest stays. Ticks that were due and have not run are missed.

        Args:
            etag: of the schedule as it was read: another change since is ABORTED.
            queue: where the tasks of later runs go; where they went when empty.
            options: of the tasks of later runs, such as {"retries": 3}; the others stay, and an
                empty value removes one. Not with `work`, whose options are those of the client, and
                not of graphs. The schedule is read for it; a change by others meanwhile stays.
        """
        if options:
            if work is not None:
                raise invalid("options", "of new work come from the client: client.options(...)")
            for left in reversed(range(MOST_TRIES)):
                there = self.get(name)
                request = self._requests.update_options(there, options, etag, queue, when)
                try:
                    return self._calls.call(UPDATE_SCHEDULE, request).schedule
                except QuorateError as error:
                    if etag or not left or error.code is not grpc.StatusCode.ABORTED:
                        raise
        request = self._requests.update(name, work, args, kwargs, etag, queue, when)
        return self._calls.call(UPDATE_SCHEDULE, request).schedule

    def apply(self, function: Any) -> pb.Schedule:
        """Create the schedule that `@quorate.schedule` declares, or change it where it differs.

        Repeating it changes nothing. A function that only this process has (of `__main__`) is sent
        as it is; one of a module by its name.
        """
        wanted = self._requests.declared(function)
        try:
            found = self.get(wanted.schedule.name)
        except QuorateError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
            return self._calls.call(CREATE_SCHEDULE, wanted).schedule
        change = self._requests.changed(wanted, found)
        return found if change is None else self._calls.call(UPDATE_SCHEDULE, change).schedule

    def delete(self, name: str) -> None:
        """Delete a schedule; its tasks stay."""
        request = pb.DeleteScheduleRequest(name=text_of("name", name), request_id=new_request_id())
        self._calls.call(DELETE_SCHEDULE, request)

    def pause(self, name: str, reason: str = "", until: dt.datetime | None = None) -> pb.Schedule:
        """No tick runs until the schedule is resumed, or `until`. What runs goes on."""
        request = self._requests.pause(name, reason, until)
        return self._calls.call(PAUSE_SCHEDULE, request).schedule

    def resume(self, name: str) -> pb.Schedule:
        """Undo `pause`. Ticks of the meantime are missed."""
        request = pb.ResumeScheduleRequest(name=text_of("name", name), request_id=new_request_id())
        return self._calls.call(RESUME_SCHEDULE, request).schedule

    def run(self, name: str) -> TaskHandle[Any]:
        """Run it now, once, whatever else runs; also a paused one.

        Where runs are jobs, the handle's id is the job's: `client.job(schedules.run(name).id)`.
        """
        answer = self._calls.call(RUN_SCHEDULE, self._requests.run(name))
        return TaskHandle(self._calls, answer.task or answer.job)

    def backfill(
        self,
        name: str,
        start: dt.datetime,
        end: dt.datetime | None = None,
        overlap: Overlap | None = None,
    ) -> int:
        """Run the ticks from `start` to `end` (now by default); how many there are.

        One after the other; with overlap "allow" all at once, with "skip" none while one runs.
        """
        request = self._requests.backfill(name, start, end, overlap)
        return self._calls.call(RUN_SCHEDULE, request).ticks

    def preview_backfill(
        self, name: str, start: dt.datetime, end: dt.datetime | None = None
    ) -> Sequence[dt.datetime]:
        """The ticks that `backfill` would run, in order and in UTC; changes nothing.

        Raises:
            QuorateError: as `backfill`.
        """
        answer = self._calls.call(PREVIEW_BACKFILL, self._requests.preview(name, start, end))
        return [tick.ToDatetime(dt.UTC) for tick in answer.ticks]
