"""gRPC's own view of a process: the service channelz, when it is asked for.

It tells who is connected, and how many calls each connection and channel carried or failed: of
this process's server, and of its channels to etcd, to the leader and to agents. Owns nothing: gRPC
counts in any case. Off by default, and for admins alone where callers are authenticated, since it
shows the addresses of everybody. Source: https://github.com/grpc/proposal/blob/master/A14-channelz.md
"""

from __future__ import annotations

from typing import Any, Final

from grpc_channelz.v1 import _async as aio
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from pydantic import BaseModel, Field

from quorate.runtime.typed_requests import typed

SERVICE: Final[str] = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name


class ChannelzSettings(BaseModel):
    """Mixed into the settings of processes that serve gRPC."""

    channelz: bool = Field(
        default=False,
        description="serve grpc.channelz.v1, which shows connections and calls, to admins",
    )


def serve_channelz(server: Any, *, wanted: bool) -> tuple[str, ...]:
    """Serve it on a grpc.aio server that has not started; the names to list by reflection."""
    if not wanted:
        return ()
    channelz_pb2_grpc.add_ChannelzServicer_to_server(aio.ChannelzServicer(), typed(server))
    return (SERVICE,)
