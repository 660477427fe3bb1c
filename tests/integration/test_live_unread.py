"""/v1/live on a real socket: clients that do not read, or are gone, and those beside them."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import pytest

from gateway.live import limits, session
from tests.support.live import (
    FakeCluster,
    client,
    ids,
    updated,
)
from tests.support.live_gateway import gateway
from tests.support.server import until


@pytest.fixture
async def cluster():
    return FakeCluster()


class Deaf:
    """A client that subscribes and then reads nothing."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.socket()
        # Little fits between the two.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(60)
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
        async with asyncio.timeout(60):
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
    monkeypatch.setattr(limits, "SILENCE", 1.0)
    async with gateway(cluster) as (live, address), client(address):
        gone = await Deaf.connected(address)
        await until(lambda: live.connections == 2, "both are connected")
        # The one answers pings, the other's answers never come.
        await until(lambda: live.connections == 1, "the silent one is dropped")
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > 1.3, "time passes")
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
        assert session.TRY_AGAIN == 1013
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
