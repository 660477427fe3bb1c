"""An etcd of three members on 127.0.0.1, each a process that can be killed and replaced."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Self

from quorate.etcd.server.launcher import EtcdProcess
from quorate.etcd.server.maintenance import ClusterHealth, Maintenance
from quorate.runtime.network.free_port import free_port
from tests.support import tls
from tests.support.cluster import Cluster
from tests.support.server import until

NAMES = ("etcd-0", "etcd-1", "etcd-2")


class Members:
    """Three members; addresses stay the same over all their lives.

    Args:
        folder: for their data; given up and made anew by `replace` and `exchange`.
        quota_bytes: etcd's quota.
    """

    def __init__(
        self, folder: Path, *, max_txn_ops: int = 1024, quota_bytes: int = 8 << 30
    ) -> None:
        self._folder = folder
        self._limits = max_txn_ops, quota_bytes
        self._ports = {name: (free_port(), free_port()) for name in NAMES}
        self._lives = 0
        self.members: dict[str, EtcdProcess] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.kill()

    @property
    def endpoint(self) -> str:
        """All of them, as `--etcd` wants it."""
        return ",".join(f"127.0.0.1:{client}" for client, _ in self._ports.values())

    def peer_url(self, name: str) -> str:
        return f"{'https' if tls.ON else 'http'}://127.0.0.1:{self._ports[name][1]}"

    async def start(self) -> None:
        """A new, empty cluster."""
        for name in NAMES:
            self.members[name] = self._member(name, "new")
        await asyncio.gather(*(member.start() for member in self.members.values()))

    async def kill(self) -> None:
        """SIGKILL all of them."""
        await asyncio.gather(*(member.kill() for member in self.members.values()))

    async def exchange(self) -> None:
        """All of them are lost with their disks; empty ones take their place."""
        await self.kill()
        shutil.rmtree(self._folder)
        await self.start()

    async def join(self, name: str) -> None:
        """Start an empty member that was announced in the place of a dead one."""
        assert not self.members[name].running
        self.members[name] = self._member(name, "existing")
        await self.members[name].start()

    def _member(self, name: str, state: str) -> EtcdProcess:
        self._lives += 1
        client, peer = self._ports[name]
        initial = ",".join(f"{each}={self.peer_url(each)}" for each in NAMES)
        options = tls.etcd_options()
        return EtcdProcess(
            self._folder / f"{name}.{self._lives}",
            client_port=client,
            peer_port=peer,
            tls=options.get("tls"),
            peer_tls=tls.ON,
            # etcd takes the last of two flags: these replace the launcher's own.
            extra=(
                *options.get("extra", ()),
                f"--name={name}",
                f"--initial-cluster={initial}",
                f"--initial-cluster-state={state}",
            ),
            die_with_parent=True,
            max_txn_ops=self._limits[0],
            quota_bytes=self._limits[1],
        )

    async def health(self) -> ClusterHealth:
        async with Maintenance(self.endpoint.split(","), tls=tls.etcd_tls()) as members:
            return await members.health()

    async def leader_first(self, count: int) -> list[int]:
        """The process ids of so many members, the leader's first."""
        found = {member.endpoint: member.leader for member in (await self.health()).members}
        led = sorted(self.members.values(), key=lambda each: not found.get(each.endpoint, False))
        return [member.pid for member in led[:count]]

    async def all_well(self) -> ClusterHealth:
        """Until all three are."""

        async def look() -> ClusterHealth | None:
            health = await self.health()
            return health if health.healthy and len(health.members) == len(NAMES) else None

        found: ClusterHealth = await until(look, "three members are well")
        return found


def cluster_of_three(folder: Path, **options: object) -> Cluster:
    """A cluster of processes on three members."""
    cluster = Cluster(folder, **options)  # type: ignore[arg-type]
    cluster.etcd = Members(folder / "etcd")  # type: ignore[assignment]
    return cluster
