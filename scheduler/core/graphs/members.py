"""What a job knows of the tasks that belong to it: those of a graph, and those that were added.

Members are ordinary tasks, which the records of tasks say belong to the job. Kept up to date by
`State` wherever a member comes, changes its state or goes: leader and standby know the same.
What only the leader needs (which tasks are to be looked at) is memory, and is made anew when a
leader is elected.

Memory: about 250 bytes a member, and 40 a dependency, as long as the job is on record.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Generic, Protocol, TypeVar

from quorate.runtime.ids import TaskId, offset_id
from scheduler.core.values import DEAD, FINISHED, MemberOf, TaskState

MOST_NODES: Final = 10_000
MOST_EDGES: Final = 100_000
_LIVE: Final = tuple(state for state in TaskState if state not in FINISHED)


class Condition(IntEnum):
    """How another task has to end (`quorate.v1.DependencyCondition`)."""

    ON_SUCCESS = 1
    ON_FAILURE = 2
    ALWAYS = 3


def edge(place: int, condition: Condition, *, cleanup: bool = False) -> int:
    """A dependency on the task at `place` of the graph, as a number."""
    return place * 8 + condition * 2 + cleanup


def place_of(code: int) -> int:
    """Which task a dependency is on."""
    return code >> 3


def condition_of(code: int) -> Condition:
    """How that task has to end."""
    return Condition(code >> 1 & 3)


def is_cleanup(code: int) -> bool:
    """Whether the dependency is marked so."""
    return bool(code & 1)


def holds(code: int, outcome: TaskState) -> bool:
    """Whether a dependency on a task that ended so holds."""
    condition = code >> 1 & 3
    if condition == Condition.ALWAYS:
        return True
    if condition == Condition.ON_FAILURE:
        return outcome in DEAD
    return outcome is TaskState.SUCCEEDED


def graph_task(job: TaskId, place: int) -> TaskId:
    """The id of the task at `place` of a graph."""
    return offset_id(job, 1 + place)


class _Job(Protocol):
    """What is asked of a job's row."""

    id: TaskId
    round: int


Job = TypeVar("Job", bound=_Job)


@dataclass(slots=True, eq=False)
class Member(Generic[Job]):
    """A task as its job sees it."""

    job: Job
    task: TaskId
    of: MemberOf
    state: TaskState = TaskState.PENDING
    # It is CANCELLED since a condition could no longer hold.
    skipped: bool = False
    # The round of the job in which it ended.
    round: int = 0
    # Edges before this one are known to hold: the leader's memory.
    cursor: int = 0

    @property
    def cleanup(self) -> bool:
        """Whether it is left out of the verdict."""
        edges = self.of.edges
        return bool(edges) and all(code & 1 for code in edges)

    @property
    def live(self) -> bool:
        """Whether it is not finished."""
        return self.state not in FINISHED

    @property
    def outcome(self) -> TaskState | None:
        """How it ended; None while it is live, or is to be retried with its job."""
        if self.state not in FINISHED or self.stale:
            return None
        return self.state

    @property
    def stale(self) -> bool:
        """Whether it ended in an earlier round of its job, and is retried in this one."""
        ended = self.state in FINISHED and self.state is not TaskState.SUCCEEDED
        return ended and self.round < self.job.round

    @property
    def failed(self) -> bool:
        """Whether the job fails for it."""
        if self.stale:
            return False
        if self.state in DEAD:
            return not self.cleanup
        return self.state is TaskState.CANCELLED and not self.skipped and not self.cleanup


@dataclass(slots=True, eq=False)
class Members(Generic[Job]):
    """The members of one job."""

    # Those on record, in the order of their creation.
    tasks: dict[TaskId, Member[Job]] = field(default_factory=dict)
    # Of these, the tasks of the graph by place.
    nodes: list[Member[Job]] = field(default_factory=list)
    # By state; and how many of the CANCELLED ones were skipped.
    counts: list[int] = field(default_factory=lambda: [0] * (max(TaskState) + 1))
    skipped: int = 0
    # How many tasks the graph has, also those that are not on record yet; 0: it is no graph.
    graph: int = 0
    # The leader's memory: whether it looks after them, tasks to be looked at, those whose records
    # are wanted, whether a `JobContinued` is on its way, who waits for whom by place, and what the
    # rest of the graph will weigh.
    led: bool = False
    due: OrderedDict[TaskId, None] = field(default_factory=OrderedDict)
    wanted: dict[TaskId, None] = field(default_factory=dict)
    continuing: bool = False
    coming: tuple[int, int, int] = (0, 0, 0)
    _dependents: list[list[int]] | None = None

    @property
    def live(self) -> int:
        """How many are not finished."""
        counts = self.counts
        return sum([counts[state] for state in _LIVE])

    @property
    def busy(self) -> bool:
        """Whether some are still to be looked at."""
        return bool(self.due or self.wanted)

    def failures(self, most: int) -> int:
        """How many are FAILED or EXPIRED and are not left out of the verdict, where these are more
        than `most`: only then they are looked at, each."""
        if self.counts[TaskState.FAILED] + self.counts[TaskState.EXPIRED] <= most:
            return 0
        return sum([node.failed and node.state in DEAD for node in self.nodes])

    @property
    def failed(self) -> int:
        """For how many the job fails: a look at each."""
        return sum([member.failed for member in self.tasks.values()])

    @property
    def complete(self) -> bool:
        """Whether all tasks of the graph are on record: they are deleted all at once."""
        nodes = self.nodes
        return len(nodes) == self.graph and all(node.task in self.tasks for node in nodes[:1])

    def end_all(self) -> None:
        """The job ends early: whatever is live is to be ended."""
        self.due.clear()
        self.wanted.clear()
        self.look_at(*_LIVE)

    def look_at(self, *states: TaskState) -> None:
        """The tasks in these states are to be looked at."""
        for task, member in self.tasks.items():
            if member.state in states:
                self.due[task] = None

    def join(self, member: Member[Job]) -> None:
        """A task is on record from now on."""
        self.tasks[member.task] = member
        if member.of.in_graph:
            self.nodes.append(member)
            self._dependents = None

    def dependents(self, place: int) -> list[int]:
        """Who waits for the task at `place`: each as an edge that leads back."""
        if self._dependents is None:
            found: list[list[int]] = [[] for _ in range(max(self.graph, len(self.nodes)))]
            for here, node in enumerate(self.nodes):
                for code in node.of.edges:
                    found[code >> 3].append(here << 3 | code & 7)
            self._dependents = found
        return self._dependents[place]

    def broken(self, member: Member[Job]) -> int | None:
        """A dependency that can no longer hold; None when all hold or may hold."""
        nodes = self.nodes
        for code in member.of.edges:
            outcome = nodes[code >> 3].outcome
            if outcome is not None and not holds(code, outcome):
                return code
        return None

    def ready(self, member: Member[Job]) -> bool:
        """Whether all that it waits for has ended."""
        nodes, edges = self.nodes, member.of.edges
        while member.cursor < len(edges):
            if nodes[edges[member.cursor] >> 3].outcome is None:
                return False
            member.cursor += 1
        return True

    def place(self, member: Member[Job]) -> int:
        """Where a task of the graph is."""
        return int(member.task, 16) - int(member.job.id, 16) - 1
