"""What decides which task goes next: in real processes, and while the leader is killed.

One cluster for all tests: two schedulers with a placement plug-in that is installed beside them,
and three nodes. `n1` has two cores, for the reservation; the others do what needs none.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from quorate.client.aio import AsyncClient
from quorate.v1 import explain_pb2, job_pb2
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.cluster import Cluster
from tests.support.server import until
from tests.support.start_order import (
    Gate,
    addresses,
    begin,
    end,
    ended,
    on,
    quorate,
    refused,
    runs,
    spec,
    submit,
    succeeded,
    wait,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLUGIN = """
def licensed(task, node):
    return "licence" in node.labels or "the node has no licence"

def cheapest(task, node):
    return -float(node.labels["price"])
"""
ENTRY_POINTS = """
[quorate.placement_filters]
licensed = house_rules:licensed
[quorate.placement_scores]
cheapest = house_rules:cheapest
"""


def install(site: Path) -> None:
    """The package `house-rules`, as pip leaves it."""
    info = site / "house_rules-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "house_rules.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house-rules\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    folder = tmp_path_factory.mktemp("order")
    install(folder / "site")
    path = os.pathsep.join(filter(None, (str(folder / "site"), os.environ.get("PYTHONPATH"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        # Schedulers that are forks of a loaded process would not look for packages again.
        made = Cluster(
            folder, agents=0, slots=4, scheduler_flags=["--reserve-after=0.5"], loaded=False
        )
        async with made as cluster:
            for agent in (
                cluster.add_agent("n1", "--cpu=2", "--labels=price=2,licence=yes"),
                cluster.add_agent("n2", "--labels=price=3,licence=yes"),
                cluster.add_agent("n3", "--labels=price=1"),
            ):
                agent.launch()
            await cluster.in_session("n1", "n2", "n3")
            yield cluster


# -- each of these is a promise that a new leader keeps: the leader is killed at its `yield`


@asynccontextmanager
async def tasks_of_an_ordering_key(cluster: Cluster) -> AsyncIterator[None]:
    """They run one after another, whatever their priority and retries, and hold up no other key."""
    gate = Gate(cluster, "ordering")
    retry = t.RetryPolicy(max_attempts=3)
    retry.initial_backoff.FromMilliseconds(300)
    first = spec(gate.argv("[ $QUORATE_ATTEMPT -gt 1 ] || exit 1;"), ordering_key="a", retry=retry)
    one, *rest = await submit(cluster, "default", first, *[spec(ordering_key="a", priority=5)] * 3)
    await succeeded(cluster, *await submit(cluster, "default", *[spec(ordering_key="b")] * 3))
    await runs(cluster, one, attempt=2)
    await wait(cluster, *rest)
    yield
    await succeeded(cluster, *await submit(cluster, "default", spec(ordering_key="b")))
    await wait(cluster, *rest)
    gate.open()
    tasks = await succeeded(cluster, one, *rest)
    for task, following in pairwise(tasks):
        assert end(task) <= begin(following)


@asynccontextmanager
async def tasks_of_a_limit_key(cluster: Cluster) -> AsyncIterator[None]:
    """At most one runs, and other keys are not held up."""
    quorate(cluster, "queue", "create", "keyed", "--key-max-running", "1")
    gate = Gate(cluster, "keyed")
    first, *rest = await submit(
        cluster, "keyed", spec(gate.argv(), limit_key="x"), *[spec(limit_key="x")] * 3
    )
    await runs(cluster, first)
    await succeeded(cluster, *await submit(cluster, "keyed", *[spec(limit_key="y")] * 3))
    await wait(cluster, *rest)
    yield
    await succeeded(cluster, *await submit(cluster, "keyed", spec(limit_key="y")))
    await wait(cluster, *rest)
    gate.open()
    tasks = sorted(await succeeded(cluster, first, *rest), key=begin)
    for task, following in pairwise(tasks):
        assert end(task) <= begin(following)


@asynccontextmanager
async def rate_of_a_limit_key(cluster: Cluster) -> AsyncIterator[None]:
    """It holds for each key by itself."""
    quorate(cluster, "queue", "create", "paced", "--key-rate", "5/s", "--key-burst", "2")
    tasks = await submit(cluster, "paced", *[spec(limit_key="x")] * 15)
    (other,) = await submit(cluster, "paced", spec(limit_key="y"))
    await ended(cluster, tasks[0])
    yield
    found = await succeeded(cluster, *tasks)
    starts = sorted(int(a.assign_time.ToNanoseconds()) for task in found for a in task.attempts)
    for first in starts:
        assert sum(1 for start in starts if first <= start < first + 10**9) <= 5 + 2
    (alone,) = await succeeded(cluster, other)
    assert begin(alone) < starts[-1]


@asynccontextmanager
async def full_queue_that_rejects(cluster: Cluster) -> AsyncIterator[None]:
    """A new task is refused, a batch as a whole."""
    quorate(cluster, "queue", "create", "short", "--max-length", "2")
    await cluster.call(pb.PauseQueueRequest(name="short"))
    tasks = await submit(cluster, "short", spec())

    async def are_too_many(count: int) -> None:
        batch = pb.BatchCreateTasksRequest(queue="short", specs=[spec()] * count)
        error = await refused(cluster, batch)
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")

    await are_too_many(2)
    tasks += await submit(cluster, "short", spec())
    await are_too_many(1)
    yield
    await are_too_many(1)
    await wait(cluster, *tasks)
    await cluster.call(pb.ResumeQueueRequest(name="short"))
    await succeeded(cluster, *tasks)
    await submit(cluster, "short", spec())


@asynccontextmanager
async def full_queue_that_drops(cluster: Cluster) -> AsyncIterator[None]:
    """The oldest task that waits makes room for a new one, and can be retried."""
    options = ("--max-length", "2", "--when-full", "drop-oldest")
    quorate(cluster, "queue", "create", "latest", *options)
    await cluster.call(pb.PauseQueueRequest(name="latest"))
    tasks = await submit(cluster, "latest", spec(), spec(), spec())
    yield
    tasks += await submit(cluster, "latest", spec())
    for dropped in await ended(cluster, *tasks[:2]):
        assert (dropped.state, dropped.error.type) == (t.TASK_STATE_FAILED, "QUEUE_FULL")
    await wait(cluster, *tasks[2:])
    await cluster.call(pb.ResumeQueueRequest(name="latest"))
    await succeeded(cluster, *tasks[2:])
    await cluster.call(pb.RetryTaskRequest(id=tasks[0]))
    await succeeded(cluster, tasks[0])


@asynccontextmanager
async def pause_of_a_tenant(cluster: Cluster) -> AsyncIterator[None]:
    """Its tasks wait, also new ones, and those of others do not."""
    async with AsyncClient(addresses(cluster)) as client:
        await client.pauses.create("unpaid", fairness_key="acme", reason="see invoice 7")
    tasks = await submit(cluster, "default", spec(fairness_key="acme"))
    yield
    tasks += await submit(cluster, "default", spec(fairness_key="acme"))
    await succeeded(cluster, *await submit(cluster, "default", spec(fairness_key="globex")))
    await wait(cluster, *tasks)
    async with AsyncClient(addresses(cluster)) as client:
        assert [one.reason async for one in client.pauses.list()] == ["see invoice 7"]
        await client.pauses.end("unpaid")
    await succeeded(cluster, *tasks)


@asynccontextmanager
async def start_deadline(cluster: Cluster) -> AsyncIterator[None]:
    """Who does not start in time expires, whoever leads when the time has come."""
    quorate(cluster, "queue", "create", "late")
    await cluster.call(pb.PauseQueueRequest(name="late"))
    late = spec()
    late.start_deadline.FromSeconds(1)
    (task,) = await submit(cluster, "late", late)
    yield
    (expired,) = await ended(cluster, task)
    assert (expired.state, expired.error.type) == (t.TASK_STATE_EXPIRED, "START_DEADLINE")


@asynccontextmanager
async def reservation(cluster: Cluster) -> AsyncIterator[None]:
    """A large task gets its node though smaller ones, of a higher priority elsewhere, wait for
    what becomes free there. What needs nothing of it still starts."""
    on_n1 = on("n1")
    small = t.Resources(cpu=1)
    gates = [Gate(cluster, "small-1"), Gate(cluster, "small-2")]
    holding = [spec(gate.argv(), placement=on_n1, resources=small) for gate in gates]
    running = await submit(cluster, "default", *holding)
    for task in running:
        await runs(cluster, task)
    (large,) = await submit(cluster, "default", spec(placement=on_n1, resources=t.Resources(cpu=2)))
    quorate(cluster, "queue", "create", "smaller")
    urgent = spec(placement=on_n1, resources=small, priority=9)
    stream = await submit(cluster, "smaller", *[urgent] * 3)

    async def is_reserved() -> bool:
        why = (await cluster.call(pb.ExplainTaskRequest(id=large))).explanation
        return explain_pb2.EXPLAIN_REASON_RESERVED in [one.reason for one in why.reasons]

    await until(is_reserved, "the node is reserved")
    yield
    await until(is_reserved, "the new leader has reserved the node")
    gates[0].open()
    await succeeded(cluster, running[0])
    # Whatever one core was good for has started before these.
    await succeeded(cluster, *await submit(cluster, "smaller", *[spec(placement=on_n1)] * 3))
    await wait(cluster, large, *stream)
    gates[1].open()
    (first,) = await succeeded(cluster, large)
    for smaller in await succeeded(cluster, *stream):
        assert begin(first) < begin(smaller)


@asynccontextmanager
async def array_under_a_shared_limit(cluster: Cluster) -> AsyncIterator[None]:
    """Of tasks and subtasks that name it, one runs."""
    quorate(cluster, "limit", "create", "array-seat", "--max-running", "1")
    gate, limits = Gate(cluster, "array"), ["array-seat"]
    asked = job_pb2.JobSpec(template=spec(gate.argv(), limits=limits), count=3)
    job = (await cluster.call(pb.CreateJobRequest(spec=asked))).job.id

    async def one_runs() -> bool:
        return bool((await cluster.call(pb.GetJobRequest(id=job))).job.counts.running == 1)

    await until(one_runs, "a subtask runs")
    (task,) = await submit(cluster, "default", spec(limits=limits))
    yield
    await wait(cluster, task)
    assert await one_runs()
    why = (await cluster.call(pb.ExplainTaskRequest(id=f"{job}.2"))).explanation
    assert "limit 'array-seat': 1 of 1 in use" in why.sentence
    gate.open()
    await succeeded(cluster, task)

    async def is_over() -> bool:
        found = (await cluster.call(pb.WaitJobRequest(id=job))).job
        return bool(found.state == job_pb2.JOB_STATE_SUCCEEDED)

    await until(is_over, "the job has succeeded")
    quorate(cluster, "limit", "delete", "array-seat")


async def test_what_holds_back_tasks_holds_through_a_killed_leader(cluster: Cluster):
    async with AsyncExitStack() as stack:
        for promise in (
            reservation,
            tasks_of_an_ordering_key,
            tasks_of_a_limit_key,
            full_queue_that_rejects,
            full_queue_that_drops,
            pause_of_a_tenant,
            start_deadline,
            rate_of_a_limit_key,
            array_under_a_shared_limit,
        ):
            await stack.enter_async_context(promise(cluster))
        await cluster.standby()
        epoch, leader = await cluster.leader()
        leader.send(signal.SIGKILL)
        await leader.gone()
        await cluster.leader(after=epoch)
        await cluster.in_session("n1", "n2", "n3")


async def test_a_task_of_low_priority_starts_under_a_stream_of_high_ones(cluster: Cluster):
    quorate(cluster, "queue", "create", "aged", "--aging", "1", "--max-running", "1")
    work = spec(["sleep", "0.05"], priority=1)
    stream = await submit(cluster, "aged", *[work] * 3)
    (low,) = await submit(cluster, "aged", spec())

    async def is_finished() -> bool:
        """More come than are done."""
        queue = (await cluster.call(pb.GetQueueRequest(name="aged"))).queue
        if queue.counts.pending < 4:
            stream.extend(await submit(cluster, "aged", *[work] * 3))
        return bool((await cluster.task(low)).HasField("finish_time"))

    await until(is_finished, "the task of low priority has had its turn")
    (aged,) = await succeeded(cluster, low)
    starts = [begin(task) for task in await succeeded(cluster, *stream)]
    # Priority counts meanwhile: tasks that came later went first, and others waited behind it.
    assert sum(1 for start in starts[3:] if start < begin(aged)) > 0
    assert any(start > begin(aged) for start in starts)


async def test_an_installed_filter_and_score_choose_the_node(cluster: Cluster):
    """Of all three nodes n3 is the cheapest, of those with a licence n1."""
    quorate(cluster, "queue", "create", "cheap", "--score", "cheapest")
    quorate(cluster, "queue", "create", "legal", "--filter", "licensed", "--score", "cheapest")
    anywhere = spec(placement={})
    for queue, node in (("cheap", "n3"), ("legal", "n1")):
        tasks = await submit(cluster, queue, *[anywhere] * 3)
        assert {one.attempts[0].node for one in await succeeded(cluster, *tasks)} == {node}
    only = on("n3")
    (task,) = await submit(cluster, "legal", spec(placement=only))
    why = (await cluster.call(pb.ExplainTaskRequest(id=task))).explanation
    by_node = {one.node: one for one in why.nodes}
    assert by_node["n3"].filter == explain_pb2.NODE_FILTER_PLUGIN
    assert "the node has no licence" in by_node["n3"].sentence
    await cluster.call(pb.CancelTaskRequest(id=task))


async def test_a_queue_with_a_larger_share_gets_more_of_the_slots(cluster: Cluster):
    work = spec(["sleep", "0.05"], placement=on("n3"), labels={"shared": "yes"})
    quorate(cluster, "pauses", "create", "both", "--label", "shared=yes")
    queues = {}
    for name, share in (("larger", "4"), ("other", "1")):
        quorate(cluster, "queue", "create", name, "--share", share)
        queues[name] = await submit(cluster, name, *[work] * 40)
    quorate(cluster, "pauses", "end", "both")
    starts = [
        (begin(one), name) for name in queues for one in await succeeded(cluster, *queues[name])
    ]
    first = [name for _, name in sorted(starts)[:40]]
    assert first.count("larger") > 1.5 * first.count("other") > 0
