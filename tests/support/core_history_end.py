"""How a random history ends: one leader, and one node with room for all, finish what is left."""

from __future__ import annotations

from scheduler.core.model import events as e
from scheduler.core.values import TaskState
from tests.support.core_history import History
from tests.support.core_history_base import QUEUES
from tests.support.core_jobs import Jobs

# Steps after which what is live never ends.
_MOST_STEPS = 20_000


def end_all(history: History, jobs: Jobs | None = None) -> None:
    """Everything ends, and nothing is left live. Jobs that are paused or open are the caller's to
    resume and to close.

    Args:
        jobs: of histories with arrays: what ends their chunks.
    """
    c = history.cluster
    for service in list(c.state.services):
        c.delete_service(service)
    for schedule in list(c.state.schedules.rows):
        history.schedules.delete(schedule)
    for queue in QUEUES:
        c.pause(queue, False)
    last = c.node("last", credit=100, cpu=64.0, counters={"gpu": 64})
    for node in history.nodes.values():
        node.lose()
    # Also what was suspended, on nodes that are lost.
    for task, row in list(c.state.tasks.items()):
        if row.state is TaskState.PAUSED:
            c.step(e.TaskPauseAsked(task, False, e.Request(), c.token()))
    for _ in range(_MOST_STEPS):
        if not c.state.tasks and all(job.finished for job in c.state.jobs.values()):
            break
        if c.parts:
            c.step(c.parts.popleft())
        elif not last.has:
            c.advance(5.0)
        for name in list(last.has):
            if name in c.state.chunks:
                assert jobs is not None
                jobs.succeed(last, name, 1e-3)
            elif name in last.has:
                last.succeed(name)
    assert not c.state.tasks
    assert not c.state.chunks
    assert not c.state.services
    assert all(job.finished for job in c.state.jobs.values())
