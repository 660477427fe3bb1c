"""Rules, taints, pauses and a lost leader: real agents with labels, and the command line."""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import Any

from quorate.v1 import explain_pb2, pause_pb2, service_pb2_grpc
from quorate.v1 import placement_pb2 as p
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import service_pb2 as s
from quorate.v1 import task_pb2 as t
from tests.support.cluster import Cluster
from tests.support.server import until
from tests.support.tls import open_aio


async def node_of(cluster: Cluster, **placement: object) -> str:
    """Where a task ran."""
    spec = t.TaskSpec(command={"argv": ["true"]}, placement=placement)
    made = (await cluster.call(pb.CreateTaskRequest(spec=spec))).task
    done = (await cluster.call(pb.WaitTaskRequest(id=made.id))).task
    assert done.state == t.TASK_STATE_SUCCEEDED, done
    return str(done.attempts[-1].node)


async def near_and_apart(cluster: Cluster, there: p.NodeRule, ml: p.Toleration) -> None:
    """While a task with a label runs on n1, others are placed by it."""
    serves = t.TaskSpec(
        command={"argv": ["sleep", "600"]}, labels={"app": "db"}, placement={"nodes": [there]}
    )
    task = (await cluster.call(pb.CreateTaskRequest(spec=serves))).task.id
    beside = p.TaskRule(label="app", value="db")
    assert await node_of(cluster, near=[beside], tolerations=[ml]) == "n1"
    assert await node_of(cluster, apart=[beside], tolerations=[ml]) == "n2"
    # Of a set no two are on one node: the third one waits.
    member = t.TaskSpec(
        command={"argv": ["sleep", "600"]},
        labels={"set": "x"},
        placement={"distinct": ["set"], "tolerations": [ml]},
    )
    members = await cluster.call(pb.BatchCreateTasksRequest(specs=[member] * 3))

    async def are_apart() -> bool:
        found = [await cluster.task(name) for name in members.ids[:2]]
        return {attempt.node for one in found for attempt in one.attempts} == {"n1", "n2"}

    await until(are_apart, "two of the set run, each on a node of its own")
    why = (await cluster.call(pb.ExplainTaskRequest(id=members.ids[2]))).explanation
    assert {one.filter for one in why.nodes} == {explain_pb2.NODE_FILTER_APART}
    for name in (task, *members.ids):
        await cluster.call(pb.CancelTaskRequest(id=name))
        await cluster.call(pb.WaitTaskRequest(id=name))


WEB = [
    sys.executable,
    "-c",
    "import os, http.server as h; h.test(h.SimpleHTTPRequestHandler, "
    "port=int(os.environ['PORT']), bind='127.0.0.1')",
]


async def service_on_one_node(cluster: Cluster, there: p.NodeRule, then: p.NodeRule) -> None:
    """Its replica moves when the rules change."""
    _, leader = await cluster.leader()
    async with open_aio(leader.address) as channel:
        stub: Any = service_pb2_grpc.ServiceRegistryStub(channel)
        ml = p.Toleration(key="dedicated", value="ml")
        spec = s.ServiceSpec(command={"argv": WEB}, replicas=1, health={"tcp": True})
        spec.placement.nodes.append(there)
        spec.placement.tolerations.append(ml)
        service = s.Service(name="web", spec=spec)
        await stub.CreateService(s.CreateServiceRequest(service=service))

        async def node() -> str:
            found = (await stub.GetService(s.GetServiceRequest(name="web"))).service
            return "".join(one.node for one in found.instances) if found.ready else ""

        async def is_on(name: str) -> bool:
            return await node() == name

        await until(partial(is_on, "n2"), "the replica is healthy on n2")
        del service.spec.placement.nodes[:]
        service.spec.placement.nodes.append(then)
        mask = {"paths": ["spec.placement"]}
        await stub.UpdateService(s.UpdateServiceRequest(service=service, update_mask=mask))
        await until(partial(is_on, "n1"), "the replica is healthy on n1, and gone from n2")
        await stub.DeleteService(s.DeleteServiceRequest(name="web"))


async def test_labels_taints_and_pauses_hold_through_a_killed_leader(tmp_path):
    async with Cluster(tmp_path, agents=0) as cluster:
        for server in (
            cluster.add_agent("n1", "--labels=disk=ssd,zone=a"),
            cluster.add_agent("n2", "--labels=disk=hdd,zone=b", "--taints=dedicated=ml"),
        ):
            await server.start()
        await cluster.in_session("n1", "n2")
        on_ssd = p.NodeRule(label="disk", values=["ssd"])
        on_hdd = p.NodeRule(label="disk", values=["hdd"])
        ml = p.Toleration(key="dedicated", value="ml")
        assert await node_of(cluster, nodes=[on_ssd]) == "n1"
        assert await node_of(cluster, nodes=[on_hdd], tolerations=[ml]) == "n2"
        await near_and_apart(cluster, on_ssd, ml)
        await service_on_one_node(cluster, on_hdd, on_ssd)
        await cluster.call(pb.TaintNodeRequest(name="n1", taint=p.Taint(key="repair")))
        waits = t.TaskSpec(command={"argv": ["true"]})
        made = (await cluster.call(pb.CreateTaskRequest(spec=waits))).task
        assert "every node has a taint" in made.pending_reason
        pause = pause_pb2.CreatePauseRequest(
            pause=pause_pb2.Pause(name="outage", labels={"app": "mail"}, reason="down")
        )
        await cluster.call(pause)
        mail = t.TaskSpec(command={"argv": ["true"]}, labels={"app": "mail"})
        held = (await cluster.call(pb.CreateTaskRequest(spec=mail))).task
        await cluster.standby()
        _, leader = await cluster.leader()
        leader.send(signal.SIGKILL)
        await leader.gone()
        await cluster.in_session("n1", "n2")
        node = (await cluster.call(pb.GetNodeRequest(name="n1"))).node
        assert [one.key for one in node.taints] == ["repair"]
        why = await cluster.call(pb.ExplainTaskRequest(id=made.id))
        filters = {one.node: one.filter for one in why.explanation.nodes}
        assert set(filters.values()) == {14}, filters
        await cluster.call(pb.UntaintNodeRequest(name="n1", key="repair"))
        done = (await cluster.call(pb.WaitTaskRequest(id=made.id))).task
        assert done.attempts[-1].node == "n1"
        why = await cluster.call(pb.ExplainTaskRequest(id=held.id))
        assert "holds back tasks with app=mail" in why.explanation.sentence
        await cluster.call(pause_pb2.DeletePauseRequest(name="outage"))
        done = (await cluster.call(pb.WaitTaskRequest(id=held.id))).task
        assert done.state == t.TASK_STATE_SUCCEEDED
