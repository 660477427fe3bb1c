"""Several endpoints, lost connections, unknown outcomes, TLS and passwords, on real etcd."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path

import pytest

from quorate.etcd import watch
from quorate.etcd.api import (
    EtcdNoSpace,
    EtcdUnauthenticated,
    EtcdUnavailable,
    Put,
    Range,
    prefix_end,
)
from quorate.etcd.client import EtcdClient, EtcdTls
from quorate.etcd.server.launcher import EtcdProcess
from quorate.runtime.config import EtcdSettings
from quorate.runtime.network.free_port import free_port
from tests.support.etcd import Proxy, etcdctl, keys_of, make_certificates

# Endpoints


async def test_a_dead_endpoint_is_passed_over(etcd_server: EtcdProcess, key_prefix: bytes) -> None:
    dead = f"127.0.0.1:{free_port()}"
    async with EtcdClient([dead, etcd_server.endpoint]) as client:
        await client.put(key_prefix, b"v", timeout=2)
        assert (await client.range(Range(key_prefix), timeout=2)).kvs[0].value == b"v"


async def test_an_endpoint_that_accepts_and_says_nothing_is_passed_over(
    etcd_server: EtcdProcess, key_prefix: bytes
) -> None:
    connections: list[asyncio.StreamWriter] = []
    mute = await asyncio.start_server(lambda r, w: connections.append(w), "127.0.0.1", 0)
    address = f"127.0.0.1:{mute.sockets[0].getsockname()[1]}"
    async with EtcdClient([address, etcd_server.endpoint]) as client:
        assert (await client.range(Range(key_prefix), timeout=60)).count == 0
        async with client.watch(key_prefix) as batches:
            await client.put(key_prefix, b"v")
            assert keys_of(await asyncio.wait_for(anext(batches), 10)) == [(False, key_prefix)]
    assert connections
    for writer in connections:
        writer.transport.abort()
    mute.close()
    await mute.wait_closed()


async def test_without_any_etcd_the_reason_is_told_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_OPEN_TIMEOUT", 0.5)
    dead = f"127.0.0.1:{free_port()}"
    async with EtcdClient([dead]) as client:
        start = asyncio.get_running_loop().time()
        with pytest.raises(
            EtcdUnavailable, match=r"no etcd answers at 127\.0\.0\.1:\d+: .*refused"
        ):
            await client.put(b"k", b"v", timeout=0.3)
        assert asyncio.get_running_loop().time() - start < 2
        with pytest.raises(EtcdUnavailable):
            await asyncio.wait_for(client.watch(b"k").__aenter__(), 4)


async def test_reads_and_watches_move_to_another_endpoint(
    etcd_server: EtcdProcess, key_prefix: bytes
) -> None:
    async with (
        Proxy(etcd_server) as proxy,
        EtcdClient([proxy.endpoint, etcd_server.endpoint]) as client,
        client.watch(key_prefix, prefix_end(key_prefix)) as batches,
    ):
        await client.put(key_prefix + b"1", b"")
        assert keys_of(await asyncio.wait_for(anext(batches), 10)) == [(False, key_prefix + b"1")]
        await proxy.close()
        assert (await client.range(Range(key_prefix + b"1"))).count == 1
        await client.put(key_prefix + b"2", b"")
        assert keys_of(await asyncio.wait_for(anext(batches), 10)) == [(False, key_prefix + b"2")]


@pytest.mark.parametrize("operation", ["txn", "put"])
async def test_a_write_whose_answer_is_lost_is_not_sent_again(
    etcd_server: EtcdProcess, key_prefix: bytes, operation: str
) -> None:
    async with (
        Proxy(etcd_server) as proxy,
        EtcdClient([proxy.endpoint, etcd_server.endpoint]) as client,
        EtcdClient([etcd_server.endpoint]) as witness,
        witness.watch(key_prefix) as batches,
    ):
        await client.range(Range(key_prefix))
        proxy.hold_answers = True
        write = client.put if operation == "put" else functools.partial(put_by_txn, client)
        writing = asyncio.create_task(write(key_prefix, b""))
        await asyncio.wait_for(anext(batches), 10)
        proxy.hold_answers = False
        proxy.cut()
        with pytest.raises(EtcdUnavailable):
            await writing
        (kv,) = (await client.range(Range(key_prefix))).kvs
        assert kv.version == 1


async def put_by_txn(client: EtcdClient, key: bytes, value: bytes) -> int:
    return (await client.txn([], [Put(key, value)])).revision


async def test_a_write_waits_for_an_etcd_that_is_starting(own_etcd) -> None:
    server = await own_etcd()
    await server.kill()
    async with EtcdClient([server.endpoint]) as client:
        writing = asyncio.create_task(client.put(b"k", b"v", timeout=60))
        await server.start()
        await writing
        (kv,) = (await client.range(Range(b"k"))).kvs
        assert kv.version == 1


async def test_a_full_database_is_told_apart(own_etcd) -> None:
    server = await own_etcd(quota_bytes=16 * 1024 * 1024)
    async with EtcdClient([server.endpoint]) as client:

        async def fill() -> None:
            # Far more than the quota: etcd looks at what it has flushed, up to 100 ms late, and a
            # quick machine writes a multiple of the quota in that time.
            for number in range(1_000):
                await client.put(b"/big/%d" % number, b"x" * 1_000_000)

        with pytest.raises(EtcdNoSpace):
            await fill()
        assert await client.delete(b"/big/0") == 1


# TLS and passwords


async def test_tls_with_client_certificates(own_etcd, tmp_path: Path) -> None:
    pem = make_certificates(tmp_path)
    tls = EtcdTls(str(pem.ca), str(pem.client), str(pem.client_key))
    server = await own_etcd(
        tls=tls,
        extra=(
            f"--cert-file={pem.server}",
            f"--key-file={pem.server_key}",
            f"--trusted-ca-file={pem.ca}",
            "--client-cert-auth",
        ),
    )
    settings = EtcdSettings.model_validate(
        {
            "etcd": server.endpoint,
            "etcd_ca_file": str(pem.ca),
            "etcd_cert_file": str(pem.client),
            "etcd_key_file": str(pem.client_key),
        }
    )
    async with EtcdClient.from_settings(settings) as client:
        await client.put(b"k", b"v")
        assert (await client.range(Range(b"k"))).kvs[0].value == b"v"
    other = tmp_path / "other"
    other.mkdir()
    strangers = make_certificates(other)
    for bad in (
        None,
        EtcdTls(str(pem.ca)),
        EtcdTls(str(strangers.ca), str(pem.client), str(pem.client_key)),
        EtcdTls(str(pem.ca), str(strangers.client), str(strangers.client_key)),
    ):
        async with EtcdClient([server.endpoint], tls=bad) as client:
            with pytest.raises(EtcdUnavailable):
                await client.range(Range(b"k"), timeout=0.5)


async def test_passwords_permissions_and_forgotten_tokens(own_etcd, tmp_path: Path) -> None:
    server = await own_etcd()
    for command in (
        "user add root:secret",
        "user grant-role root root",
        "role add quorate",
        "role grant-permission quorate readwrite /q/ --prefix=true",
        "user add scheduler:pass",
        "user grant-role scheduler quorate",
        "auth enable",
    ):
        await etcdctl(server, *command.split())

    password = tmp_path / "password"
    password.write_text("pass\n")
    settings = EtcdSettings.model_validate(
        {
            "etcd": server.endpoint,
            "etcd_user": "scheduler",
            "etcd_password_file": str(password),
        }
    )
    # Each has a token of its own, so that each has to renew it by itself.
    async with (
        EtcdClient.from_settings(settings) as client,
        EtcdClient.from_settings(settings) as watcher,
    ):
        await client.put(b"/q/a", b"1")
        with pytest.raises(EtcdUnauthenticated, match="permission denied"):
            await client.put(b"/other", b"1")
        with pytest.raises(EtcdUnauthenticated):
            async with client.watch(b"/other"):
                pass
        grant = await client.lease_grant(60)
        async with watcher.watch(b"/q/", prefix_end(b"/q/")) as batches:
            # etcd keeps simple tokens in memory: after a restart none of ours is known. It would
            # learn them again from its write-ahead log, were there no write behind them.
            await client.put(b"/q/a", b"2")
            assert keys_of(await asyncio.wait_for(anext(batches), 20)) == [(False, b"/q/a")]
            await server.restart()
            result = await client.txn([], [Put(b"/q/b", b"2", grant.id)])
            assert result.succeeded
            assert keys_of(await asyncio.wait_for(anext(batches), 20)) == [(False, b"/q/b")]
        assert await client.lease_keepalive(grant.id) == 60

    for user, secret in (("scheduler", "wrong"), ("nobody", "pass"), ("", "")):
        async with EtcdClient([server.endpoint], user=user, password=secret) as client:
            with pytest.raises(EtcdUnauthenticated):
                await client.range(Range(b"/q/a"))


async def test_a_password_is_harmless_where_authentication_is_off(
    etcd_server: EtcdProcess, key_prefix: bytes
) -> None:
    async with EtcdClient([etcd_server.endpoint], user="u", password="p") as client:
        await client.put(key_prefix, b"v")
        async with client.watch(key_prefix) as batches:
            await client.put(key_prefix, b"w")
            assert (await asyncio.wait_for(anext(batches), 10)).events[0].kv.value == b"w"
