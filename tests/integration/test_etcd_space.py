"""An idle cluster takes new work again once etcd has space again."""

from __future__ import annotations

import asyncio

import pytest

from quorate.etcd.client import EtcdClient
from scheduler.api.cluster import overview
from tests.support.memory_term import standing_by

_MIB = 1 << 20
_QUOTA_MIB = 8
_STRANGE, _END = b"/elsewhere/", b"/elsewhere0"


async def test_space_that_compaction_freed_is_noticed_though_nothing_is_written(
    own_etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """etcd 3.4 counts the bytes in use when its backend commits a write: its `backend.go`."""
    monkeypatch.setattr(overview, "_EVERY", 0.2)
    monkeypatch.setattr(overview, "_EVERY_WRITING", 0.1)
    server = await own_etcd()
    async with EtcdClient([server.endpoint]) as client, standing_by(client) as replica:
        replica.settings.etcd_quota_mib = _QUOTA_MIB
        async with replica.leading():
            parts = replica.term.parts
            assert parts is not None
            for number in range(_QUOTA_MIB):
                await client.put(_STRANGE + b"%d" % number, bytes(_MIB))
            async with asyncio.timeout(60):
                while parts.overview.full() is None:
                    await asyncio.sleep(0.05)
            await client.delete(_STRANGE, _END)
            await client.compact((await client.status()).revision)
            async with asyncio.timeout(30):
                while parts.overview.full() is not None:
                    await asyncio.sleep(0.05)
            status = parts.overview.status
            assert status is not None
            assert status.db_size_in_use < _MIB
