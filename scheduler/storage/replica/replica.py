"""Hot standby: the records in etcd, folded into memory as they change.

```
             Compacted, or never loaded
          +------------------------------+
          v                              |
   LOAD: reset, then every prefix   FOLLOW: the watch from the
   in order, all at ONE revision -> next revision, whole revisions
          |  ^                           |  ^
          +--+ etcd unreachable:         +--+ etcd unreachable: the watch
               wait, load again               again from where it was
```

The replica owns no records; its `Folder` does. What it guarantees the folder:

* after `at(r)` the folder holds exactly what etcd held at revision `r` under the given prefixes;
  between `reset` and the first `at`, and within a revision, it holds part of it;
* within a snapshot the prefixes come in the given order (a queue before its tasks, a task before
  its run), and the keys of a prefix in key order;
* changes come in the order of their revisions, none left out and none twice.

The watch is opened before the snapshot is read, and read ahead meanwhile
(`scheduler.storage.replica.read_ahead` says why); what it sends of the snapshot's revision and
before is dropped. The replica is loaded when it has also folded what had come by the end of the
snapshot.

A standby must keep its lease alive while it loads a million records, so folding is sliced: at most
`SLICE` records between two turns of the event loop. etcd being away is no failure: the replica
keeps what it has, says so once, and goes on when etcd is back.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final, Protocol

import structlog

from quorate.etcd.api import (
    Change,
    Compacted,
    Etcd,
    EtcdError,
    KeyValue,
    WatchBatch,
    changes_of,
    prefix_end,
    size_of,
)
from quorate.etcd.paging import pages
from quorate.runtime.timing.backoff import Backoff
from scheduler.storage import keys
from scheduler.storage.replica.loaded import Loaded
from scheduler.storage.replica.read_ahead import ReadAhead

log = structlog.get_logger(__name__)

SLICE: Final = 500
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
# Each may take seconds. What was loaded so far is worth more than that: to begin anew would ask a
# slow etcd for all of it again.
_PAGE_TRIES: Final = 30


class Folder(Protocol):
    """Where records go. `key` comes without the cluster's prefix."""

    def reset(self) -> None:
        """Forget everything: a snapshot follows."""

    def put(self, key: bytes, value: bytes, mod_revision: int, lease: int) -> None:
        """A record as it is since `mod_revision`; `lease` is 0 for one that stays."""

    def deleted(self, key: bytes, revision: int) -> None:
        """A record is gone since `revision`."""

    def at(self, revision: int) -> None:
        """All is folded up to and including `revision`."""


class Followed(Protocol):
    """Gets the log as it is followed: `scheduler.api.tasks.changes.Recent`."""

    def restart(self, revision: int) -> None:
        """Begin anew: what changed up to `revision` is not known."""

    def take(self, batch: WatchBatch) -> None:
        """The next batch below the cluster's prefix."""


class Replica:
    """Keeps a folder equal to etcd.

    Args:
        etcd: the store; not closed here.
        prefix: the cluster's prefix; the folder sees keys without it.
        fold: receives the records.
        order: the prefixes (below `prefix`) that are folded, in the order of the snapshot. Keys
            under none of them are left out.
        recent: gets the batches of the watch too, all of each.
        loaded: set while a whole snapshot is folded.
        followed: called with the bytes of the records that the watch sent. Must not raise.
    """

    def __init__(
        self,
        etcd: Etcd,
        prefix: bytes,
        fold: Folder,
        *,
        order: tuple[bytes, ...] = keys.SNAPSHOT_ORDER,
        recent: Followed | None = None,
        loaded: Loaded | None = None,
        followed: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._fold = fold
        self._order = order
        self._recent = recent
        self._loaded = Loaded() if loaded is None else loaded
        self._followed = followed
        self._full_order = tuple(prefix + part for part in order)
        # 0: no whole snapshot is loaded.
        self._revision = 0
        # Of the snapshot: how many records it had, and what had come by its end.
        self._records = self._came = 0
        # (revision, tie-break, future) of each caller of `caught_up`; they are few.
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._ticket = itertools.count()
        self._between_revisions = asyncio.Lock()
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)

    @property
    def revision(self) -> int:
        """The revision that the folder is at; 0 while no snapshot is loaded."""
        return self._revision

    async def caught_up(self, revision: int, timeout: float) -> None:
        """Wait until everything up to `revision` is folded.

        Args:
            revision: a revision at which a key under the replica's prefixes changed (e.g. the
                `mod_revision` of `head`): the watch does not show others.
            timeout: seconds.

        Raises:
            TimeoutError: it was not folded in time.
        """
        if self._revision >= revision:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (revision, next(self._ticket), done))
        async with asyncio.timeout(timeout):
            await done

    @asynccontextmanager
    async def held(self) -> AsyncIterator[int]:
        """Hold the folder still at a whole revision, and give that revision.

        Cancel `run` inside this block, and only there, to keep what is folded: anywhere else the
        folder may be left in the middle of a revision.
        """
        async with self._between_revisions:
            yield self._revision

    async def run(self) -> None:
        """Load and follow until cancelled. Starts from nothing, whatever was folded before."""
        self._fall_back()
        self._backoff.reset()
        while True:
            try:
                await self._follow()
            except Compacted as gone:
                log.info("replica_compacted", at=self._revision, first=gone.revision)
                self._fall_back()
            except EtcdError as error:
                # Once for each outage.
                if not self._backoff.failures:
                    log.warning("replica_etcd_unreachable", error=str(error), at=self._revision)
                await asyncio.sleep(self._backoff.next())

    async def _follow(self) -> None:
        # From now on when a snapshot is to be read: it will be of this revision or a later one.
        start = self._revision + 1 if self._revision else 0
        async with (
            self._etcd.watch(
                self._prefix, prefix_end(self._prefix), start_revision=start
            ) as batches,
            ReadAhead(batches, self._size) as ahead,
        ):
            if not self._revision:
                await self._load()
                self._came = ahead.last.revision if ahead.last is not None else 0
            self._backoff.reset()
            while True:
                if not self._loaded.is_set() and self._revision >= self._came:
                    self._loaded.set(True)
                    log.info("replica_loaded", revision=self._revision, records=self._records)
                try:
                    batch = await anext(ahead)
                except StopAsyncIteration:
                    return
                await self._fold_batch(batch)

    def _size(self, batch: WatchBatch) -> int:
        size = size_of(batch.events)
        self._followed(size)
        return size

    async def _load(self) -> None:
        async with self._between_revisions:
            self._fold.reset()
            revision, count = 0, 0
            for part in self._full_order:
                revision, read = await self._load_prefix(part, revision)
                count += read
            if self._recent is not None:
                self._recent.restart(revision)
            self._records = count
            self._reached(revision)

    async def _load_prefix(self, part: bytes, revision: int) -> tuple[int, int]:
        """Fold what is under `part` at `revision` (0: the newest); that revision and how much."""
        count = 0
        only = part.endswith(keys.KEYS_ONLY)
        found = pages(self._etcd, part, revision, keys_only=only, tries=_PAGE_TRIES)
        async with ReadAhead(found, lambda page: 1, most=0) as ahead:
            async for page in ahead:
                revision = revision or page.revision
                await self._fold_page(page.kvs)
                count += len(page.kvs)
        return revision, count

    async def _fold_page(self, kvs: Iterable[KeyValue]) -> None:
        skip, put = len(self._prefix), self._fold.put
        for number, kv in enumerate(kvs, 1):
            put(kv.key[skip:], kv.value, kv.mod_revision, kv.lease)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _fold_batch(self, batch: WatchBatch) -> None:
        if batch.revision <= self._revision:
            return
        if batch.events and batch.events[0].kv.mod_revision <= self._revision:
            # A part of it is in the snapshot.
            newer = [e for e in batch.events if e.kv.mod_revision > self._revision]
            batch = WatchBatch(batch.revision, newer)
        changes = changes_of(batch.events)
        async with self._between_revisions:
            for done in range(0, len(batch.events), SLICE):
                if done:
                    await asyncio.sleep(0)
                self._fold_changes(islice(changes, SLICE))
            if self._recent is not None:
                self._recent.take(batch)
            self._reached(batch.revision)

    def _fold_changes(self, changes: Iterable[Change]) -> None:
        skip, wanted = len(self._prefix), self._full_order
        put, deleted = self._fold.put, self._fold.deleted
        for gone, key, value, revision, lease in changes:
            if key.startswith(wanted):
                if gone:
                    deleted(key[skip:], revision)
                else:
                    put(key[skip:], value, revision, lease)

    def _fall_back(self) -> None:
        """What is folded is worth nothing: it is to be loaded."""
        self._revision = 0
        self._loaded.set(False)

    def _reached(self, revision: int) -> None:
        self._revision = revision
        self._fold.at(revision)
        while self._waiting and self._waiting[0][0] <= revision:
            _, _, done = heapq.heappop(self._waiting)
            if not done.done():
                done.set_result(None)
