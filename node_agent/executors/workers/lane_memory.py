"""How much memory a warm worker may use: by what the attempts in its hand asked for."""

from __future__ import annotations

import structlog

from node_agent.executors.workers.lanes import Lane
from node_agent.spawner.cgroups.places import TaskGroups
from node_agent.task.work import Call

_log = structlog.get_logger("node_agent.python")


def limit_memory(groups: TaskGroups, lane: Lane, memory: int | None = None) -> None:
    """Hold the worker to the greatest request among what it has in hand.

    Args:
        memory: what a chunk asks for that the worker, which has nothing in hand, is to get.

    The limit is set on top of what the warm worker itself held while it was idle, which no
    attempt can help.
    """
    wanted = memory or 0
    for attempt in lane.pending.values():
        work = attempt.work
        assert isinstance(work, Call)
        if not work.memory:
            wanted = 0  # this one may use what there is
            break
        wanted = max(wanted, work.memory)
    if wanted == lane.memory and len(lane.pending) > 1:
        return
    try:
        if len(lane.pending) == 1 or memory is not None:
            lane.idle_memory = groups.held_memory(lane.process)
        limit = lane.idle_memory + wanted if wanted else 0
        groups.limit_memory(lane.process, limit)
    except OSError as error:
        # It is just ending: the next worker begins without a limit.
        _log.warning("worker_memory_not_limited", lane=lane.index, why=str(error))
        wanted = 0
    lane.memory = wanted
