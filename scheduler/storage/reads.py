"""Reading tasks back from etcd, fenced: one Txn that compares the leader's key with its epoch and
holds linearizable ranges.

What it answers is committed, and was the truth while this process led. Nothing is cached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from heapq import merge
from typing import NamedTuple

from quorate.etcd.api import Compare, Etcd, EtcdError, KeyValue, Range
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import leader_lost, not_found, unavailable
from quorate.runtime.ids import TaskId
from scheduler.core.model.indexes.texts import found
from scheduler.core.model.rows import QueueRow
from scheduler.core.model.state import State
from scheduler.engine.long_work.lane import Lane
from scheduler.storage import keys

# Ids looked at for one page when a filter leaves most of them out: in one step, which takes well
# below a millisecond, and how many times as many.
SCAN = 250
SCANS = 400
# Tasks read in one Txn: a spec and a result take 1 MiB each at most, an answer of etcd 64 MiB.
TASKS_AT_ONCE = 24


class TaskRecords(NamedTuple):
    """A task's two records; `run` is None before its first attempt."""

    queue: str
    id: str
    task: r.TaskRecord
    run: r.RunRecord | None


class FencedReads:
    """Reads for one epoch.

    Args:
        leader_key, elected: the key and its create_revision: what every read compares.
        max_txn_ops: ranges that one Txn may hold.
    """

    def __init__(
        self, etcd: Etcd, prefix: bytes, leader_key: bytes, elected: int, max_txn_ops: int
    ) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._fence = (Compare(leader_key, "create", "=", elected),)
        self._tasks_at_once = max(1, min(max_txn_ops // 2, TASKS_AT_ONCE))

    async def ranges(self, reads: Sequence[Range]) -> tuple[list[Sequence[KeyValue]], int]:
        """The keys of each range at one revision, and that revision.

        Raises:
            QuorateError: UNAVAILABLE: etcd does not answer, or this process does not lead.
        """
        try:
            found = await self._etcd.txn(self._fence, reads)
        except EtcdError as error:
            raise unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}") from error
        if not found.succeeded:
            raise leader_lost()
        return [result.kvs for result in found.ranges], found.revision

    async def span(self, first: bytes, last: bytes) -> Sequence[KeyValue]:
        """The keys from `first` to `last`, both below the cluster's prefix and both included."""
        found, _ = await self.ranges((Range(self._prefix + first, self._prefix + last + b"\0"),))
        return found[0]

    async def revision(self) -> int:
        """The store's revision now."""
        _, revision = await self.ranges((Range(self._prefix + keys.HEAD, keys_only=True),))
        return revision

    async def tasks(self, wanted: Sequence[tuple[str, str]]) -> list[TaskRecords]:
        """The records of `(queue, id)`, in order; those that do not exist are left out."""
        return [record async for record in self.each(wanted)]

    async def each(self, wanted: Sequence[tuple[str, str]]) -> AsyncIterator[TaskRecords]:
        """As `tasks`, one by one, read as they are asked for: together they may be large."""
        for start in range(0, len(wanted), self._tasks_at_once):
            part = wanted[start : start + self._tasks_at_once]
            reads = []
            for queue, task in part:
                reads.append(Range(self._prefix + keys.task_key(queue, task)))
                reads.append(Range(self._prefix + keys.run_key(queue, task)))
            results, _ = await self.ranges(reads)
            for place, (queue, task) in enumerate(part):
                specs, runs = results[2 * place], results[2 * place + 1]
                if not specs:
                    continue
                run = r.RunRecord.FromString(runs[0].value) if runs else None
                record = r.TaskRecord.FromString(specs[0].value)
                yield TaskRecords(queue, task, record, run)

    async def task(self, queue: str, task: str) -> TaskRecords:
        """One task. Raises QuorateError NOT_FOUND."""
        found = await self.tasks(((queue, task),))
        if not found:
            raise not_found("task", task)
        return found[0]


class Page(NamedTuple):
    """Ids for one page, and behind which id the next one goes on (None: there is none)."""

    ids: list[tuple[str, str]]
    before: str | None


def page(
    state: State,
    queues: Iterable[QueueRow],
    states: frozenset[int],
    before: str | None,
    size: int,
    words: Sequence[str],
    scan: int = 0,
    group: str = "",
) -> Page:
    """Up to `size` ids, newest first; at most `scan` ids (`SCAN` when 0) are looked at.

    Args:
        states: all when empty.
        words: each must be found in a task's id or text.
        group: of dead letters; its tasks only.
    """
    start = TaskId(before) if before else None
    lines: list[Iterator[tuple[str, str]]] = [
        _descending(queue, start) for queue in queues if queue.index.size
    ]
    return _pick(state, merge(*lines, reverse=True), states, size, words, group, scan or SCAN)


def page_of(
    state: State,
    tasks: Iterable[TaskId],
    states: frozenset[int],
    before: str | None,
    size: int,
    words: Sequence[str],
    group: str = "",
) -> Page:
    """As `page`, of these tasks, which are newest first."""
    rows = (
        (task, row.queue.name)
        for task in tasks
        if (before is None or task < before)
        and (row := state.tasks.get(task) or state.finished.get(task)) is not None
    )
    return _pick(state, rows, states, size, words, group, SCAN * SCANS)


def _pick(
    state: State,
    tasks: Iterable[tuple[str, str]],
    states: frozenset[int],
    size: int,
    words: Sequence[str],
    group: str,
    scan: int,
) -> Page:
    ids: list[tuple[str, str]] = []
    last = None
    for looked, (task, queue) in enumerate(tasks):
        if len(ids) == size or looked >= scan:
            return Page(ids, last)
        last = task
        row = state.tasks.get(TaskId(task)) or state.finished.get(TaskId(task))
        if row is None or (states and row.state not in states):
            continue
        if group and not _is_of(state, TaskId(task), group):
            continue
        if not words or found(words, TaskId(task), row.text):
            ids.append((queue, task))
    return Page(ids, None)


async def find(
    lane: Lane,
    caller: str,
    state: State,
    queues: Sequence[QueueRow],
    states: frozenset[int],
    before: str | None,
    size: int,
    words: Sequence[str],
    group: str = "",
) -> Page:
    """As `page`; looks at `SCANS` times as many ids, behind the first step in the lane.

    Raises:
        QuorateError: RESOURCE_EXHAUSTED: too many searches wait.
    """
    # A step begins with a look at each queue: it is worth as many ids at least.
    scan = max(SCAN, len(queues))
    ids, before = page(state, queues, states, before, size, words, scan, group)
    if before is None or len(ids) == size:
        return Page(ids, before)
    async with lane.turn(caller):
        for _ in range(SCANS * SCAN // scan - 1):
            found = page(state, queues, states, before, size - len(ids), words, scan, group)
            ids += found.ids
            before = found.before
            if before is None or len(ids) == size:
                break
            await lane.pause()
    return Page(ids, before)


def _is_of(state: State, task: TaskId, group: str) -> bool:
    done = state.finished.get(task)
    return done is not None and done.dead is not None and done.dead.id == group


def _descending(queue: QueueRow, before: TaskId | None) -> Iterator[tuple[str, str]]:
    for task in queue.index.newest_first(before):
        yield task, queue.name
