"""A store with candidates that lead, for histories of journals."""

from __future__ import annotations

from quorate.etcd.api import Put, Range
from quorate.etcd.client import EtcdClient
from quorate.etcd.journal.journal import Journal
from quorate.runtime.timing.clock import SystemClock

# Long enough for an undisturbed Txn on a busy machine, short enough to wait out in a test.
TXN_TIMEOUT = 0.5


class World:
    """What a test sees of the store, past the proxy, and the candidates in it."""

    def __init__(self, store: EtcdClient, prefix: bytes) -> None:
        self.store = store
        self.prefix = prefix

    async def stand(self, client: EtcdClient, name: str, **options) -> Journal:
        """A candidate that believes it leads."""
        key = self.prefix + b"election/scheduler/" + name.encode()
        epoch = await self.store.put(key, b"")
        options = {"stall_after": 20.0, "txn_timeout": TXN_TIMEOUT, **options}
        return Journal(
            client,
            prefix=self.prefix,
            leader_key=key,
            elected=epoch,
            clock=SystemClock(),
            **options,
        )

    async def resign(self, name: str) -> None:
        """The candidate's lease ends."""
        await self.store.delete(self.prefix + b"election/scheduler/" + name.encode())

    def put(self, name: str, value: bytes = b"v") -> Put:
        return Put(self.prefix + name.encode(), value)

    async def value(self, name: str) -> bytes | None:
        read = await self.store.range(Range(self.prefix + name.encode()))
        return read.kvs[0].value if read.kvs else None

    async def head(self) -> tuple[int, int, int]:
        """epoch, sequence and mod_revision"""
        head, mod, _ = await Journal.read_head(self.store, self.prefix)
        assert head is not None
        return head.epoch, head.sequence, mod
