"""`quorate etcd init-auth` against a real etcd, and agents that have the rights it gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from aetcd import rpc

from node_agent.session.registration import Registration
from quorate.doctor.etcd_auth_checks import check_auth
from quorate.doctor.finding import Finding, Level
from quorate.etcd.api import EtcdUnauthenticated, Range, prefix_end
from quorate.etcd.client import EtcdClient, EtcdTls
from quorate.etcd.server.launcher import EtcdProcess
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.runtime.timing.clock import SystemClock
from tests.support import forked
from tests.support.tls import TestAuthority

PREFIX = b"/quorate/c/"
TASK, RUN = PREFIX + b"tasks/q/1", PREFIX + b"runs/q/1"


class Store:
    """An etcd with client certificates, which asks for no users yet."""

    def __init__(self, etcd: EtcdProcess, ca: TestAuthority) -> None:
        self.etcd = etcd
        self.ca = ca

    def of(self, subject: str) -> EtcdClient:
        leaf = self.ca.leaf(subject)
        tls = EtcdTls(str(self.ca.ca_file), str(leaf.cert_file), str(leaf.key_file))
        return EtcdClient([self.etcd.endpoint], tls=tls)

    async def init_auth(self, *words: str, subject: str = "operator:o1") -> forked.Ended:
        leaf = self.ca.leaf(subject)
        flags = (
            *("--etcd", self.etcd.endpoint, "--cluster", "c"),
            *("--etcd-ca-file", str(self.ca.ca_file)),
            *("--etcd-cert-file", str(leaf.cert_file), "--etcd-key-file", str(leaf.key_file)),
        )
        command = ("quorate", "etcd", "init-auth", *words, *flags)
        return await asyncio.to_thread(forked.run, *command)

    async def findings(self, subject: str, *, local: bool = False) -> list[Finding]:
        async with self.of(subject) as client:
            return await check_auth(client, local=local)


@pytest_asyncio.fixture
async def store(
    own_etcd: Callable[..., Awaitable[EtcdProcess]], tmp_path: Path
) -> AsyncIterator[Store]:
    ca = TestAuthority(tmp_path / "ca")
    server, operator = ca.leaf("etcd:e1"), ca.leaf("operator:o1")
    tls = EtcdTls(str(ca.ca_file), str(operator.cert_file), str(operator.key_file))
    etcd = await own_etcd(
        tls=tls,
        extra=(
            f"--cert-file={server.cert_file}",
            f"--key-file={server.key_file}",
            f"--trusted-ca-file={ca.ca_file}",
            "--client-cert-auth",
        ),
    )
    async with EtcdClient([etcd.endpoint], tls=tls) as client:
        for key in (TASK, RUN, PREFIX + b"nodes/n1", PREFIX + b"election/scheduler/1"):
            await client.put(key, b"x")
    yield Store(etcd, ca)


async def test_the_command_turns_authentication_on_and_doctor_agrees(store: Store) -> None:
    (found,) = await store.findings("operator:o1")
    assert (found.level, "init-auth" in found.advice) == (Level.WARNING, True)
    assert await store.findings("operator:o1", local=True) == []

    for wrong in ("gateway:g1", "scheduler:s*", "node:*", "node:a*b", "node:"):
        assert (await store.init_auth(wrong, "--yes")).code == 2, wrong
    refused = await store.init_auth("--yes", subject="scheduler:pods")
    assert (refused.code, "must be of operator:NAME" in refused.err) == (2, True)
    assert "--yes" in (await store.init_auth()).err
    (found,) = await store.findings("operator:o1")
    assert found.level is Level.WARNING

    for _ in range(2):
        done = await store.init_auth("--yes", "--wait", "5")
        assert done.code == 0, done.err
    assert done.out == (
        "etcd asks who calls, and knows operator:o1, scheduler:pods, node:agent-*\n"
    )
    (found,) = await store.findings("operator:o1")
    assert (found.level, found.text) == (
        Level.OK,
        "asks who calls; 1 user of nodes may read no task",
    )
    (found,) = await store.findings("scheduler:pods")
    assert (found.level, found.text) == (Level.OK, "asks who calls")

    # Somebody gives nodes more than they need.
    async with store.of("operator:o1") as client:
        role = "quorate/c/node:agent-*"
        request = rpc.AuthRoleGrantPermissionRequest(name=role)
        request.perm.key, request.perm.range_end = PREFIX + b"tasks/", PREFIX + b"tasks0"
        await client.administer("RoleGrantPermission", request)
    (found,) = await store.findings("operator:o1")
    assert found.level is Level.ERROR
    assert 'user "node:agent-*" may read /quorate/c/tasks/...' in found.text


async def test_an_agent_with_its_rights_registers_and_reads_no_task_and_no_other_node(
    store: Store,
) -> None:
    assert (await store.init_auth("--yes")).code == 0
    name = "agent-6bd5f7c9f4-x2x7k"
    key = PREFIX + b"nodes/" + name.encode()
    record = NodeRecord(name=name, instance="i1", address="a:1")
    lost: list[bool] = []
    async with store.of("node:agent-*") as agent, store.of("scheduler:pods") as scheduler:
        registration = Registration(
            agent, key, record, 2, SystemClock(), lambda _: None, lambda: lost.append(True)
        )
        keeping = asyncio.create_task(registration.keep())
        try:
            async with asyncio.timeout(60):
                await registration.registered.wait()
            (found,) = (await scheduler.range(Range(key))).kvs
            assert NodeRecord.FromString(found.value).instance == "i1"
            for read in (TASK, RUN, PREFIX + b"nodes/n1", key):
                with pytest.raises(EtcdUnauthenticated):
                    await agent.range(Range(read))
                with pytest.raises(EtcdUnauthenticated):
                    async with agent.watch(read, start_revision=1) as batches:
                        await anext(batches)
            for start in (PREFIX, PREFIX + b"nodes/", b"/"):
                with pytest.raises(EtcdUnauthenticated):
                    await agent.range(Range(start, prefix_end(start)))
            assert (await agent.range(Range(PREFIX + b"election/scheduler/1"))).kvs

            # The leader gives the node up: it notices, and registers again.
            lease = registration.lease
            assert lease is not None
            await scheduler.lease_revoke(lease.id)
            async with asyncio.timeout(60):
                while not lost or not (await scheduler.range(Range(key))).kvs:
                    await asyncio.sleep(0.05)
            assert not keeping.done()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await registration.close()
