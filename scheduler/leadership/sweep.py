"""Deletes large values that no task on record names.

The leader alone decides, from its state, which is what the log says. An object goes when it was
uploaded `DELETE_AFTER` ago and no task names it: then nobody can name it any more, whoever leads
(`quorate.blobs.names`), so neither a delayed deletion nor a change of leaders does harm. Before
a page's objects are deleted the leader proves that it leads, and waits until all that it has
decided is committed: the row of a deleted task leaves memory first.

The store is read and written in threads, one page of at most 1,000 names at a time. A store that
does not answer is asked again an hour later. One that says it is another cluster's is left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from quorate.blobs.names import DELETE_AFTER, instant_of
from quorate.blobs.store import BlobError, BlobStore
from quorate.runtime.errors import QuorateError
from scheduler.core.model.indexes.blobs import NamedBlobs

log = structlog.get_logger(__name__)

# Seconds after an election, and between two sweeps.
FIRST: Final = 60.0
EVERY: Final = 3_600.0


class BlobSweep:
    """Of one term.

    Args:
        url: of the store; "": there is none.
        named: what tasks on record name.
        now: the leader's clock, in seconds since the epoch.
        committed: returns when all that memory says is committed, and this process still leads.
            Raises QuorateError while etcd has no space, or when too much waits.
    """

    def __init__(
        self,
        url: str,
        cluster: str,
        named: NamedBlobs,
        now: Callable[[], float],
        committed: Callable[[], Awaitable[object]],
    ) -> None:
        self._url = url
        self._cluster = cluster
        self._named = named
        self._now = now
        self._committed = committed
        self.deleted = 0
        """Objects that were deleted in this term."""

    async def run(self) -> None:
        """Sweep now and then until cancelled."""
        if not self._url:
            return
        pause = FIRST
        while True:
            await asyncio.sleep(pause)
            pause = EVERY
            try:
                await self.once()
            except (BlobError, QuorateError) as error:
                log.warning("blob_sweep_failed", why=str(error))

    async def once(self) -> int:
        """Look at the whole store; how many objects were deleted. Raises BlobError."""
        store = await asyncio.to_thread(BlobStore, self._url)
        owner = await asyncio.to_thread(store.claim, self._cluster)
        if owner != self._cluster:
            log.error("blob_store_of_another_cluster", url=self._url, cluster=owner)
            return 0
        pages, before = store.pages(), self.deleted
        while page := await asyncio.to_thread(next, pages, None):
            old = self._unnamed(page)
            if not old:
                continue
            await self._committed()
            # Once more: while this waited, a task may have named one that another named before.
            if old := self._unnamed(old):
                self.deleted += await asyncio.to_thread(store.delete, old)
        if self.deleted > before:
            log.info("blobs_deleted", count=self.deleted - before)
        return self.deleted - before

    def _unnamed(self, names: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those that may be deleted."""
        latest = self._now() - DELETE_AFTER
        return [
            (digest, upload)
            for digest, upload in names
            if instant_of(upload) < latest and f"{digest}/{upload}" not in self._named
        ]
