"""All endpoints of an etcd are asked for their version before a process trusts it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from aetcd import rpc

from quorate.etcd.api import EtcdUnavailable
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.versions import SafeEtcd
from quorate.runtime.config import EtcdSettings
from quorate.runtime.errors import QuorateError
from quorate.runtime.network.free_port import free_port


class Member(grpc.GenericRpcHandler):
    """Says that it is an etcd of some version, and counts how often it was asked."""

    def __init__(self, version: str) -> None:
        self.asked = 0
        self._status = rpc.StatusResponse(version=version, dbSize=1, leader=1)
        self._members = rpc.MemberListResponse(members=[rpc.Member(ID=1)])

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        async def status(request: bytes, context: Any) -> bytes:
            self.asked += 1
            return bytes(self._status.SerializeToString())

        async def members(request: bytes, context: Any) -> bytes:
            return bytes(self._members.SerializeToString())

        known = {
            "/etcdserverpb.Maintenance/Status": status,
            "/etcdserverpb.Cluster/MemberList": members,
        }
        answer = known.get(details.method)
        return grpc.unary_unary_rpc_method_handler(answer) if answer else None


@asynccontextmanager
async def members(versions: Sequence[str]) -> AsyncIterator[tuple[list[Member], list[str]]]:
    """Members of these versions and their endpoints; "" is one that is away."""
    found, endpoints = [], []
    async with AsyncExitStack() as stack:
        for version in versions:
            if not version:
                endpoints.append(f"127.0.0.1:{free_port()}")
                continue
            member = Member(version)
            server = grpc.aio.server(handlers=[member])
            endpoints.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
            await server.start()
            stack.push_async_callback(server.stop, None)
            found.append(member)
        yield found, endpoints


@asynccontextmanager
async def check(endpoints: list[str]) -> AsyncIterator[SafeEtcd]:
    settings = EtcdSettings.model_validate({"etcd": ",".join(endpoints)})
    async with EtcdClient.from_settings(settings) as client:
        yield SafeEtcd(client, settings)


@pytest.mark.parametrize(
    "versions", [["3.5.1"], ["3.4.23", "3.5.1"], ["3.5.9", "3.4.23", "3.5.0"], ["", "3.5.2"]]
)
async def test_one_member_that_loses_writes_is_enough(versions: list[str]) -> None:
    async with members(versions) as (_, endpoints), check(endpoints) as safe:
        with pytest.raises(QuorateError, match="lose acknowledged writes") as rejection:
            await safe()
        assert rejection.value.reason == "ETCD_VERSION_UNSAFE"
        assert endpoints[-1] in rejection.value.message


@pytest.mark.parametrize("versions", [["3.4.23"], ["3.4.23", "3.5.9"], ["3.5.9", ""]])
async def test_what_is_fit_passes_and_is_asked_once(versions: list[str]) -> None:
    async with members(versions) as (found, endpoints), check(endpoints) as safe:
        await safe()
        await safe()
        assert [member.asked for member in found] == [1] * len(found)


@pytest.mark.parametrize("versions", [[""], ["", ""]])
async def test_an_etcd_that_is_away_is_asked_again(
    versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorate.etcd.server.versions._TIMEOUT", 0.2)
    async with members(versions) as (_, endpoints), check(endpoints) as safe:
        for _ in range(2):
            with pytest.raises(EtcdUnavailable):
                await safe()
