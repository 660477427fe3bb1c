"""`Graph` and `AsyncGraph`: a graph that is built and submitted.

graph = client.graph("report")
rows = graph.add(load, "2026-01-01", retries=3)
total = graph.add(summarise, rows)
graph.add(tell, after=[rows, total], on="failure")
job = graph.submit()
job.result(total)
"""

from __future__ import annotations

from collections.abc import Mapping

from quorate.client.graphs.ahandle import AsyncGraphHandle
from quorate.client.graphs.handle import GraphHandle
from quorate.client.graphs.plan import Plan
from quorate.client.jobs import acreate, create
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.calls import Calls
from quorate.client.transport.job_rpcs import CREATE_JOB
from quorate.client.transport.rpcs import new_request_id
from quorate.client.work.options import TaskOptions
from quorate.v1 import scheduler_pb2 as pb


def _request(plan: Plan, options: TaskOptions) -> pb.CreateJobRequest:
    return pb.CreateJobRequest(
        queue=options.queue, spec=plan.spec, request_id=options.request_id or new_request_id()
    )


class Graph(Plan):
    """A graph that is being built; `Client.graph` makes one. Not for several threads at once."""

    def __init__(
        self,
        calls: Calls,
        options: TaskOptions,
        limit: int,
        name: str,
        labels: Mapping[str, str] | None,
        max_failures: int | None,
    ) -> None:
        super().__init__(options, name, labels, max_failures, limit)
        self._calls = calls

    def submit(self) -> GraphHandle:
        """Create the graph; durable when this returns. Each call creates another one.

        Raises PayloadTooLarge, and QuorateError (INVALID_ARGUMENT) such as for a cycle.
        """
        for place, task in enumerate(self.spec.graph.tasks):
            if not task.HasField("array"):
                self._calls.large.fit(task.task, self._limit, self.held.get(place))
        request = _request(self, self._options)
        job = create.call_with_room(self._calls, CREATE_JOB, request).job
        return GraphHandle(self._calls, job.id, limit=self._limit)


class AsyncGraph(Plan):
    """As `Graph`, of an asyncio program; `AsyncClient.graph` makes one."""

    def __init__(
        self,
        calls: AsyncCalls,
        options: TaskOptions,
        limit: int,
        name: str,
        labels: Mapping[str, str] | None,
        max_failures: int | None,
    ) -> None:
        super().__init__(options, name, labels, max_failures, limit)
        self._calls = calls

    async def submit(self) -> AsyncGraphHandle:
        """As `Graph.submit`."""
        for place, task in enumerate(self.spec.graph.tasks):
            if not task.HasField("array"):
                await self._calls.large.fit(task.task, self._limit, self.held.get(place))
        request = _request(self, self._options)
        job = (await acreate.call_with_room(self._calls, CREATE_JOB, request)).job
        return AsyncGraphHandle(self._calls, job.id, limit=self._limit)
