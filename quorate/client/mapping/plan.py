"""The rules of `map`, without I/O: how many items make a task, how many tasks are under way, and
in which order values come out. `mapper` (threads) and `aio` (event loop) drive it.

Many small items travel as one task, a *chunk*, so that a call that takes 100 us is not drowned by
the cost of a task. How many is learned from the measured durations of the first chunks
(`WORK_PER_CHUNK` seconds of work each), unless the caller fixes it. Chunks that turn out too large
to send, or whose results are too large to come back, are halved.

Everything is bounded: at most `MOST_IN_FLIGHT` chunks are submitted and not yet handed out, so
`items` may be endless.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

from quorate.client.chunk import ENTRYPOINT, STAR_ENTRYPOINT
from quorate.client.errors import PayloadTooLarge
from quorate.client.tracking.ledger import Outcome
from quorate.client.tracking.outcome import Large, value_of
from quorate.client.work.options import TaskOptions
from quorate.client.work.specs import Work, check_size, chunk_spec
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2

MOST_IN_FLIGHT = 4096
MOST_ITEMS_PER_CHUNK = 4096
MOST_SPECS_PER_BATCH = 1000
MOST_BATCH_BYTES = 4 * 1024 * 1024
# Seconds: long against the cost of a task (well below 1 ms), short against a human's patience.
WORK_PER_CHUNK = 0.05
# Chunks under way before anything is known of their durations.
_FIRST_WINDOW = 64
# Seconds that a slow `items` may hold back what was already taken from it.
_GATHER = 0.02


@dataclass(slots=True, eq=False)
class Chunk:
    """Some neighbouring items and, later, what became of them."""

    items: Sequence[Any]
    outcome: Outcome | None = None
    halves: tuple[Chunk, Chunk] | None = None
    task_id: str = ""

    def split(self) -> tuple[Chunk, Chunk]:
        """Halve it; the halves take its place."""
        middle = len(self.items) // 2
        self.halves = (Chunk(self.items[:middle]), Chunk(self.items[middle:]))
        self.items = ()
        return self.halves


@dataclass(slots=True)
class MapPlan:
    """State of one map. Owned by one thread or one coroutine."""

    work: Work
    items: Iterator[Any]
    options: TaskOptions
    limit: int
    """Bytes of one payload."""
    chunk: int | None
    """Items of one task; None: learn it."""
    ordered: bool = True
    star: bool = False
    """Items are tuples of positional arguments."""
    total: int | None = None
    """Number of items where known."""
    large: Large | None = None
    """Reads large results. Set: an item that alone is too large is given out too, and whoever
    submits it puts it into the blob store."""
    _size: int = 1
    _order: deque[Chunk] = field(default_factory=deque)
    """Ordered: chunks not handed out, in the order of their items."""
    _ready: deque[Chunk] = field(default_factory=deque)
    """Unordered: chunks with an outcome, not handed out."""
    _again: deque[Chunk] = field(default_factory=deque)
    """Halves to submit."""
    _open: dict[Chunk, None] = field(default_factory=dict)
    """Submitted (or about to be), without an outcome; oldest first."""
    _finished: int = 0
    _items_done: int = 0
    _seconds: float = 0.0
    _exhausted: bool = False

    @classmethod
    def of(
        cls,
        work: Work,
        items: Iterable[Any],
        options: TaskOptions,
        *,
        limit: int,
        chunk: int | None,
        ordered: bool = True,
        star: bool = False,
        large: Large | None = None,
    ) -> MapPlan:
        """A plan for `items`; raises ValueError for a chunk below 1."""
        if chunk is not None and chunk < 1:
            raise ValueError(f"chunk must be 1 or more, not {chunk}")
        if options.request_id:
            raise invalid(
                "request_id",
                "is not allowed: a map creates many tasks; each needs an id of its own",
            )
        total = len(items) if isinstance(items, Sized) else None
        return cls(work, iter(items), options, limit, chunk, ordered, star, total, large)

    def is_under_way(self) -> bool:
        """Whether values are still to come."""
        return bool(self._order or self._ready or self._again or self._open or not self._exhausted)

    def open_tasks(self) -> list[str]:
        """Ids of tasks whose outcome nobody has seen yet, newest first."""
        return [chunk.task_id for chunk in reversed(self._open) if chunk.task_id]

    def batch(self) -> list[tuple[Chunk, task_pb2.TaskSpec]]:
        """Chunks to submit now; empty when the window is full or the items are at their end."""
        batch: list[tuple[Chunk, task_pb2.TaskSpec]] = []
        size, start = 0, time.monotonic()
        while len(batch) < MOST_SPECS_PER_BATCH and size < MOST_BATCH_BYTES:
            chunk = self._next()
            if chunk is None:
                break
            for part, spec in self._specs(chunk):
                batch.append((part, spec))
                size += spec.ByteSize()
                self._open[part] = None
            if time.monotonic() - start > _GATHER:
                break
        return batch

    def on_outcome(self, chunk: Chunk, outcome: Outcome) -> None:
        """A chunk finished (or its outcome cannot be had)."""
        del self._open[chunk]
        self._finished += 1
        if isinstance(outcome, task_pb2.Task):
            if outcome.error.type == "RESULT_TOO_LARGE" and len(chunk.items) > 1:
                self._size = max(1, len(chunk.items) // 2)
                self._again.extend(chunk.split())
                return
            self._learn(outcome, len(chunk.items))
        chunk.outcome = outcome
        chunk.items = ()
        if not self.ordered:
            self._ready.append(chunk)

    def values(self) -> Iterator[Any]:
        """Values that can be handed out now. Raises what a chunk raised."""
        while True:
            chunk = self._take()
            if chunk is None:
                return
            outcome = chunk.outcome
            if isinstance(outcome, BaseException):
                raise outcome
            assert outcome is not None
            yield from value_of(outcome, large=self.large)

    def _take(self) -> Chunk | None:
        if not self.ordered:
            return self._ready.popleft() if self._ready else None
        while self._order and self._order[0].halves is not None:
            split = self._order.popleft()
            self._order.extendleft(reversed(split.halves or ()))
        if self._order and self._order[0].outcome is not None:
            return self._order.popleft()
        return None

    def _next(self) -> Chunk | None:
        if self._again:
            # Its place in the order is its parent's.
            return self._again.popleft()
        held = len(self._order) if self.ordered else len(self._open) + len(self._ready)
        if self._exhausted or held >= self._window():
            return None
        items = list(itertools.islice(self.items, self._items_per_chunk()))
        if not items:
            self._exhausted = True
            return None
        chunk = Chunk(items)
        if self.ordered:
            self._order.append(chunk)
        return chunk

    def _window(self) -> int:
        return min(MOST_IN_FLIGHT, _FIRST_WINDOW + 2 * self._finished)

    def _items_per_chunk(self) -> int:
        if self.chunk is not None:
            return self.chunk
        if self.total is not None:
            # Enough chunks to keep every slot busy to the end.
            return max(1, min(self._size, self.total // 64))
        return self._size

    def _learn(self, task: task_pb2.Task, items: int) -> None:
        """Adapt the chunk size to how long items take, at most doubling each time."""
        if self.chunk is not None or not task.attempts:
            return
        attempt = task.attempts[-1]
        seconds = (attempt.finish_time.ToNanoseconds() - attempt.start_time.ToNanoseconds()) / 1e9
        if not 0 <= seconds < 1e6:
            return
        self._items_done += items
        self._seconds += seconds
        each = max(1e-6, self._seconds / self._items_done)
        self._size = max(1, min(MOST_ITEMS_PER_CHUNK, self._size * 2, int(WORK_PER_CHUNK / each)))

    def _specs(self, chunk: Chunk) -> Iterator[tuple[Chunk, task_pb2.TaskSpec]]:
        runner = STAR_ENTRYPOINT if self.star else ENTRYPOINT
        spec = chunk_spec(runner, self.work, chunk.items, self.options, time.time())
        try:
            check_size(spec, self.limit)
        except PayloadTooLarge:
            if len(chunk.items) == 1:
                if self.large is None:
                    raise
                yield chunk, spec
                return
            self._size = max(1, len(chunk.items) // 2)
            for half in chunk.split():
                yield from self._specs(half)
            return
        yield chunk, spec
