"""How a queue chooses nodes, when failures end a job, and `quorate top`: in real processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from quorate.v1 import job_pb2
from quorate.v1 import placement_pb2 as p
from quorate.v1 import queue_pb2 as q
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support import forked
from tests.support.cluster import Cluster
from tests.support.server import until

SLOTS = 4
ZONES = {"n1": "a", "n2": "a", "n3": "b"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("choices")
    async with Cluster(folder, schedulers=1, agents=0, slots=SLOTS) as cluster:
        for name, zone in ZONES.items():
            await cluster.add_agent(name, f"--labels=zone={zone}").start()
        await cluster.in_session(*ZONES)
        yield cluster


async def assigned(cluster: Cluster, task: str) -> None:
    async def given() -> bool:
        return bool((await cluster.task(task)).attempts)

    await until(given, "the task is assigned")


async def nodes_of(cluster: Cluster, queue: q.Queue, specs: list[t.TaskSpec]) -> list[str]:
    """Where tasks run that were created one after the other and run at the same time."""
    await cluster.call(pb.CreateQueueRequest(queue=queue))
    made = []
    for spec in specs:
        asked = pb.CreateTaskRequest(queue=queue.name, spec=spec)
        made.append((await cluster.call(asked)).task.id)
        await assigned(cluster, made[-1])
    found = [(await cluster.task(task)).attempts[-1].node for task in made]
    for task in made:
        await cluster.call(pb.CancelTaskRequest(id=task))
    for task in made:
        await cluster.call(pb.WaitTaskRequest(id=task))
    return found


def sleeping(
    name: str = "", affinity_key: str = "", placement: p.PlacementRules | None = None
) -> t.TaskSpec:
    spec = t.TaskSpec(name=name, affinity_key=affinity_key, placement=placement)
    spec.command.argv.extend(("sleep", "600"))
    return spec


@pytest.mark.asyncio(loop_scope="module")
async def test_each_strategy_chooses_the_nodes_that_it_says(cluster: Cluster) -> None:
    plain = [sleeping()] * 6
    turns = q.Queue(name="turns", placement=q.PLACEMENT_STRATEGY_ROUND_ROBIN)
    found = await nodes_of(cluster, turns, plain)
    assert sorted(found[:3]) == sorted(ZONES)
    assert found[3:] == found[:3]

    full = q.Queue(name="full", placement=q.PLACEMENT_STRATEGY_BIN_PACK)
    found = await nodes_of(cluster, full, plain)
    assert sorted(Counter(found).values()) == [2, SLOTS]
    assert len(set(found[:SLOTS])) == 1

    apart = q.Queue(name="apart", placement=q.PLACEMENT_STRATEGY_SPREAD)
    found = await nodes_of(cluster, apart, plain)
    assert Counter(found) == dict.fromkeys(ZONES, 2)

    zones = q.Queue(name="zones", placement=q.PLACEMENT_STRATEGY_SPREAD, spread_label="zone")
    found = await nodes_of(cluster, zones, plain)
    assert Counter(ZONES[node] for node in found) == {"a": 3, "b": 3}

    ring = q.Queue(name="ring", placement=q.PLACEMENT_STRATEGY_CONSISTENT_HASH)
    found = await nodes_of(cluster, ring, [sleeping(affinity_key="customer-7")] * SLOTS)
    assert len(set(found)) == 1

    drawn = q.Queue(name="drawn", placement=q.PLACEMENT_STRATEGY_RANDOM_OF_TWO)
    # All slots but one are taken: whichever two are drawn, one with room is found.
    found = await nodes_of(cluster, drawn, [sleeping()] * (SLOTS * len(ZONES)))
    assert Counter(found) == dict.fromkeys(ZONES, SLOTS)

    # A task's own rule goes before its queue's.
    own = p.PlacementRules(strategy=q.PLACEMENT_STRATEGY_BIN_PACK)
    mixed = q.Queue(name="mixed", placement=q.PLACEMENT_STRATEGY_SPREAD)
    found = await nodes_of(cluster, mixed, [sleeping(placement=own)] * SLOTS)
    assert len(set(found)) == 1


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "bound",
    [job_pb2.JobSpec(max_failures=3), job_pb2.JobSpec(max_failure_share=0.02)],
    ids=["count", "share"],
)
async def test_a_job_ends_when_too_many_subtasks_have_failed(
    cluster: Cluster, bound: job_pb2.JobSpec
) -> None:
    """Every second subtask fails: of 200 subtasks, most never begin."""
    spec = job_pb2.JobSpec(
        template={"command": {"argv": ["sh", "-c", "test $((QUORATE_INDEX % 2)) = 0"]}},
        count=200,
    )
    spec.MergeFrom(bound)
    job = (await cluster.call(pb.CreateJobRequest(spec=spec))).job.id
    done = (await cluster.call(pb.WaitJobRequest(id=job))).job
    assert done.state == job_pb2.JOB_STATE_FAILED
    assert done.reason
    assert done.counts.failed > 3
    assert done.counts.cancelled > 50
    counts = done.counts
    assert counts.succeeded + counts.failed + counts.cancelled == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_top_shows_what_runs(cluster: Cluster) -> None:
    await cluster.call(pb.CreateQueueRequest(queue=q.Queue(name="shown")))
    asked = pb.CreateTaskRequest(queue="shown", spec=sleeping(name="long-nap"))
    task = (await cluster.call(asked)).task.id
    await assigned(cluster, task)
    addresses = ",".join(server.address for server in cluster.schedulers.values())
    done = forked.run("quorate", "top", "--once", QUORATE_ADDRESS=addresses)
    assert done.code == 0, done.err
    for shown in ("shown", "long-nap", *ZONES):
        assert shown in done.out
    await cluster.call(pb.CancelTaskRequest(id=task))
