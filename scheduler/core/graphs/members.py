"""What a job knows of the tasks that belong to it: those of a graph, and those that were added.

Members are ordinary tasks, which the records of tasks say belong to the job. Kept up to date by
`State` wherever a member comes, changes its state or goes: leader and standby know the same.

A task of a graph may be an array: a job that is part of the graph's. What its record says of it is
its state here (`scheduler.core.model.jobs.nodes`).

What only the leader needs (which tasks are to be looked at) is memory, and is made anew when a
leader is elected.

Memory: about 250 bytes a member, and 40 a dependency, as long as the job is on record.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from quorate.runtime.ids import TaskId, offset_id
from scheduler.core.values import DEAD, FINISHED, MemberOf, TaskState

MOST_NODES: Final = 10_000
MOST_EDGES: Final = 100_000
# Of the tasks of a graph: each is a job, and all of them are looked at when the graph is paused.
MOST_ARRAYS: Final = 1_000
# A task with a unique key may write as much as so many others: its window, the end of the task that
# it replaces, and the record of that one's job.
KEYED: Final = 4
_LIVE: Final = tuple(state for state in TaskState if state not in FINISHED)


class Condition(IntEnum):
    """How another task has to end (`quorate.v1.DependencyCondition`, but for EACH)."""

    # Between two arrays: each subtask waits for the same one of the other.
    EACH = 0
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
    """Whether a dependency on a task that ended so holds; of EACH, whether it does for all."""
    condition = code >> 1 & 3
    if condition == Condition.ALWAYS:
        return True
    if condition == Condition.ON_FAILURE:
        return outcome in DEAD
    return outcome is TaskState.SUCCEEDED


def graph_task(job: TaskId, place: int) -> TaskId:
    """The id of the task at `place` of a graph."""
    return offset_id(job, 1 + place)


class Coming(NamedTuple):
    """What an accepted graph still brings: tasks; of these and of its arrays units of weight; bytes
    of large values; subtasks."""

    tasks: int = 0
    units: int = 0
    blobs: int = 0
    subtasks: int = 0


NOTHING: Final = Coming()


class _Array(Protocol):
    """What is asked of the subtasks of an array."""

    count: int
    succeeded: int


class _Job(Protocol):
    """What is asked of a job's row."""

    id: TaskId
    round: int

    @property
    def array(self) -> _Array: ...

    @property
    def held(self) -> bool: ...

    @property
    def loading(self) -> bool: ...

    @property
    def over(self) -> bool: ...

    @property
    def blocked(self) -> bool: ...


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
    # Its unique key, while it may be retried, too; "": it has none.
    unique: str = ""
    # The array that it is; None: it is a task.
    part: Job | None = None
    # The place of the array whose subtasks those of this one wait for, each for one.
    each: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        # Asked for with each report of a chunk, and edges may be many.
        edges = self.of.edges if self.part is not None else ()
        self.each = next((code >> 3 for code in edges if not code >> 1 & 3), None)

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
    def waits(self) -> bool:
        """Whether it waits for others."""
        return self.state is TaskState.BLOCKED if self.part is None else self.part.blocked

    @property
    def place(self) -> int:
        """Where in its graph it is."""
        return int(self.task, 16) - int(self.job.id, 16) - 1

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
    # Of these, the arrays by place; and the places of those that wait for one with EACH, by its
    # place.
    arrays: dict[int, Job] = field(default_factory=dict)
    each: dict[int, list[int]] = field(default_factory=dict)
    # By state; and how many of the CANCELLED ones were skipped.
    counts: list[int] = field(default_factory=lambda: [0] * (max(TaskState) + 1))
    skipped: int = 0
    # How many tasks the graph has, also those that are not on record yet; 0: it is no graph.
    graph: int = 0
    # The leader's memory: whether it looks after them, tasks to be looked at, those whose records
    # are wanted, whether a `JobContinued` is on its way, who waits for whom by place, what the
    # rest of the graph will weigh, and which unique keys of its queue are kept for that.
    led: bool = False
    due: OrderedDict[TaskId, None] = field(default_factory=OrderedDict)
    wanted: dict[TaskId, None] = field(default_factory=dict)
    continuing: bool = False
    coming: Coming = NOTHING
    coming_keys: dict[str, None] = field(default_factory=dict)
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
        there = len(nodes) == self.graph and all(node.task in self.tasks for node in nodes[:1])
        return there and not any(array.loading for array in self.arrays.values())

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
        if not member.of.in_graph:
            return
        self._dependents = None
        if not self.nodes or self.nodes[-1].task < member.task:
            self.nodes.append(member)
        else:
            # A snapshot has the arrays first.
            insort(self.nodes, member, key=lambda node: node.task)

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
            if outcome is not None and not holds(code, outcome) and not self._in_part(code):
                return code
        return None

    def _in_part(self, code: int) -> bool:
        """Whether a dependency is EACH, and holds for some subtasks."""
        return condition_of(code) is Condition.EACH and self.arrays[code >> 3].array.succeeded > 0

    def never(self, member: Member[Job]) -> int:
        """How many subtasks of an array wait for one that did not succeed, and will not."""
        each = member.each
        # Of a graph that is being created it may not be there yet.
        if each is None or each not in self.arrays or self.nodes[each].outcome is None:
            return 0
        array = self.arrays[each].array
        return array.count - array.succeeded

    def ready(self, member: Member[Job]) -> bool:
        """Whether all that it waits for has ended."""
        nodes, edges = self.nodes, member.of.edges
        while member.cursor < len(edges):
            code = edges[member.cursor]
            if nodes[code >> 3].outcome is None and condition_of(code) is not Condition.EACH:
                return False
            member.cursor += 1
        return True

    def reopened(self, member: Member[Job]) -> None:
        """One of them is live again: those that were skipped are to be looked at."""
        for back in self.dependents(member.place):
            other = self.nodes[back >> 3]
            other.cursor = 0
            if other.skipped:
                self.due[other.task] = None

    def ended(self, member: Member[Job]) -> None:
        """One of them has ended: those that may be skipped, start or end now are to be looked
        at."""
        job, outcome = member.job, member.outcome
        if not member.of.in_graph or job.over or outcome is None:
            return
        for back in self.dependents(member.place):
            other = self.nodes[back >> 3]
            each = condition_of(back) is Condition.EACH
            waits = not job.held and other.waits
            if each or (waits and (not holds(back, outcome) or self.ready(other))):
                self.due[other.task] = None
