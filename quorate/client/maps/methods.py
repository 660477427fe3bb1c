"""What `Client` has of maps."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from quorate.client.errors import PayloadTooLarge
from quorate.client.mapping.mapper import run_map
from quorate.client.mapping.plan import MapPlan
from quorate.client.maps.plan import ArrayPlan, serves
from quorate.client.maps.run import ArrayMap
from quorate.client.work.specs import Work

if TYPE_CHECKING:
    from quorate.client.tracking.tracker import Tracker
    from quorate.client.transport.calls import Calls
    from quorate.client.work.options import TaskOptions


class MapMethods:
    """The methods about maps; a part of `Client`."""

    if TYPE_CHECKING:
        _options: TaskOptions
        _payload_limit: int

        @property
        def calls(self) -> Calls: ...

        def tracker(self, queue: str) -> Tracker: ...

    def map(
        self,
        work: Work,
        items: Iterable[Any],
        *,
        chunk: int | None = None,
        timeout: float | None = None,
    ) -> Iterator[Any]:
        """`work` of each item, in order.

        The calls are the subtasks of one array, a job. Tasks serve instead, many items in each,
        with `chunk`, with options that subtasks do not have (`ordering_key`, say), from the first
        item on that is above `payload_limit`, and where the cluster takes no arrays. A result above
        256 KiB is had by calling `work` for its item once more, in a task.

        `items` may be endless: only a bounded number is taken ahead of what was handed out.
        `chunk`: items of one task. `timeout`: seconds for the whole map. The first failure is
        raised at its item. Then, and when the caller stops early, the rest is cancelled.
        """
        if chunk is None and serves(self._options):
            return self._map_array(work, items, timeout)
        return self._map(work, items, chunk, timeout, ordered=True)

    def map_unordered(
        self,
        work: Work,
        items: Iterable[Any],
        *,
        chunk: int | None = None,
        timeout: float | None = None,
    ) -> Iterator[Any]:
        """As `map`, values coming as they are ready; always by tasks."""
        return self._map(work, items, chunk, timeout, ordered=False)

    def _map_array(self, work: Work, items: Iterable[Any], timeout: float | None) -> Iterator[Any]:
        end = None if timeout is None else time.monotonic() + timeout

        def as_tasks(rest: Iterable[Any]) -> Iterator[Any]:
            left = None if end is None else max(0.0, end - time.monotonic())
            return self._map(work, rest, None, left, ordered=True)

        try:
            plan = ArrayPlan(work, items, self._options, limit=self._payload_limit)
        except PayloadTooLarge:
            return as_tasks(items)
        return ArrayMap(self.calls, plan, self._options.queue, as_tasks, timeout).values()

    def _map(
        self,
        work: Work,
        items: Iterable[Any],
        chunk: int | None,
        timeout: float | None,
        *,
        ordered: bool,
    ) -> Iterator[Any]:
        plan = MapPlan.of(
            work,
            items,
            self._options,
            limit=self._payload_limit,
            chunk=chunk,
            ordered=ordered,
            large=self.calls.large.get,
        )
        return run_map(self.calls, self.tracker(self._options.queue), plan, timeout)
