"""All that was ever committed, read from etcd's own history and held against the rules.

`History.read` follows a watch from where it ended up to the present revision, so nothing between
two states is missed. The records are kept as they were put, each with the epoch whose head went
with it in the same Txn. `check` then proves what no look at the present could:

* the head's epochs never go back, its sequences never skip: 0 commits under an old epoch;
* whatever changes a record goes with a head (only retention's deletions do not);
* every task makes allowed steps only: an attempt is one more than the one before, a final status
  is that of the attempt on record and the last: no result is accepted twice.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from quorate.etcd.api import Etcd, WatchBatch, WatchEvent, prefix_end
from quorate.internal.v1.records_pb2 import DedupRecord, HeadRecord, RunRecord
from scheduler.core.model.transitions import TRANSITIONS
from scheduler.core.values import FINISHED
from scheduler.core.values import TaskState as State

_MARK: Final = b"drill-mark"
_LOGGED: Final = (b"tasks", b"runs", b"queues", b"dedup", b"controls", b"leaving", b"lost")


class Head(NamedTuple):
    """Where the log ended after one Txn."""

    revision: int
    epoch: int
    sequence: int


class Run(NamedTuple):
    """One status of a task, as it was put."""

    revision: int
    epoch: int
    state: State
    attempt: int
    node: str
    instance: str


@dataclass(slots=True)
class TaskHistory:
    """All that was put and deleted for one task."""

    created: list[int] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def state(self) -> State:
        """The state on record; of a deleted task, the last one it was in."""
        return self.runs[-1].state if self.runs else State.PENDING

    @property
    def finished(self) -> bool:
        return self.state in FINISHED


class History:
    """The history of one cluster."""

    def __init__(self, etcd: Etcd, prefix: bytes) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._next = 1
        self.heads: list[Head] = []
        self.tasks: defaultdict[str, TaskHistory] = defaultdict(TaskHistory)
        # Revisions that put a record of the log without a head.
        self.unfenced: list[tuple[int, bytes]] = []
        # Progress of batches by request key, in order.
        self.progress: defaultdict[bytes, list[int]] = defaultdict(list)

    async def read(self) -> None:
        """Take in what was committed since the last time."""
        goal = await self._etcd.put(self._prefix + _MARK, b"")
        async with self._etcd.watch(
            self._prefix, prefix_end(self._prefix), start_revision=self._next
        ) as batches:
            async for batch in batches:
                self._take(batch)
                self._next = batch.revision + 1
                if batch.revision >= goal:
                    return

    def epoch_of(self, task: str, attempt: int) -> int:
        """The epoch under which an attempt was given to a node; 0: none is on record."""
        for run in self.tasks[task].runs:
            if run.attempt == attempt and run.state is State.RUNNING:
                return run.epoch
        return 0

    def first_of(self, epoch: int) -> Head:
        """The claim of an epoch."""
        return next(head for head in self.heads if head.epoch == epoch)

    def check(self) -> None:
        """Raise AssertionError naming what broke the rules."""
        assert not self.unfenced, f"records without a head: {self.unfenced[:5]}"
        before = Head(0, 0, -1)
        for head in self.heads:
            follows = head.epoch == before.epoch and head.sequence == before.sequence + 1
            claims = head.epoch > before.epoch and head.sequence == 0
            assert follows or claims, f"{head} after {before}"
            before = head
        for task, history in self.tasks.items():
            _check_task(task, history)

    def _take(self, batch: WatchBatch) -> None:
        revision: list[WatchEvent] = []
        for event in batch.events:
            if revision and revision[0].kv.mod_revision != event.kv.mod_revision:
                self._take_revision(revision)
                revision = []
            revision.append(event)
        if revision:
            self._take_revision(revision)

    def _take_revision(self, events: list[WatchEvent]) -> None:
        skip = len(self._prefix)
        head = Head(0, 0, 0)
        for event in events:
            if event.kv.key[skip:] == b"head":
                record = HeadRecord.FromString(event.kv.value)
                head = Head(event.kv.mod_revision, record.epoch, record.sequence)
                self.heads.append(head)
        for event in events:
            kind, _, rest = event.kv.key[skip:].partition(b"/")
            if kind not in _LOGGED:
                continue
            if not event.deleted and not head.epoch:
                self.unfenced.append((event.kv.mod_revision, event.kv.key))
            if kind == b"tasks":
                history = self.tasks[rest.rpartition(b"/")[2].decode()]
                (history.deleted if event.deleted else history.created).append(
                    event.kv.mod_revision
                )
            elif kind == b"runs" and not event.deleted:
                self._take_run(rest.rpartition(b"/")[2].decode(), event, head)
            elif kind == b"dedup" and not event.deleted:
                dedup = DedupRecord.FromString(event.kv.value)
                self.progress[rest].append(dedup.progress)

    def _take_run(self, task: str, event: WatchEvent, head: Head) -> None:
        record = RunRecord.FromString(event.kv.value)
        self.tasks[task].runs.append(
            Run(
                event.kv.mod_revision,
                head.epoch,
                State(record.state),
                record.attempt,
                record.node,
                record.instance,
            )
        )


def _check_task(task: str, history: TaskHistory) -> None:
    assert len(history.created) == 1, f"{task} was created {len(history.created)} times"
    state, attempt = State.PENDING, 0
    for run in history.runs:
        step = f"{task}: {state.name} {attempt} -> {run}"
        if state is State.RUNNING and run.state is State.RUNNING:
            # A cancel was asked for, or in one Txn taken from one node and given to another.
            assert run.attempt in (attempt, attempt + 1), step
        else:
            # That a SCHEDULED task is due is not written.
            before = State.PENDING if state is State.SCHEDULED else state
            assert {(state, run.state), (before, run.state)} & TRANSITIONS.keys(), step
            assert run.attempt == attempt + (run.state is State.RUNNING), step
        state, attempt = run.state, run.attempt
