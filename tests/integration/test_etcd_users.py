"""What each process's certificate may do in etcd, tried against a real one that asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aetcd import rpc

from quorate.etcd.api import (
    Compare,
    EtcdError,
    EtcdUnauthenticated,
    EtcdUnavailable,
    Put,
    Range,
    prefix_end,
)
from quorate.etcd.client import EtcdClient, EtcdTls
from quorate.etcd.server.launcher import EtcdProcess
from quorate.etcd.server.users import grant
from tests.support import forked
from tests.support.tls import TestAuthority

PREFIX = b"/quorate/c/"
PODS = "node:agent-*"
SUBJECTS = ("operator:o1", "scheduler:s1", "node:n1", "node:n2", PODS, "gateway:g1")


class Store:
    """An etcd that asks, and clients of it by certificate."""

    def __init__(self, etcd: EtcdProcess, ca: TestAuthority, leader_lease: int) -> None:
        self.etcd = etcd
        self.ca = ca
        self.leader_lease = leader_lease

    @asynccontextmanager
    async def of(self, subject: str, ca: TestAuthority | None = None) -> AsyncIterator[EtcdClient]:
        leaf = (ca or self.ca).leaf(subject)
        tls = EtcdTls(str(self.ca.ca_file), str(leaf.cert_file), str(leaf.key_file))
        async with EtcdClient([self.etcd.endpoint], tls=tls) as client:
            yield client


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
        # As a start and each later one do.
        await grant(client, SUBJECTS, PREFIX)
        await grant(client, SUBJECTS, PREFIX)
    found = Store(etcd, ca, 0)
    async with found.of("scheduler:s1") as leader:
        lease = await leader.lease_grant(600)
        await leader.put(PREFIX + b"election/scheduler/1", b"s1", lease=lease.id)
        await leader.put(PREFIX + b"queues/q", b"q")
        await leader.put(PREFIX + b"tasks/q/1", b"t")
        found.leader_lease = lease.id
    yield found


async def puts(client: EtcdClient, store: Store, key: bytes) -> None:
    await client.put(key, b"x")


async def txns(client: EtcdClient, store: Store, key: bytes) -> None:
    await client.txn([Compare(key, "version", ">", -1)], [Put(key, b"x")])


async def deletes(client: EtcdClient, store: Store, key: bytes) -> None:
    await client.delete(key)


async def reads(client: EtcdClient, store: Store, key: bytes) -> None:
    await client.range(Range(key))


async def lists(client: EtcdClient, store: Store, key: bytes) -> None:
    await client.range(Range(key, prefix_end(key)))


async def watches(client: EtcdClient, store: Store, key: bytes) -> None:
    async with client.watch(key, prefix_end(key), start_revision=1) as batches:
        async for _ in batches:
            return


async def revokes(client: EtcdClient, store: Store, key: bytes) -> None:
    await client.lease_revoke(store.leader_lease)


async def makes_users(client: EtcdClient, store: Store, key: bytes) -> None:
    await client.administer("UserAdd", rpc.AuthUserAddRequest(name="mine", password="x"))


async def switches_off(client: EtcdClient, store: Store, key: bytes) -> None:
    await client.administer("AuthDisable", rpc.AuthDisableRequest())


Deed = Callable[[EtcdClient, Store, bytes], Awaitable[None]]
NODES, MINE = PREFIX + b"nodes/", PREFIX + b"nodes/n1"
ELECTION, LEADER = PREFIX + b"election/", PREFIX + b"election/scheduler/1"

MAY: list[tuple[str, Deed, bytes]] = [
    ("node:n1", puts, MINE),
    ("node:n1", txns, MINE),
    ("node:n1", reads, MINE),
    ("node:n1", puts, PREFIX + b"services/web/1"),
    ("node:n1", lists, ELECTION),
    ("node:n1", watches, ELECTION),
    ("node:n1", reads, PREFIX + b"generation"),
    (PODS, puts, NODES + b"agent-6bd5f7c9f4-x2x7k"),
    (PODS, puts, PREFIX + b"services/web/1"),
    (PODS, txns, PREFIX + b"services/web/1"),
    (PODS, watches, ELECTION),
    (PODS, reads, PREFIX + b"generation"),
    ("scheduler:s1", txns, PREFIX + b"queues/q"),
    ("scheduler:s1", lists, PREFIX),
    ("scheduler:s1", watches, PREFIX),
    ("scheduler:s1", deletes, MINE),
    ("scheduler:s1", revokes, b""),
    ("operator:o1", lists, b"/"),
    ("operator:o1", puts, b"/elsewhere"),
]
MAY_NOT: list[tuple[str, Deed, bytes]] = [
    *(("node:n1", deed, NODES + b"n2") for deed in (puts, txns, deletes, reads)),
    *(("node:n1", deed, LEADER) for deed in (puts, txns, deletes)),
    *((PODS, deed, MINE) for deed in (puts, txns, deletes, reads)),
    *((PODS, deed, NODES + b"agent-6bd5f7c9f4-x2x7k") for deed in (reads, watches)),
    *((PODS, lists, NODES + end) for end in (b"", b"agent-")),
    *((PODS, deed, PREFIX + b"tasks/q/1") for deed in (puts, reads, watches)),
    *((PODS, deed, PREFIX + b"runs/") for deed in (lists, watches)),
    (PODS, revokes, b""),
    ("node:n1", lists, NODES),
    ("node:n1", lists, PREFIX),
    ("node:n1", reads, PREFIX + b"tasks/q/1"),
    ("node:n1", puts, PREFIX + b"tasks/q/1"),
    ("node:n1", puts, PREFIX + b"service-specs/web"),
    ("node:n1", puts, PREFIX + b"generation"),
    ("node:n1", watches, PREFIX + b"runs/"),
    ("node:n1", revokes, b""),
    *(
        (who, deed, b"")
        for who in ("node:n1", "scheduler:s1")
        for deed in (makes_users, switches_off)
    ),
    ("scheduler:s1", puts, b"/quorate/other/queues/q"),
    ("scheduler:s1", reads, b"/quorate/other/queues/q"),
    *((who, lists, PREFIX) for who in ("gateway:g1", "client:local", "admin:a", "node:n9")),
    *((who, puts, MINE) for who in ("gateway:g1", "client:local", "admin:a", "node:n9")),
]


async def test_each_certificate_may_do_what_its_process_needs_and_nothing_else(
    store: Store,
) -> None:
    for who, deed, key in MAY_NOT:
        async with store.of(who) as client:
            try:
                await deed(client, store, key)
            except EtcdUnauthenticated:
                continue
            pytest.fail(f"{who} {deed.__name__} {key!r}")
    for who, deed, key in MAY:
        async with store.of(who) as client:
            try:
                await deed(client, store, key)
            except EtcdError as error:
                pytest.fail(f"{who} {deed.__name__} {key!r}: {error}")


async def test_the_command_gives_rights_and_says_what_it_is_about(store: Store) -> None:
    operator = store.ca.leaf("operator:o1")
    flags = (
        *("--etcd", store.etcd.endpoint, "--cluster", "c"),
        *("--etcd-ca-file", str(store.ca.ca_file)),
        *("--etcd-cert-file", str(operator.cert_file), "--etcd-key-file", str(operator.key_file)),
    )

    async def quorate(*words: str) -> forked.Ended:
        return await asyncio.to_thread(forked.run, "quorate", "etcd", "grant", *words, *flags)

    assert "--yes" in (await quorate("node:n9")).err
    assert (await quorate("gateway:g1", "--yes")).code == 2
    plain = ("quorate", "etcd", "grant", "node:n9", "--yes", "--etcd", "127.0.0.1:1")
    assert "etcd-cert-file" in (await asyncio.to_thread(forked.run, *plain)).err
    done = await quorate("node:n9", "--yes")
    assert (done.code, done.out) == (0, "etcd knows node:n9\n")
    async with store.of("node:n9") as client:
        await client.put(NODES + b"n9", b"x")
        with pytest.raises(EtcdUnauthenticated):
            await client.put(MINE, b"x")


async def test_a_certificate_of_the_clusters_own_ca_opens_nothing(
    store: Store, tmp_path: Path
) -> None:
    """A gateway's, or a program's: another CA than etcd's has signed it."""
    cluster = TestAuthority(tmp_path / "cluster")
    for who in ("scheduler:s1", "operator:o1", "gateway:g1"):
        async with store.of(who, cluster) as client:
            with pytest.raises(EtcdUnavailable):
                await client.range(Range(PREFIX), timeout=2)
