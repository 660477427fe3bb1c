"""/v1/live on a real socket, a cluster in memory behind it: topics, and who resumes."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.live import limits
from gateway.live.cluster import leader
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import service_pb2
from tests.support.live import (
    FakeCluster,
    client,
    created,
    deleted,
    ids,
    task_id,
    updated,
)
from tests.support.live_gateway import gateway
from tests.support.server import until


@pytest.fixture
async def cluster():
    return FakeCluster()


async def test_tasks_snapshot_then_deltas(cluster):
    await cluster.happen(created(1, team="a"), created(2))
    async with gateway(cluster) as (_, address), client(address) as one:
        await one.subscribe("t", "tasks")
        first = await one.hear()
        assert (first["id"], first["kind"], first["topic"]) == ("t", "snapshot", "tasks")
        assert ids(first["items"]) == [2, 1]
        await cluster.happen(updated(1, "RUNNING"), deleted(2))
        told = await one.hear()
        assert told["kind"] == "delta"
        assert ids(told["changed"]) == [1]
        assert told["changed"][0]["spec"]["labels"] == {"team": "a"}
        assert told["removed"] == [task_id(2)]
        assert told["revision"] == "103"


async def test_one_watch_serves_all_and_deltas_are_at_most_ten_a_second(cluster):
    async with gateway(cluster) as (_, address), client(address) as one, client(address) as two:
        for each in (one, two):
            await each.subscribe("t", "tasks")
            await each.subscribe("again", "tasks", filter={"states": ["TASK_STATE_RUNNING"]})
            for _ in range(2):
                assert (await each.hear())["kind"] == "snapshot"
        assert cluster.watches == 1
        assert cluster.calls.count("ListTasks") == 2
        began = time.monotonic()
        deltas = 0
        last = 300

        async def happen():
            for number in range(last + 1):
                await cluster.happen(created(number))
                await asyncio.sleep(0.002)

        making = asyncio.create_task(happen())
        found = []
        while last not in found:
            told = await one.until(id="t")
            deltas += 1
            found += ids(told["changed"])
        await making
        assert found == list(range(last + 1))
        assert deltas <= (time.monotonic() - began) * 10 + 2


async def test_small_topics_are_told_and_then_their_differences(cluster):
    cluster.services["web"] = service_pb2.Service(name="web")
    async with gateway(cluster) as (_, address), client(address) as one:
        await one.subscribe("s", "services")
        assert (await one.until(id="s"))["items"] == [{"name": "web"}]
        await one.subscribe("q", "queues")
        assert (await one.until(id="q"))["items"] == [{"name": "default"}]
        cluster.queues["default"].paused = True
        told = await one.until(id="q")
        assert told["kind"] == "delta"
        assert told["changed"] == [{"name": "default", "paused": True}]
        await one.say(op="unsubscribe", id="q")
        await one.subscribe("n", "nodes")
        assert (await one.until(id="n"))["items"] == []
        await one.subscribe("c", "cluster")
        item = (await one.until(id="c"))["items"][0]
        assert item.keys() == {"cluster", "rates", "latency", "queues", "time"}
        assert item["cluster"] == {"epoch": "1", "revision": "90"}
        assert item["queues"] == [{"name": "default", "pending": 0, "running": 0}]
        assert (await one.until(id="c"))["kind"] == "delta"


async def test_the_cluster_is_asked_only_while_somebody_listens(cluster):
    async with gateway(cluster) as (live, address):
        assert cluster.calls == []
        async with client(address) as one:
            await one.subscribe("q", "queues")
            await one.until(id="q")
        await until(lambda: not live.connections, "the client is gone")
        await until(lambda: not live.hubs.nobodys.busy, "nothing asks the cluster any more")


async def test_resuming_tells_exactly_what_was_missed(cluster):
    async with gateway(cluster) as (_, address):
        async with client(address) as one:
            await one.subscribe("t", "tasks")
            await one.hear()
            await cluster.happen(created(1), created(2))
            token = (await one.hear())["resume"]
        await cluster.happen(updated(1, "RUNNING"), created(3))
        await cluster.happen(updated(1, "SUCCEEDED"), deleted(2))
        async with client(address) as one:
            await one.subscribe("t", "tasks", resume=token)
            told = await one.hear()
            assert told["kind"] == "delta"
            assert sorted(ids(told["changed"])) == [1, 3]
            assert {i["state"] for i in told["changed"]} == {
                "TASK_STATE_PENDING",
                "TASK_STATE_SUCCEEDED",
            }
            assert told["removed"] == [task_id(2)]
            await cluster.happen(created(4))
            assert ids((await one.hear())["changed"]) == [4]
        assert cluster.calls.count("ListTasks") == 1


@pytest.mark.parametrize("running", [False, True])
async def test_resuming_at_another_gateway_leaves_no_gap(cluster, running):
    async with gateway(cluster) as (_, first), client(first) as one:
        await one.subscribe("t", "tasks")
        await one.hear()
        await cluster.happen(created(1))
        token = (await one.hear())["resume"]
    await cluster.happen(updated(1, "RUNNING"), created(2))
    async with gateway(cluster) as (_, second), client(second) as other, client(second) as one:
        if running:
            await other.subscribe("t", "tasks")
            await other.hear()
            await cluster.happen(created(3))
            await other.hear()
        await one.subscribe("t", "tasks", resume=token)
        told = await one.hear()
        assert told["kind"] == "delta"
        assert sorted(ids(told["changed"])) == ([1, 2, 3] if running else [1, 2])
        await cluster.happen(created(4))
        assert ids((await one.hear())["changed"]) == [4]


@pytest.mark.parametrize("token", ["101~t0", "101~nobody's"])
async def test_a_token_that_is_too_old_or_nobodys_gets_a_snapshot(cluster, token):
    await cluster.happen(created(1), created(2))
    cluster.oldest = 1
    async with gateway(cluster) as (_, address), client(address) as one:
        await one.subscribe("t", "tasks", resume=token)
        told = await one.hear()
        assert told["kind"] == "snapshot"
        assert ids(told["items"]) == [2, 1]
        await cluster.happen(created(3))
        assert ids((await one.hear())["changed"]) == [3]


async def test_a_watch_that_is_compacted_away_gives_everybody_a_snapshot(cluster):
    async with gateway(cluster) as (_, address), client(address) as one:
        await one.subscribe("t", "tasks")
        await one.hear()
        cluster.oldest = 2
        await cluster.happen(created(1))
        await cluster.happen(created(2))
        told = await one.until(kind="snapshot")
        assert ids(told["items"]) == [2, 1]
        await cluster.happen(created(3))
        assert ids((await one.until(kind="delta"))["changed"]) == [3]


async def test_labels_and_ids_filter(cluster):
    await cluster.happen(created(1, team="a"), created(2, team="b"))
    async with gateway(cluster) as (_, address), client(address) as one:
        await one.subscribe("l", "tasks", filter={"labels": {"team": "a"}})
        assert ids((await one.hear())["items"]) == [1]
        await one.subscribe("i", "tasks", filter={"ids": [task_id(2), task_id(9), "no id"]})
        assert ids((await one.hear())["items"]) == [2]
        # Nobody was told its labels before.
        cluster.tasks[task_id(3)] = created(3, team="a").task
        await cluster.happen(updated(3, "RUNNING"), updated(2, "RUNNING"))
        heard = [await one.hear(), await one.hear()]
        assert {m["id"]: ids(m["changed"]) for m in heard} == {"l": [3], "i": [2]}


async def test_a_queue_that_does_not_exist_is_an_error_of_the_subscription_alone(cluster):
    async with gateway(cluster) as (_, address), client(address) as one:
        await one.subscribe("bad", "tasks", filter={"queue": "nobody"})
        told = await one.hear()
        assert (told["id"], told["kind"]) == ("bad", "error")
        assert told["problem"]["reason"] == "QUEUE_NOT_FOUND"
        assert told["problem"]["status"] == 404
        await one.subscribe("bad", "tasks", filter={"queue": "default"})
        assert (await one.hear())["kind"] == "snapshot"


async def test_logs_are_told_to_their_end(cluster):
    cluster.logs = [
        pb.LogChunk(stream=pb.LOG_STREAM_STDOUT, offset=0, data="né".encode()[:2]),
        pb.LogChunk(stream=pb.LOG_STREAM_STDERR, offset=0, data=b"err"),
        pb.LogChunk(stream=pb.LOG_STREAM_STDOUT, offset=2, data="é".encode()[1:] + b"!"),
    ]
    async with gateway(cluster) as (_, address), client(address) as one:
        await one.subscribe("l", "logs", filter={"id": task_id(1)})
        heard = [await one.hear() for _ in range(3)]
        assert [(m["stream"], m["offset"], m["text"]) for m in heard] == [
            ("stdout", "0", "n"),
            ("stderr", "0", "err"),
            ("stdout", "1", "é!"),
        ]
        cluster.log_ended.set()
        assert (await one.hear())["kind"] == "end"
        await one.subscribe("l", "logs", filter={"id": task_id(1)}, resume="3.1")
        heard = [await one.hear() for _ in range(3)]
        assert [m.get("text") for m in heard] == ["rr", "!", None]


async def test_the_leaders_loss_and_return_are_told_within_a_second(cluster):
    async with gateway(cluster) as (_, address), client(address) as one:
        await one.subscribe("t", "tasks")
        await one.until(kind="snapshot")
        await until(lambda: "GetCluster" in cluster.calls, "the leader was asked for")
        cluster.says_no_leader = True
        began = time.monotonic()
        told = await one.until(kind="status")
        assert told["leader"] is False
        assert time.monotonic() - began < 1.2
        assert limits.PROBE + limits.LEADERLESS < 1.0
        async with client(address) as late:
            # What comes meanwhile waits, and is served when there is a leader again.
            await late.subscribe("t", "tasks", filter={"limit": 5})
            cluster.says_no_leader = False
            began = time.monotonic()
            assert (await one.until(kind="status"))["leader"] is True
            assert time.monotonic() - began < 1.0
            assert (await late.until(id="t"))["kind"] == "snapshot"


async def test_a_leader_that_answers_late_is_not_lost(monkeypatch):
    """Slowness says nothing of leadership, however often it happens; silence is told as such."""
    monkeypatch.setattr(limits, "PROBE_TIMEOUT", 0.02)
    monkeypatch.setattr(limits, "SILENT", 0.3)
    cluster, told = FakeCluster(), []
    looking = leader.Leader(cluster, lambda present, why: told.append((present, why)), print)
    for _ in range(4):
        cluster.leads.clear()
        await looking._ask()
        await looking._ask()
        cluster.leads.set()
        await looking._ask()
    assert told == []
    cluster.leads.clear()
    while not told:
        await looking._ask()
    assert told == [(False, "the cluster does not answer; showing the last state")]


async def test_one_scheduler_that_is_gone_is_no_lost_leader(monkeypatch):
    cluster, told = FakeCluster(), []
    looking = leader.Leader(cluster, lambda present, _: told.append(present), print)
    cluster.says_no_leader = True
    await looking._ask()
    cluster.says_no_leader = False
    await looking._ask()
    assert told == []


async def test_another_leader_is_told_even_when_nobody_was_missed(cluster):
    told = []
    looking = leader.Leader(cluster, lambda present, _: told.append(present), print)
    await looking._ask()
    assert told == []
    cluster.epoch = 9
    await looking._ask()
    assert told == [False, True]
