"""What the log says, and what everybody was told: the promises of a cluster, checked as they come.

`look` reads what was committed since the last look, revision by revision. Whoever acts on a
commit (an agent that is sent something, a caller that is answered) asks here first whether it is
on record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from quorate.etcd.api import KeyValue
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.internal.v1.jobs_pb2 import JobBlockRecord
from quorate.runtime.ids import InstanceId, TaskId
from quorate.v1.task_pb2 import TaskSpec
from scheduler.core.arrays.positions import BLOCK, from_bytes, offsets_of
from scheduler.core.values import FINISHED, TaskState
from tests.simulation.network import PREFIX

# A shared limit, and how many tasks it lets run at once; as many as of each limit key.
SEAT, SEATS = "seat", 2

# Errors that the scheduler itself gives to attempts.
_OF_THE_SCHEDULER = ("NODE_LOST", "CRASH_LIMIT", "CANCELLED")


class Run(NamedTuple):
    """The last run record of a task."""

    state: TaskState
    attempt: int
    instance: InstanceId
    cancelled: bool


class History:
    """The log of one simulated etcd, followed revision by revision."""

    def __init__(self, etcd: MemoryEtcd) -> None:
        self._etcd = etcd
        self._next = 1
        self.head = (0, 0)
        # The keys that are there now, without the prefix.
        self.kept: dict[bytes, None] = {}
        self.runs: dict[TaskId, Run] = {}
        self.created: dict[TaskId, None] = {}
        self.finals: dict[TaskId, TaskState] = {}
        # The first task of each request that is remembered.
        self.promised: dict[bytes, str] = {}
        # What callers were told, by request.
        self.answered: dict[str, list[TaskId]] = {}
        # To which process each attempt was given, and how it ended there.
        self.given: dict[tuple[TaskId, int], InstanceId] = {}
        self.ended: dict[tuple[TaskId, int], str] = {}
        # Subtasks of arrays: what ran, and what is on record as succeeded, by job and block.
        self.ran: dict[tuple[TaskId, int], int] = {}
        self.accepted: dict[tuple[TaskId, int], int] = {}
        # The specs' generations and what is on record of each service.
        self.services: dict[str, r.ServiceRecord] = {}
        # The permits that each task takes, and who holds each.
        self.permits: dict[TaskId, list[str]] = {}
        self.held: dict[str, dict[TaskId, None]] = {}

    @property
    def revision(self) -> int:
        """The last one that was read."""
        return self._next - 1

    def look(self) -> None:
        """Read on."""
        for revision, events in self._etcd.since(self._next):
            self._next = revision + 1
            for event in events:
                if not event.kv.key.startswith(PREFIX):
                    continue
                key = event.kv.key[len(PREFIX) :]
                if event.deleted:
                    self.kept.pop(key, None)
                    self._gone(key)
                else:
                    self.kept[key] = None
                    self._put(event.kv)
            for permit, holders in self.held.items():
                assert len(holders) <= SEATS, f"{permit} is held by {list(holders)} at {revision}"

    def _put(self, kv: KeyValue) -> None:
        key = kv.key[len(PREFIX) :]
        kind, _, rest = key.partition(b"/")
        task = TaskId(rest.rpartition(b"/")[2].decode())
        if kind == b"tasks":
            assert task not in self.created, f"{task} was created twice"
            self.created[task] = None
            spec = TaskSpec.FromString(r.TaskRecord.FromString(kv.value).spec)
            keys = [f"key {spec.limit_key}"] if spec.limit_key else []
            self.permits[task] = [*keys, *spec.limits]
        elif kind == b"runs":
            self._run(task, r.RunRecord.FromString(kv.value))
        elif kind == b"job-blocks":
            job, _, number = rest.decode().partition("/")
            self._block(TaskId(job), int(number), kv.value)
        elif kind == b"dedup":
            first = r.DedupRecord.FromString(kv.value).first_id
            known = self.promised.setdefault(key, first)
            assert known == first, f"{key!r} made {known}, and then {first}"
        elif kind == b"head":
            head = r.HeadRecord.FromString(kv.value)
            assert (head.epoch, head.sequence) > self.head, f"{head} after {self.head}"
            self.head = (head.epoch, head.sequence)
        elif kind == b"service-specs":
            self.services[rest.decode()] = r.ServiceRecord.FromString(kv.value)

    def _block(self, job: TaskId, number: int, value: bytes) -> None:
        """What succeeded stays so, and did run."""
        record = JobBlockRecord.FromString(value)
        mask = (1 << BLOCK) - 1 if record.all_succeeded else from_bytes(record.succeeded)
        before = self.accepted.get((job, number), 0)
        assert not before & ~mask, f"{job}: what was accepted is no longer"
        for place in offsets_of(mask & ~before):
            assert self.ran.get((job, number * BLOCK + place)), f"{job}: {place} never ran"
        self.accepted[job, number] = mask

    def _run(self, task: TaskId, record: r.RunRecord) -> None:
        state = TaskState(record.state)
        before = self.runs.get(task)
        assert task in self.created, f"{task} has a run and no spec"
        if before is not None:
            assert before.state not in FINISHED, f"{task}: {before}, and then {record}"
            assert record.attempt >= before.attempt, f"{task}: {before}, and then {record}"
            assert record.cancel_requested >= before.cancelled, f"{task} is cancelled no more"
        self.runs[task] = Run(
            state, record.attempt, InstanceId(record.instance), record.cancel_requested
        )
        for permit in self.permits[task]:
            holders = self.held.setdefault(permit, {})
            if state is TaskState.RUNNING:
                holders[task] = None
            else:
                holders.pop(task, None)
        for past in record.past:
            if past.error_type not in _OF_THE_SCHEDULER:
                how = self.ended.get((task, past.number))
                assert how is not None, f"{task}: {past} was not reported"
        if state is TaskState.SUCCEEDED:
            how = self.ended.get((task, record.attempt))
            assert how == "", f"{task}: attempt {record.attempt} ended with {how!r}: {record}"
        if state in FINISHED:
            self.finals[task] = state
            # A task that was never started, or never given to a node, has no such instant.
            times = (record.assign_time, record.start_time, record.finish_time)
            given = [instant for instant in times if instant]
            assert given == sorted(given), record

    def _gone(self, key: bytes) -> None:
        kind, _, rest = key.partition(b"/")
        if kind in (b"runs", b"tasks"):
            task = TaskId(rest.rpartition(b"/")[2].decode())
            assert task in self.finals, f"{task} was deleted, and has not ended"
        elif kind == b"job-blocks":
            job, _, number = rest.decode().partition("/")
            del self.accepted[TaskId(job), int(number)]
        elif kind == b"service-specs":
            del self.services[rest.decode()]

    # -- what must be on record when somebody is told of it

    def starts(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        """An attempt is sent to a process."""
        self.look()
        run = self.runs.get(task)
        assert run is not None, f"{task} is sent to {instance}, and not on record"
        assert run.attempt >= attempt, f"attempt {attempt} of {task} is sent before {run} changed"
        given = self.given.setdefault((task, attempt), instance)
        assert given == instance, f"attempt {attempt} of {task} went to {given} and {instance}"

    def chunk_starts(self, job: TaskId, chunk: TaskId, positions: Iterable[int]) -> None:
        """Subtasks are sent to a process: none of them was accepted."""
        self.look()
        assert f"chunks/{job}/{chunk}".encode() in self.kept, f"{chunk} is sent, and not on record"
        for position in positions:
            mask = self.accepted.get((job, position // BLOCK), 0)
            assert not mask >> position % BLOCK & 1, f"{job}: {position} runs again"

    def subtask_ran(self, job: TaskId, position: int) -> None:
        """A process ran a subtask."""
        self.ran[job, position] = self.ran.get((job, position), 0) + 1

    def ends(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        """A process is to end an attempt."""
        self.look()
        run = self.runs.get(task)
        assert run is None or run.cancelled or self._over(run, instance, attempt), (task, run)

    def acknowledged(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        """A process may forget an outcome."""
        self.look()
        run = self.runs.get(task)
        assert run is None or self._over(run, instance, attempt), f"{task}: not on record: {run}"

    @staticmethod
    def _over(run: Run, instance: InstanceId, attempt: int) -> bool:
        running = run.state is TaskState.RUNNING
        return not running or (run.attempt, run.instance) != (attempt, instance)

    def reply(self, request: str, made: list[TaskId]) -> None:
        """A caller is told which tasks were made for it."""
        self.look()
        for task in made:
            assert task in self.created, f"{task} of {request} was acknowledged, and is lost"
        assert self.answered.setdefault(request, made) == made, f"{request} got two answers"

    def all_kept(self) -> None:
        """Everything that was promised has ended."""
        self.look()
        for request, made in self.answered.items():
            for task in made:
                assert task in self.finals, f"{task} of {request} never ended"
