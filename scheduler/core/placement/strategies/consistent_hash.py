"""`consistent_hash`: tasks with the same affinity key go to the same node while it has room.

A ring with virtual nodes (Karger et al. 1997); a full node passes on to the next one on the ring,
as in consistent hashing with bounded loads (Mirrokni et al. 2016). So a key moves only when its
node comes, goes or is full.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from hashlib import blake2b

from quorate.runtime.ids import NodeName
from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.placement.strategies.strategy import Room

_POINTS = 64


@lru_cache(maxsize=4096)
def _points(name: str) -> tuple[int, ...]:
    """Where a node sits on the ring; the same in every process. 4,096 nodes are remembered."""
    return tuple(_hash(f"{name}#{place}") for place in range(_POINTS))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


@lru_cache(maxsize=128)
def _ring(names: tuple[str, ...]) -> tuple[list[int], list[str]]:
    """The points of all nodes in order, and whose they are. Making it costs more than a pass.

    Which nodes have room differs from pass to pass, but the same sets come again.
    """
    ring = sorted((point, name) for name in names for point in _points(name))
    return [point for point, _ in ring], [name for _, name in ring]


class ConsistentHash:
    """The ring of one pass's nodes."""

    def __init__(self, nodes: list[NodeRow]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._hashes, self._owners = _ring(tuple(sorted(self._nodes)))

    def choose(self, row: TaskRow, fits: Room) -> NodeRow | None:
        start = bisect_right(self._hashes, _hash(row.affinity or row.id))
        owners, untried = self._owners, len(self._nodes)
        tried = set()
        for step in range(len(owners)):
            name = owners[(start + step) % len(owners)]
            if name in tried:
                continue
            node = self._nodes[NodeName(name)]
            if fits(node, row.needs):
                return node
            tried.add(name)
            untried -= 1
            if not untried:
                break
        return None

    def assigned(self, node: NodeRow) -> None:
        """Nothing to do: the ring does not depend on load."""
