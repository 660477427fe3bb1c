"""connection.update-secret: the token of a connection is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.amqp.wire import frames
from gateway.auth.credentials import Access
from quorate.v1 import scheduler_pb2
from tests.support.amqp_cluster import Client


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    await client.open()
    yield client
    await client.leave()


def update(client: Client, secret: bytes) -> None:
    client.method(0, "connection.update-secret", new_secret=secret, reason="old")


async def test_one_secret_is_updated_at_a_time(client):
    async def never(request: object) -> None:
        await asyncio.Event().wait()

    client.cluster.answers["GetCluster"] = never
    before = len(client.cluster.calls)
    frame = frames.method(0, "connection.update-secret", new_secret=b"new", reason="old")
    client.send(frame * 1_000)
    assert (await client.get("connection.close"))["reply_code"] == 503
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(client.cluster.calls) == before + 1


@pytest.mark.parametrize(
    ("secret", "owner"),
    [(b"\xc3\xa9", "a"), (b"two words", "a"), (b"", "a"), (b"new", "submitter:other")],
)
async def test_a_secret_that_is_no_token_of_the_user_is_refused(secret, owner):
    client = Client(Access(required=True))
    await client.open()
    answer = scheduler_pb2.GetClusterResponse(caller={"name": owner})
    client.cluster.answers["GetCluster"] = answer
    update(client, secret)
    close = await client.get("connection.close")
    assert (close["reply_code"], close["class_id"], close["method_id"]) == (530, 10, 70)
    # What goes on of it has the token of its login.
    assert client.connection._metadata() == Access().metadata("b")
    await client.leave()


async def test_the_token_of_a_new_secret_holds_when_its_owner_is_known(client):
    known = asyncio.Event()

    async def wait(request: object) -> Any:
        await known.wait()
        return scheduler_pb2.GetClusterResponse(caller={"name": "submitter:a"})

    client.cluster.answers["GetCluster"] = wait
    update(client, b"new")
    await asyncio.sleep(0)
    assert client.connection._metadata() == Access().metadata("b")
    known.set()
    await client.get("connection.update-secret-ok")
    assert client.connection._metadata() == Access().metadata("new")


async def test_a_secret_of_another_caller_of_the_same_name_is_refused():
    client = Client(Access(required=True))

    def known_as(caller: str) -> None:
        answer = scheduler_pb2.GetClusterResponse(caller={"name": caller})
        client.cluster.answers["GetCluster"] = answer

    known_as("submitter:a")
    await client.open()
    assert client.connection.seen.caller == "submitter:a"
    update(client, b"new")
    await client.get("connection.update-secret-ok")
    known_as("worker:a")
    update(client, b"newer")
    assert (await client.get("connection.close"))["reply_code"] == 530
    assert client.connection._metadata() == Access().metadata("new")
    await client.leave()
