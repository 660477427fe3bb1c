"""gRPC's channelz on schedulers and agents: there when asked for, and true. Who may call it is
tried with every other RPC in test_auth_every_rpc.py."""

from __future__ import annotations

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2 as cz
from grpc_channelz.v1 import channelz_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from quorate.telemetry.channelz import SERVICE
from tests.support.cluster import Cluster
from tests.support.server import Server, until
from tests.support.tls import open_aio, open_sync


def served_by(server: Server) -> list[str]:
    with open_sync(server.address) as channel:
        return list(ProtoReflectionDescriptorDatabase(channel).get_services())


async def test_connections_and_calls_are_shown(tmp_path):
    flags = ("--channelz",)
    async with Cluster(
        tmp_path, schedulers=1, agents=1, scheduler_flags=flags, agent_flags=flags
    ) as cluster:
        await cluster.in_session()
        scheduler, agent = cluster.schedulers["s1"], cluster.agents["n1"]
        for process in (scheduler, agent):
            assert SERVICE in served_by(process)
            async with open_aio(process.address) as channel:
                stub = channelz_pb2_grpc.ChannelzStub(channel)
                (server,) = (await stub.GetServers(cz.GetServersRequest(), timeout=10)).server
                assert server.data.calls_started > 0
                request = cz.GetServerSocketsRequest(server_id=server.ref.server_id)
                assert (await stub.GetServerSockets(request, timeout=60)).socket_ref
                await _shows(stub, cluster.etcd.endpoint.rpartition(":")[2])
        async with open_aio(scheduler.address) as channel:
            # The scheduler's own calls to the agent.
            stub = channelz_pb2_grpc.ChannelzStub(channel)
            await _shows(stub, agent.address.rpartition(":")[2])


async def _shows(stub: channelz_pb2_grpc.ChannelzStub, port: str) -> None:
    """Until a process shows a channel to a port on which calls were made."""

    async def look() -> bool:
        answer = await stub.GetTopChannels(cz.GetTopChannelsRequest(), timeout=10)
        return any(
            channel.data.target.endswith(port) and channel.data.calls_started
            for channel in answer.channel
        )

    await until(look, f"a channel to port {port}")


async def test_it_is_not_there_unless_asked_for(tmp_path):
    async with Cluster(tmp_path, schedulers=1, agents=1) as cluster:
        for process in cluster.servers:
            assert SERVICE not in served_by(process)
            async with open_aio(process.address) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await channelz_pb2_grpc.ChannelzStub(channel).GetServers(
                        cz.GetServersRequest(), timeout=10
                    )
                assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
