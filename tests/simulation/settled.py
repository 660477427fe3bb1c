"""What must be so when the faults are over: all is done, all agree, nothing is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scheduler.core.model.invariants import check
from scheduler.core.model.jobs.moves import come_due
from scheduler.core.model.state import State
from scheduler.core.values import InstanceState, ServiceName
from scheduler.engine.driver import Driver
from scheduler.storage.replica.fold import Fold
from scheduler.storage.replica.replica import Replica
from tests.simulation.agents import Agent
from tests.simulation.network import PREFIX
from tests.support.same_state import differences

if TYPE_CHECKING:
    from tests.simulation.world import World

# What is on record for good: who is there and what they were told to be.
_KEPT = (
    *(b"nodes/", b"queues/", b"limit-groups/", b"election/", b"head"),
    *(b"controls/", b"leaving/", b"lost/"),
)


def unsettled(world: World) -> str:
    """What is not as it is to be, "" when everything is."""
    driver = world.driver
    if driver is None:
        return "nobody leads"
    if world.callers.under_way:
        return f"{world.callers.under_way} calls are not answered"
    state = driver.state
    live = [row for row in state.tasks.values() if row.replica is None]
    if live:
        row = live[0]
        return f"{len(live)} tasks have not ended: {row.id} is {row.state.name} on {row.node!r}"
    jobs = [job for job in state.jobs.values() if not job.settled]
    if jobs:
        return f"{len(jobs)} jobs have not ended: {jobs[0].id} is {jobs[0].state.name}"
    if state.pauses.rows:
        return f"{list(state.pauses.rows)} hold"
    if not driver.journal.idle:
        return "the journal is busy"
    for service in state.services:
        if why := _unready(world, state, service):
            return why
    # The leader keeps a node whose lease has ended while its process answers; standbys do not.
    without = [row.name for row in state.nodes.values() if not row.lease]
    if without:
        return f"{without} have not registered again"
    wrong = [agent.name for agent in world.agents.values() if _wrongly_marked(state, agent)]
    return f"{wrong} do not know whether they may be ended" if wrong else ""


def _unready(world: World, state: State, name: ServiceName) -> str:
    """What a service lacks; its replicas are counted by what their agents run."""
    row, rows = state.services[name], state.replicas.get(name, {})
    if row.deleting:
        return f"{name} is not deleted yet"
    running = [
        agent
        for agent in world.agents.values()
        for task, attempt in agent.has.items()
        if agent.alive and attempt.service == name and task in rows
    ]
    fresh = [r for r in rows.values() if r.replica and r.replica.generation == row.spec.generation]
    healthy = [
        task
        for task, seen in state.instances.get(name, {}).items()
        if seen.state is InstanceState.HEALTHY and task in rows
    ]
    found = (len(rows), len(running), len(fresh), len(healthy))
    wanted = row.spec.replicas
    return "" if found == (wanted,) * 4 else f"{name} has {found} of {wanted} replicas"


def _wrongly_marked(state: State, agent: Agent) -> bool:
    mark = state.scaling_down.get(agent.name)
    marked = mark is not None and mark.instance == agent.instance
    return agent.alive and (agent.session is None or agent.leaving != marked)


def left_of_services(world: World) -> str:
    """What is there of services although all were deleted."""
    assert world.driver is not None
    state = world.driver.state
    left = [*state.services, *state.replicas, *state.instances]
    return f"{left} are left of services" if left else ""


async def compare(world: World) -> None:
    """What standbys know, and what one that loads now knows, is what the leader knows."""
    loaded = Fold()
    loading = Replica(world.etcd, PREFIX, loaded)
    task = world.spawn(loading.run())
    driver = await _at_rest(world, loading)
    task.cancel()
    for fold in (loaded, *(one.fold for one in world.schedulers if one.term is None)):
        check(fold.state)
        # Nothing is written when subtasks are due.
        come_due(fold.state, driver.clock.now(), 10_000)
        found = [
            difference
            for difference in differences(driver.state, fold.state)
            # A leader before this one may have been ahead of time.
            if not difference.startswith("state.last_instant")
        ]
        assert not found, "; ".join(found)


async def _at_rest(world: World, loading: Replica) -> Driver:
    """Wait until all that follow the log have all of it."""
    for _ in range(1_000):
        world.history.look()
        revision = world.history.revision
        await world.sleep(0.1)
        world.history.look()
        following = [one.replica for one in world.schedulers if one.term is None]
        if (
            world.driver is not None
            and world.driver.journal.idle
            and all(one.revision == revision for one in (loading, *following))
            and world.history.revision == revision
        ):
            return world.driver
    raise AssertionError("the cluster does not come to rest")


def remembered(world: World) -> str:
    """What retention has still to take."""
    if world.driver is None:
        return "nobody leads"
    state = world.driver.state
    if not world.driver.journal.idle:
        return "the journal is busy"
    kept = (len(state.finished), len(state.jobs), len(state.dedup), len(state.audit))
    return f"{kept} tasks, jobs, answers and audit entries are kept" if any(kept) else ""


def nothing_piles_up(world: World) -> None:
    """When retention has taken everything, nothing of it is left in memory or in etcd."""
    assert world.driver is not None
    state = world.driver.state
    for queue in state.queues.values():
        assert not queue.retained
        assert not queue.index.size
    assert not state.dedup_line
    permits = state.permits
    assert (permits.running, permits.live, permits.arrivals) == ({}, {}, {})
    assert not permits.wakes
    assert len(state.timers) < 300
    assert len(state.allocations) <= 2 * len(world.agents)
    world.history.look()
    left = [key for key in world.history.kept if not key.startswith(_KEPT)]
    assert left == [], left
