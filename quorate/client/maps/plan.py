"""The rules of a map over an array, without I/O: which items are sent when, and what is handed out.

One job, one subtask for each item; the cluster puts subtasks into chunks by how long they take.
Values come in the order of the items. Bounded: at most `MOST_AHEAD` items are sent and not handed
out, the first time `FIRST_AHEAD`, so `items` may be endless.

An array takes no item above the limit of a payload, and no result above 256 KiB. From the first
such one on, items travel as tasks (`rest`), which have the blob store.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import grpc

from quorate.client.chunk import CALL_STAR
from quorate.client.errors import PayloadTooLarge
from quorate.client.jobs.parts import MOST_BYTES, MOST_ITEMS
from quorate.client.jobs.specs import encoder_of
from quorate.client.work.options import TaskOptions
from quorate.client.work.specs import Work, by_reference, check_size, name_of, python_spec
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import job_pb2

MOST_AHEAD: Final = MOST_ITEMS
FIRST_AHEAD: Final = 2_000
# Seconds that a slow `items` may hold back what was already taken from it.
_GATHER: Final = 0.02
# Options that subtasks do not have.
_NOT_OF_SUBTASKS: Final = (
    *("delay", "not_before", "start_deadline", "affinity_key", "ordering_key", "unique_key"),
    *("near", "apart", "distinct", "spread", "set_up", "clean_up"),
)
_DEFAULTS: Final = TaskOptions()


def serves(options: TaskOptions) -> bool:
    """Whether subtasks can have these options."""
    return all(getattr(options, name) == getattr(_DEFAULTS, name) for name in _NOT_OF_SUBTASKS)


def is_refused(error: QuorateError) -> bool:
    """Whether a cluster takes no arrays, or no more of them: then tasks serve."""
    return error.code is grpc.StatusCode.UNIMPLEMENTED or error.reason in (
        "SCHEDULER_TOO_OLD",
        "TOO_MANY_JOBS",
    )


class ArrayPlan:
    """State of one map. Owned by one thread or one coroutine.

    Args:
        limit: bytes of one item, and of the work.
        star: items are tuples of positional arguments.
        most: calls at once; 0: no bound.

    Attributes:
        sent, taken: items that were sent, and handed out.
        held: items that were sent and not handed out.
        exhausted: no more of them are sent.
        rest: what is to travel as tasks, behind everything that was sent; None: nothing.

    Raises:
        PayloadTooLarge: the work itself is too large.
    """

    def __init__(
        self,
        work: Work,
        items: Iterable[Any],
        options: TaskOptions,
        *,
        limit: int,
        star: bool = False,
        most: int = 0,
    ) -> None:
        if options.request_id:
            raise invalid(
                "request_id",
                "is not allowed: a map creates many tasks; each needs an id of its own",
            )
        now = time.time()
        if star:
            template = python_spec(CALL_STAR, (by_reference(work),), {}, options, now)
            template.name = options.name or name_of(work)
        else:
            template = python_spec(work, (), {}, options, now)
        check_size(template, limit)
        self.spec = job_pb2.JobSpec(template=template, max_parallel=most)
        self._encode = encoder_of(template, limit)
        self._items = iter(items)
        self.held: deque[Any] = deque()
        self.sent = self.taken = 0
        self.exhausted = False
        self.rest: Iterator[Any] | None = None

    @property
    def wants_more(self) -> bool:
        """Whether it is time to send more items."""
        return not self.exhausted and len(self.held) <= self._window() // 2

    def gather(self) -> list[bytes]:
        """The items of the next request; empty where there are none left, or is no room."""
        data: list[bytes] = []
        room, size, start = self._window() - len(self.held), 0, time.monotonic()
        while not self.exhausted and len(data) < room and size < MOST_BYTES:
            try:
                item = next(self._items)
            except StopIteration:
                self.exhausted = True
                break
            try:
                data.append(self._encode(item, self.sent + len(data)))
            except PayloadTooLarge:
                self.go_on_as_tasks(item)
                break
            self.held.append(item)
            size += len(data[-1])
            if time.monotonic() - start > _GATHER:
                break
        self.sent += len(data)
        return data

    def take(self) -> Any:
        """The next item is handed out: it is not held any longer."""
        self.taken += 1
        return self.held.popleft()

    def go_on_as_tasks(self, *first: Any) -> None:
        """Nothing more is sent: `first` and what follows travels as tasks."""
        if self.rest is None:
            self.rest = chain(first, self._items)
        self.exhausted = True

    def start_over_as_tasks(self) -> None:
        """The cluster refused the array: everything travels as tasks."""
        behind = self.rest if self.rest is not None else self._items
        self.rest = chain(list(self.held), behind)
        self.held.clear()
        self.exhausted = True

    def stop(self) -> None:
        """Nothing more is sent at all."""
        self.exhausted, self.rest = True, None

    def _window(self) -> int:
        return min(MOST_AHEAD, FIRST_AHEAD + 16 * self.taken)
