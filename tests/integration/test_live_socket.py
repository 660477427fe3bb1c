"""/v1/live on a real socket, a cluster in memory behind it: topics, resuming, faults, bounds."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from gateway.live import leader, limits, wire
from gateway.live.part import Live
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import service_pb2
from tests.support.live import (
    FakeCluster,
    client,
    created,
    deleted,
    ids,
    serving,
    task_id,
    updated,
)
from tests.support.server import until


@asynccontextmanager
async def gateway(cluster, **options):
    live = Live(cluster, "g1", **options)
    async with serving(live) as address:
        yield live, address


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
        assert item["cluster"] == {"epoch": "1"}
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
        cluster.leads.clear()
        began = time.monotonic()
        told = await one.until(kind="status")
        assert told["leader"] is False
        assert time.monotonic() - began < 1.2
        assert limits.PROBE + limits.PROBE_TIMEOUT < 1.0
        async with client(address) as late:
            # What comes meanwhile waits, and is served when there is a leader again.
            await late.subscribe("t", "tasks", filter={"limit": 5})
            cluster.leads.set()
            began = time.monotonic()
            assert (await one.until(kind="status"))["leader"] is True
            assert time.monotonic() - began < 1.0
            assert (await late.until(id="t"))["kind"] == "snapshot"


async def test_another_leader_is_told_even_when_nobody_was_missed(cluster):
    told = []
    looking = leader.Leader(cluster, lambda present, _: told.append(present), print)
    await looking._ask()
    assert told == []
    cluster.epoch = 9
    await looking._ask()
    assert told == [False, True]


# -- faults


async def test_malformed_messages_are_told_and_then_the_connection_is_closed(cluster):
    async with gateway(cluster) as (_, address), client(address) as one:
        for text in ("{", "[]", '{"op":"dance"}', '{"op":"subscribe","id":"x","topic":"y"}'):
            await one.socket.send(text)
            told = await one.hear()
            assert told["kind"] == "error"
            assert told["problem"]["status"] == 400
        assert told["id"] == "x"
        await one.say(op="ping")
        assert await one.hear() == {"kind": "pong"}
        await one.socket.send("]")
        assert (await one.hear())["kind"] == "error"
        await closed(one, 1008)


async def closed(one, code):
    async def listen():
        while True:
            await one.hear()

    with pytest.raises(ConnectionClosed) as caught:
        await listen()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == code


async def test_a_flood_is_ended(cluster):
    async with gateway(cluster) as (_, address), client(address) as one:
        for _ in range(limits.MESSAGES_A_SECOND + 20):
            await one.say(op="ping")
        await closed(one, 1008)


async def test_too_large_binary_and_torn_messages_are_ended(cluster):
    async with gateway(cluster) as (_, address):
        for message, code in (("x" * (limits.MESSAGE + 1), 1009), (b"{}", 1003)):
            async with client(address) as one:
                await one.socket.send(message)
                await closed(one, code)
        async with client(address) as one:
            await one.socket.send(b"\xff\xfe", text=True)
            await closed(one, 1007)
        async with client(address) as one:
            await one.socket.send(['{"op":', '"pi', 'ng"}'])
            assert await one.hear() == {"kind": "pong"}


async def test_subscriptions_of_a_connection_are_bounded(cluster, monkeypatch):
    monkeypatch.setattr(limits, "SUBSCRIPTIONS", 2)
    async with gateway(cluster) as (_, address), client(address) as one:
        for name in ("a", "b", "c"):
            await one.subscribe(name, "tasks")
        told = await one.until(kind="error")
        assert told["id"] == "c"
        assert told["problem"]["reason"] == "TOO_MANY_SUBSCRIPTIONS"
        await one.say(op="unsubscribe", id="a")
        await one.subscribe("c", "tasks")
        assert (await one.until(id="c"))["kind"] == "snapshot"


async def test_connections_are_bounded(cluster):
    async with gateway(cluster, connections=1) as (live, address):
        async with client(address):
            with pytest.raises(InvalidStatus) as caught:
                async with client(address):
                    pass
            assert caught.value.response.status_code == 503
            problem = json.loads(caught.value.response.body or b"")
            assert problem["reason"] == "TOO_MANY_CONNECTIONS"
        await until(lambda: not live.connections, "the client is gone")
        async with client(address):
            assert live.connections == 1


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://evil.example", False), ("null", False), ("https://good.example", True)],
)
async def test_pages_of_other_origins_may_not_connect(cluster, origin, allowed):
    async with gateway(cluster, origins=["https://good.example"]) as (_, address):
        async with client(address, origin=f"http://{address}"):
            pass
        if allowed:
            async with client(address, origin=origin):
                return
        with pytest.raises(InvalidStatus) as caught:
            async with client(address, origin=origin):
                pass
        assert caught.value.response.status_code == 403
        assert b"FOREIGN_ORIGIN" in (caught.value.response.body or b"")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /v1/other HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 404),
        ("GET /v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 400),
        ("POST /v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 405),
        (
            "GET /v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Transfer-Encoding: chunked",
            400,
        ),
        (
            "GET /v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            400,
        ),
        ("GET /v1/live HTTP/1.1", 426),
        # Such a target is no URL.
        ("GET //[x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 404),
        ("GET //x/v1/live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 404),
        ("GET http://x/v1/live?a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket", 400),
    ],
)
async def test_what_is_no_handshake_is_told_so(cluster, head, status):
    async with gateway(cluster) as (_, address):
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{head}\r\nHost: {address}\r\n\r\n".encode())
        assert int((await reader.readline()).split()[1]) == status
        rest = b""
        while b"}" not in rest:
            rest += await reader.read(4096)
        assert b"application/problem+json" in rest
        writer.close()


async def test_a_bug_in_the_handshake_costs_that_connection_alone(cluster, monkeypatch):
    states = set()

    class Broken(Live):
        def protocol(self, config, server_state, app_state):
            states.add(server_state)
            return super().protocol(config, server_state, app_state)

        def admit(self, target, headers):
            raise ZeroDivisionError

    live = Broken(cluster, "g1")
    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    async with serving(live) as address:
        with pytest.raises((ConnectionError, InvalidMessage)):
            async with connect(f"ws://{address}/v1/live"):
                pass
        (state,) = states
        # Uvicorn counts these, and refuses requests when there are too many.
        await until(lambda: not state.connections, "it is not counted any more")
    # Not swallowed either.
    assert isinstance(heard[0]["exception"], ZeroDivisionError)


async def test_sub_paths_are_understood(cluster):
    async with gateway(cluster, root_path="/quorate") as (_, address):
        for path in ("/quorate/v1/live", "/v1/live"):
            async with connect(f"ws://{address}{path}") as one:
                assert "hello" in str(await one.recv())


async def test_leaving_tells_clients_to_go_on_elsewhere(cluster):
    async with gateway(cluster) as (_, address):
        entered = client(address)
        one = await entered.__aenter__()
    await closed(one, 1001)
    await entered.__aexit__(None, None, None)


# -- clients that do not read, or are gone


class Deaf:
    """A client that subscribes and then reads nothing."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.socket()
        # Little fits between the two.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(20)
        self.socket.connect((host, int(port)))
        self.socket.sendall(
            f"GET /v1/live HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += self.socket.recv(1)
        assert b" 101 " in heard
        self.say(op="subscribe", id="t", topic="tasks")

    @classmethod
    async def connected(cls, address):
        return await asyncio.to_thread(cls, address)

    def say(self, **message):
        data = json.dumps(message).encode()
        assert len(data) < 126
        self.socket.sendall(bytes((0x81, 0x80 | len(data), 0, 0, 0, 0)) + data)


def bulk(number):
    event = updated(number, "FAILED")
    event.task.error.message = "x" * 3_000
    return event


async def test_a_stalled_client_is_ended_others_go_on_and_memory_is_bounded(cluster, monkeypatch):
    monkeypatch.setattr(limits, "STALL", 1.0)
    monkeypatch.setattr(limits, "FAREWELL", 0.2)
    async with gateway(cluster) as (live, address), client(address) as one:
        await one.subscribe("t", "tasks")
        await one.hear()
        deaf = await Deaf.connected(address)
        await until(lambda: live.connections == 2, "it is connected")
        most, heard = 0, 0
        rounds = 0
        while live.connections == 2:
            rounds += 1
            assert rounds < 400
            await cluster.happen(*(bulk(number) for number in range(100)))
            told = await one.hear()
            assert told["kind"] == "delta"
            heard += len(told["changed"])
            most = max(most, live.unread)
        assert heard == rounds * 100
        # Its backlog, one frame above it, and the moment's frame of the other.
        assert limits.HIGH < most < limits.HIGH + 2 * 400_000
        assert rounds * 300_000 > 2 * most
        deaf.socket.close()


async def test_a_slow_client_gets_the_newest_state_when_it_reads_again(cluster):
    async with gateway(cluster) as (live, address):
        deaf = await Deaf.connected(address)
        await until(lambda: cluster.watches == 1, "it is subscribed")
        for _ in range(20):
            await cluster.happen(*(bulk(number) for number in range(100)))
            await asyncio.sleep(0.11)
        assert live.unread > limits.HIGH
        # It reads on: what was left out is not sent later, a snapshot is.
        deaf.socket.setblocking(False)
        loop = asyncio.get_running_loop()
        heard = b""
        async with asyncio.timeout(10):
            while heard.count(b'"kind":"snapshot"') < 2 or not heard.endswith(b"]}"):
                heard += await loop.sock_recv(deaf.socket, 1 << 20)
        assert heard.count(b'"kind":"delta"') < 20
        assert heard.rfind(b'"kind":"snapshot"') > heard.rfind(b'"kind":"delta"')
        last = json.loads(heard[heard.rfind(b'{"id":"t","kind":"snapshot"') :])
        assert len(last["items"]) == 100
        assert last["revision"] == "2099"
        deaf.socket.close()


async def test_a_stalled_client_that_ended_its_side_is_dropped(cluster, monkeypatch):
    monkeypatch.setattr(limits, "FAREWELL", 0.2)
    async with gateway(cluster) as (live, address):
        deaf = await Deaf.connected(address)
        await until(lambda: cluster.watches == 1, "it is subscribed")
        while live.unread <= limits.HIGH:
            await cluster.happen(*(bulk(number) for number in range(100)))
            await asyncio.sleep(0.11)
        deaf.socket.shutdown(socket.SHUT_WR)
        await until(lambda: not live.connections, "it is dropped, and what it did not read")
        deaf.socket.close()


async def test_a_half_open_connection_is_found(cluster, monkeypatch):
    monkeypatch.setattr(limits, "PING", 0.2)
    monkeypatch.setattr(limits, "SILENCE", 1.5)
    async with gateway(cluster) as (live, address), client(address):
        gone = await Deaf.connected(address)
        await until(lambda: live.connections == 2, "both are connected")
        # The one answers pings, the other's answers never come.
        await until(lambda: live.connections == 1, "the silent one is dropped")
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > 2, "time passes")
        assert live.connections == 1
        gone.socket.close()


async def test_all_that_is_unread_together_is_bounded(cluster, monkeypatch):
    monkeypatch.setattr(limits, "PENDING", 100_000)
    monkeypatch.setattr(limits, "FAREWELL", 0.1)
    async with gateway(cluster) as (live, address):
        deaf = await Deaf.connected(address)
        await until(lambda: cluster.watches == 1, "it is subscribed")
        for _ in range(20):
            await cluster.happen(*(bulk(number) for number in range(100)))
            await asyncio.sleep(0.11)
        await until(lambda: not live.connections, "the fullest one is closed")
        assert wire.TRY_AGAIN == 1013
        deaf.socket.close()


async def test_hundreds_of_clients_hear_within_half_a_second_beside_stalled_ones(cluster):
    """Done-when 4, small: 100 clients, 3 of them deaf, 500 events a second for 2 s."""
    async with gateway(cluster) as (_, address):
        deaf = [await Deaf.connected(address) for _ in range(3)]
        delays: list[float] = []
        happened: dict[int, float] = {}
        last = 1_000

        async def listen():
            async with client(address) as one:
                await one.subscribe("t", "tasks")
                await one.hear()
                ready.release()
                found = set()
                while last not in found:
                    told = await one.hear()
                    assert told["kind"] == "delta"
                    now = time.monotonic()
                    numbers = ids(told["changed"])
                    delays.extend(now - happened[number] for number in numbers)
                    found.update(numbers)
                assert len(found) == last

        ready = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as group:
            for _ in range(97):
                group.create_task(listen())
            for _ in range(97):
                await ready.acquire()
            began = time.monotonic()
            for number in range(1, last + 1):
                happened[number] = time.monotonic()
                await cluster.happen(updated(number, "RUNNING"))
                await asyncio.sleep(max(0, began + number / 500 - time.monotonic()))
        assert len(delays) == 97 * last
        assert sorted(delays)[int(len(delays) * 0.99)] < 0.5
        for one in deaf:
            one.socket.close()
