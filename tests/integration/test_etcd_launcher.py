"""The local etcd process: start, restart, and what is said when it cannot start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from quorate.etcd.api import Range
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess, socket_folder
from quorate.runtime.errors import QuorateError


async def test_data_and_ports_survive_a_restart(own_etcd) -> None:
    server = await own_etcd()
    endpoint = server.endpoint
    async with EtcdClient([endpoint]) as client:
        await client.put(b"k", b"v")
        await server.restart()
        assert server.endpoint == endpoint
        assert (await client.range(Range(b"k"))).kvs[0].value == b"v"
    await server.stop()
    assert not server.running


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = EtcdProcess(tmp_path / "data", client_port=port)
        with pytest.raises(QuorateError) as rejection:
            await server.start()
    assert rejection.value.reason == "ETCD_PORT_IN_USE"
    assert str(port) in rejection.value.message
    assert not server.running
    assert not (tmp_path / "data").exists()


async def test_a_data_directory_in_use_is_named(own_etcd) -> None:
    first = await own_etcd()
    second = EtcdProcess(first.data_dir, die_with_parent=True)
    with pytest.raises(QuorateError) as rejection:
        await second.start()
    assert rejection.value.reason == "ETCD_DATA_DIR_IN_USE"
    assert str(first.data_dir) in rejection.value.message
    assert not second.running
    assert first.running


async def test_a_start_that_fails_shows_the_end_of_the_log(tmp_path: Path) -> None:
    server = EtcdProcess(tmp_path, extra=("--no-such-flag",))
    with pytest.raises(QuorateError, match="no-such-flag") as rejection:
        await server.start()
    assert rejection.value.reason == "ETCD_START_FAILED"


async def test_an_etcd_with_sockets_that_was_killed_starts_again(tmp_path: Path) -> None:
    """Its sockets are still there, and etcd 3.4 does not listen where something is."""
    with socket_folder(tmp_path / "run") as folder:
        process = EtcdProcess(tmp_path / "etcd", sockets=folder, die_with_parent=True)
        try:
            await process.start()
            async with EtcdClient([process.endpoint]) as client:
                await client.put(b"k", b"v")
                await process.kill()
                await process.start()
                assert (await client.range(Range(b"k"), timeout=60)).kvs[0].value == b"v"
        finally:
            await process.kill()
