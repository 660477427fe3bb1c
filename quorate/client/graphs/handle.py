"""A graph on the cluster, as its submitter sees it."""

from __future__ import annotations

from typing import Any

from quorate.client.graphs import outcomes
from quorate.client.graphs.plan import GraphTask
from quorate.client.handle import TaskHandle
from quorate.client.jobs.handle import JobHandle
from quorate.client.jobs.values import Failures, check_failures
from quorate.client.pages import pages
from quorate.client.tracking.outcome import value_of
from quorate.client.transport.job_rpcs import GET_JOB_GRAPH
from quorate.client.transport.rpcs import LIST_TASKS
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb


class GraphHandle(JobHandle[Any]):
    """A graph on the cluster; `Client.graph_job(id)` makes one for any.

    As `JobHandle`: `job`, `status`, `done`, `wait`, `cancel`, `pause`, `resume`, `retry`, `delete`.
    What is about subtasks is refused by the cluster (JOB_IS_GRAPH): a graph has tasks.
    """

    def __repr__(self) -> str:
        return f"GraphHandle({self.id!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return GraphHandle.restored, (self.id, self._pickled)

    @staticmethod
    def restored(job_id: str, pickled: bool) -> GraphHandle:
        """As `JobHandle.restored`."""
        return GraphHandle(None, job_id, pickled=pickled)

    def task(self, task: GraphTask | str) -> TaskHandle[Any]:
        """A handle of one of its tasks: as `add` returned it, or by its name."""
        if isinstance(task, GraphTask):
            pickled = task.plan.pickled[task.place]
            return TaskHandle(self.calls, outcomes.id_of(self.id, task), pickled=pickled)
        return TaskHandle(
            self.calls, outcomes.id_by_name(self._graph(), task), pickled=self._pickled
        )

    def array(self, task: GraphTask | str) -> JobHandle[Any]:
        """A handle of one of its arrays, for its subtasks, results and errors. It is cancelled,
        paused, retried and deleted with the graph alone."""
        if isinstance(task, GraphTask):
            pickled = task.plan.pickled[task.place]
            job_id = outcomes.array_id_of(self.id, task)
            return JobHandle(self.calls, job_id, pickled=pickled, limit=self._limit)
        job_id = outcomes.array_id_by_name(self._graph(), task)
        return JobHandle(self.calls, job_id, pickled=self._pickled, limit=self._limit)

    # Of a graph each task has one.
    def result(self, task: GraphTask | str, timeout: float | None = None) -> Any:  # type: ignore[override]
        """Wait for the value of one of its tasks; as `TaskHandle.result`."""
        handle = self.task(task)
        found = handle.wait(timeout)
        if outcomes.is_skipped(found):
            raise outcomes.skipped(found)
        return handle.result(timeout)

    def values(self, *, wait: bool = True, failures: Failures = "raise") -> dict[str, Any]:
        """The values of its tasks by name, in the order of the graph.

        Arrays, tasks that were skipped, and without `wait` those that are not finished, are left
        out.

        Args:
            wait: wait until the whole graph is finished.
            failures: of a task that failed or was cancelled: "raise" its exception, "return" the
                exception in its place, or "skip" it.
        """
        check_failures(failures)
        if wait:
            self.wait()
        found: dict[str, Any] = {}
        for answer in pages(self.calls, LIST_TASKS, outcomes.tasks(self.id)):
            for task in answer.tasks:
                if task.graph_task:
                    self._put(found, task, failures)
        return outcomes.in_order(self._graph(), found)

    def _put(self, found: dict[str, Any], task: task_pb2.Task, failures: Failures) -> None:
        if task.state == task_pb2.TASK_STATE_SUCCEEDED:
            found[task.graph_task] = value_of(
                task, pickled=self._pickled, large=lambda ref: self.calls.large.get(ref)
            )
        elif task.HasField("finish_time"):
            outcomes.put_failure(found, task, failures, pickled=self._pickled)

    def nodes(self) -> list[job_pb2.GraphNode]:
        """Its tasks with states and dependencies, in the order of the graph."""
        return outcomes.nodes_of(self._graph())

    def _graph(self) -> pb.GetJobGraphResponse:
        return self.calls.call(GET_JOB_GRAPH, pb.GetJobGraphRequest(id=self.id))
