"""What `Client` and `AsyncClient` have of graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from quorate.client.graphs.ahandle import AsyncGraphHandle
from quorate.client.graphs.builder import AsyncGraph, Graph
from quorate.client.graphs.handle import GraphHandle
from quorate.client.work.texts import text_of

if TYPE_CHECKING:
    from quorate.client.transport.acalls import AsyncCalls
    from quorate.client.transport.calls import Calls
    from quorate.client.work.options import TaskOptions


class GraphMethods:
    """The methods about graphs; a part of `Client`."""

    if TYPE_CHECKING:
        _options: TaskOptions
        _payload_limit: int

        @property
        def calls(self) -> Calls: ...

    def graph(
        self,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        max_failures: int | None = None,
    ) -> Graph:
        """Begin a graph of tasks that wait for one another; `submit` of it creates it.

            graph = client.graph("report")
            rows = graph.add(load, "2026-01-01", retries=3)
            total = graph.add(summarise, rows)                 # waits for `rows`, gets its result
            graph.add(notify, after=[rows, total], on="failure")
            job = graph.submit()
            job.result(total)

        Its tasks have the options of this client, and go to its queue.

        Args:
            max_failures: once more tasks than this have failed, the rest is cancelled.
        """
        return Graph(self.calls, self._options, self._payload_limit, name, labels, max_failures)

    def graph_job(self, job_id: str) -> GraphHandle:
        """A handle of any graph, as `job` of an array."""
        return GraphHandle(self.calls, text_of("id", job_id), limit=self._payload_limit)


class AsyncGraphMethods:
    """The methods about graphs; a part of `AsyncClient`."""

    if TYPE_CHECKING:
        _options: TaskOptions
        _limit: int

        @property
        def calls(self) -> AsyncCalls: ...

    def graph(
        self,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        max_failures: int | None = None,
    ) -> AsyncGraph:
        """As `Client.graph`; `await graph.submit()`."""
        return AsyncGraph(self.calls, self._options, self._limit, name, labels, max_failures)

    def graph_job(self, job_id: str) -> AsyncGraphHandle:
        """As `Client.graph_job`."""
        return AsyncGraphHandle(self.calls, text_of("id", job_id), limit=self._limit)
