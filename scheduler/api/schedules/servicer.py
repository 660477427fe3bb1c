"""The calls about schedules.

A caller that is bound to queues sees and changes the schedules whose tasks go to those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from google.protobuf.message import Message

from quorate.runtime.errors import ETCD_SPACE_LOW, exhausted, not_found
from quorate.runtime.ids import TaskIds
from quorate.runtime.timing.clock import Clock
from quorate.security.identity import current_caller
from quorate.security.permissions import denied
from quorate.v1 import schedule_pb2 as pb
from scheduler.api.asking import PAGE_BYTES, after_name, ask, audited, page_of_names, refused
from scheduler.api.candidates import Candidates
from scheduler.api.masks import merged
from scheduler.api.origin import caller_name
from scheduler.api.schedules import validate, views
from scheduler.api.servicer import Context
from scheduler.api.specs.check import SpecCheck
from scheduler.core.handlers.schedules.calls import ScheduleSeen, refuse_backfill, see_schedule
from scheduler.core.handlers.schedules.runs import state_of
from scheduler.core.model import events as e
from scheduler.core.model.answers import ErrorKind, Rejection, TaskKnown
from scheduler.core.model.events import Request
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.schedules import (
    Backfill,
    Pause,
    Run,
    ScheduleName,
    ScheduleRow,
    ScheduleSpec,
    micros,
)
from scheduler.core.values import Change, TaskState
from scheduler.engine.driver import Driver
from scheduler.storage.record_kinds import GRAPH_KEYS, REDUCE, SCHEDULED_GRAPH

KIND: Final = "schedule"
# Updates without an etag that others were quicker than are tried again.
_TRIES: Final = 8


class ScheduleCalls:
    """One method for each RPC; each raises QuorateError.

    Args:
        ids: of the tasks of runs that callers ask for.
        clock: its wall clock is what schedules go by.
        check_job: the bounds of a job's spec; see `scheduler.api.jobs.validate.job`.
        candidates: whether all schedulers know schedules.
        full: why new work of so many bytes is refused at the moment; None when it is not.
    """

    def __init__(
        self,
        driver: Driver,
        ids: TaskIds,
        clock: Clock,
        check: SpecCheck,
        check_job: validate.JobCheck,
        candidates: Candidates,
        full: Callable[[int], str | None],
    ) -> None:
        self._driver = driver
        self._state = driver.state
        self._ids = ids
        self._clock = clock
        self._check = check
        self._check_job = check_job
        self._candidates = candidates
        self._full = full

    async def CreateSchedule(self, request: pb.CreateScheduleRequest, context: Context) -> Message:
        asked = audited("CreateSchedule", request, context)
        name = validate.name("schedule.name", request.schedule.name)
        await self._candidates.require(KIND)
        wall = self._clock.wall()
        message = request.schedule.spec
        changes = _changes(pb.ScheduleSpec(), message)
        spec = self._checked(name, message, wall)
        await self._require_for(message)
        self._refuse_full(message.ByteSize())
        creator = caller_name()
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.ScheduleSubmitted(
                name, spec, micros(wall), asked, token, creator, changes
            ),
        )
        return pb.CreateScheduleResponse(schedule=self._view(answer))

    async def GetSchedule(self, request: pb.GetScheduleRequest, context: Context) -> Message:
        row = await self._row(request.name)
        view = self._view(see_schedule(self._state, row))
        await self._driver.readable()
        return pb.GetScheduleResponse(schedule=view)

    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Context) -> Message:
        caller = current_caller()
        rows = self._state.schedules.rows
        shown = (
            str(name)
            for name, row in rows.items()
            if (caller is None or caller.may_name(row.spec.queue))
            and request.queue in ("", row.spec.queue)
        )
        names, token = page_of_names("schedules", shown, request.page_size, request.page_token)
        answer = pb.ListSchedulesResponse()
        size = 0
        for place, name in enumerate(names):
            # Ticks within many blackouts take up to 100 ms to find.
            await asyncio.sleep(0)
            row = rows.get(ScheduleName(name))
            if row is None:
                # Deleted since.
                continue
            view = self._view(see_schedule(self._state, row), 1)
            size += view.ByteSize()
            if answer.schedules and size > PAGE_BYTES:
                token = after_name("schedules", names[place - 1])
                break
            answer.schedules.append(view)
        answer.next_page_token = token
        await self._driver.readable()
        return answer

    async def UpdateSchedule(self, request: pb.UpdateScheduleRequest, context: Context) -> Message:
        asked = audited("UpdateSchedule", request, context)
        name = validate.name("schedule.name", request.schedule.name)
        etag = request.schedule.etag
        for left in reversed(range(_TRIES)):
            row = await self._row(name)
            old = pb.ScheduleSpec.FromString(row.spec.spec)
            before = pb.Schedule(spec=old)
            new = merged(before, request.schedule, request.update_mask.paths, ("spec",)).spec
            changes = _changes(old, new)
            wall = self._clock.wall()
            spec = self._checked(name, new, wall)
            await self._require_for(new)
            _refuse_foreign(spec)
            # Version 0, which is nobody's, when the etag is another one.
            version = 0 if etag and etag != views.etag(row) else row.version
            make = partial(_update, name, spec, version, micros(wall), asked, changes)
            answer = await self._driver.call(make, request=asked)
            if not isinstance(answer, Rejection):
                return pb.UpdateScheduleResponse(schedule=self._view(answer))
            if answer.kind is not ErrorKind.CONFLICT or etag or not left:
                raise refused(answer)
        raise AssertionError("the last try is answered")

    async def DeleteSchedule(self, request: pb.DeleteScheduleRequest, context: Context) -> Message:
        asked = audited("DeleteSchedule", request, context)
        name = self._named(request.name)
        await ask(self._driver, asked, lambda token: e.ScheduleDeleteAsked(name, asked, token))
        return pb.DeleteScheduleResponse()

    async def PauseSchedule(self, request: pb.PauseScheduleRequest, context: Context) -> Message:
        asked = audited("PauseSchedule", request, context)
        pause = validate.pause(request, caller_name(), self._clock.wall())
        return pb.PauseScheduleResponse(schedule=await self._pause(request.name, pause, asked))

    async def ResumeSchedule(self, request: pb.ResumeScheduleRequest, context: Context) -> Message:
        asked = audited("ResumeSchedule", request, context)
        return pb.ResumeScheduleResponse(schedule=await self._pause(request.name, None, asked))

    async def RunSchedule(self, request: pb.RunScheduleRequest, context: Context) -> Message:
        asked = audited("RunSchedule", request, context)
        name = self._named(request.name)
        if request.HasField("backfill"):
            return await self._backfill(name, request.backfill, asked)
        self._refuse_full(0)
        wall = micros(self._clock.wall())
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.ScheduleRunAsked(
                name, self._ids.next(self._driver.clock.now()), wall, asked, token
            ),
        )
        assert isinstance(answer, TaskKnown)
        if answer.task in self._state.jobs:
            return pb.RunScheduleResponse(job=answer.task)
        return pb.RunScheduleResponse(task=answer.task)

    async def PreviewBackfill(
        self, request: pb.PreviewBackfillRequest, context: Context
    ) -> Message:
        row = await self._row(request.name)
        _, ticks = await self._ticks_of(row, request.backfill)
        if (rejection := refuse_backfill(row)) is not None:
            raise refused(rejection)
        await self._driver.readable()
        return pb.PreviewBackfillResponse(ticks=map(views.stamp, ticks))

    async def _backfill(
        self, name: ScheduleName, message: pb.Backfill, asked: Request
    ) -> pb.RunScheduleResponse:
        backfill, ticks = await self._ticks_of(await self._row(name), message)
        await ask(
            self._driver,
            asked,
            lambda token: e.ScheduleBackfillAsked(name, backfill, asked, token),
        )
        return pb.RunScheduleResponse(ticks=len(ticks))

    async def _ticks_of(self, row: ScheduleRow, message: pb.Backfill) -> tuple[Backfill, list[int]]:
        """A valid backfill of a schedule, and its ticks."""
        spec = row.spec
        backfill = validate.backfill(message, self._clock.wall())
        found: list[int] = []
        for ticks in validate.backfill_ticks(spec, backfill):
            found += ticks
            await asyncio.sleep(0)
        return backfill, found

    async def _pause(self, given: str, pause: Pause | None, asked: Request) -> pb.Schedule:
        name = self._named(given)
        wall = micros(self._clock.wall())
        answer = await ask(
            self._driver,
            asked,
            lambda token: e.SchedulePauseAsked(name, pause, wall, asked, token),
        )
        return self._view(answer)

    async def _require_for(self, message: pb.ScheduleSpec) -> None:
        """Return when every scheduler understands what the runs have. Raises QuorateError."""
        job = message.job
        if message.HasField("job"):
            await self._candidates.require("job")
        if job.HasField("graph"):
            await self._candidates.require(SCHEDULED_GRAPH)
        if any(one.task.HasField("unique") for one in job.graph.tasks):
            await self._candidates.require(GRAPH_KEYS)
        if job.HasField("reduce"):
            await self._candidates.require(REDUCE)
        nodes = job.graph.tasks
        arrays = [one.task for one in nodes if one.HasField("array")]
        await self._candidates.require_for_templates(
            message.task, *(one.task for one in nodes if not one.HasField("array"))
        )
        await self._candidates.require_for_arrays(job.template, job.reduce.template, *arrays)

    def _checked(self, name: ScheduleName, message: pb.ScheduleSpec, wall: float) -> ScheduleSpec:
        now = self._driver.clock.now()
        return validate.spec(self._check, self._check_job, name, message, now, wall)

    def _named(self, given: str) -> ScheduleName:
        """A name, of a schedule that the caller may name if it is there."""
        name = validate.name("name", given)
        row = self._state.schedules.rows.get(name)
        if row is not None:
            _refuse_foreign(row.spec)
        return name

    async def _row(self, given: str) -> ScheduleRow:
        """A schedule that the caller may name. Raises NOT_FOUND."""
        name = self._named(given)
        row = self._state.schedules.rows.get(name)
        if row is None:
            await self._driver.readable()
            raise not_found("schedule", name)
        return row

    def _view(self, seen: object, most: int = views.NEXT) -> pb.Schedule:
        assert isinstance(seen, ScheduleSeen)
        return views.schedule(seen, self._state_of, micros(self._clock.wall()), most)

    def _state_of(self, run: Run) -> int:
        live = self._state.tasks.get(run.task)
        if live is not None:
            return int(live.state)
        pending = run.is_job and run.task in self._state.jobs
        return state_of(self._state, run) or (int(TaskState.PENDING) if pending else 0)

    def _refuse_full(self, weight: int) -> None:
        full = self._full(weight)
        if full is not None:
            raise exhausted(ETCD_SPACE_LOW, full)


def _update(
    name: ScheduleName,
    spec: ScheduleSpec,
    version: int,
    wall: int,
    asked: Request,
    changes: tuple[Change, ...],
    token: Pending[object],
) -> e.ScheduleUpdateAsked:
    return e.ScheduleUpdateAsked(name, spec, version, wall, asked, token, changes)


def _refuse_foreign(spec: ScheduleSpec) -> None:
    """Refuse a caller that is not bound to the queue of a schedule."""
    caller = current_caller()
    if caller is not None and not caller.may_name(spec.queue):
        raise denied(
            "FOREIGN_QUEUE",
            "the schedule's tasks go to a queue that this caller is not bound to",
            caller,
            field="name",
        )


def _changes(old: pb.ScheduleSpec, new: pb.ScheduleSpec) -> tuple[Change, ...]:
    """The fields that differ, for the audit log: of a task and blackouts the name alone, because
    they may hold secrets or much."""
    found = []
    for field in pb.ScheduleSpec.DESCRIPTOR.fields:
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before == after:
            continue
        plain = isinstance(after, str | int | bool)
        found.append(Change(field.name, str(before), str(after)) if plain else Change(field.name))
    return tuple(found)
