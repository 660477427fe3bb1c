"""What the leader knows of the cluster and of etcd's health, and its care for etcd's space.

etcd keeps every revision until it is compacted, and refuses all writes once its quota is full. So
the leader compacts what is older than ten minutes or 256 MiB of the log, watches the size, and past
80 % of the quota refuses new work while what runs is finished.

What etcd says of its size is old when it is said: one caller with large payloads fills a small
quota in half a second. So what was committed since, and what is about to be, is added. And etcd 3.4
counts what a compaction freed only with its next write: where nothing is written the leader makes
one, or an idle cluster would refuse new work for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from quorate import __version__
from quorate.etcd.api import Delete, Etcd, EtcdError, Range, RangeResult, StoreStatus, prefix_end
from quorate.etcd.generation import split
from quorate.etcd.snapshot.last import last_backup
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import unavailable
from quorate.runtime.ids import Epoch
from quorate.v1 import cluster_pb2
from scheduler.api.views import instant
from scheduler.core.verdict.facts import Member
from scheduler.engine.driver import Driver
from scheduler.engine.write_admission import NO_SPACE
from scheduler.storage import keys
from scheduler.storage.compaction_checkpoints import CompactionCheckpoints

log = structlog.get_logger(__name__)

# Seconds between two looks; the shorter one while something is written.
_EVERY: Final = 10.0
_EVERY_WRITING: Final = 1.0
_FULL: Final = 0.8
# etcd has plenty of space while this share of its quota is in use at most.
_PLENTY: Final = 0.5
# What a byte written takes in etcd at most, about: measured 0.8 to 1.3, small records the most.
_GROWTH: Final = 1.5
# Never put. With its deletion the journal moves its head, which is a write.
_ABSENT: Final = b"absent"


class Overview:
    """Follows etcd's status for one term.

    Args:
        quota: bytes, etcd's --quota-backend-bytes.
        marks: of this process; they outlive the term.
        max_blob: bytes of one value in the blob store at `blob_url`; 0 where there is none.
        max_message: bytes of the body of one message.
        members: asks etcd's members, one by one.
    """

    def __init__(
        self,
        etcd: Etcd,
        driver: Driver,
        prefix: bytes,
        cluster: str,
        epoch: Epoch,
        quota: int,
        checkpoints: CompactionCheckpoints,
        blob_url: str = "",
        max_blob: int = 0,
        max_message: int = 1 << 20,
        members: Callable[[], Awaitable[tuple[Member, ...]]] | None = None,
    ) -> None:
        self._etcd = etcd
        self._driver = driver
        self._prefix = prefix
        self._cluster = cluster
        self._epoch = epoch
        self._quota = quota
        self._checkpoints = checkpoints
        self._blob_url = blob_url
        self._max_blob = max_blob
        self._max_message = max_message
        self._since = driver.clock.now()
        self._status: StoreStatus | None = None
        self._last_backup = 0.0
        self._members_of = members
        self._members: tuple[Member, ...] = ()
        self._schedulers = 0
        # When the members were asked last.
        self._asked = 0.0
        # Bytes that the journal had committed at the last look and at the one before. etcd counts
        # what it stored up to a moment ago, hence those since the one before are added.
        self._at_look = self._before_look = 0

    @property
    def quota(self) -> int:
        """etcd's quota in bytes, as configured."""
        return self._quota

    @property
    def status(self) -> StoreStatus | None:
        """What etcd said of itself last; None when it was not asked yet."""
        return self._status

    @property
    def last_backup(self) -> float:
        """When the last backup was done (Unix time), as of up to 10 s ago; 0: never."""
        return self._last_backup

    @property
    def members(self) -> tuple[Member, ...]:
        """etcd's members as of the last look, which was up to 10 s ago."""
        return self._members

    @property
    def schedulers(self) -> int:
        """Candidates of the election as of then; 0: not known."""
        return self._schedulers

    def full(self, weight: int = 0) -> str | None:
        """Why new work of `weight` bytes is refused; None when it is not."""
        journal = self._driver.journal
        if journal.no_space:
            return NO_SPACE
        known = self._status.db_size_in_use if self._status is not None else 0
        written = journal.counters.bytes - self._before_look
        coming = self._driver.admission.bytes + weight
        held = known + int(_GROWTH * (written + coming))
        if held <= _FULL * self._quota:
            return None
        return (
            f"etcd holds about {held} bytes, more than {_FULL:.0%} of its quota of "
            f"{self._quota}; finished tasks must go first"
        )

    @property
    def plenty(self) -> bool:
        """Whether at most half of etcd's quota is in use, as far as etcd was asked."""
        return self._status is None or self._status.db_size_in_use <= _PLENTY * self._quota

    async def run(self) -> None:
        """Measure and compact until cancelled."""
        counters = self._driver.journal.counters
        while True:
            before = counters.bytes
            try:
                await self.look()
            except EtcdError as error:
                log.warning("etcd_status_unknown", error=str(error))
            for _ in range(round(_EVERY / _EVERY_WRITING)):
                await asyncio.sleep(_EVERY_WRITING)
                if counters.bytes != before:
                    break

    async def look(self) -> None:
        """Measure once, and compact what is old enough."""
        committed = self._driver.journal.counters.bytes
        status = self._status = await self._etcd.status()
        self._checkpoints.wrote(committed - self._at_look)
        self._before_look, self._at_look = self._at_look, committed
        self._checkpoints.note(status.revision)
        old = self._checkpoints.take_old(plenty=self.plenty)
        if old is not None:
            await self._etcd.compact(old)
            log.debug("compacted", revision=old)
        if committed == self._before_look and not self.plenty:
            self._driver.journal.append((Delete(self._prefix + _ABSENT),))
        if not 0.0 <= (now := self._driver.clock.now()) - self._asked < _EVERY:
            self._asked = now
            self._last_backup = await last_backup(self._etcd, self._prefix)
            self._schedulers = len((await self._candidates()).kvs)
            if self._members_of is not None:
                self._members = await self._members_of()

    async def _candidates(self) -> RangeResult:
        election = self._prefix + keys.ELECTION + b"/"
        return await self._etcd.range(Range(election, prefix_end(election)))

    async def cluster(self) -> cluster_pb2.Cluster:
        """The cluster now. Raises QuorateError UNAVAILABLE when etcd does not answer."""
        state = self._driver.state
        view = cluster_pb2.Cluster(
            name=self._cluster,
            epoch=self._epoch,
            sequence=self._driver.journal.sequence,
            leader_since=instant(self._since),
            nodes=len(state.nodes),
            nodes_lost=len(state.lost),
            queues=len(state.queues),
            live_tasks=len(state.tasks),
            retained_tasks=len(state.finished),
            version=__version__,
            revision=self._driver.revision,
            blob_url=self._blob_url,
            max_blob_bytes=self._max_blob,
            max_message_bytes=self._max_message,
        )
        offset = self._driver.clocks.offset
        if offset is not None:
            view.clock_offset.FromNanoseconds(round(offset * 1e9))
        try:
            found = await self._candidates()
        except EtcdError as error:
            raise unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}") from error
        _, elected = split(self._epoch)
        for kv in sorted(found.kvs, key=lambda kv: kv.create_revision):
            record = r.CandidateRecord.FromString(kv.value)
            view.schedulers.add(
                name=record.name,
                instance=record.instance,
                address=record.address,
                leader=kv.create_revision == elected,
                version=record.version,
            )
        if self._status is not None:
            view.etcd.version = self._status.version
            view.etcd.db_size = self._status.db_size
            view.etcd.members = self._status.members
        view.etcd.db_quota = self._quota
        view.etcd.refuses = self.full() or ""
        return view
