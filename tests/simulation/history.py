"""What the log says, and what everybody was told: the promises of a cluster, checked as they come.

`look` reads what was committed since the last look, revision by revision. Whoever acts on a
commit (an agent that is sent something, a caller that is answered) asks here first whether it is
on record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.etcd.api import KeyValue
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import jobs_pb2
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.attempts.outcomes import SNOOZED
from quorate.runtime.ids import InstanceId, TaskId
from quorate.v1.job_pb2 import JobSpec
from quorate.v1.task_pb2 import TaskSpec
from scheduler.core.values import (
    FINISHED,
    FINISHED_JOB,
    RETRIABLE,
    WAITING,
    JobState,
    TaskState,
)
from tests.simulation.network import PREFIX
from tests.simulation.promises.arrays import Arrays
from tests.simulation.promises.graphs import Graphs
from tests.simulation.promises.keys import UniqueKeys
from tests.simulation.promises.members import AddedBy, Members
from tests.simulation.promises.nodes import Nodes
from tests.simulation.promises.pauses import MatchingPauses
from tests.simulation.promises.places import Places
from tests.simulation.promises.rates import Rates
from tests.simulation.promises.results import Results
from tests.simulation.promises.starts import Starts, demand_of
from tests.simulation.promises.ticks import Ticks

_ROUNDING = 1e-3
# Errors that the scheduler itself gives to attempts.
_OF_THE_SCHEDULER = ("NODE_LOST", "CRASH_LIMIT", "CANCELLED")


class Run(NamedTuple):
    """The last run record of a task."""

    state: TaskState
    attempt: int
    instance: InstanceId
    cancelled: bool
    failures: int = 0
    not_before: float = 0.0


_NOT_THERE = Run(TaskState.PENDING, 0, InstanceId(""), False)


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
        # How often somebody asked that a task is retried, and how often it was; which somebody
        # asked to be changed while they wait.
        self.retried: dict[TaskId, int] = {}
        self.redriven: dict[TaskId, int] = {}
        self.updated: dict[TaskId, None] = {}
        # Tasks that somebody asked to be resumed, or to be deleted.
        self.resumed: dict[TaskId, None] = {}
        self.deleted: dict[TaskId, None] = {}
        # The specs' generations and what is on record of each service.
        self.services: dict[str, r.ServiceRecord] = {}
        # Leaders agree on what time it is.
        self.one_clock = False
        self.places = Places()
        # Statuses as they were before this revision, where it changed them.
        self._were: dict[TaskId, Run] = {}
        self.rates = Rates()
        self.nodes = Nodes()
        self.pauses = MatchingPauses()
        self.keys = UniqueKeys(self.finals)
        self.starting = Starts(self.rates, self.nodes, self.pauses, self.keys)
        self.arrays = Arrays(self.starting)
        self.results = Results()
        self.ticks = Ticks()
        self.members = Members(self._ran)
        self.graphs = Graphs(self.members, self.arrays)

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
            self._revision_over(revision)

    def _revision_over(self, revision: int) -> None:
        """A revision is over."""
        for task in self.places.over():
            self._deleted(task)
        self.starting.over(revision)
        self.nodes.over()
        self.pauses.over()
        self.keys.over()
        self.arrays.over(revision)
        self.ticks.over()
        self.graphs.over()
        self.members.over()
        self._were.clear()

    def _ran(self, adds: AddedBy) -> bool:
        """Whether an attempt ran when the last revision was over."""
        if adds.chunk:
            job, _, position = adds.task.partition(".")
            return self.arrays.was_out(TaskId(job), int(position))
        task = TaskId(adds.task)
        run = self._were.get(task) or self.runs.get(task, _NOT_THERE)
        running = run.state is TaskState.RUNNING
        return running and (run.attempt, run.instance) == (adds.attempt, adds.instance)

    def _put(self, kv: KeyValue) -> None:
        key = kv.key[len(PREFIX) :]
        kind, _, rest = key.partition(b"/")
        middle, _, last = rest.decode().rpartition("/")
        task = TaskId(last)
        if kind == b"tasks":
            self._task(task, middle, r.TaskRecord.FromString(kv.value))
        elif kind == b"runs":
            self._run(task, r.RunRecord.FromString(kv.value))
        elif kind == b"job-blocks":
            block = jobs_pb2.JobBlockRecord.FromString(kv.value)
            self.arrays.block(TaskId(middle), int(last), block)
        elif kind == b"chunks":
            chunk = jobs_pb2.ChunkRecord.FromString(kv.value)
            self.arrays.chunk(TaskId(middle), task, chunk)
            self.graphs.chunk(TaskId(middle), chunk)
        elif kind == b"jobs":
            record = jobs_pb2.JobRecord.FromString(kv.value)
            self.members.job(task, finished=JobState(record.state) in FINISHED_JOB)
            if record.graph_tasks:
                self.graphs.job(task, middle, record)
                return
            if task not in self.arrays.jobs:
                self.ticks.made(JobSpec.FromString(record.spec).template, task)
            self.arrays.job(task, middle, record)
            self.graphs.array(task, record)
        elif kind == b"dedup":
            first = r.DedupRecord.FromString(kv.value).first_id
            known = self.promised.setdefault(key, first)
            assert known == first, f"{key!r} made {known}, and then {first}"
        elif kind == b"head":
            head = r.HeadRecord.FromString(kv.value)
            assert (head.epoch, head.sequence) > self.head, f"{head} after {self.head}"
            self.head = (head.epoch, head.sequence)
        elif kind == b"queues":
            self.starting.queue(r.QueueRecord.FromString(kv.value))
        elif kind == b"limit-groups":
            self.starting.limit(r.LimitGroupRecord.FromString(kv.value))
        elif kind == b"nodes":
            node = r.NodeRecord.FromString(kv.value)
            self.starting.node(node)
            self.nodes.node(node)
        elif kind == b"controls":
            self.nodes.control(rest.decode(), r.NodeControlRecord.FromString(kv.value))
        elif kind == b"pauses":
            self.pauses.pause(rest.decode(), r.PauseRecord.FromString(kv.value))
        elif kind == b"unique":
            self.keys.window(middle, last, r.UniqueRecord.FromString(kv.value))
        elif kind == b"job-results":
            found = jobs_pb2.JobResultsRecord.FromString(kv.value)
            self.results.put(TaskId(middle.partition("/")[0]), found)
        elif kind == b"schedules":
            self.ticks.schedule(r.ScheduleRecord.FromString(kv.value))
        elif kind == b"service-specs":
            self.services[rest.decode()] = r.ServiceRecord.FromString(kv.value)

    def _task(self, task: TaskId, queue: str, record: r.TaskRecord) -> None:
        spec, new = TaskSpec.FromString(record.spec), task not in self.created
        self.graphs.task(task, record)
        if record.member.job:
            work = b"" if record.member.in_graph else spec.command.stdin
            self.members.task(task, TaskId(record.member.job), work, new=new)
        self.places.put(task, queue)
        self._spec(task, queue, spec)
        if spec.unique.key:
            self.keys.task(task, queue, spec.unique, record.create_time, new=new)

    def _spec(self, task: TaskId, queue: str, spec: TaskSpec) -> None:
        if task in self.created:
            before = self.runs.get(task)
            state = before.state if before is not None else TaskState.PENDING
            # A Txn holds the last status alone: in it, the task may have ended before.
            again = self._may_be_retried(task) and state is not TaskState.SUCCEEDED
            changed = task in self.updated and state not in FINISHED
            assert again or changed, f"{task} was created twice: {before}"
        else:
            self.ticks.made(spec, task)
        self.created[task] = None
        self.starting.created(task, demand_of(queue, spec), self._next - 1)

    def _may_be_retried(self, task: TaskId) -> bool:
        """Whether somebody asked for that. Those of a job are retried with it, or with others."""
        return task in self.retried or task in self.members.job_of

    def _run(self, task: TaskId, record: r.RunRecord) -> None:
        state = TaskState(record.state)
        before = self.runs.get(task)
        assert task in self.created, f"{task} has a run and no spec"
        self._were.setdefault(task, before or _NOT_THERE)
        again = before is not None and before.state in FINISHED
        if before is not None:
            if again:
                # Retried by hand, and perhaps started in the same Txn: nothing else follows an end.
                assert before.state in RETRIABLE, f"{task}: {before}, and then {record}"
                assert self._may_be_retried(task), f"{task}: {before}, and then {record}"
                started = state is TaskState.RUNNING
                assert record.attempt >= before.attempt + started, f"{task}: {before}, {record}"
                self.finals.pop(task, None)
                self._redriven(task)
            assert record.attempt >= before.attempt, f"{task}: {before}, and then {record}"
            # Or ended and retried within one Txn.
            again = again or (self._may_be_retried(task) and state in WAITING)
            still = again or record.cancel_requested >= before.cancelled
            assert still, f"{task} is cancelled no more"
            if before.state is TaskState.PAUSED and state is TaskState.RUNNING:
                # Resumed and started within one Txn, which holds the last status alone.
                assert task in self.resumed, f"{task} starts, and it is paused"
            if not again:
                self._check_retry(task, before, state, record)
        self.graphs.run(task, record)
        self.members.run(task, state)
        self.runs[task] = Run(
            state,
            record.attempt,
            InstanceId(record.instance),
            record.cancel_requested,
            record.failures,
            record.not_before,
        )
        ends = state is TaskState.RUNNING and record.cancel_requested
        self.keys.run(task, live=state not in FINISHED, ends=ends)
        self.starting.run(task, state, record, self._next - 1)
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

    def _redriven(self, task: TaskId) -> None:
        """A finished task is live again: for each time at most that somebody asked for it."""
        times = self.redriven[task] = self.redriven.get(task, 0) + 1
        asked = self.retried.get(task, 0)
        of_job = task in self.members.job_of
        assert times <= asked or of_job, f"{task} is retried {times} times of {asked}"

    def _check_retry(
        self, task: TaskId, before: Run, state: TaskState, record: r.RunRecord
    ) -> None:
        """A failure counts once, and nothing else does; what waits for its instant waits for it."""
        more = record.failures - before.failures
        how = self.ended.get((task, before.attempt), "")
        failed = how not in ("", "CANCELLED", SNOOZED)
        replica = task in self.starting.demands and self.starting.demands[task].queue == "services"
        assert replica or more == 0 or (more == 1 and failed), (
            f"{task} ended with {how!r}: {record}"
        )
        changed = task in self.updated or task in self.resumed or self._may_be_retried(task)
        if before.state is TaskState.SCHEDULED and state is TaskState.RUNNING and not changed:
            early = self.one_clock and record.assign_time < before.not_before - _ROUNDING
            assert not early, f"{task} starts before {before.not_before}: {record}"

    def _deleted(self, task: TaskId) -> None:
        """A task is in no queue any more."""
        # One that ends and is deleted by somebody within one Txn leaves no last status.
        ended = task in self.finals or task in self.deleted
        assert ended, f"{task} was deleted, and has not ended"
        self.graphs.task_gone(task)
        self.members.task_gone(task)

    def _gone(self, key: bytes) -> None:
        kind, _, rest = key.partition(b"/")
        middle, _, last = rest.decode().rpartition("/")
        if kind == b"tasks":
            self.places.gone(TaskId(last), middle)
        elif kind == b"controls":
            self.nodes.control(last, None)
        elif kind == b"pauses":
            self.pauses.pause(last, None)
        elif kind == b"unique":
            self.keys.window(middle, last, None)
        elif kind == b"chunks":
            of, _, chunk = rest.decode().partition("/")
            self.arrays.chunk_gone(TaskId(of), TaskId(chunk))
        elif kind == b"jobs":
            job = TaskId(rest.rpartition(b"/")[2].decode())
            self.graphs.task_gone(job)
            (self.graphs.gone if job in self.graphs.jobs else self.arrays.job_gone)(job)
            self.members.job_gone(job)
            self.results.job_gone(job)
        elif kind == b"schedules":
            self.ticks.schedule_gone(rest.decode())
        elif kind == b"service-specs":
            del self.services[rest.decode()]

    # -- what must be on record when somebody hears of it

    def starts(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        """An attempt is sent to a process."""
        self.look()
        run = self.runs.get(task)
        assert run is not None, f"{task} is sent to {instance}, and not on record"
        assert run.attempt >= attempt, f"attempt {attempt} of {task} is sent before {run} changed"
        given = self.given.setdefault((task, attempt), instance)
        assert given == instance, f"attempt {attempt} of {task} went to {given} and {instance}"

    def chunk_starts(self, job: TaskId, chunk: TaskId, positions: Sequence[int]) -> None:
        """Subtasks are sent to a process."""
        self.look()
        self.arrays.sent(job, chunk, positions)

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

    def queue_of(self, job: str) -> str:
        """The queue of a job; "" of none."""
        if job in self.graphs.jobs:
            return self.graphs.queues[TaskId(job)]
        known = self.arrays.jobs.get(TaskId(job))
        return known.demand.queue if known is not None else ""

    def all_kept(self) -> None:
        """Everything that was promised has ended."""
        self.look()
        for request, made in self.answered.items():
            for task in made:
                ended = task in self.finals or task in self.deleted
                assert ended, f"{task} of {request} never ended"
        self.arrays.all_kept()
        self.graphs.all_kept()
        self.starting.at_rest()
