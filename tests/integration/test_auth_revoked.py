"""A token is taken out while its owner's streams run: they end, at every door of the cluster."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
import websockets

from quorate.etcd.server.launcher import EtcdProcess
from quorate.runtime.errors import from_rpc_error
from quorate.security.credentials import tokens
from quorate.v1 import scheduler_pb2, scheduler_pb2_grpc
from tests.support.auth import Locked, locked

# Seconds: a look at the file each, and a margin for a busy machine.
SOON = 4.0


@pytest.fixture(scope="module")
def cluster(etcd_server: EtcdProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with locked(etcd_server.endpoint, tmp_path_factory.mktemp("revoked")) as cluster:
        yield cluster


def aio_channel(cluster: Locked, address: str) -> grpc.aio.Channel:
    pem = cluster.leaf("client:test").client.files.read()
    credentials = grpc.ssl_channel_credentials(pem.ca, pem.key, pem.cert)
    return grpc.aio.secure_channel(address, credentials)


async def test_a_watch_at_the_leader_and_at_a_standby_ends(cluster: Locked) -> None:
    token, kept = cluster.make_token("viewer"), cluster.make_token("viewer")
    request = scheduler_pb2.WatchTasksRequest()

    async with (
        aio_channel(cluster, cluster.schedulers[0]) as one,
        aio_channel(cluster, cluster.schedulers[1]) as two,
    ):

        async def watch(channel: grpc.aio.Channel, shown: str) -> Any:
            stub = scheduler_pb2_grpc.SchedulerStub(channel)
            metadata = (("authorization", f"Bearer {shown}"),)
            call = stub.WatchTasks(request, metadata=metadata, timeout=60)
            # It says where it begins.
            await call.read()
            return call

        watches = [await watch(channel, token) for channel in (one, two)]
        others = [await watch(channel, kept) for channel in (one, two)]
        began = time.monotonic()
        assert tokens.revoke(cluster.tokens_file, tokens.id_of(token)) == 1
        for call in watches:
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                async with asyncio.timeout(SOON):
                    await call.read()
            assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert from_rpc_error(ended.value).reason == "TOKEN_REVOKED"
        assert time.monotonic() - began < SOON
        assert not any(call.done() for call in others)


async def test_who_claims_to_be_passed_on_is_watched_all_the_same(cluster: Locked) -> None:
    """Only a scheduler's certificate says that the caller is another's to watch."""
    token = cluster.make_token("viewer")
    metadata = (("authorization", f"Bearer {token}"), ("quorate-caller", "x"))
    async with aio_channel(cluster, cluster.schedulers[0]) as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        call = stub.WatchTasks(scheduler_pb2.WatchTasksRequest(), metadata=metadata, timeout=60)
        await call.read()
        tokens.revoke(cluster.tokens_file, tokens.id_of(token))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            async with asyncio.timeout(SOON):
                await call.read()
        assert from_rpc_error(ended.value).reason == "TOKEN_REVOKED"


@pytest.mark.parametrize("topic", ["tasks", "nodes", ""])
async def test_live_updates_end_with_4401(cluster: Locked, topic: str) -> None:
    token = cluster.make_token("viewer")
    context = ssl.create_default_context(cafile=str(cluster.authority.ca_file))
    async with websockets.connect(
        f"wss://{cluster.gateway}/v1/live",
        ssl=context,
        additional_headers={"Authorization": f"Bearer {token}"},
    ) as socket:
        assert json.loads(await socket.recv())["kind"] == "hello"
        if topic:
            await socket.send(json.dumps({"op": "subscribe", "id": "a", "topic": topic}))
            assert json.loads(await socket.recv())["kind"] == "snapshot"
        tokens.revoke(cluster.tokens_file, tokens.id_of(token))
        async with asyncio.timeout(SOON):
            await socket.wait_closed()
        assert socket.close_code == 4401
