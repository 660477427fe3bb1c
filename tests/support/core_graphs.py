"""Graphs in a `Cluster`.

    graphs = Graphs(cluster)
    job = graphs.create({"a": (), "b": ("a",), "c": (("a", "failure"),)})
    node.succeed(graphs.task(job, "a"))
    assert graphs.states(job) == {"a": "SUCCEEDED", "b": "RUNNING", "c": "SKIPPED"}

Owned by one test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quorate.runtime.ids import QueueName, TaskId
from quorate.v1 import job_pb2
from scheduler.core.arrays.spec import GraphArray, JobSpec
from scheduler.core.graphs.members import Condition, Members, edge, graph_task
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown, Rejection
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import MemberOf, TaskSpec
from scheduler.storage.records import jobs as records
from tests.support.core import Cluster
from tests.support.core_specs import spec

# A dependency: the name of the other one, with its condition, and "cleanup".
Needs = str | tuple[str, ...]
CONDITIONS = {
    "success": Condition.ON_SUCCESS,
    "failure": Condition.ON_FAILURE,
    "always": Condition.ALWAYS,
    "each": Condition.EACH,
}
NO_REQUEST = e.Request()
# What each task of a graph is, or (by name) what some of them are.
What = TaskSpec | Mapping[str, TaskSpec] | None
# An array: its size, and its spec; where that has items, these follow.
Shape = tuple[int, JobSpec]
NO_ARRAYS: Mapping[str, Shape] = {}


class Graphs:
    """Callers of one cluster that create graphs."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def create(
        self,
        tasks: Mapping[str, Sequence[Needs]],
        *,
        part: int = 40,
        parts: int | None = None,
        queue: str = DEFAULT_QUEUE,
        creator: str = "",
        request: e.Request = NO_REQUEST,
        what: What = None,
        max_failures: int | None = None,
        arrays: Mapping[str, Shape] = NO_ARRAYS,
    ) -> TaskId:
        """Create a graph, in parts of so many tasks; the id of the job.

        Args:
            parts: how many of them; None: all.
            arrays: those of the tasks that are arrays: what they are beside their size.
        """
        answer = self.ask(
            tasks,
            queue=queue,
            creator=creator,
            request=request,
            what=what,
            max_failures=max_failures,
            arrays=arrays,
        )
        assert isinstance(answer, JobKnown), answer
        self.add(answer.job, tasks, part=part, parts=parts, what=what, arrays=arrays)
        return answer.job

    def ask(
        self,
        tasks: Mapping[str, Sequence[Needs]],
        *,
        queue: str = DEFAULT_QUEUE,
        creator: str = "",
        request: e.Request = NO_REQUEST,
        what: What = None,
        max_failures: int | None = None,
        arrays: Mapping[str, Shape] = NO_ARRAYS,
    ) -> object:
        """Create the job alone."""
        job = self.cluster.new_id()
        message = job_pb2.JobSpec(name="g", max_failures=max_failures)
        message.graph.SetInParent()
        found = records.job_spec(message, message.SerializeToString(), items=False)
        specs = self.specs(job, tasks, what, arrays)
        return self.cluster.call(
            lambda token: e.JobSubmitted(
                QueueName(queue), job, found, b"", 0, False, True, request, token, creator, specs
            )
        )

    def add(
        self,
        job: TaskId,
        tasks: Mapping[str, Sequence[Needs]],
        *,
        first: int = 0,
        part: int = 40,
        parts: int | None = None,
        what: What = None,
        arrays: Mapping[str, Shape] = NO_ARRAYS,
    ) -> None:
        """Add the tasks from one on; with the last part the graph is complete, unless items of
        arrays follow."""
        refused = self.offer(
            job, tasks, first=first, part=part, parts=parts, what=what, arrays=arrays
        )
        assert refused is None, refused

    def offer(
        self,
        job: TaskId,
        tasks: Mapping[str, Sequence[Needs]],
        *,
        first: int = 0,
        part: int = 40,
        parts: int | None = None,
        what: What = None,
        arrays: Mapping[str, Shape] = NO_ARRAYS,
    ) -> Rejection | None:
        """As `add`; why it ended early."""
        specs = self.specs(job, tasks, what, arrays)
        complete = not any(isinstance(one, GraphArray) and one.loading for one in specs)
        places = list(range(first, len(specs), part))
        for place in places[:parts]:
            last = complete and place + part >= len(specs)
            some = specs[place : place + part]
            answer = self.cluster.call(
                lambda token, place=place, some=some, last=last: e.GraphTasksAdded(
                    job, place, some, last, token
                )
            )
            if isinstance(answer, Rejection):
                return answer
        return None

    @staticmethod
    def specs(
        job: TaskId,
        tasks: Mapping[str, Sequence[Needs]],
        what: What,
        arrays: Mapping[str, Shape],
    ) -> list[TaskSpec | GraphArray]:
        places = {name: place for place, name in enumerate(tasks)}
        found: list[TaskSpec | GraphArray] = []
        for name, needs in tasks.items():
            edges = []
            for need in needs:
                other, *rest = (need,) if isinstance(need, str) else need
                found_in = [CONDITIONS[word] for word in rest if word in CONDITIONS]
                condition = found_in[0] if found_in else Condition.ON_SUCCESS
                edges.append(edge(places[other], condition, cleanup="cleanup" in rest))
            of = MemberOf(job, name, True, tuple(edges))
            if name in arrays:
                size, made = arrays[name]
                follow = size if made.items else 0
                found.append(GraphArray(of, made, b"t", size - follow, made.items, coming=follow))
                continue
            one = what.get(name) if isinstance(what, Mapping) else what
            found.append((one or spec())._replace(member=of))
        return found

    # -- looking

    def row(self, job: TaskId) -> JobRow:
        return self.cluster.state.jobs[job]

    def task(self, job: TaskId, name: str) -> TaskId:
        """The id of a task."""
        return next(node.task for node in self.members(job).nodes if node.of.name == name)

    def members(self, job: TaskId) -> Members[JobRow]:
        found = self.row(job).members
        assert found is not None
        return found

    def states(self, job: TaskId) -> dict[str, str]:
        """The states of all tasks, by name."""
        return {
            node.of.name: "SKIPPED" if node.skipped else node.state.name
            for node in self.members(job).nodes
        }

    def ids(self, job: TaskId) -> list[TaskId]:
        """The ids that the tasks of the graph have."""
        return [graph_task(job, place) for place in range(self.members(job).graph)]

    def cancel(self, job: TaskId) -> object:
        return self.cluster.call(lambda token: e.JobCancelAsked(job, NO_REQUEST, token))

    def pause(self, job: TaskId, *, paused: bool = True) -> object:
        return self.cluster.call(lambda token: e.JobPauseAsked(job, paused, NO_REQUEST, token))

    def retry(self, job: TaskId) -> object:
        return self.cluster.call(lambda token: e.JobRetryAsked(job, NO_REQUEST, token))

    def delete(self, job: TaskId) -> object:
        return self.cluster.call(lambda token: e.JobDeleteAsked(job, NO_REQUEST, token))

    def retry_task(self, task: TaskId) -> object:
        record = self.cluster.recorded.of(task)
        return self.cluster.call(lambda token: e.TaskRetryAsked(task, record, NO_REQUEST, token))
