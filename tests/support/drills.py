"""The drills: what is killed, stopped and restarted under load, and what has to hold.

Each function drives one `Cluster` through some rounds of one misfortune and gives back the figures
of all rounds, in seconds. What must hold in any case is asserted here; bounds on the figures are
the callers' business (`tests/e2e` with few rounds, `benchmarks.drills` with all of them).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import psutil

from quorate.runtime.errors import from_rpc_error
from quorate.v1 import node_agent_pb2, node_agent_pb2_grpc, scheduler_pb2
from scheduler.core.values import TaskState
from tests.support.cluster import Cluster
from tests.support.load import Load, Start
from tests.support.server import Server, until
from tests.support.tls import open_as_scheduler

# Seconds of one short task: longer than what agents take beyond their slots, so that a slot's next
# attempt comes from the leader of the day.
SHORT = 0.02


@dataclass(slots=True)
class Figures:
    """What a drill measured: name -> one value for each round (or task), in seconds.

    `notes`: what else is worth knowing, a line each.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> list[float]:
        return self.values[name]


async def replace_leader(
    cluster: Cluster,
    *,
    rounds: int,
    pending: int,
    how: signal.Signals,
    figures: Figures,
    name: str,
    to_the_end: bool = True,
) -> None:
    """End the leader's process while tasks wait, run and arrive; measure until work starts again.

    The figure: from the signal to the first attempt that started and was given to its node under
    the next epoch. Long attempts run over all rounds and must be adopted, never restarted.
    Without `to_the_end` the backlog is on record at the end, but need not have been worked off.
    """
    load = Load(cluster)
    await cluster.in_session()
    long = [await load.submit(load.hold()) for _ in cluster.agents]
    for task in long:
        await load.started(task, 1)
    backlog = set(await load.backlog(pending, SHORT))
    async with load.stream(SHORT):
        for _ in range(rounds):
            await cluster.standby()
            epoch, victim = await cluster.leader()
            await load.more_starts(20)
            at = victim.send(how)
            begun = await _first_start(cluster, load, epoch)
            figures.add(name, begun.at - at)
            code = await victim.gone()
            assert code == (0 if how is signal.SIGTERM else -how), victim.tail()
            await victim.start()
    load.open_gate()
    wanted = [id for id in load.acknowledged if to_the_end or id not in backlog]
    await load.all_finished(within=60.0 + pending * SHORT, tasks=wanted)
    await load.check()
    for task, starts in load.starts_of(load.acknowledged).items():
        assert len(starts) == 1, f"{task} was started again: {starts}"
    for task in long:
        assert cluster.history.tasks[task].runs[-1].attempt == 1, f"{task} was not adopted"


async def _first_start(cluster: Cluster, load: Load, after: int) -> Start:
    """The first start under an epoch later than `after`."""
    await cluster.leader(after=after)
    while True:
        await load.more_starts(20)
        await cluster.history.read()
        epoch_of = cluster.history.epoch_of
        under = [s for s in load.starts() if epoch_of(s.task, s.attempt) > after]
        if under:
            return min(under, key=lambda start: start.at)


async def stop_leader(cluster: Cluster, *, ttl: float, rounds: int, figures: Figures) -> None:
    """SIGSTOP the leader for three lifetimes of its lease while there is work, then SIGCONT it."""
    load = Load(cluster)
    await cluster.in_session()
    async with load.stream(SHORT):
        for _ in range(rounds):
            await cluster.standby()
            epoch, victim = await cluster.leader()
            # There is work for the next leader that no submitter has to bring to it.
            await load.backlog(500, SHORT)
            await load.more_starts(20)
            # Calls that it has taken on and will find again when it wakes.
            held = [
                asyncio.ensure_future(
                    cluster.stub(victim).CreateTask(
                        scheduler_pb2.CreateTaskRequest(spec=load.stamp(0)), timeout=60
                    )
                )
                for _ in range(20)
            ]
            at = victim.stop()
            begun = await _first_start(cluster, load, epoch)
            figures.add("stopped leader: until work starts again", begun.at - at)
            # The time asked for, not a condition: three lifetimes.
            await asyncio.sleep(max(0.0, at + 3 * ttl - time.time()))
            at = victim.cont()
            await _served_by(cluster, victim)
            figures.add("stopped leader: woken until it serves", time.time() - at)
            await asyncio.wait(held)
            for call in held:
                # Answered by its successor, or outcome unknown; never by an epoch that is over.
                error = call.exception()
                if isinstance(error, grpc.aio.AioRpcError):
                    assert error.code() is grpc.StatusCode.UNAVAILABLE, error
                else:
                    load.acknowledged.append(call.result().task.id)
            for agent in cluster.agents.values():
                await refuses(cluster, agent, epoch)
            await cluster.history.read()
            cluster.history.check()
            later = [h.revision for h in cluster.history.heads if h.epoch > epoch]
            stale = [h for h in cluster.history.heads if h.epoch == epoch and h.revision > later[0]]
            assert not stale, f"committed under epoch {epoch} after its end: {stale}"
            await until(partial(_stands, cluster, victim, epoch), f"{victim.name} stands by")
    await load.all_finished()
    await load.check()


async def _stands(cluster: Cluster, server: Server, after: int) -> bool:
    """Whether a scheduler stands for election again, with a key later than its epoch `after`."""
    return any(name == server.name and epoch > after for epoch, name in await cluster.candidates())


async def _served_by(cluster: Cluster, server: Server) -> None:
    """Until one scheduler, be it a standby, answers a read."""
    stub = cluster.stub(server)

    async def look() -> bool:
        try:
            await stub.GetCluster(scheduler_pb2.GetClusterRequest(), timeout=0.5)
        except grpc.aio.AioRpcError:
            return False
        return True

    await until(look, f"{server.name} serves")


async def refuses(cluster: Cluster, agent: Server, epoch: int) -> None:
    """An agent refuses what a leader of a former epoch asks of it."""
    instance = (await cluster.nodes())[agent.name].instance
    async with open_as_scheduler(agent.address) as channel:
        call: Any = node_agent_pb2_grpc.NodeAgentStub(channel).Session(timeout=60)
        hello = node_agent_pb2.Hello(instance=instance, leader="a ghost")
        order = node_agent_pb2.Assignment(task_id="ghost", attempt=1, queue="default")
        await call.write(node_agent_pb2.SessionRequest(epoch=epoch, hello=hello, assign=[order]))
        reason = ""
        try:
            await call.read()
        except grpc.aio.AioRpcError as error:
            reason = from_rpc_error(error).reason
        assert reason == "STALE_EPOCH", f"{agent.name} took orders of epoch {epoch}: {reason}"


async def kill_node(cluster: Cluster, *, rounds: int, figures: Figures) -> None:
    """SIGKILL an agent under long attempts; measure until each runs elsewhere."""
    load = Load(cluster)
    await cluster.in_session()
    tasks = [await load.submit(load.hold()) for _ in range(len(cluster.agents) + 1)]
    for task in tasks:
        await load.started(task, 1)
    for _ in range(rounds):
        victim, theirs = _busiest(cluster, load, tasks)
        at = victim.kill()
        for start in theirs:
            again = await load.started(start.task, start.attempt + 1)
            assert again.node != victim.name, f"{again} is on the node that was killed"
            figures.add("killed node: until its tasks run elsewhere", again.at - at)
        await until(partial(_ended, theirs), "the attempts of a killed agent have ended")
        await victim.gone()
        await victim.start()
        await cluster.in_session()
    load.open_gate()
    await load.all_finished()
    await load.check()


async def stop_node(cluster: Cluster, *, rounds: int, figures: Figures) -> None:
    """SIGSTOP an agent until its tasks run elsewhere; what it reports on waking is refused."""
    load = Load(cluster)
    await cluster.in_session()
    tasks = [await load.submit(load.hold()) for _ in range(2 * len(cluster.agents))]
    for task in tasks:
        await load.started(task, 1)
    for _ in range(rounds):
        victim, theirs = _busiest(cluster, load, tasks)
        before = (await cluster.nodes())[victim.name].register_time
        at = victim.stop()
        for start in theirs:
            again = await load.started(start.task, start.attempt + 1)
            assert again.node != victim.name
            figures.add("stopped node: until its tasks run elsewhere", again.at - at)
        # One of its attempts ends while the agent is stopped: a result that comes too late.
        late = theirs[0]
        load.open_gate(late.task, late.attempt)
        victim.cont()

        async def registered_anew(name: str = victim.name, before: float = before) -> bool:
            found = (await cluster.nodes()).get(name)
            return found is not None and found.register_time > before

        await until(registered_anew, f"{victim.name} has registered again")
        await cluster.in_session()
        # The python worker of the late attempt lives on; those that had to be ended are gone.
        await until(partial(_ended, theirs[1:]), "what was given away has been ended")
        task = await cluster.task(late.task)
        assert (task.state, task.attempt) == (TaskState.RUNNING, late.attempt + 1), task
        load.open_gate(late.task, late.attempt + 1)
        done = (await cluster.call(scheduler_pb2.WaitTaskRequest(id=late.task))).task
        assert done.state == TaskState.SUCCEEDED, done
        full = await cluster.task(late.task)
        assert full.result.json == str(late.attempt + 1), "the late result was taken"
        tasks.remove(late.task)
        tasks.append(await load.submit(load.hold()))
        await load.started(tasks[-1], 1)
    load.open_gate()
    await load.all_finished()
    await load.check()


def _busiest(cluster: Cluster, load: Load, tasks: list[str]) -> tuple[Server, list[Start]]:
    """The agent that runs most of these tasks, and the latest start of each that it runs."""
    latest = [starts[-1] for starts in load.starts_of(tasks).values()]
    per_node = {name: [start for start in latest if start.node == name] for name in cluster.agents}
    name = max(per_node, key=lambda name: len(per_node[name]))
    return cluster.agents[name], per_node[name]


def _ended(starts: list[Start]) -> bool:
    """Whether the processes that ran these attempts are gone."""
    return not any(psutil.pid_exists(start.pid) for start in starts)


async def freeze_etcd(
    cluster: Cluster, *, pids: Callable[[], Awaitable[Sequence[int]]], seconds: float, rounds: int
) -> None:
    """SIGSTOP members of etcd for longer than any lease lives, then SIGCONT them.

    Nothing that runs is ended for it, and nothing is counted as a crash.
    """
    load = Load(cluster)
    await cluster.in_session()
    tasks = [await load.submit(load.hold()) for _ in range(2 * len(cluster.agents))]
    for task in tasks:
        await load.started(task, 1)
    before = {name: node.instance for name, node in (await cluster.nodes()).items()}
    for _ in range(rounds):
        stopped = await pids()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            # The time asked for, not a condition.
            await asyncio.sleep(seconds)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        # It takes work again.
        done = await load.submit(load.stamp(0))
        await cluster.call(scheduler_pb2.WaitTaskRequest(id=done), within=60.0)
        await cluster.in_session()
        for task in tasks:
            found = await cluster.task(task)
            assert (found.state, found.attempt) == (TaskState.RUNNING, 1), found
            assert found.crashes == 0, found
    after = {name: node.instance for name, node in (await cluster.nodes()).items()}
    assert after == before
    load.open_gate()
    await load.all_finished()
    await load.check()
    for task, starts in load.starts_of(tasks).items():
        assert len(starts) == 1, f"{task} was started again: {starts}"


async def kill_etcd(cluster: Cluster, *, rounds: int, figures: Figures) -> None:
    """SIGKILL etcd under load and start it again; everything goes on without a hand."""
    load = Load(cluster)
    await cluster.in_session()
    long = [await load.submit(load.hold()) for _ in cluster.agents]
    for task in long:
        await load.started(task, 1)
    await load.backlog(500, SHORT)
    async with load.stream(SHORT):
        for _ in range(rounds):
            await load.more_starts(20)
            await cluster.etcd.kill()
            await cluster.etcd.start()
            at = time.time()
            await _new_work(load, at, figures, "killed etcd: serves again until work starts")
    load.open_gate()
    await load.all_finished()
    await load.check()


async def kill_everything(cluster: Cluster, *, rounds: int, figures: Figures) -> None:
    """SIGKILL all schedulers and agents at once and start them again."""
    load = Load(cluster)
    await cluster.in_session()
    await load.backlog(500, SHORT)
    async with load.stream(SHORT):
        for _ in range(rounds):
            await load.more_starts(20)
            for server in cluster.servers:
                server.kill()
            for server in cluster.servers:
                await server.gone()
            for server in cluster.servers:
                server.launch()
            for server in cluster.servers:
                await server.ready()
            at = time.time()
            await _new_work(load, at, figures, "all killed: all serve again until work starts")
    await load.all_finished()
    await load.check()


async def _new_work(load: Load, at: float, figures: Figures, name: str) -> None:
    """Until tasks that are submitted from now on start; when the first did, since `at`."""
    task = await load.submit(load.stamp(0))
    start = await load.started(task, 1, 30.0)
    figures.add(name, start.at - at)
