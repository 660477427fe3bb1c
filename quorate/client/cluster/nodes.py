"""`client.nodes`: the nodes of a cluster, and the taints that keep tasks away from them.

    client.nodes.taint("n1", "dedicated=ml")
    client.options(tolerate="dedicated=ml").submit(train)
    client.nodes.untaint("n1", "dedicated")

Each method exists on `AsyncClient.nodes` too, as a coroutine or an asynchronous iterator. Answers
are `quorate.v1.node_pb2.Node`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from quorate.client.cluster import requests
from quorate.client.pages import apages, list_nodes
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import (
    DISMISS_NODE,
    GET_NODE,
    LIST_NODES,
    TAINT_NODE,
    UNTAINT_NODE,
)
from quorate.v1 import node_pb2, scheduler_pb2


class Nodes:
    """The nodes of a cluster, through one client."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self) -> Iterator[node_pb2.Node]:
        """The nodes by name, with labels, taints and load; LOST ones have a `loss`."""
        return list_nodes(self._calls)

    def get(self, name: str) -> node_pb2.Node:
        """One node. Raises QuorateError NOT_FOUND."""
        return self._calls.call(GET_NODE, requests.get_node(name)).node

    def dismiss(self, name: str) -> None:
        """Forget a LOST node: it is listed no longer. What was asked of it by name stays.

        Raises QuorateError: NOT_FOUND; FAILED_PRECONDITION `NODE_NOT_LOST`.
        """
        self._calls.call(DISMISS_NODE, requests.dismiss_node(name))

    def taint(self, name: str, taint: str) -> node_pb2.Node:
        """Keep tasks away from a node unless they tolerate the taint; what runs there goes on.

        The taint stays when the node's agent restarts and when the leader changes.

        Args:
            taint: `KEY` or `KEY=VALUE`; with another value it is another taint.

        Raises QuorateError: NOT_FOUND; INVALID_ARGUMENT naming the field.
        """
        return self._calls.call(TAINT_NODE, requests.taint_node(name, taint)).node

    def untaint(self, name: str, taint: str) -> node_pb2.Node:
        """Remove a taint; undoes `taint`.

        Args:
            taint: `KEY=VALUE`, or `KEY` whatever its value.

        Raises QuorateError: NOT_FOUND; FAILED_PRECONDITION `TAINT_OF_AGENT`.
        """
        return self._calls.call(UNTAINT_NODE, requests.untaint_node(name, taint)).node


class AsyncNodes:
    """As `Nodes`, for one event loop."""

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    async def list(self) -> AsyncIterator[node_pb2.Node]:
        """As `Nodes.list`."""
        request = scheduler_pb2.ListNodesRequest()
        async for answer in apages(self._calls, LIST_NODES, request):
            for node in answer.nodes:
                yield node

    async def get(self, name: str) -> node_pb2.Node:
        """As `Nodes.get`."""
        return (await self._calls.call(GET_NODE, requests.get_node(name))).node

    async def dismiss(self, name: str) -> None:
        """As `Nodes.dismiss`."""
        await self._calls.call(DISMISS_NODE, requests.dismiss_node(name))

    async def taint(self, name: str, taint: str) -> node_pb2.Node:
        """As `Nodes.taint`."""
        return (await self._calls.call(TAINT_NODE, requests.taint_node(name, taint))).node

    async def untaint(self, name: str, taint: str) -> node_pb2.Node:
        """As `Nodes.untaint`."""
        return (await self._calls.call(UNTAINT_NODE, requests.untaint_node(name, taint))).node
