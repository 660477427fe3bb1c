"""Graphs in the log: no task runs before all of its graph are on record and what it waits for has
ended as it has to, and a job ends as its tasks did.

jobs/...   a graph: how many tasks it has, whether it is complete, paused, finished
tasks/...  what a task waits for
runs/...   what became of it
"""

from __future__ import annotations

from dataclasses import dataclass, field

from quorate.internal.v1 import jobs_pb2
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskId
from scheduler.core.graphs.members import graph_task, holds, is_cleanup, place_of
from scheduler.core.values import DEAD, FINISHED, FINISHED_JOB, SKIPPED, JobState, TaskState
from tests.simulation.promises.members import Members


def _holds(code: int, outcome: TaskState) -> bool:
    """Whether a dependency on a task that ended so holds; told apart from the core's own rule."""
    return {
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

    def __init__(self, members: Members) -> None:
        self._members = members
        self.jobs: dict[TaskId, jobs_pb2.JobRecord] = {}
        self.queues: dict[TaskId, str] = {}
        self.nodes: dict[TaskId, Node] = {}
        # Those that were promised to callers; those that ended.
        self.promised: dict[TaskId, None] = {}
        self.ended: dict[TaskId, JobState] = {}
        # Tasks that began since the last revision; how many there were in all, and were skipped.
        self._began: dict[TaskId, None] = {}
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

    def over(self) -> None:
        """A revision is over: what began in it may have begun."""
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

    def _check_skipped(self, job: TaskId) -> None:
        """By a reference model: skipped is what has a condition that does not hold, and no more."""
        for task, node in self.nodes.items():
            if node.job != job:
                continue
            broken = [
                code
                for code in node.edges
                if not _holds(code, self.nodes[graph_task(job, place_of(code))].state)
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
