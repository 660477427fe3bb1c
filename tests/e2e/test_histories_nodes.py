"""Nodes that etcd takes for alive and that are not: out of reach, or another process by now."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psutil

from quorate.runtime.network.free_port import free_port
from quorate.v1 import scheduler_pb2
from tests.support.cluster import Cluster
from tests.support.etcd import Proxy
from tests.support.load import Load
from tests.support.server import until

# Seconds without a session after which a node is lost; that long leases live here.
UNREACHABLE, LONG_TTL = 1.5, 30


async def known_to_run(cluster: Cluster, task: str) -> None:
    """Until the leader has heard that the task's attempt began: only then its loss is a crash."""

    async def look() -> bool:
        return bool((await cluster.task(task)).attempts[-1].HasField("start_time"))

    await until(look, f"the leader knows that {task} runs")


async def test_a_node_that_keeps_its_lease_but_cannot_be_reached_is_lost(tmp_path):
    flags = (f"--unreachable-after={UNREACHABLE}",)
    async with Cluster(tmp_path, agents=1, agent_ttl=LONG_TTL, scheduler_flags=flags) as cluster:
        port = free_port()
        target: Any = SimpleNamespace(endpoint=f"127.0.0.1:{port}")
        async with Proxy(target) as road:
            far = cluster.add_agent("far", f"--advertise={road.endpoint}", port=port)
            await far.start()
            await cluster.in_session("far", "n1")
            load = Load(cluster)
            stub = cluster.stub(next(iter(cluster.schedulers.values())))
            # Placement looks at the machine's load: without this, either node may get it.
            await stub.CordonNode(scheduler_pb2.CordonNodeRequest(name="n1"), timeout=10)
            lost = await load.started(await load.submit(load.hold()), 1)
            assert lost.node == "far"
            await stub.UncordonNode(scheduler_pb2.UncordonNodeRequest(name="n1"), timeout=10)
            await known_to_run(cluster, lost.task)
            before = (await cluster.nodes())["far"]

            # Connections are taken, and nothing ever comes back on them: no proof of a death.
            road.hold_answers = True
            road.cut()
            again = await load.started(lost.task, 2)
            assert again.node == "n1"

            async def anew() -> bool:
                record = (await cluster.nodes()).get("far")
                return record is not None and record.register_time > before.register_time

            # Its lease was taken from it. It is the same process (ADR 11) and registers as such.
            await until(anew, "the agent registered again")

            road.hold_answers = False
            road.cut()
            await cluster.in_session("far")
            # The session tells it what was given away; until then it could not know.
            await until(lambda: not psutil.pid_exists(lost.pid), "its attempt was ended")
            assert far.running
            assert (await cluster.nodes())["far"].instance == before.instance
            load.open_gate()
            await load.all_finished()
            await load.check()
            past = (await cluster.task(lost.task)).attempts
            assert [attempt.node for attempt in past] == ["far", "n1"]
            assert past[0].error.type == "NODE_LOST"


async def test_an_agent_restarted_within_its_ttl_loses_what_it_ran(tmp_path):
    async with Cluster(tmp_path, agents=1, lease_ttl=LONG_TTL, agent_ttl=LONG_TTL) as cluster:
        await cluster.in_session()
        load = Load(cluster)
        task = await load.submit(load.hold())
        first = await load.started(task, 1)
        await known_to_run(cluster, task)
        _, leader = await cluster.leader()
        (agent,) = cluster.agents.values()
        before = (await cluster.nodes())[agent.name]

        # The leader looks away meanwhile: afterwards a process of that name is there, at that
        # address, with a lease, as before.
        leader.stop()
        agent.kill()
        await agent.gone()
        await agent.start()
        after = (await cluster.nodes())[agent.name]
        assert after.instance != before.instance
        assert after.address == before.address
        await until(lambda: not psutil.pid_exists(first.pid), "the attempt died with its agent")
        leader.cont()

        await load.started(task, 2)
        load.open_gate()
        await load.all_finished()
        await load.check()
        done = await cluster.task(task)
        assert [attempt.instance for attempt in done.attempts] == [before.instance, after.instance]
        assert done.attempts[0].error.type == "NODE_LOST"
        assert done.crashes == 1
