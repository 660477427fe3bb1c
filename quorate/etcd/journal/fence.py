"""The fenced Txn: what makes one leader's writes apply at most once and in order.

Every Txn compares two things and nothing else:

* `create_revision(leader key)`, which with the cluster's generation is the epoch: this leader still
  leads;
* `mod_revision(head)` is that of this leader's previous Txn: nothing came in between.

A Txn that puts anything also puts `head` = (epoch, sequence). Hence, of all the copies of a Txn
that the network may deliver, the first one to arrive moves the head and every other fails. The
first compare alone is not enough: a Txn that arrives after its own repeat and its successor would
still pass it.

An unknown outcome (deadline, connection lost, NOSPACE, which may commit all the same) is settled by
the head, read linearizably: ours means committed, the previous one means send the same Txn again,
anything else means deposed. A failed compare reads the head in the same Txn, because the first copy
may have arrived between that look and the repeat.

Owner: one `Journal`, from its one committing task. Nothing here is kept but where the log ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from quorate.etcd.api import (
    Compare,
    Delete,
    Etcd,
    EtcdError,
    EtcdNoSpace,
    EtcdRefused,
    KeyValue,
    LeaseNotFound,
    Op,
    Put,
    Range,
    TxnResult,
)
from quorate.etcd.generation import epoch_of
from quorate.internal.v1.records_pb2 import HeadRecord
from quorate.runtime.timing.backoff import Backoff
from quorate.runtime.timing.clock import Clock

_log = structlog.get_logger(__name__)

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.25
_LOGGED_VALUE_BYTES = 64


class JournalEnded(Exception):
    """The journal commits nothing any more; what is not known committed has an unknown outcome."""


class Deposed(JournalEnded):
    """A compare failed or the head is someone else's: stop being leader at once."""


class JournalError(JournalEnded):
    """etcd refused a Txn for good: our bug. It was logged in full; drop memory and resign."""


class JournalStalled(JournalEnded):
    """There is work, and nothing was committed for `stall_after` seconds: resign."""


@dataclass(slots=True)
class JournalCounters:
    """What the journal did since it was made.

    Attributes:
        txns: Txns known committed, barriers and purges included; their latencies add up to
            `commit_seconds`, from the first attempt until the outcome was known.
        puts: writes known committed (puts and deletes), heads not counted; `bytes`: what they
            weigh, those of retention left out.
        unknown: attempts whose outcome was unknown at first; `repeats`: Txns sent again.
        last_batch: writes in the last Txn that moved the head.
    """

    txns: int = 0
    barriers: int = 0
    purges: int = 0
    events: int = 0
    puts: int = 0
    bytes: int = 0
    unknown: int = 0
    repeats: int = 0
    last_batch: int = 0
    commit_seconds: float = 0.0


class Patience:
    """How long to go on with one Txn, and how long to pause between attempts.

    Args:
        stall_after: seconds until JournalStalled.
        timeout: longest deadline of one call, seconds.
        acts: false while etcd is silent to the leader's lease too. Then nobody else could commit
            either, as far as this process knows, and the time does not count.
    """

    __slots__ = ("_acts", "_backoff", "_clock", "_since", "_stall_after", "_timeout")

    def __init__(
        self,
        clock: Clock,
        stall_after: float,
        timeout: float,
        acts: Callable[[], bool] = lambda: True,
    ) -> None:
        self._acts = acts
        self._clock = clock
        self._stall_after = stall_after
        self._timeout = timeout
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, at_once=True)
        self._since = clock.monotonic()

    def timeout(self) -> float:
        """The next call's deadline in seconds. Raises JournalStalled when no time is left."""
        if not self._acts():
            self.renew()
        left = self._since + self._stall_after - self._clock.monotonic()
        if left <= 0:
            raise JournalStalled(f"nothing was committed for {self._stall_after} s")
        return min(left, self._timeout)

    def renew(self) -> None:
        """Count from now: etcd answers, it only cannot take the Txn yet."""
        self._since = self._clock.monotonic()

    async def pause(self) -> None:
        """Wait before the next attempt: not at all at first, then twice as long each time."""
        await asyncio.sleep(min(self._backoff.next(), self.timeout()))


async def read_head(
    etcd: Etcd, prefix: bytes, *, timeout: float = 5.0
) -> tuple[HeadRecord | None, int, int]:
    """Where the log ends: the head, its mod_revision (0: no log yet), the store's revision."""
    read = await etcd.range(Range(prefix + b"head"), timeout=timeout)
    if not read.kvs:
        return None, 0, read.revision
    kv = read.kvs[0]
    return HeadRecord.FromString(kv.value), kv.mod_revision, read.revision


class Fence:
    """Where this leader's log ends, and the only way to add to it.

    Attributes:
        sequence: of the last Txn known committed; -1 before the claim.
        head_mod: the mod_revision that it gave to head.
        no_space: a put waits because etcd has no space for it.
    """

    def __init__(
        self,
        etcd: Etcd,
        *,
        prefix: bytes,
        leader_key: bytes,
        elected: int,
        generation: int,
        clock: Clock,
        stall_after: float,
        txn_timeout: float,
        acts: Callable[[], bool] = lambda: True,
    ) -> None:
        self._acts = acts
        self._etcd = etcd
        self._prefix = prefix
        self._head_key = prefix + b"head"
        self._head_range = Range(self._head_key)
        self._epoch = epoch_of(generation, elected)
        self._leads = Compare(leader_key, "create", "=", elected)
        self._clock = clock
        self._stall_after = stall_after
        self._txn_timeout = txn_timeout
        self.head_mod = 0
        self.sequence = -1
        self.no_space = False
        self.counters = JournalCounters()

    async def claim(self, expected_head_mod: int | None) -> int:
        """The first Txn of the epoch, head = (epoch, 0). See `Journal.claim`."""
        assert self.sequence < 0, "claimed twice"
        patience = self._patience()
        while True:
            try:
                _, mod, _ = await read_head(self._etcd, self._prefix, timeout=patience.timeout())
                break
            except EtcdError as error:
                self._unknown_or_raise(error, [self._head_range])
                await patience.pause()
        if expected_head_mod is not None and mod != expected_head_mod:
            raise Deposed(f"head moved from revision {expected_head_mod} to {mod} before the claim")
        self.head_mod = mod
        return await self.put([], None)

    async def put(
        self, writes: Sequence[Put | Delete], while_full: Callable[[], Awaitable[None]] | None
    ) -> int:
        """Commit `writes` and move the head. Returns the revision.

        Args:
            while_full: awaited between attempts that etcd refuses for want of space. With it
                such refusals go on for ever: no other leader could commit either (it could not
                even claim), and only this one can make space. Without it they end as
                JournalStalled.
        """
        sequence = self.sequence + 1
        ours = HeadRecord(epoch=self._epoch, sequence=sequence).SerializeToString()
        ops: list[Op] = [*writes, Put(self._head_key, ours)]
        patience = self._patience()
        while True:
            try:
                result = await self._send(ops, patience)
            except EtcdError as error:
                self._unknown_or_raise(error, ops)
                revision = await self._settle(ours, patience)
                if revision is None:
                    self.no_space = isinstance(error, EtcdNoSpace)
                    if self.no_space and while_full is not None:
                        await self._still_leads()
                        await while_full()
                        patience.renew()
                    await patience.pause()
                    self.counters.repeats += 1
                    continue
            else:
                revision = result.revision if result.succeeded else self._applied(result, ours)
            self.head_mod = revision
            self.sequence = sequence
            self.no_space = False
            return revision

    async def leave_head(self, ops: Sequence[Op]) -> int:
        """Commit ops that may be repeated (deletions of what is expired, a read). The revision."""
        patience = self._patience()
        while True:
            try:
                result = await self._send(ops, patience)
            except EtcdError as error:
                self._unknown_or_raise(error, ops)
                await patience.pause()
                self.counters.repeats += 1
                continue
            if not result.succeeded:
                raise self._deposed(_head_in(result))
            return result.revision

    async def barrier(self) -> int:
        """Prove that this leader leads and the log ends where it thinks. The store's revision.

        The Range is what makes it proof: a Txn of compares alone also succeeds on a member that
        is cut off from its quorum.
        """
        return await self.leave_head([self._head_range])

    async def try_delete(self, deletes: Sequence[Delete]) -> int | None:
        """One attempt at deletions while a put is refused; None when it did not get through.

        A failed compare proves nothing here: the put may have been applied after all.
        """
        try:
            result = await self._send(deletes, self._patience())
        except EtcdError as error:
            self._unknown_or_raise(error, deletes)
            return None
        return result.revision if result.succeeded else None

    # -- one attempt, and what it meant --------------------------------------------------------

    def _patience(self) -> Patience:
        return Patience(self._clock, self._stall_after, self._txn_timeout, self._acts)

    async def _send(self, ops: Sequence[Op], patience: Patience) -> TxnResult:
        return await self._etcd.txn(
            (self._leads, Compare(self._head_key, "mod", "=", self.head_mod)),
            ops,
            (self._head_range,),
            timeout=patience.timeout(),
        )

    async def _still_leads(self) -> None:
        """Raise Deposed if the leader key is gone.

        The repeated put would not show it: etcd without space refuses it before it compares.
        """
        try:
            result = await self._send([self._head_range], self._patience())
        except EtcdError as error:
            self._unknown_or_raise(error, [self._head_range])
            return
        head = _head_in(result) if not result.succeeded else None
        # A head that moved is left to the next look: the put may have been applied after all.
        if head is not None and head.mod_revision == self.head_mod:
            raise self._deposed(head)

    def _unknown_or_raise(self, error: EtcdError, ops: Sequence[Op]) -> None:
        """Note an unknown outcome, or raise JournalError for a definite refusal.

        Missing permissions count as unknown: nothing was written, but the account may come back.
        """
        if not isinstance(error, (EtcdRefused, LeaseNotFound)):
            self.counters.unknown += 1
            return
        _log.error(
            "journal_refused",
            error=str(error),
            epoch=self._epoch,
            sequence=self.sequence + 1,
            ops=[_listing(op) for op in ops],
        )
        raise JournalError(f"etcd refused a Txn of {len(ops)} operations: {error}") from error

    async def _settle(self, ours: bytes, patience: Patience) -> int | None:
        """Whether the Txn that puts `ours` was applied: its revision, or None for not so far."""
        while True:
            try:
                read = await self._etcd.range(self._head_range, timeout=patience.timeout())
            except EtcdError as error:
                self._unknown_or_raise(error, [self._head_range])
                await patience.pause()
                continue
            head = read.kvs[0] if read.kvs else None
            if (head.mod_revision if head else 0) == self.head_mod:
                return None
            return self._revision_of(head, ours)

    def _applied(self, result: TxnResult, ours: bytes) -> int:
        """The revision at which an earlier copy of a Txn was applied whose compares now fail."""
        return self._revision_of(_head_in(result), ours)

    def _revision_of(self, head: KeyValue | None, ours: bytes) -> int:
        # The revision rules first: an equal value at the previous revision is not our Txn.
        if head is None or head.mod_revision == self.head_mod or head.value != ours:
            raise self._deposed(head)
        return head.mod_revision

    def _deposed(self, head: KeyValue | None) -> Deposed:
        if head is not None and head.mod_revision == self.head_mod:
            return Deposed(f"epoch {self._epoch} has ended: its leader key is gone")
        if head is None:
            return Deposed(f"epoch {self._epoch} has ended: there is no head")
        found = HeadRecord.FromString(head.value)
        return Deposed(
            f"epoch {self._epoch} has ended: head is ({found.epoch}, {found.sequence}) at "
            f"revision {head.mod_revision}, not our Txn {self.sequence} at {self.head_mod}"
        )


def _head_in(failed: TxnResult) -> KeyValue | None:
    kvs = failed.ranges[0].kvs
    return kvs[0] if kvs else None


def _listing(op: Op) -> str:
    if isinstance(op, Put):
        value = op.value[:_LOGGED_VALUE_BYTES]
        return f"put {op.key!r} lease={op.lease} {len(op.value)} bytes {value!r}"
    return repr(op)
