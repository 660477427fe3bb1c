"""`client.schedules.update(name, options=...)`: the options of later runs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.client.work.options import OptionArgs
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2, task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer

COMMAND = task_pb2.CommandWork(argv=["true"])


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def client(cluster: FakeCluster) -> Iterator[Client]:
    with Client(FakeServer(cluster).address) as client:
        yield client


def test_what_is_not_given_stays(client: Client) -> None:
    first = client.options(labels={"a": "b"}, near={"app": "db"}, retries=1)
    first.schedules.create("s", ["true"], every=60)
    found = client.schedules.update("s", options={"retries": 4, "near": {}}, every=90).spec
    assert found.task == task_pb2.TaskSpec(
        name="true", command=COMMAND, labels={"a": "b"}, retry={"max_attempts": 5}
    )
    assert found.interval.every.seconds == 90


def test_subtasks_and_reduces_have_the_same(client: Client) -> None:
    template = task_pb2.TaskSpec(command=COMMAND)
    reduce = task_pb2.TaskSpec(python={"entrypoint": "builtins:len", "json": "[]"})
    job = job_pb2.JobSpec(template=template, count=3, reduce={"template": reduce})
    client.schedules.create("s", job, every=60)
    options: OptionArgs = {"memory": 5, "secrets": {"PW": "env:PW"}}
    found = client.schedules.update("s", options=options, queue="other").spec
    for one in (found.job.template, found.job.reduce.template):
        assert one.resources.memory == 5
    assert found.job.template.command.secrets["PW"].env == "PW"
    assert found.job.reduce.template.python.secrets["PW"].env == "PW"
    assert (found.job.count, found.queue) == (3, "other")


def test_what_cannot_be_is_named(client: Client) -> None:
    client.schedules.create("s", ["true"], every=60)
    graph = client.graph("g")
    graph.add(len, "ab", name="a")
    client.schedules.create("graph", graph, every=60)
    update = client.schedules.update
    for name, options, field in (
        ("graph", {"retries": 1}, "options"),
        ("s", {"delay": 5.0}, "delay"),
        ("s", {"request_id": "x"}, "request_id"),
        ("s", {"unique_for": 5.0}, "unique_key"),
        ("s", {"where": "=="}, "where"),
    ):
        with pytest.raises(QuorateError) as caught:
            update(name, options=options)  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.field) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            field,
        )
    with pytest.raises(QuorateError, match=r"options: of new work come from the client"):
        update("s", ["false"], options={"retries": 1})
    assert client.schedules.get("s").etag == "1"


def test_a_change_by_others_is_waited_for_unless_an_etag_says_which_one(
    client: Client, cluster: FakeCluster
) -> None:
    client.schedules.create("s", ["true"], every=60)
    cluster.refuse("UpdateSchedule", *[grpc.StatusCode.ABORTED] * 7)
    assert client.schedules.update("s", options={"priority": 3}).spec.task.priority == 3
    with pytest.raises(QuorateError) as caught:
        client.schedules.update("s", etag="1", options={"priority": 4})
    assert caught.value.code is grpc.StatusCode.ABORTED
    cluster.refuse("UpdateSchedule", *[grpc.StatusCode.ABORTED] * 8)
    with pytest.raises(QuorateError):
        client.schedules.update("s", options={"priority": 5})
    assert client.schedules.get("s").spec.task.priority == 3


async def test_the_asynchronous_client_does_the_same(cluster: FakeCluster) -> None:
    async with AsyncClient(FakeServer(cluster).address) as client:
        await client.schedules.create("s", ["true"], every=60)
        cluster.refuse("UpdateSchedule", grpc.StatusCode.ABORTED)
        found = await client.schedules.update("s", options={"priority": 3}, queue="other")
        assert (found.spec.task.priority, found.spec.queue) == (3, "other")
        with pytest.raises(QuorateError, match=r"options: of new work"):
            await client.schedules.update("s", ["false"], options={"retries": 1})
