"""Why a task that waits for a slot does not run: what a person would otherwise have to guess.

Pure: its arguments are the task, its queue and the nodes. A guess from the outside: the scheduler's
own decision also knows what other tasks hold at this moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.runtime.sizes import size_text
from quorate.v1 import node_pb2, queue_pb2, task_pb2


def needs(wanted: task_pb2.Resources) -> list[str]:
    """What one attempt asks for, in words; empty when it asks for a slot only."""
    words = [f"{wanted.cpu:g} cores"] if wanted.cpu else []
    words += [f"{size_text(wanted.memory)} of memory"] if wanted.memory else []
    return words + [f"{count} {name}" for name, count in sorted(wanted.counters.items())]


def why_pending(
    wanted: task_pb2.Resources, queue: queue_pb2.Queue, nodes: Sequence[node_pb2.Node]
) -> str:
    """Why a PENDING task is not running yet."""
    if queue.paused:
        why = f" by {queue.pause.paused_by}" if queue.pause.paused_by else ""
        why += f" ({queue.pause.reason})" if queue.pause.reason else ""
        resume = f"resume it with: quorate queue resume {queue.name}"
        return f"queue {queue.name} is paused{why}; {resume}"
    # A node that leaves takes what nobody else takes.
    takes = (node_pb2.NODE_STATE_READY, node_pb2.NODE_STATE_LEAVING)
    ready = [node for node in nodes if node.state in takes]
    if any(_fits(wanted, node.capacity) for node in ready):
        return "for a free slot"
    full = [
        node
        for node in nodes
        if node.state == node_pb2.NODE_STATE_UNWRITABLE and _fits(wanted, node.capacity)
    ]
    missing = f"no ready node has {', '.join(needs(wanted))}" if ready else "no node is ready"
    if full:
        return f"{missing}: {full[0].name} {cannot_write(full[0])}"
    return missing if ready else f"{missing}; see: quorate nodes"


def cannot_write(node: node_pb2.Node) -> str:
    """What an agent says that cannot write to its disk, behind the node's name."""
    return f"cannot write to its disk ({node.stats.disk_error}) and takes no work"


def _fits(wanted: task_pb2.Resources, capacity: task_pb2.Resources) -> bool:
    return (
        wanted.cpu <= capacity.cpu
        and wanted.memory <= capacity.memory
        and all(count <= capacity.counters.get(name, 0) for name, count in wanted.counters.items())
    )
