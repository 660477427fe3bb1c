"""Leader election with the key layout of etcd's `concurrency.Election`, hence of `etcdctl elect`.

    <prefix>/<lease, lower-case hex> = proposal        the leader: lowest create_revision

The key lives as long as its lease. A key's `create_revision` is never used again and grows
from leader to leader; with the cluster's generation it is the leader's epoch.

Being elected is not mutual exclusion: by the time a caller acts on it, its lease may be gone. What
fences is the Txn that compares the key's `create_revision`; this module only says whose turn it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from quorate.etcd.api import (
    Compacted,
    Compare,
    Delete,
    Etcd,
    EtcdError,
    KeyValue,
    Put,
    Range,
    RangeResult,
    prefix_end,
)


class CandidateGone(EtcdError):
    """The candidate's key no longer exists: its lease ended, or it was resigned."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key in the election; `create_revision` is the revision at which it was elected."""

    key: bytes
    create_revision: int


class Election:
    """One election. Holds no state of its own.

    Args:
        prefix: without a trailing slash.
    """

    def __init__(self, etcd: Etcd, prefix: bytes) -> None:
        assert not prefix.endswith(b"/")
        self._etcd = etcd
        self._below = prefix + b"/"
        self._end = prefix_end(self._below)

    async def campaign(self, lease: int, value: bytes) -> Candidate:
        """Enter the election; returns at once, elected or not.

        May be repeated after an unknown outcome: a lease has one key, whose value becomes `value`.
        Raises LeaseNotFound, and CandidateGone when the key went while its value was changed.
        """
        key = self._below + f"{lease:x}".encode()
        result = await self._etcd.txn(
            [Compare(key, "create", "=", 0)], [Put(key, value, lease)], [Range(key)]
        )
        if result.succeeded:
            return Candidate(key, result.revision)
        (mine,) = result.ranges[0].kvs
        candidate = Candidate(key, mine.create_revision)
        if mine.value != value:
            await self.proclaim(candidate, lease, value)
        return candidate

    async def proclaim(self, candidate: Candidate, lease: int, value: bytes) -> None:
        """Change the proposal. Raises CandidateGone."""
        result = await self._etcd.txn([_is(candidate)], [Put(candidate.key, value, lease)])
        if not result.succeeded:
            raise CandidateGone(f"{candidate.key!r} is gone")

    async def wait_elected(self, candidate: Candidate) -> None:
        """Return once no candidate of lower `create_revision` exists. Raises CandidateGone.

        The watch only says when to look; what decides is a linearizable read of all candidates,
        since predecessors may leave out of order.
        """
        while True:
            standing = await self._read()
            own = next((kv for kv in standing.kvs if kv.key == candidate.key), None)
            if own is None or own.create_revision != candidate.create_revision:
                raise CandidateGone(f"{candidate.key!r} is gone")
            if min(kv.create_revision for kv in standing.kvs) == candidate.create_revision:
                return
            await self._departure(standing.revision + 1)

    async def _departure(self, start_revision: int) -> None:
        """Wait until some candidate has left, or may have."""
        watch = self._etcd.watch(self._below, self._end, start_revision=start_revision)
        try:
            async with watch as batches:
                async for batch in batches:
                    if any(event.deleted for event in batch.events):
                        return
        except Compacted:
            return

    async def candidates(self) -> Sequence[KeyValue]:
        """All candidates, the leader first."""
        return sorted((await self._read()).kvs, key=_by_age)

    async def leader(self) -> KeyValue | None:
        """The candidate whose turn it is."""
        return min((await self._read()).kvs, key=_by_age, default=None)

    async def resign(self, candidate: Candidate) -> bool:
        """Leave the election; whether the key was still there."""
        return (await self._etcd.txn([_is(candidate)], [Delete(candidate.key)])).succeeded

    async def observe(self) -> AsyncGenerator[KeyValue | None, None]:
        """The leader now, then each change of leader or of the leader's proposal.

        None while there is none. Changes may be skipped only across a compaction. Close it
        (`contextlib.aclosing`) when leaving early: it holds a watch.
        """
        last: KeyValue | None = None
        first = True
        while True:
            standing = await self._read()
            known = {kv.key: kv for kv in standing.kvs}
            leader = min(known.values(), key=_by_age, default=None)
            if first or leader != last:
                first, last = False, leader
                yield leader
            try:
                async with self._etcd.watch(
                    self._below, self._end, start_revision=standing.revision + 1
                ) as batches:
                    async for batch in batches:
                        for event in batch.events:
                            if event.deleted:
                                known.pop(event.kv.key, None)
                            else:
                                known[event.kv.key] = event.kv
                        leader = min(known.values(), key=_by_age, default=None)
                        if leader != last:
                            last = leader
                            yield leader
            except Compacted:
                continue

    async def _read(self) -> RangeResult:
        return await self._etcd.range(Range(self._below, self._end))


def _is(candidate: Candidate) -> Compare:
    return Compare(candidate.key, "create", "=", candidate.create_revision)


def _by_age(kv: KeyValue) -> int:
    return kv.create_revision
