"""A graph on the cluster, for an asyncio program. The twin of `handle`."""

from __future__ import annotations

from typing import Any

from quorate.client.ahandle import AsyncTaskHandle
from quorate.client.graphs import outcomes
from quorate.client.graphs.handle import GraphHandle
from quorate.client.graphs.plan import GraphTask
from quorate.client.jobs.ahandle import AsyncJobHandle
from quorate.client.jobs.values import Failures, check_failures
from quorate.client.pages import apages
from quorate.client.tracking.outcome import is_large, value_of
from quorate.client.transport.job_rpcs import GET_JOB_GRAPH
from quorate.client.transport.rpcs import LIST_TASKS
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb


class AsyncGraphHandle(AsyncJobHandle[Any]):
    """A graph on the cluster; awaiting it is awaiting its `wait()`."""

    def __repr__(self) -> str:
        return f"AsyncGraphHandle({self.id!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return GraphHandle.restored, (self.id, self._pickled)

    async def task(self, task: GraphTask | str) -> AsyncTaskHandle[Any]:
        """As `GraphHandle.task`."""
        if isinstance(task, GraphTask):
            pickled = task.plan.pickled[task.place]
            return AsyncTaskHandle(self._calls, outcomes.id_of(self.id, task), pickled=pickled)
        name = outcomes.id_by_name(await self._graph(), task)
        return AsyncTaskHandle(self._calls, name, pickled=self._pickled)

    async def array(self, task: GraphTask | str) -> AsyncJobHandle[Any]:
        """As `GraphHandle.array`."""
        if isinstance(task, GraphTask):
            pickled = task.plan.pickled[task.place]
            job_id = outcomes.array_id_of(self.id, task)
            return AsyncJobHandle(self._calls, job_id, pickled=pickled, limit=self._limit)
        job_id = outcomes.array_id_by_name(await self._graph(), task)
        return AsyncJobHandle(self._calls, job_id, pickled=self._pickled, limit=self._limit)

    # Of a graph each task has one.
    async def result(self, task: GraphTask | str, timeout: float | None = None) -> Any:  # type: ignore[override]
        """As `GraphHandle.result`."""
        handle = await self.task(task)
        found = await handle.wait(timeout)
        if outcomes.is_skipped(found):
            raise outcomes.skipped(found)
        return await handle.result(timeout)

    async def values(self, *, wait: bool = True, failures: Failures = "raise") -> dict[str, Any]:
        """As `GraphHandle.values`."""
        check_failures(failures)
        if wait:
            await self.wait()
        found: dict[str, Any] = {}
        async for answer in apages(self._calls, LIST_TASKS, outcomes.tasks(self.id)):
            for task in answer.tasks:
                if task.graph_task:
                    await self._put(found, task, failures)
        return outcomes.in_order(await self._graph(), found)

    async def _put(self, found: dict[str, Any], task: task_pb2.Task, failures: Failures) -> None:
        if task.state == task_pb2.TASK_STATE_SUCCEEDED:
            read = await self._calls.large.get(task.result.blob) if is_large(task) else None
            found[task.graph_task] = value_of(
                task,
                pickled=self._pickled,
                large=lambda _: read,  # type: ignore[arg-type,return-value]
            )
        elif task.HasField("finish_time"):
            outcomes.put_failure(found, task, failures, pickled=self._pickled)

    async def nodes(self) -> list[job_pb2.GraphNode]:
        """As `GraphHandle.nodes`."""
        return outcomes.nodes_of(await self._graph())

    async def _graph(self) -> pb.GetJobGraphResponse:
        return await self._calls.call(GET_JOB_GRAPH, pb.GetJobGraphRequest(id=self.id))
