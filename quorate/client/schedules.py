"""`client.schedules`: tasks that the cluster creates by itself, at instants.

    client.schedules.create("nightly", report, cron="30 2 * * *", time_zone="Europe/Berlin")
    client.schedules.create("sync", ["/usr/bin/sync-files", "--all"], every=300)
    client.options(queue="slow", retries=3).schedules.create("weekly", report, cron="@weekly")

Options of the runs' tasks are those of the client. Each method exists on `AsyncClient.schedules`
too, as a coroutine or an asynchronous iterator. Answers are `quorate.v1.schedule_pb2.Schedule`.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Unpack

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from quorate.client.ahandle import AsyncTaskHandle
from quorate.client.handle import TaskHandle
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import (
    CREATE_SCHEDULE,
    DELETE_SCHEDULE,
    GET_SCHEDULE,
    LIST_SCHEDULES,
    PAUSE_SCHEDULE,
    RESUME_SCHEDULE,
    RUN_SCHEDULE,
    UPDATE_SCHEDULE,
    new_request_id,
)
from quorate.client.work.options import TaskOptions
from quorate.client.work.schedules import (
    DECLARED,
    Declared,
    Overlap,
    ScheduleArgs,
    instant,
    overlap_policy,
    spec_of,
)
from quorate.client.work.specs import command_spec, python_spec
from quorate.client.work.texts import text_of
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import schedule_pb2 as pb

Specs = task_pb2.TaskSpec | job_pb2.JobSpec
ScheduledWork = Callable[..., Any] | str | Sequence[str] | Specs
"""A function, the `module:qualname` of one, a program with its arguments, or a spec."""


class Requests:
    """The requests of a client's schedules.

    Args:
        options: of the tasks of new schedules.
    """

    def __init__(self, options: TaskOptions) -> None:
        self._options = options

    def create(
        self,
        name: str,
        work: ScheduledWork,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        when: ScheduleArgs,
    ) -> pb.CreateScheduleRequest:
        spec = spec_of(when, self._work(work, args, kwargs), self._options.queue)
        return pb.CreateScheduleRequest(
            schedule=pb.Schedule(name=text_of("name", name), spec=spec),
            request_id=self._options.request_id or new_request_id(),
        )

    def update(
        self,
        name: str,
        work: ScheduledWork | None,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        etag: str,
        when: ScheduleArgs,
    ) -> pb.UpdateScheduleRequest:
        task = None if work is None else self._work(work, args, kwargs)
        spec = spec_of(when, task)
        paths = [f"spec.{_FIELDS.get(option, option)}" for option in when if option != "anchor"]
        if task is not None:
            paths.append("spec.job" if isinstance(task, job_pb2.JobSpec) else "spec.task")
        if not paths:
            raise invalid("name", "nothing to change; give at least one option")
        return pb.UpdateScheduleRequest(
            schedule=pb.Schedule(name=text_of("name", name), etag=etag, spec=spec),
            update_mask=FieldMask(paths=paths),
            request_id=new_request_id(),
        )

    def declared(self, function: Any) -> pb.CreateScheduleRequest:
        """The request that creates what `@quorate.schedule` says about a function."""
        said = getattr(function, DECLARED, None)
        if not isinstance(said, Declared):
            raise TypeError(f"{function!r} is not decorated with @quorate.schedule")
        # A `quorate.task` has options of its own.
        options = getattr(function, "options", None)
        if not isinstance(options, TaskOptions):
            return self.create(said.name, function, said.args, said.kwargs, said.when)
        own = Requests(options)
        return own.create(said.name, function.__wrapped__, said.args, said.kwargs, said.when)

    @staticmethod
    def changed(
        wanted: pb.CreateScheduleRequest, found: pb.Schedule
    ) -> pb.UpdateScheduleRequest | None:
        """The request that makes a schedule what is wanted; None when it is."""
        spec = wanted.schedule.spec
        if spec.HasField("interval") and not spec.interval.HasField("anchor"):
            # Counted from when it was created, as before.
            spec.interval.anchor.CopyFrom(found.spec.interval.anchor)
        if spec == found.spec:
            return None
        return pb.UpdateScheduleRequest(
            schedule=pb.Schedule(name=found.name, etag=found.etag, spec=spec),
            update_mask=FieldMask(paths=["spec"]),
            request_id=new_request_id(),
        )

    def backfill(
        self, name: str, start: dt.datetime, end: dt.datetime | None, overlap: Overlap | None
    ) -> pb.RunScheduleRequest:
        request = self.run(name)
        request.backfill.start_time.CopyFrom(instant("start", start))
        if end is not None:
            request.backfill.end_time.CopyFrom(instant("end", end))
        request.backfill.overlap = overlap_policy(overlap)
        return request

    def pause(self, name: str, reason: str, until: dt.datetime | None) -> pb.PauseScheduleRequest:
        request = pb.PauseScheduleRequest(
            name=text_of("name", name),
            reason=text_of("reason", reason),
            request_id=new_request_id(),
        )
        if until is not None:
            request.until.CopyFrom(instant("until", until))
        return request

    def run(self, name: str) -> pb.RunScheduleRequest:
        return pb.RunScheduleRequest(name=text_of("name", name), request_id=new_request_id())

    def _work(
        self,
        work: ScheduledWork,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
    ) -> Specs:
        options = self._options
        if options.delay or options.not_before is not None:
            raise invalid("delay", "a schedule says itself when its tasks start")
        if isinstance(work, task_pb2.TaskSpec | job_pb2.JobSpec):
            return work
        if isinstance(work, str) or callable(work):
            return python_spec(work, args, kwargs or {}, options, time.time())
        if args or kwargs:
            raise invalid("args", "a program's arguments follow its name in the list")
        return command_spec(work, options, time.time())


# Options whose field has another name.
_FIELDS = {"every": "interval", "start": "start_time", "end": "end_time"}


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
        **when: Unpack[ScheduleArgs],
    ) -> pb.Schedule:
        """Create a schedule; durable when this returns.

        Args:
            work: a function, the `module:qualname` of one, a program with its arguments, or a spec
                of a task or a job.
            args, kwargs: of a function.
            when: see `ScheduleArgs`.

        Raises:
            QuorateError: ALREADY_EXISTS; INVALID_ARGUMENT naming the field of what can never fire
                or is out of bounds.
        """
        request = self._requests.create(name, work, args, kwargs, when)
        return self._calls.call(CREATE_SCHEDULE, request).schedule

    def get(self, name: str) -> pb.Schedule:
        """A schedule with its next ticks and last runs. Raises QuorateError NOT_FOUND."""
        request = pb.GetScheduleRequest(name=text_of("name", name))
        return self._calls.call(GET_SCHEDULE, request).schedule

    def list(self, *, queue: str = "") -> Iterator[pb.Schedule]:
        """Schedules by name, of one queue if it is given."""
        request = pb.ListSchedulesRequest(queue=text_of("queue", queue))
        while True:
            answer = self._calls.call(LIST_SCHEDULES, request)
            yield from answer.schedules
            request.page_token = answer.next_page_token
            if not request.page_token:
                return

    def update(
        self,
        name: str,
        work: ScheduledWork | None = None,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        etag: str = "",
        **when: Unpack[ScheduleArgs],
    ) -> pb.Schedule:
        """Change what is given; the rest stays. Ticks that were due and have not run are missed.

        Args:
            etag: of the schedule as it was read: another change since is ABORTED.
        """
        request = self._requests.update(name, work, args, kwargs, etag, when)
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
        """Run it now, once, whatever else runs; also a paused one. Of a schedule of jobs the handle
        has the job's id."""
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
        **when: Unpack[ScheduleArgs],
    ) -> pb.Schedule:
        """As `Schedules.create`."""
        request = self._requests.create(name, work, args, kwargs, when)
        return (await self._calls.call(CREATE_SCHEDULE, request)).schedule

    async def get(self, name: str) -> pb.Schedule:
        """As `Schedules.get`."""
        request = pb.GetScheduleRequest(name=text_of("name", name))
        return (await self._calls.call(GET_SCHEDULE, request)).schedule

    async def list(self, *, queue: str = "") -> AsyncIterator[pb.Schedule]:
        """As `Schedules.list`."""
        request = pb.ListSchedulesRequest(queue=text_of("queue", queue))
        while True:
            answer = await self._calls.call(LIST_SCHEDULES, request)
            for schedule in answer.schedules:
                yield schedule
            request.page_token = answer.next_page_token
            if not request.page_token:
                return

    async def update(
        self,
        name: str,
        work: ScheduledWork | None = None,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        etag: str = "",
        **when: Unpack[ScheduleArgs],
    ) -> pb.Schedule:
        """As `Schedules.update`."""
        request = self._requests.update(name, work, args, kwargs, etag, when)
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
