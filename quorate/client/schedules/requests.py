"""The requests about schedules, from plain Python values."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask

from quorate.client.graphs.plan import Plan
from quorate.client.jobs.specs import ArraySpec, array_of
from quorate.client.transport.rpcs import (
    new_request_id,
)
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.schedules import (
    DECLARED,
    Declared,
    Overlap,
    ScheduleArgs,
    instant,
    overlap_policy,
    spec_of,
)
from quorate.client.work.spec_changes import put_options
from quorate.client.work.specs import command_spec, python_spec
from quorate.client.work.texts import text_of
from quorate.runtime.errors import invalid
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import schedule_pb2 as pb

T = TypeVar("T", str, bytes)
# Changes by others in a row after which an update of options is given up.
MOST_TRIES: Final = 8
Specs = task_pb2.TaskSpec | job_pb2.JobSpec
ScheduledWork = Callable[..., Any] | str | Sequence[str] | Specs | Plan
"""A function, the `module:qualname` of one, a program with its arguments, a graph that was built,
or a spec."""


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
        items: Iterable[Any] | None = None,
        count: int | None = None,
    ) -> pb.CreateScheduleRequest:
        task = self._work(work, args, kwargs)
        if items is not None or count is not None:
            task = _array(task, items, count)
        spec = spec_of(when, task, self._options.queue)
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
        queue: str,
        when: ScheduleArgs,
    ) -> pb.UpdateScheduleRequest:
        task = None if work is None else self._work(work, args, kwargs)
        spec = spec_of(when, task, text_of("queue", queue))
        paths = [f"spec.{_FIELDS.get(option, option)}" for option in when if option != "anchor"]
        if task is not None:
            paths.append("spec.job" if isinstance(task, job_pb2.JobSpec) else "spec.task")
        if queue:
            paths.append("spec.queue")
        if not paths:
            raise invalid("name", "nothing to change; give at least one option")
        return pb.UpdateScheduleRequest(
            schedule=pb.Schedule(name=text_of("name", name), etag=etag, spec=spec),
            update_mask=FieldMask(paths=paths),
            request_id=new_request_id(),
        )

    def update_options(
        self,
        there: pb.Schedule,
        options: OptionArgs,
        etag: str,
        queue: str,
        when: ScheduleArgs,
    ) -> pb.UpdateScheduleRequest:
        """As `update`: the runs as they are there, with other options.

        Refused (ABORTED) when the schedule has changed meanwhile.
        """
        spec, now = there.spec, time.time()
        runs: Specs = spec.job if spec.HasField("job") else spec.task
        if isinstance(runs, task_pb2.TaskSpec):
            put_options(runs, options, now)
        elif runs.HasField("graph"):
            raise invalid("options", "are those of the graph's tasks; give the changed graph")
        else:
            put_options(runs.template, options, now)
            if runs.HasField("reduce"):
                put_options(runs.reduce.template, options, now)
        return self.update(there.name, runs, (), None, etag or there.etag, queue, when)

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

    def preview(
        self, name: str, start: dt.datetime, end: dt.datetime | None
    ) -> pb.PreviewBackfillRequest:
        backfill = self.backfill(name, start, end, None).backfill
        return pb.PreviewBackfillRequest(name=text_of("name", name), backfill=backfill)

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
        if isinstance(work, Plan):
            if args or kwargs:
                raise invalid("args", "are those of the graph's tasks; give them to add()")
            if work.held:
                raise invalid("work", f"has a task of over {MOST_BYTES:,} bytes", limit=MOST_BYTES)
            return work.spec
        if isinstance(work, str) or callable(work):
            return python_spec(work, args, kwargs or {}, options, time.time())
        if args or kwargs:
            raise invalid("args", "a program's arguments follow its name in the list")
        return command_spec(work, options, time.time())


def _array(template: Specs, items: Iterable[Any] | None, count: int | None) -> job_pb2.JobSpec:
    """The job whose subtasks are this."""
    if isinstance(template, job_pb2.JobSpec):
        raise invalid("work", "is a job already; leave out items and count")
    return with_items(array_of(template, items, count, {}, limit=MOST_BYTES))


def with_items(array: ArraySpec) -> job_pb2.JobSpec:
    """The job with all its items in it. Raises QuorateError (INVALID_ARGUMENT) for too many."""
    encoded = (array.encode(item, place) for place, item in enumerate(array.items or ()))
    array.spec.items.extend(bounded(encoded))
    return array.spec


def bounded(items: Iterable[T]) -> Iterator[T]:
    """The items as they are read, up to what a schedule can store: an error behind it.

    Raises QuorateError (INVALID_ARGUMENT).
    """
    size = 0
    for item in items:
        # With what a message adds to each.
        size += len(item) + 2
        if size > MOST_BYTES:
            raise invalid(
                "items",
                f"over {MOST_BYTES:,} bytes, the most that a schedule stores; put them into a file "
                "that a task of each run reads",
                limit=MOST_BYTES,
            )
        yield item


# Bytes of a schedule's spec.
MOST_BYTES = 64 << 10
# Options whose field has another name.
_FIELDS = {"every": "interval", "start": "start_time", "end": "end_time"}
