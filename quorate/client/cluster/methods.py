"""What `Client` and `AsyncClient` have for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorate.client.cluster.nodes import AsyncNodes, Nodes
from quorate.client.cluster.pauses import AsyncPauses, Pauses

if TYPE_CHECKING:
    from quorate.client.transport.acalls import AsyncCalls
    from quorate.client.transport.calls import Calls


class ClusterMethods:
    """A part of `Client`."""

    if TYPE_CHECKING:

        @property
        def calls(self) -> Calls: ...

    @property
    def pauses(self) -> Pauses:
        """Hold back all tasks with certain labels, of a tenant or of a queue."""
        return Pauses(self.calls)

    @property
    def nodes(self) -> Nodes:
        """Read the nodes; set and remove taints."""
        return Nodes(self.calls)


class AsyncClusterMethods:
    """A part of `AsyncClient`."""

    if TYPE_CHECKING:

        @property
        def calls(self) -> AsyncCalls: ...

    @property
    def pauses(self) -> AsyncPauses:
        """As `Client.pauses`."""
        return AsyncPauses(self.calls)

    @property
    def nodes(self) -> AsyncNodes:
        """As `Client.nodes`."""
        return AsyncNodes(self.calls)
