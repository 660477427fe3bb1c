"""Leases and elections on real etcd, beside `etcdctl elect`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from quorate.etcd.api import EtcdUnavailable, Range
from quorate.etcd.client import EtcdClient
from quorate.etcd.election import CandidateGone, Election
from quorate.etcd.lease import LeaseSession
from quorate.etcd.server.launcher import EtcdProcess
from tests.support.etcd import etcdctl_command, keys_of


@asynccontextmanager
async def elect(
    server: EtcdProcess, *arguments: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Callable]]:
    """`etcdctl elect` under way, and a way to read its next line."""
    command, environment = etcdctl_command(server, "elect", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    output = process.stdout

    async def line() -> bytes:
        return (await asyncio.wait_for(output.readline(), 60)).strip()

    try:
        yield process, line
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_we_wait_for_a_leader_elected_with_etcdctl(
    etcd_server: EtcdProcess, etcd_client: EtcdClient, key_prefix: bytes
) -> None:
    prefix = key_prefix + b"scheduler"
    election = Election(etcd_client, prefix)
    async with (
        elect(etcd_server, prefix.decode(), "stock") as (stock, line),
        await LeaseSession.open(etcd_client, 5) as session,
    ):
        stock_key = await line()
        assert await line() == b"stock"
        candidate = await election.campaign(session.id, b"ours")
        leader = await election.leader()
        assert leader is not None
        assert (leader.key, leader.value) == (stock_key, b"stock")
        assert stock_key == prefix + b"/" + f"{leader.lease:x}".encode()
        waiting = asyncio.create_task(election.wait_elected(candidate))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.2)
        stock.send_signal(signal.SIGINT)
        await asyncio.wait_for(waiting, 60)
        leader = await election.leader()
        assert leader is not None
        assert leader.value == b"ours"


async def test_etcdctl_sees_us_lead_and_takes_over_when_we_resign(
    etcd_server: EtcdProcess, etcd_client: EtcdClient, key_prefix: bytes
) -> None:
    name = (key_prefix + b"scheduler").decode()
    election = Election(etcd_client, name.encode())
    async with await LeaseSession.open(etcd_client, 5) as session:
        candidate = await election.campaign(session.id, b"ours")
        await election.wait_elected(candidate)
        async with (
            elect(etcd_server, "--listen", name) as (_, observed),
            elect(etcd_server, name, "stock") as (_, elected),
        ):
            assert await observed() == candidate.key
            assert await observed() == b"ours"
            async with asyncio.timeout(60):
                while len(await election.candidates()) < 2:
                    await asyncio.sleep(0.01)
            assert await election.resign(candidate)
            stock_key = await elected()
            assert await elected() == b"stock"
            assert await observed() == stock_key
            with pytest.raises(CandidateGone):
                await election.wait_elected(candidate)


async def test_a_lease_lives_longer_than_its_ttl_and_no_longer_than_its_session(
    etcd_client: EtcdClient, key_prefix: bytes
) -> None:
    session = await LeaseSession.open(etcd_client, 2)
    granted_until = session.trusted_until
    await etcd_client.put(key_prefix, b"", lease=session.id)
    async with etcd_client.watch(key_prefix) as batches:
        async with asyncio.timeout(60):
            while session.trusted_until < granted_until + session.ttl:
                await asyncio.sleep(0.05)
        assert (await etcd_client.range(Range(key_prefix))).count == 1
        assert not session.lost.is_set()
        await session.close()
        assert keys_of(await asyncio.wait_for(anext(batches), 10)) == [(True, key_prefix)]


async def test_a_lease_revoked_by_somebody_else_is_lost(etcd_client: EtcdClient) -> None:
    async with await LeaseSession.open(etcd_client, 2) as session:
        await etcd_client.lease_revoke(session.id)
        await asyncio.wait_for(session.lost.wait(), 60)
        assert not session.trusted()


async def test_a_lease_survives_an_etcd_that_is_away_for_longer_than_its_ttl(own_etcd) -> None:
    server = await own_etcd()
    async with (
        EtcdClient([server.endpoint]) as client,
        await LeaseSession.open(client, 2) as session,
    ):
        await server.kill()
        async with asyncio.timeout(60):
            while not session.silent:
                await asyncio.sleep(0.05)
        with pytest.raises(EtcdUnavailable):
            await session.renew()
        await server.start()
        async with asyncio.timeout(60):
            while session.silent:
                await asyncio.sleep(0.05)
        assert not session.lost.is_set()
        assert await client.lease_keepalive(session.id) == 2
