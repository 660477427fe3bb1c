"""Bytes that are no request, to every method that any server lists: typed, never a bare UNKNOWN."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_channelz.v1 import channelz_pb2 as cz
from grpc_channelz.v1 import channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from quorate.externalscaler import externalscaler_pb2
from quorate.runtime.errors import from_rpc_error
from quorate.v1 import node_agent_pb2
from tests.integration.test_channelz import served_by
from tests.support.cluster import Cluster
from tests.support.tls import open_aio

# Else their descriptors are not there to be found.
assert externalscaler_pb2.DESCRIPTOR
assert node_agent_pb2.DESCRIPTOR
# A field of wire type 7, which there is none of; and a length beyond the end.
NONSENSE = (b"\xff\xff\xff", b"\x0a\x7f")


@pytest.mark.parametrize("body", NONSENSE)
async def test_bytes_that_are_no_request_are_an_invalid_argument(tmp_path, body):
    flags = ("--channelz",)
    async with Cluster(
        tmp_path, schedulers=1, agents=1, scheduler_flags=flags, agent_flags=flags
    ) as cluster:
        await cluster.in_session()
        wrong, asked = {}, 0
        for process in cluster.servers:
            async with open_aio(process.address) as channel:
                for name in served_by(process):
                    service = descriptor_pool.Default().FindServiceByName(name)
                    for method in service.methods:
                        path = f"/{name}/{method.name}"
                        found = await rejection(channel, method, path, body)
                        asked += 1
                        if found != ("INVALID_ARGUMENT", "MALFORMED_REQUEST"):
                            wrong[process.name, path] = found
        assert asked > 50
        assert not wrong


async def rejection(channel, method, path, body):
    """(code, reason) of the answer to some bytes."""
    kind = "stream" if method.client_streaming else "unary"
    kind += "_stream" if method.server_streaming else "_unary"
    sent = iter([body]) if method.client_streaming else body
    call = getattr(channel, kind)(path)(sent, timeout=60)
    try:
        if method.server_streaming:
            async for _ in call:
                return ("OK", "")
            return ("OK", "")
        await call
        return ("OK", "")
    except grpc.aio.AioRpcError as error:
        return (error.code().name, from_rpc_error(error).reason)


async def test_well_formed_requests_are_answered_as_before(tmp_path):
    flags = ("--channelz",)
    async with Cluster(
        tmp_path, schedulers=1, agents=1, scheduler_flags=flags, agent_flags=flags
    ) as cluster:
        for process in cluster.servers:
            async with open_aio(process.address) as channel:
                health = health_pb2_grpc.HealthStub(channel)
                answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
                watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=10)
                assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
                watch.cancel()
                stub = channelz_pb2_grpc.ChannelzStub(channel)
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.GetServer(cz.GetServerRequest(server_id=1 << 60), timeout=10)
                assert refused.value.code() is not grpc.StatusCode.UNKNOWN
