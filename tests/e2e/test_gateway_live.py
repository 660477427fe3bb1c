"""/v1/live of real gateways over a real cluster: a leader and a gateway are killed meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from quorate.client.transport.rpcs import new_request_id
from quorate.v1 import scheduler_pb2 as pb
from tests.support.cluster import Cluster
from tests.support.gateway import GatewayProcess, run_gateway
from tests.support.live import Client, client
from tests.support.server import until

ENDED = {"TASK_STATE_SUCCEEDED", "TASK_STATE_FAILED"}


@pytest.fixture
def gateways() -> Iterator[Any]:
    """Starts gateways: `gateways(cluster)`."""
    with ExitStack() as stack:
        yield lambda cluster: stack.enter_context(
            run_gateway([server.address for server in cluster.schedulers.values()])
        )


async def start(gateways: Any, cluster: Cluster) -> GatewayProcess:
    return await asyncio.to_thread(gateways, cluster)


async def submit(cluster: Cluster, script: str, count: int = 1, **labels: str) -> list[str]:
    request = pb.BatchCreateTasksRequest(queue="default", request_id=new_request_id())
    for _ in range(count):
        spec = request.specs.add(labels=labels)
        spec.command.argv.extend(["sh", "-c", script])
    return list((await cluster.call(request)).ids)


class View:
    """What a page would show: the state that snapshots and deltas add up to."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.token = ""
        self.revision = 0
        self.snapshots = 0
        self.statuses: list[bool] = []

    def take(self, told: dict[str, Any]) -> None:
        kind = told["kind"]
        if kind == "status":
            self.statuses.append(told["leader"])
        elif kind in ("snapshot", "delta"):
            assert int(told["revision"]) >= self.revision
            self.revision, self.token = int(told["revision"]), told["resume"]
            if kind == "snapshot":
                self.snapshots += 1
                self.states = {}
            for item in told.get("items", told.get("changed", ())):
                self.states[item["id"]] = item["state"]
            for task in told.get("removed", ()):
                self.states.pop(task, None)
        else:
            raise AssertionError(json.dumps(told))

    async def follow(self, one: Client, tasks: list[str]) -> None:
        """Until all of these have ended."""
        async with asyncio.timeout(60):
            while not all(self.states.get(task) in ENDED for task in tasks):
                self.take(await one.hear(60))


async def test_a_task_appears_progresses_ends_and_its_log_is_followed(tmp_path, gateways):
    async with Cluster(tmp_path, schedulers=1, agents=1) as cluster:
        gateway = await start(gateways, cluster)
        go = tmp_path / "go"
        async with client(gateway.address) as one:
            await one.subscribe("t", "tasks")
            assert (await one.hear())["items"] == []
            script = f"echo begun; until [ -e {go} ]; do sleep 0.05; done; echo gone"
            (task,) = await submit(cluster, script, team="a")
            told = await one.until(id="t", kind="delta")
            assert told["changed"][0]["spec"]["labels"] == {"team": "a"}
            await one.subscribe("l", "logs", filter={"id": task})
            assert (await one.until(id="l"))["kind"] == "extent"
            assert (await one.until(id="l", kind="lines"))["text"] == "begun\n"
            go.touch()
            view = View()
            view.states[task] = told["changed"][0]["state"]
            async with asyncio.timeout(60):
                ended = False
                while view.states[task] not in ENDED or not ended:
                    told = await one.hear(20)
                    if told["id"] == "t":
                        view.take(told)
                    ended = ended or told["kind"] == "end"
            await one.subscribe("n", "nodes")
            nodes = (await one.until(id="n"))["items"]
            assert [node["state"] for node in nodes] == ["NODE_STATE_READY"]
            await one.subscribe("c", "cluster")

            async def finished() -> bool:
                told = await one.until(id="c")
                (item,) = told.get("items") or told["changed"]
                return bool(item["rates"]["finished"] or item["latency"]["runMs"])

            (other,) = await submit(cluster, "true")
            await until(finished, "the rates tell of it")
            await one.say(op="ping")
            assert (await one.until(kind="pong"))["kind"] == "pong"
            assert other != task


async def test_the_leader_is_killed_and_nothing_is_missed(tmp_path, gateways):
    async with Cluster(tmp_path, schedulers=2, agents=1) as cluster:
        gateway = await start(gateways, cluster)
        async with client(gateway.address) as one:
            view = View()
            await one.subscribe("t", "tasks", filter={"limit": 1000})
            view.take(await one.hear())
            tasks = await submit(cluster, "sleep 0.05", 30)
            _, leader = await cluster.leader()
            leader.kill()
            tasks += await submit(cluster, "sleep 0.06", 30)
            await view.follow(one, tasks)
            assert view.snapshots == 1
            assert set(view.states) == set(tasks)
            async with asyncio.timeout(60):
                while True not in view.statuses:
                    view.take(await one.hear())
            assert view.statuses[:2] == [False, True]
            await leader.gone()


async def test_a_gateway_is_killed_and_the_client_goes_on_at_another(tmp_path, gateways):
    async with Cluster(tmp_path, schedulers=1, agents=1) as cluster:
        first, second = [await start(gateways, cluster) for _ in range(2)]
        view = View()
        async with client(second.address) as other:
            # The second one knows of the tasks in its own way.
            await other.subscribe("o", "tasks")
            await other.hear()
            async with client(first.address) as one:
                await one.subscribe("t", "tasks", filter={"limit": 1000})
                view.take(await one.hear())
                tasks = await submit(cluster, "true", 10)
                await view.follow(one, tasks)
                first.process.kill()
            missed = await submit(cluster, "exit 1", 10)
            await View().follow(other, missed)
        async with client(second.address) as one:
            await one.subscribe("t", "tasks", filter={"limit": 1000}, resume=view.token)
            told = await one.hear()
            assert told["kind"] == "delta"
            view.take(told)
            assert {item["id"] for item in told["changed"]} == set(missed)
            assert {view.states[task] for task in missed} == {"TASK_STATE_FAILED"}
            assert set(view.states) == {*tasks, *missed}


async def test_sigterm_sends_clients_elsewhere_at_once(tmp_path, gateways):
    async with Cluster(tmp_path, schedulers=1, agents=0) as cluster:
        gateway = await start(gateways, cluster)
        async with client(gateway.address) as one:
            gateway.terminate()
            # As soon as the client has answered, not when the gateway's patience with it ends.
            async with asyncio.timeout(1):
                await one.socket.wait_closed()
            assert one.socket.close_code == 1001
        assert await asyncio.to_thread(gateway.wait, 8) == 0
