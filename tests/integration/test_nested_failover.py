"""The leader dies while tasks wait for tasks: the next one knows which slots are free."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import quorate
from tests.support.cluster import Cluster
from tests.support.nested import parent_of_a_held_child
from tests.support.server import until
from tests.support.tls import client_environment

SLOTS = 2
PATIENCE = 60.0


async def test_parents_wait_across_a_failover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in client_environment().items():
        monkeypatch.setenv(name, value)
    flags = ("--task-env", "*")
    async with Cluster(tmp_path, agents=1, slots=SLOTS, agent_flags=flags) as cluster:
        await cluster.standby()
        await cluster.in_session()
        epoch, leader = await cluster.leader()
        addresses = ",".join(server.address for server in cluster.schedulers.values())
        async with quorate.AsyncClient(addresses) as client:
            parents = [
                await client.submit(parent_of_a_held_child, addresses, str(tmp_path), number)
                for number in range(2 * SLOTS)
            ]

            def all_wait() -> bool:
                return all((tmp_path / str(number)).exists() for number in range(2 * SLOTS))

            await until(all_wait, "every parent waits", PATIENCE)
            leader.kill()
            await leader.gone()
            await cluster.leader(after=epoch)
            await cluster.in_session()
            # The children that begin only now, too, need slots that parents gave up.
            (tmp_path / "go").touch()
            async with asyncio.timeout(PATIENCE):
                assert await asyncio.gather(*parents) == list(range(2 * SLOTS))
