"""`consistent_hash`: tasks with the same affinity key go to the same node while it has room.

A ring with virtual nodes (Karger et al. 1997); a full node passes on to the next one on the ring,
as in consistent hashing with bounded loads (Mirrokni et al. 2016). So a key moves only when its
node comes, goes or is full.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

from scheduler.core.rows import NodeRow, QueueRow, TaskRow
from scheduler.core.values import Needs

_POINTS = 64


@lru_cache(maxsize=4096)
def _points(name: str) -> tuple[int, ...]:
    """Where a node sits on the ring; the same in every process. 4,096 nodes are remembered."""
    return tuple(_hash(f"{name}#{place}") for place in range(_POINTS))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


class ConsistentHash:
    """The ring of one pass's nodes."""

    def __init__(self, queue: QueueRow, nodes: list[NodeRow]) -> None:
        ring = sorted((point, node.name, node) for node in nodes for point in _points(node.name))
        self._hashes = [point for point, _, _ in ring]
        self._nodes = [node for _, _, node in ring]
        self._count = len(nodes)

    def choose(self, row: TaskRow, fits: Callable[[NodeRow, Needs], bool]) -> NodeRow | None:
        start = bisect_right(self._hashes, _hash(row.affinity or row.id))
        nodes, untried = self._nodes, self._count
        tried = set()
        for step in range(len(nodes)):
            node = nodes[(start + step) % len(nodes)]
            if node.name in tried:
                continue
            if fits(node, row.needs):
                return node
            tried.add(node.name)
            untried -= 1
            if not untried:
                break
        return None

    def assigned(self, node: NodeRow) -> None:
        """Nothing to do: the ring does not depend on load."""
