"""What `Client` has of jobs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from quorate.client.jobs import requests
from quorate.client.jobs.create import create
from quorate.client.jobs.handle import JobHandle
from quorate.client.jobs.specs import (
    ArrayCall,
    ArrayOptions,
    ArrayWork,
    array_of,
    reduce_of,
    split,
    template_of,
)
from quorate.client.pages import pages
from quorate.client.tracking.outcome import is_pickled
from quorate.client.transport.job_rpcs import LIST_JOBS
from quorate.client.work.specs import Work
from quorate.client.work.texts import text_of
from quorate.v1 import job_pb2, task_pb2

if TYPE_CHECKING:
    from quorate.client.transport.calls import Calls
    from quorate.client.work.options import TaskOptions


class JobMethods:
    """The methods about jobs; a part of `Client`."""

    if TYPE_CHECKING:
        _options: TaskOptions
        _payload_limit: int

        @property
        def calls(self) -> Calls: ...

    def array(
        self,
        work: ArrayWork,
        items: Iterable[Any] | None = None,
        *,
        count: int | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        as_json: bool = False,
        **options: Unpack[ArrayOptions],
    ) -> JobHandle[Any]:
        """Run `work` once for each item, or `count` times, as one job; durable when this returns.

        A function gets the item, or without items the index, as its first argument; `args` and
        `kwargs` follow. In a program's arguments `{}` is the item and `{index}` the index. At most
        10,000,000 subtasks. Items beyond one request are sent in parts while they are read.

            job = client.array(thumbnail, paths, max_parallel=50, retries=2)
            job = client.array(["gzip", "{}"], paths)
            job = client.array(simulate, count=1_000_000)

        Args:
            work: a callable, the `module:qualname` of one, or a program with its arguments.
            as_json: for a function by its name: send items and arguments as JSON, and have results
                as JSON; nothing is pickled.
            options: those of each subtask, as in `options()`, and of the array:
                `max_parallel`: most subtasks that run at once (0: no limit);
                `max_failures`: the job ends once more subtasks than this have failed;
                `max_failure_share`: the same as a share of all, above 0, at most 1;
                `first_index` (default 0) and `index_step` (default 1): how subtasks are numbered;
                `open`: items follow by `append`, until `close`; `close_after_idle`: seconds without
                an `append` after which it closes itself (default 24 h);
                `reduce`, `reduce_args`, `fan_in`: see `map_reduce`.

        Raises ArgumentNotSerialisable and PayloadTooLarge that name the item; QuorateError. When
        reading `items` fails half-way, the job is cancelled.
        """
        given, task_options = split(options, self._options)
        now = time.time()
        template = template_of(work, args, kwargs or {}, task_options, now, as_json=as_json)
        reduce = reduce_of(given, task_options, now, as_json=as_json)
        return self._array(template, items, count, given, task_options, reduce)

    def map_reduce(
        self,
        work: ArrayWork,
        items: Iterable[Any] | None,
        reduce: Work,
        *,
        fan_in: int = 0,
        **options: Unpack[ArrayCall],
    ) -> JobHandle[Any]:
        """As `array`; when all subtasks have succeeded, `reduce` makes one result of theirs.

        `reduce` gets an iterable of the results in the order of the items, then `reduce_args`. It
        reads them as it goes on, so that a node never holds all of them. `JobHandle.result` is what
        it returned.

            job = client.map_reduce(count_words, files, merge, fan_in=1_000)
            counts = job.result()

        Args:
            reduce: a callable, or the `module:qualname` of one. It runs with the task options of
                the subtasks.
            fan_in: most results that one call of `reduce` gets, 2 or more. While there are more,
                calls run in parallel, and what they return is reduced again, so `reduce` must take
                its own results. 0: one call gets all.
            options: as of `array`; `count` instead of items (None); `reduce_args`.
        """
        return self.array(work, items, reduce=reduce, fan_in=fan_in, **options)

    def array_spec(
        self,
        template: task_pb2.TaskSpec,
        items: Iterable[Any] | None = None,
        *,
        count: int | None = None,
        reduce_template: task_pb2.TaskSpec | None = None,
        **options: Unpack[ArrayOptions],
    ) -> JobHandle[Any]:
        """As `array`, of a template as it is: of `options` only those of the array, the queue and
        the request id are used."""
        given, task_options = split(options, self._options)
        return self._array(template, items, count, given, task_options, reduce_template)

    def _array(
        self,
        template: task_pb2.TaskSpec,
        items: Iterable[Any] | None,
        count: int | None,
        given: ArrayOptions,
        options: TaskOptions,
        reduce: task_pb2.TaskSpec | None,
    ) -> JobHandle[Any]:
        limit = self._payload_limit
        array = array_of(template, items, count, given, limit=limit, reduce=reduce)
        job = create(self.calls, array, options.queue, options.request_id)
        pickled = is_pickled(template) or (reduce is not None and is_pickled(reduce))
        return JobHandle(self.calls, job.id, pickled=pickled, limit=limit)

    def job(self, job_id: str) -> JobHandle[Any]:
        """A handle of any job; whether it exists is seen when it is used.

        Its results may be pickles, and unpickling runs code of whoever made them.
        """
        return JobHandle(self.calls, text_of("id", job_id), limit=self._payload_limit)

    def jobs(
        self, *, queue: str = "", states: Sequence[str] = (), text: str = "", page_size: int = 100
    ) -> Iterator[job_pb2.Job]:
        """Jobs on record, newest first, page by page.

        Args:
            queue: of all queues when empty.
            states: such as "active" or "failed"; in any when empty.
            text: words that must all be found in a job's name, work or labels.
        """
        request = requests.jobs(queue, states, text, page_size)
        for answer in pages(self.calls, LIST_JOBS, request):
            yield from answer.jobs
