"""Graphs in the log: no task runs before all of its graph are on record and what it waits for has
ended as it has to, and a job ends as its tasks did.

jobs/...   a graph: how many tasks it has, whether it is complete, paused, finished; an array of a
           graph: what it waits for, and what became of it
chunks/... subtasks of such an array that began
tasks/...  what a task waits for
runs/...   what became of it
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from quorate.internal.v1 import jobs_pb2
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskId
from scheduler.core.graphs.members import graph_task, holds, is_cleanup, place_of
from scheduler.core.values import DEAD, FINISHED, FINISHED_JOB, SKIPPED, JobState, TaskState
from tests.simulation.promises.arrays import Arrays
from tests.simulation.promises.members import Members

# Of arrays: what the state of their job is in the graph.
_STATES: Final = {
    JobState.ACTIVE: TaskState.PENDING,
    JobState.PAUSED: TaskState.PENDING,
    JobState.SUCCEEDED: TaskState.SUCCEEDED,
    JobState.FAILED: TaskState.FAILED,
    JobState.CANCELLED: TaskState.CANCELLED,
}


_EACH: Final = 0


def _holds(code: int, outcome: TaskState, succeeded: int) -> bool:
    """Whether a dependency on a task that ended so holds; told apart from the core's own rule.

    Args:
        succeeded: the subtasks that did, of an array.
    """
    return {
        _EACH: outcome is TaskState.SUCCEEDED or succeeded > 0,
        1: outcome is TaskState.SUCCEEDED,
        2: outcome in (TaskState.FAILED, TaskState.EXPIRED),
        3: True,
    }[code // 2 % 4]


@dataclass
class Node:
    """What is on record of one task of a graph."""

    job: TaskId
    edges: tuple[int, ...]
    state: TaskState = TaskState.BLOCKED
    skipped: bool = False
    # Every way in which it ever ended: it may have been retried since.
    ever: dict[TaskState, None] = field(default_factory=dict)

    @property
    def cleanup(self) -> bool:
        """Whether it is left out of the verdict."""
        return bool(self.edges) and all(map(is_cleanup, self.edges))

    @property
    def fails_the_job(self) -> bool:
        """Whether the job cannot have succeeded."""
        if self.cleanup:
            return False
        return self.state in DEAD or (self.state is TaskState.CANCELLED and not self.skipped)


class Graphs:
    """The graphs of one history."""

    def __init__(self, members: Members, arrays: Arrays) -> None:
        self._members = members
        self._arrays = arrays
        self.jobs: dict[TaskId, jobs_pb2.JobRecord] = {}
        self.queues: dict[TaskId, str] = {}
        self.nodes: dict[TaskId, Node] = {}
        # Those that were promised to callers; those that ended.
        self.promised: dict[TaskId, None] = {}
        self.ended: dict[TaskId, JobState] = {}
        # Tasks that began since the last revision; how many there were in all, and were skipped.
        self._began: dict[TaskId, None] = {}
        # The same of subtasks of arrays, as masks; and how many began with EACH.
        self._chunks: list[tuple[TaskId, int]] = []
        self.each = 0
        self.started = self.skipped = 0
        # Graphs of which something was retried; tasks whose end the reference model confirms.
        self.reopened: dict[TaskId, None] = {}
        self.judged = 0

    def job(self, job: TaskId, queue: str, record: jobs_pb2.JobRecord) -> None:
        """A graph's record was written."""
        self.queues[job] = queue
        before = self.jobs.get(job)
        if before is not None:
            if record.round > before.round:
                self.reopened[job] = None
            assert record.graph_tasks == before.graph_tasks
            assert record.created_tasks >= before.created_tasks, record
        self.jobs[job] = record
        state = JobState(record.state)
        if state in FINISHED_JOB:
            self.ended[job] = state
        else:
            self.ended.pop(job, None)

    def gone(self, job: TaskId) -> None:
        assert job in self.ended, f"{job} was deleted, and has not ended"
        del self.jobs[job]

    def task(self, task: TaskId, record: r.TaskRecord) -> None:
        """A task's spec was written."""
        member = record.member
        if member.in_graph and task not in self.nodes:
            self.nodes[task] = Node(TaskId(member.job), tuple(member.depends_on))

    def task_gone(self, task: TaskId) -> None:
        self.nodes.pop(task, None)

    def run(self, task: TaskId, record: r.RunRecord) -> None:
        """A task's status was written."""
        node = self.nodes.get(task)
        if node is None:
            return
        state = TaskState(record.state)
        if state is TaskState.RUNNING and node.state is not TaskState.RUNNING:
            self._began[task] = None
        if node.state in FINISHED and state is not node.state:
            self.reopened[node.job] = None
        if state in FINISHED:
            node.ever[state] = None
        node.state = state
        node.skipped = state is TaskState.CANCELLED and record.error.type == SKIPPED
        self.skipped += node.skipped

    def array(self, job: TaskId, record: jobs_pb2.JobRecord) -> None:
        """A job's record was written, perhaps that of an array of a graph."""
        if not record.HasField("member"):
            return
        member = record.member
        node = self.nodes.get(job)
        if node is None:
            node = self.nodes[job] = Node(TaskId(member.job), tuple(member.depends_on))
        before, node.state = node.state, _STATES[JobState(record.state)]
        if record.blocked and node.state is TaskState.PENDING:
            node.state = TaskState.BLOCKED
        if before in FINISHED and node.state not in FINISHED:
            self.reopened[node.job] = None
        if node.state in FINISHED:
            node.ever[node.state] = None
        node.skipped = record.skipped
        self.skipped += node.skipped

    def chunk(self, job: TaskId, record: jobs_pb2.ChunkRecord) -> None:
        """Subtasks are out with a chunk."""
        if job in self.nodes:
            mask = sum((1 << one.last + 1) - (1 << one.first) for one in record.left)
            self._chunks.append((job, mask))

    def over(self) -> None:
        """A revision is over: what began in it may have begun."""
        for job, mask in self._chunks:
            if job in self.nodes:
                self._check_chunk(self.nodes[job], mask)
        self._chunks.clear()
        for task in self._began:
            node = self.nodes.get(task)
            if node is None:
                continue
            self.started += 1
            record = self.jobs[node.job]
            assert not record.loading, f"{task} runs before its graph is complete"
            for code in node.edges:
                other = self.nodes[graph_task(node.job, place_of(code))]
                ways = [state for state in other.ever if holds(code, state)]
                assert ways, f"{task} runs, and {place_of(code)} is {other}"
        self._began.clear()

    def _check_chunk(self, node: Node, mask: int) -> None:
        self.started += 1
        assert not self.jobs[node.job].loading, f"{node} began before its graph is complete"
        for code in node.edges:
            other = graph_task(node.job, place_of(code))
            if code // 2 % 4 == _EACH:
                self.each += mask.bit_count()
                assert not mask & ~self._succeeded(other), f"{node}: {mask:b} began too early"
            else:
                ways = [state for state in self.nodes[other].ever if holds(code, state)]
                assert ways, f"{node} began, and {other} is {self.nodes[other]}"

    def _succeeded(self, job: TaskId) -> int:
        """The subtasks that did, as a mask; 0 of what is no array."""
        known = self._arrays.jobs.get(job)
        return known.succeeded if known is not None else 0

    def _check_skipped(self, job: TaskId) -> None:
        """By a reference model: skipped is what has a condition that does not hold, and no more."""
        for task, node in self.nodes.items():
            if node.job != job:
                continue
            broken = [
                code
                for code in node.edges
                for other in [graph_task(job, place_of(code))]
                if not _holds(code, self.nodes[other].state, self._succeeded(other))
            ]
            if node.skipped:
                self.judged += 1
                assert broken, f"{task} was skipped, and all that it waits for has ended well"
            elif node.state is not TaskState.CANCELLED and job not in self.reopened:
                self.judged += 1
                assert not broken, f"{task} ended as {node.state.name}, and {broken} do not hold"

    def all_kept(self) -> None:
        """Every graph that was promised has ended, as its tasks did."""
        for job in self.promised:
            assert job in self.ended, f"graph {job} never ended"
        for job, record in self.jobs.items():
            self._check_skipped(job)
            nodes = [node for node in self.nodes.values() if node.job == job]
            assert all(node.state in FINISHED for node in nodes), job
            state = self.ended[job]
            failed = [node for node in nodes if node.fails_the_job]
            if state is JobState.SUCCEEDED:
                assert not failed, f"{job} is SUCCEEDED, and {failed}"
                assert len(nodes) == record.graph_tasks
            elif state is JobState.FAILED:
                ended = self._members.ended_of(job)
                added = any(state is not TaskState.SUCCEEDED for state in ended)
                assert failed or added, f"{job} is FAILED, and no task of it"
