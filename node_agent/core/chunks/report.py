"""What a chunk has to tell, cut into reports, and the box where these wait for the leader. Pure.

Reports of a chunk are numbered from 1 and disjoint. One touches at most MAX_BLOCKS blocks of
positions, and its results and errors are MAX_BYTES long, or it has a single one. A report stays in
the box until the leader acknowledges it, and is sent again, the same, in each new session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from node_agent.core.chunks.offsets import Offsets
from node_agent.core.failure import Failure
from quorate.runtime.ranges import EMPTY, Ranges

# Positions of a block, as the leader keeps them.
BLOCK = 4096
MAX_BLOCKS = 16
MAX_BYTES = 256 * 1024
# Reports of a chunk that are not acknowledged: from the first bound on they grow instead of
# becoming more, from the second on nothing more is fed.
FEW_UNACKNOWLEDGED = 4
MOST_UNACKNOWLEDGED = 16
# Of the whole node.
MAX_BOX_BYTES = 64 * 1024 * 1024
# Beside the texts and values themselves.
_VALUE_BYTES, _FAILURE_BYTES, _REPORT_BYTES = 8, 100, 200

Kind = Literal["json", "pickle"]
# Offset and result; offset, why, and when (wall time).
Value = tuple[int, Kind, bytes]
Failed = tuple[int, Failure, float]


@dataclass(slots=True, eq=False)
class Run:
    """Results of consecutive positions."""

    first: int
    kind: Kind
    values: list[bytes]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkReport:
    """One report. `failed` is by position."""

    task_id: str
    attempt: int
    number: int
    succeeded: Ranges
    failed: tuple[Failed, ...]
    runs: tuple[Run, ...]
    returned: Ranges
    seconds: float
    # Roughly the bytes it holds in memory.
    size: int


class Reports:
    """What one chunk has to tell.

    Attributes:
        reported: offsets before this one are in a report.
        withdrawn: positions that were given back ahead of their turn.
        unacknowledged: reports in the box.
    """

    def __init__(self, offsets: Offsets) -> None:
        self._offsets = offsets
        self.reported = 0
        self._upto = 0
        self._values: list[Value] = []
        self._failed: list[Failed] = []
        self._bytes = 0
        self._seconds = 0.0
        self._returned = EMPTY
        # Those returned by themselves, out of order: no other report names them.
        self.withdrawn = EMPTY
        self._number = 0
        # When somebody first looked at what has gathered since the last report.
        self._since: float | None = None
        self.unacknowledged = 0

    def add(
        self,
        begin: int,
        end: int,
        seconds: float,
        values: Iterable[Value],
        failed: Iterable[Failed],
    ) -> None:
        """Offsets `begin` to `end` - 1 ended; what lies beyond is left out."""
        assert begin >= self._upto, "positions end in order"
        self._upto = end
        self._seconds += seconds
        for value in values:
            if value[0] < end:
                self._values.append(value)
                self._bytes += len(value[2]) + _VALUE_BYTES
        for one in failed:
            if one[0] < end:
                self._failed.append(one)
                self._bytes += _size_of(one[1])

    def add_returned(self, positions: Ranges) -> None:
        """These were given back."""
        self._returned = self._returned | positions

    def withdraw(self, positions: Ranges) -> None:
        """These, which lie ahead, never begin: they are given back."""
        self.withdrawn = self.withdrawn | positions
        self.add_returned(positions)

    @property
    def any(self) -> bool:
        """Whether there is something to tell."""
        return self._upto > self.reported or bool(self._returned)

    @property
    def full(self) -> bool:
        """Whether a report is full, and should wait for nothing more."""
        return self._bytes >= MAX_BYTES

    def wanted(self, now: float, patience: float) -> bool:
        """Whether a report should be made now.

        Args:
            patience: seconds that what is no more urgent than the rest gathers.
        """
        if not self.any:
            return False
        if self.full or self._returned:
            return True
        if self._since is None:
            self._since = now
        return self.unacknowledged < FEW_UNACKNOWLEDGED and now - self._since >= patience

    @property
    def blocked(self) -> bool:
        """Whether too much waits for the leader already."""
        return self.unacknowledged >= MOST_UNACKNOWLEDGED

    def cut(self, task_id: str, attempt: int) -> Iterator[ChunkReport]:
        """All that there is to tell, in reports within the limits."""
        begin, seconds = self.reported, self._seconds
        values, failed = iter(self._values), iter(self._failed)
        value, failure = next(values, None), next(failed, None)
        for end, succeeded_and_failed in self._spans():
            if self.withdrawn:
                succeeded_and_failed -= self.withdrawn
                if not succeeded_and_failed:
                    begin = end
                    continue
            mine: list[Value] = []
            while value is not None and value[0] < end:
                mine.append(value)
                value = next(values, None)
            wrong: list[Failed] = []
            while failure is not None and failure[0] < end:
                wrong.append(failure)
                failure = next(failed, None)
            yield self._report(task_id, attempt, succeeded_and_failed, mine, wrong, EMPTY, seconds)
            begin, seconds = end, 0.0
        assert begin == self._upto
        for positions in _by_blocks(self._returned):
            yield self._report(task_id, attempt, EMPTY, [], [], positions, 0.0)
        self.reported = self._upto
        self._since = None
        self._values, self._failed, self._bytes = [], [], 0
        self._seconds = 0.0
        self._returned = EMPTY

    # -- inside --------------------------------------------------------------------------------

    def _spans(self) -> Iterator[tuple[int, Ranges]]:
        """End and positions of each report, by both limits."""
        begin = self.reported
        for end in (*self._cuts(), self._upto):
            for positions in _by_blocks(self._offsets.part(begin, end)):
                begin += len(positions)
                yield begin, positions

    def _cuts(self) -> list[int]:
        """Offsets at which another report has to begin, as the one before it is full."""
        if self._bytes <= MAX_BYTES:
            return []
        sizes = [(one[0], len(one[2]) + _VALUE_BYTES) for one in self._values]
        sizes += [(one[0], _size_of(one[1])) for one in self._failed]
        sizes.sort()
        cuts, room = [], MAX_BYTES
        for offset, size in sizes:
            room -= size
            if room < 0:
                if offset > self.reported:
                    cuts.append(offset)
                room = MAX_BYTES - size
        return cuts

    def _report(
        self,
        task_id: str,
        attempt: int,
        positions: Ranges,
        values: list[Value],
        failed: list[Failed],
        returned: Ranges,
        seconds: float,
    ) -> ChunkReport:
        self._number += 1
        self.unacknowledged += 1
        wrong = tuple(
            (self._offsets.position(offset), failure, at) for offset, failure, at in failed
        )
        succeeded = positions - Ranges.of_positions(one[0] for one in wrong)
        size = _REPORT_BYTES + sum(len(one[2]) + 2 * _VALUE_BYTES for one in values)
        size += sum(_size_of(one[1]) for one in wrong)
        size += 32 * (len(succeeded.pairs) + len(returned.pairs))
        runs = tuple(self._runs(values))
        return ChunkReport(
            task_id, attempt, self._number, succeeded, wrong, runs, returned, seconds, size
        )

    def _runs(self, values: list[Value]) -> Iterator[Run]:
        """Results in runs of neighbours, none beyond its block."""
        run: Run | None = None
        position, kind = -1, ""
        following, ends = -1, -1
        for offset, kind_here, data in values:
            if offset == following and offset < ends:
                position += 1
            else:
                position = self._offsets.position(offset)
                # Up to here the next offset is the next position.
                ends = offset + self._offsets.neighbours(offset)
            following = offset + 1
            if (
                run is not None
                and kind == kind_here
                and position == run.first + len(run.values)
                and position % BLOCK
            ):
                run.values.append(data)
                continue
            if run is not None:
                yield run
            run, kind = Run(position, kind_here, [data]), kind_here
        if run is not None:
            yield run


class ReportBox:
    """The reports of all chunks that the leader has not acknowledged."""

    def __init__(self) -> None:
        self._reports: dict[tuple[str, int, int], tuple[ChunkReport, Reports]] = {}
        self._bytes = 0

    def add(self, report: ChunkReport, of: Reports) -> None:
        """Keep a report."""
        self._reports[report.task_id, report.attempt, report.number] = report, of
        self._bytes += report.size

    def acknowledge(self, ref: tuple[str, int, int]) -> None:
        """Forget a report; an unknown one is ignored."""
        found = self._reports.pop(ref, None)
        if found is not None:
            self._bytes -= found[0].size
            found[1].unacknowledged -= 1

    @property
    def full(self) -> bool:
        """Whether nothing more should be fed."""
        return self._bytes >= MAX_BOX_BYTES

    def __len__(self) -> int:
        return len(self._reports)

    def __iter__(self) -> Iterator[ChunkReport]:
        return (report for report, _ in self._reports.values())


def _by_blocks(positions: Ranges) -> Iterator[Ranges]:
    """Parts that touch MAX_BLOCKS blocks each."""
    if not positions:
        return
    if positions.last // BLOCK - positions.first // BLOCK < MAX_BLOCKS:
        yield positions
        return
    pairs: list[tuple[int, int]] = []
    for count, (_, part) in enumerate(positions.blocks(BLOCK)):
        if pairs and count % MAX_BLOCKS == 0:
            yield Ranges.of(pairs)
            pairs = []
        pairs.extend(part.pairs)
    yield Ranges.of(pairs)


def _size_of(failure: Failure) -> int:
    texts = len(failure.message) + len(failure.traceback) + len(failure.pickle)
    return _FAILURE_BYTES + texts + sum(map(len, failure.base_types))
