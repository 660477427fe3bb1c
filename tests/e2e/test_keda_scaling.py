"""KEDA's published contract against real schedulers, and its loop around real node agents."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from quorate.cli.output.render import node_state
from quorate.runtime.errors import from_rpc_error
from quorate.runtime.network.free_port import free_port
from quorate.v1 import scheduler_pb2
from scheduler.api.scaling.servicer import INTERVAL
from tests.support.cluster import Cluster
from tests.support.keda import SERVICE, Keda, Trigger
from tests.support.load import Load
from tests.support.server import Server, until
from tests.support.tls import open_aio

METADATA = {"queues": "*", "maxNodes": "3", "idleSeconds": "1", "leavingSeconds": "0"}


@asynccontextmanager
async def trigger(server: Server, **metadata: str) -> AsyncIterator[Trigger]:
    """A trigger that asks one scheduler, on a connection of its own."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 100))
    async with open_aio(server.address, options) as channel:
        yield Trigger(channel, METADATA | metadata)


class Deployment:
    """Agents by number: more are started, and those over are told to leave, newest first."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._made = 0
        self.pods: list[Server] = []

    async def scale(self, replicas: int) -> None:
        while len(self.pods) < replicas:
            self._made += 1
            # A pod's name is new each time.
            pod = self._cluster.add_agent(f"agent-{self._made}")
            self.pods.append(pod)
            pod.launch()
        for pod in self.pods[replicas:]:
            await pod.ready()
            pod.term()
            assert await pod.gone() == 0
        del self.pods[replicas:]


@asynccontextmanager
async def scaled(cluster: Cluster, asked: Trigger) -> AsyncIterator[tuple[Keda, Deployment]]:
    deployment = Deployment(cluster)
    keda = Keda(asked, deployment.scale)
    loop = asyncio.create_task(keda.run())
    try:
        yield keda, deployment
        assert not loop.done()
    finally:
        loop.cancel()
        await asyncio.wait((loop,))
        if not loop.cancelled() and (error := loop.exception()) is not None:
            raise error


async def next_of(stream: Any, within: float = 20.0) -> bool:
    async with asyncio.timeout(within):
        return bool((await stream.read()).result)


async def test_the_first_task_is_told_in_under_a_second_and_the_end_after_the_idle_time(tmp_path):
    async with Cluster(tmp_path, agents=0) as cluster:
        load = Load(cluster)
        _, leader = await cluster.leader()
        standby = await cluster.standby()
        async with trigger(leader) as at_leader, trigger(standby) as at_standby:
            streams = (at_leader.stream(), at_standby.stream())
            assert [await next_of(stream) for stream in streams] == [False, False]
            assert not await at_standby.active()
            assert await at_standby.replicas() == 0
            # The streams have looked and sleep: only the event wakes them.
            told = time.monotonic()
            await until(lambda: time.monotonic() > told + 4 * INTERVAL, "the streams sleep")
            begin = time.monotonic()
            await load.submit(load.stamp(0.0))
            assert [await next_of(stream) for stream in streams] == [True, True]
            took = time.monotonic() - begin
            assert took < 1.0
            assert await at_standby.active()
            assert await at_standby.replicas() == 1
            await cluster.add_agent("n1").start()
            await load.all_finished()
            finished = time.monotonic()
            assert [await next_of(stream) for stream in streams] == [False, False]
            assert 0.5 < time.monotonic() - finished < 5.0
            assert await at_leader.replicas() == 0


async def test_agents_come_with_the_work_and_go_after_it(tmp_path: Path) -> None:
    async with Cluster(tmp_path, schedulers=1, agents=0, slots=1) as cluster:
        load = Load(cluster)
        _, leader = await cluster.leader()
        async with trigger(leader) as asked, scaled(cluster, asked) as (keda, deployment):
            await until(lambda: keda.active is False, "nothing is active")
            held = [await load.submit(load.hold()) for _ in range(2)]
            for task in held:
                await load.started(task, 1)
            assert keda.history[-1] == 2
            await load.backlog(40, 0.05)
            await until(lambda: keda.replicas == 3, "as many as may be")
            load.open_gate()
            await load.all_finished()
            await until(lambda: keda.replicas == 0 and not deployment.pods, "none again")
            # Nobody was ended under its work, and nothing went down before the work did.
            assert all(len(starts) == 1 for starts in load.starts_of(held).values())
            assert keda.history.index(0) == len(keda.history) - 1
            assert max(keda.history) == 3


async def test_a_change_of_leader_ends_the_stream_and_keda_goes_on(tmp_path: Path) -> None:
    async with Cluster(tmp_path, agents=0) as cluster:
        load = Load(cluster)
        epoch, leader = await cluster.leader()
        standby = await cluster.standby()
        async with trigger(standby) as asked, scaled(cluster, asked) as (keda, deployment):
            await until(lambda: keda.active is False, "nothing is active")
            task = await load.submit(load.hold())
            await load.started(task, 1)
            leader.send(signal.SIGKILL)
            await cluster.leader(after=epoch)
            await until(lambda: keda.opened > 1, "the stream was opened again")
            assert keda.active
            assert keda.history == [1]
            load.open_gate()
            await load.all_finished()
            await until(lambda: keda.replicas == 0 and not deployment.pods, "none again")
            assert len(load.starts_of([task])[task]) == 1


class Pod:
    """An agent with the port that a readiness probe asks."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self._health = f"127.0.0.1:{free_port()}"
        self.server = cluster.add_agent(name, f"--health-listen={self._health}")

    async def readiness(self) -> tuple[int, str]:
        """The probe's answer: its status, and why not."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://{self._health}/readyz")
        return answer.status_code, answer.json().get("why", "")

    async def ready(self) -> bool:
        return (await self.readiness())[0] == 200

    async def refuses(self) -> bool:
        code, why = await self.readiness()
        return code == 503 and why.startswith("leaving: ")


async def states(cluster: Cluster) -> dict[str, str]:
    """The nodes' states, as `quorate nodes` shows them."""
    answer = await cluster.call(scheduler_pb2.ListNodesRequest())
    return {node.name: node_state(node) for node in answer.nodes}


async def test_a_scale_down_ends_idle_agents_and_takes_them_back_when_work_comes(tmp_path: Path):
    async with Cluster(tmp_path, agents=0, slots=1) as cluster:
        load = Load(cluster)
        epoch, leader = await cluster.leader()
        pods = {name: Pod(cluster, name) for name in ("n1", "n2", "n3")}
        for pod in pods.values():
            pod.server.launch()
        for pod in pods.values():
            await pod.server.ready()
        held = await load.submit(load.hold())
        busy = (await load.started(held, 1)).node
        idle = sorted(pods.keys() - {busy})
        standby = await cluster.standby()
        async with trigger(standby, idleSeconds="0.5", leavingSeconds="0.5") as asked:

            async def wanted(number: int) -> bool:
                return await asked.replicas() == number

            # Nobody is marked before somebody asks, and nobody counted out who was not marked.
            assert all([await pod.ready() for pod in pods.values()])
            assert await wanted(3)
            await until(lambda: wanted(1), "the idle ones are counted out")
            marked = {busy: "READY"} | dict.fromkeys(idle, "LEAVING")
            assert await states(cluster) == marked
            for name in idle:
                await until(pods[name].refuses, f"the probe of {name} knows")
            assert await pods[busy].readiness() == (200, "")
            # The next leader keeps the marks.
            leader.kill()
            await cluster.leader(after=epoch)
            await until(lambda: states_are(cluster, marked), "the next leader has its sessions")
            assert not any([await pods[name].ready() for name in idle])
            # As Kubernetes picks, and worse than it ends them.
            first, second = (pods[name] for name in idle)
            first.server.kill()
            del marked[first.name]
            await until(lambda: states_are(cluster, marked), "one is gone")
            assert await wanted(1)
            # Work comes: the one that is left is taken back before another is wanted.
            more = await load.submit(load.hold())
            assert (await load.started(more, 1)).node == second.name
            assert await states(cluster) == {busy: "READY", second.name: "READY"}
            await until(second.ready, "its probe knows")
            assert await wanted(2)
            load.open_gate()
            await load.all_finished()
            starts = load.starts_of([held, more])
            assert all(len(attempts) == 1 for attempts in starts.values())
            await load.check()


async def states_are(cluster: Cluster, expected: dict[str, str]) -> bool:
    return await states(cluster) == expected


async def test_agents_are_started_for_what_they_can_hold(tmp_path: Path) -> None:
    async with Cluster(tmp_path, schedulers=1, agents=0) as cluster:
        load = Load(cluster)
        _, leader = await cluster.leader()
        spec = load.stamp(0.0)
        spec.resources.counters["gpu"] = 2
        for _ in range(2):
            await load.submit(spec)
        async with (
            trigger(leader) as without,
            trigger(leader, countersPerNode="gpu=2", slotsPerNode="8") as with_gpus,
            trigger(leader, countersPerNode="gpu=4", queues="mail-*") as of_others,
        ):
            assert (await without.active(), await without.replicas()) == (False, 0)
            assert (await with_gpus.active(), await with_gpus.replicas()) == (True, 2)
            assert (await of_others.active(), await of_others.replicas()) == (False, 0)


async def test_faults_are_told_and_reflection_knows_the_service(tmp_path: Path) -> None:
    async with Cluster(tmp_path, agents=0) as cluster:
        await cluster.leader()
        standby = await cluster.standby()
        async with trigger(standby, maxNodes="many") as bad, trigger(standby) as good:
            calls = (bad.active(), bad.spec(), bad.metrics("quorate-nodes"), bad.stream().read())
            for call in calls:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                error = from_rpc_error(caught.value)
                assert error.code is grpc.StatusCode.INVALID_ARGUMENT
                assert error.field == "scalerMetadata.maxNodes"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await good.metrics("cpu")
            assert from_rpc_error(caught.value).field == "metricName"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await good.stream("StreamMetricSpec").read()
            # KEDA takes this, and nothing else, for "ask for the specs as before".
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        async with open_aio(standby.address) as channel:
            ask = reflection_pb2.ServerReflectionRequest(list_services="")
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
            answers = [answer async for answer in stub.ServerReflectionInfo(iter([ask]))]
        listed = [service.name for service in answers[0].list_services_response.service]
        assert SERVICE in listed
