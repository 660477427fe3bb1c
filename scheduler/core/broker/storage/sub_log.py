"""One sub-log of a message queue: which messages are alive, as a leader and as a standby know it.

    reserve -> (chunk committed) -> alive -> acknowledged -> gone, with its chunk
                                      | give_back: its deliveries go on record, it stays alive

A message is alive if it is in a present chunk and not done. What is done is a bit a message, for
the chunks that are partly done: see `done`. A chunk that is wholly done is deleted in the commit
that finishes it.

A leader calls `reserve`, `committed`, `acknowledge`, ..., and commits the writes. A standby calls
`fold_*` in any order for the writes of one Txn, and `settle` before it looks at anything else:
nothing is concluded in the middle of a revision. After that both are equal.

Bounds: see `format` (a chunk) and `records` (acknowledgements); chunks: `crowded`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from scheduler.core.broker.storage.done import DoneChunks
from scheduler.core.broker.storage.format import Summary
from scheduler.core.broker.storage.index import ChunkIndex
from scheduler.core.broker.storage.records import (
    ACKS_BYTES,
    MOST_DELIVERIES,
    MOST_RUNS,
    Acks,
    Change,
    ChunkDone,
    DeleteChunks,
    PutAcks,
    PutChunkDone,
    Write,
)

# While so many chunks wait to be merged, publishing waits.
MOST_SMALL: Final = 20_000


# Fewer chunks next to each other are deleted one by one: events that delete a range are not joined
# with others on their way to the journal.
LEAST_RANGE: Final = 4


class SubLog:
    """Owned by the leader's or the standby's state.

    Args:
        most_runs: of done messages in `acks`; beyond it, chunks get records of their own.

    Attributes:
        chunks: what is committed.
        cursor: the lowest sequence that is alive, or `tail` without any.
        tail: the sequence behind the greatest that was ever committed.
        next: the next one that `reserve` gives.
        instant: the latest one on record in `acks`.
    """

    __slots__ = (
        "_chunks_done",
        "_finished",
        "_most_runs",
        "_recorded",
        "_unsettled",
        "chunks",
        "cursor",
        "instant",
        "next",
        "tail",
    )

    def __init__(self, most_runs: int = MOST_RUNS) -> None:
        self._most_runs = most_runs
        self.chunks = ChunkIndex()
        self.cursor = self.tail = self.next = 0
        self.instant = 0.0
        # Of chunks that are partly done or have messages that came back.
        self._chunks_done = DoneChunks(most_runs)
        # Chunks that are wholly done and still there: see `acknowledge`.
        self._finished: dict[int, None] = {}
        self._recorded = Acks()
        # Records were folded since `settle`.
        self._unsettled = False

    # -- what is there -------------------------------------------------------------------------

    @property
    def alive(self) -> int:
        """Messages that are committed and not done."""
        return self.chunks.messages - self._chunks_done.total

    @property
    def crowded(self) -> bool:
        """So many small chunks wait to be merged that publishing is to wait."""
        return self.chunks.small > MOST_SMALL

    @property
    def latest(self) -> float:
        """The greatest instant on record: the clock of a leader never runs below. O(chunks)."""
        return max([self.instant, *(chunk.latest for chunk in self.chunks)])

    def find(self, sequence: int) -> int:
        """The first sequence of the chunk that holds a message that is alive; -1 for none.

        Whoever misses a chunk that was read back asks again: it may be merged by now.
        """
        place = self.chunks.around(sequence)
        if place < 0:
            return -1
        ordinal = self.chunks.ordinal(place, sequence)
        first = self.chunks.firsts[place]
        return first if ordinal >= 0 and not self.done(first) >> ordinal & 1 else -1

    def done(self, first: int) -> int:
        """Which messages of a chunk are done, a bit each."""
        return self.of_chunk(first).done

    def of_chunk(self, first: int) -> ChunkDone:
        """What is done of a chunk, and what of it came back."""
        return self._chunks_done.get(first)

    def has_own_record(self, first: int) -> bool:
        """Whether what is done of a chunk has a record of its own."""
        return first in self._chunks_done.own

    def deliveries(self, sequence: int) -> int:
        """How often a message was delivered in vain, as far as that is on record."""
        place = self.chunks.around(sequence)
        if place < 0:
            return 0
        ordinal = self.chunks.ordinal(place, sequence)
        return dict(self.of_chunk(self.chunks.firsts[place]).returned).get(ordinal, 0)

    def weigh(self, changed: Mapping[int, int]) -> tuple[int, int]:
        """Keys and bytes of a change, at most: see `DoneChunks.weigh`."""
        return self._chunks_done.weigh(changed)

    def facts(self) -> tuple[object, ...]:
        """All that a leader and a standby have to agree on, once everything is committed."""
        return (
            list(self.chunks),
            sorted(self._chunks_done.inline.values()),
            sorted(self._chunks_done.own.values()),
            sorted(self._finished),
            self.cursor,
            self.tail,
            self.alive,
            self.instant,
        )

    # -- leading -------------------------------------------------------------------------------

    def reserve(self, count: int) -> int:
        """The first of the next `count` sequences. They are alive when their chunk is committed."""
        first = self.next
        self.next += count
        return first

    def committed(self, chunk: Summary) -> None:
        """A chunk of reserved sequences is committed."""
        assert self.tail <= chunk.first <= chunk.last < self.next, chunk
        if not self.alive:
            self.cursor = chunk.first
        self.tail = chunk.last + 1
        self.chunks.put(chunk)

    def acknowledge(
        self, spans: Iterable[tuple[int, int]], now: float, *, space: bool = True
    ) -> Change:
        """The messages with these sequences (first and last of each span) are done.

        What is not alive (acknowledged before, dropped, not committed yet) is left out: a repeated
        acknowledgement does nothing. Takes time in the number of chunks that the spans touch.

        Args:
            space: false while etcd has none. `acks` cannot be written then, and the deletions go
                as a purge in front of it. The newest chunk stays: it is the record of `tail`.
        """
        added: dict[int, int] = {}
        chunks = self.chunks
        for first, last in spans:
            place = chunks.behind(max(first, self.cursor))
            while place < len(chunks) and chunks.firsts[place] <= last:
                begin, end = chunks.ordinals(place, first, last)
                if begin < end:
                    key = chunks.firsts[place]
                    added[key] = added.get(key, 0) | (1 << end) - (1 << begin)
                place += 1
        count = 0
        writes: list[Write] = []
        for first, mask in added.items():
            count += self._mark(first, mask, writes)
        if not count:
            return Change()
        return self._change(count, writes, now, space)

    def give_back(self, counts: Iterable[tuple[int, int]], now: float) -> Change:
        """Messages (sequence, deliveries) came back: they stay alive in their places, and the
        number of deliveries goes on record. Those that are not alive are left out."""
        returned: dict[int, dict[int, int]] = {}
        count = 0
        for sequence, deliveries in counts:
            first = self.find(sequence)
            if first < 0:
                continue
            ordinal = self.chunks.ordinal(self.chunks.position(first), sequence)
            deliveries = min(deliveries, MOST_DELIVERIES)
            if first not in returned:
                returned[first] = dict(self.of_chunk(first).returned)
            count += returned[first].get(ordinal) != deliveries
            returned[first][ordinal] = deliveries
        if not count:
            return Change()
        writes: list[Write] = []
        for first, of_chunk in returned.items():
            self._keep(
                self.of_chunk(first)._replace(returned=tuple(sorted(of_chunk.items()))), writes
            )
        return self._change(count, writes, now, space=True)

    def trim(self, before: float, most_bytes: int, now: float) -> Change:
        """Drop the oldest chunks of a stream: those that were published before an instant, and
        what is beyond a number of bytes. The newest chunk stays."""
        place, size = 0, self.chunks.size
        while place < len(self.chunks) - 1:
            chunk = self.chunks.at(place)
            if chunk.latest >= before and size <= most_bytes:
                break
            size -= chunk.size
            place += 1
        if not place:
            return Change()
        alive = self.alive
        write = self.drop(self.chunks.firsts[0], self.chunks.firsts[place - 1])
        return self._change(alive - self.alive, [write], now, space=True)

    def drop(self, first: int, last: int) -> DeleteChunks:
        """Forget chunks that are next to each other, by their first sequences. The caller writes
        `acks`, too, if the newest one is among them."""
        own_records = False
        for place in range(self.chunks.position(first), self.chunks.position(last) + 1):
            chunk = self.chunks.firsts[place]
            self._finished.pop(chunk, None)
            own_records |= self._chunks_done.forget(chunk)
        return DeleteChunks(first, last, own_records, self.chunks.remove(first, last))

    def take_merged(self, chunk: Summary, returned: tuple[tuple[int, int], ...]) -> None:
        """A merge left this chunk; those that it was made of are dropped already."""
        self.chunks.put(chunk)
        if returned:
            self._keep(ChunkDone(chunk.first, returned=returned), [])

    def recorded(self, now: float) -> list[Write]:
        """What is to be written of acknowledgements after a change."""
        self._advance()
        writes: list[Write] = list(self._chunks_done.spill())
        self.instant = max(self.instant, now)
        self._recorded = self._recorded._replace(
            cursor=self.cursor,
            tail=self.tail,
            instant=self.instant,
            chunks=tuple(self._chunks_done.inline.values()),
            weight=ACKS_BYTES + len(self._recorded.unknown) + self._chunks_done.weight,
        )
        writes.append(PutAcks(self._recorded))
        return writes

    def _change(self, count: int, writes: list[Write], now: float, space: bool) -> Change:
        swept = self._sweep(space)
        if swept:
            # What the same Txn deletes is not written.
            writes = [
                write
                for write in writes
                if type(write) is not PutChunkDone or write.done.first in self._chunks_done.own
            ]
        return Change(count, (*writes, *swept, *self.recorded(now)))

    def _mark(self, first: int, mask: int, writes: list[Write]) -> int:
        """Mark messages of a chunk as done; how many were not yet."""
        before = self.of_chunk(first)
        new = mask & ~before.done
        if not new:
            return 0
        done = before.done | new
        returned = before.returned
        if returned:
            returned = tuple(one for one in returned if not done >> one[0] & 1)
        if done.bit_count() == self.chunks.count(self.chunks.position(first)):
            self._finished[first] = None
        self._keep(before._replace(done=done, returned=returned), writes)
        return new.bit_count()

    def _keep(self, done: ChunkDone, writes: list[Write]) -> None:
        if self._chunks_done.put(done):
            writes.append(PutChunkDone(done))

    def _sweep(self, space: bool) -> list[DeleteChunks]:
        """Drop the chunks that are wholly done: those that are next to each other at once."""
        runs: list[list[int]] = []
        following = -1
        for first in sorted(self._finished):
            place = self.chunks.position(first)
            if not space and place == len(self.chunks) - 1:
                break
            if place != following:
                runs.append([])
            runs[-1].append(first)
            following = place + 1
        writes: list[DeleteChunks] = []
        for run in runs:
            if len(run) < LEAST_RANGE:
                writes += [self.drop(first, first) for first in run]
            else:
                writes.append(self.drop(run[0], run[-1]))
        return writes

    def _advance(self) -> None:
        """Put the cursor to the lowest sequence that is alive."""
        place = self.chunks.behind(self.cursor)
        while place < len(self.chunks):
            done = self.done(self.chunks.firsts[place])
            ordinal = (~done & (done + 1)).bit_length() - 1
            if ordinal < self.chunks.count(place):
                self.cursor = self.chunks.sequence(place, ordinal)
                return
            place += 1
        self.cursor = self.tail

    # -- following -----------------------------------------------------------------------------

    def fold_chunk(self, chunk: Summary) -> None:
        """A chunk is on record."""
        self._unsettled = True
        self.chunks.put(chunk)

    def fold_deleted_chunk(self, first: int) -> None:
        """A chunk is deleted."""
        self._unsettled = True
        self.chunks.remove(first, first)

    def fold_acks(self, acks: Acks) -> None:
        """`acks` is on record."""
        self._unsettled = True
        self._recorded = acks

    def fold_chunk_done(self, done: ChunkDone) -> None:
        """What is done of a chunk is on record by itself."""
        self._unsettled = True
        self._chunks_done.own[done.first] = done

    def fold_deleted_chunk_done(self, first: int) -> None:
        """What was done of a chunk is deleted."""
        self._unsettled = True
        self._chunks_done.own.pop(first, None)

    def settle(self) -> None:
        """Conclude what follows from the records of a whole revision. Idempotent. O(chunks) if any
        were folded since.

        What records say of messages that are in no chunk means nothing: it is dropped.
        """
        if not self._unsettled:
            return
        self._unsettled = False
        recorded = self._recorded
        self.tail = max(recorded.tail, recorded.cursor, self.chunks.last() + 1)
        self.next = max(self.next, self.tail)
        self.cursor = 0
        self.instant = recorded.instant
        own, others = self._chunks_done.own, {done.first: done for done in recorded.chunks}
        self._chunks_done, self._finished = DoneChunks(self._most_runs), {}
        for place, first in enumerate(self.chunks.firsts):
            count = self.chunks.count(place)
            record = own.get(first) or others.get(first) or ChunkDone(first)
            below = 0
            if first < recorded.cursor:
                below = (1 << self.chunks.ordinals(place, first, recorded.cursor - 1)[1]) - 1
            done = (record.done | below) & (1 << count) - 1
            returned = tuple(
                (ordinal, deliveries)
                for ordinal, deliveries in record.returned
                if ordinal < count and not done >> ordinal & 1
            )
            if done.bit_count() == count:
                self._finished[first] = None
            if first in own or done or returned:
                record = record._replace(done=done, returned=returned)
                self._chunks_done.put(record, own=first in own)
        self._advance()
