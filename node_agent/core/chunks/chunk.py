"""One chunk: how far it is, what is fed to its executor next, what was not reported yet. Pure.

Its positions are numbered by *offsets*, 0 to `size` - 1, and begin in this order, in one lane:

```
 0            in a report      gathered       base         cursor             end          size
 |---------------|----------------|------------|--------------|----------------|--------------|
   the leader has     to report      under way    with the         not fed         returned
   or will have it                   in `pieces`  executor
```

So everything about a chunk is a few offsets. A *piece* is what the executor has in hand. What it
has not begun of a piece can be taken back: then the cursor goes back. What never begins is
returned: then the end comes down. A position is named by exactly one report, whatever happens.

Single offsets can be *withdrawn* before they are fed: they are returned at once, and the cursor
leaps over them. One that is fed already is first taken back, or ended where it runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from node_agent.core.chunks.inputs import ReduceInput, Wanted
from node_agent.core.chunks.offsets import Offsets
from node_agent.core.chunks.report import Failed, Reports, Value
from node_agent.core.failure import Failure
from quorate.runtime.ranges import Ranges

# Expected work (seconds), positions, runs of positions and bytes of items of one piece.
PIECE_SECONDS = 0.010
MAX_PIECE = 4096
MAX_RUNS = 512
MAX_ITEM_BYTES = 24 * 1024
# A chunk that keeps its lane longer than this has no other one wait behind it.
SOON_SECONDS = 0.100


@dataclass(slots=True, eq=False)
class Piece:
    """Offsets `begin` to `end` - 1, of which those before `base` are over."""

    begin: int
    end: int
    base: int


class Chunk:
    """The work of one attempt.

    Args:
        job_id: the array's.
        positions: to run.
        items: one for each position, or none at all.
        first_index, index_step: `index = first_index + index_step * position`.
        count: subtasks of the whole array; 0 while that is open.
        timeout: seconds of each subtask; 0 for no limit.
        expected: seconds of one subtask; 0: nobody knows.
        reduce: what its subtasks get, where they are reduces.

    Attributes:
        wanted: results that it waits for, and of which the leader was asked.
        pieces: with the executor, in order.
        reports: what the leader gets.
        given_up: it gets nothing more, and what has not begun is returned.
    """

    def __init__(
        self,
        job_id: str,
        positions: Ranges,
        items: Sequence[bytes] = (),
        *,
        first_index: int = 0,
        index_step: int = 1,
        count: int = 0,
        timeout: float = 0.0,
        expected: float = 0.0,
        reduce: ReduceInput | None = None,
    ) -> None:
        self.job_id = job_id
        self.offsets = Offsets(positions)
        self.items = items
        self.first_index, self.index_step, self.count = first_index, index_step, count
        self.timeout = timeout
        self.average = expected
        self.reduce = reduce
        self.wanted: Wanted | None = None
        self.size = self.end = len(positions)
        self._cursor = 0
        self._withdrawn: dict[int, None] = {}
        self.given_up = False
        self.pieces: deque[Piece] = deque()
        self.reports = Reports(self.offsets)

    # -- offsets and positions -----------------------------------------------------------------

    def index(self, offset: int) -> int:
        """The index that people see."""
        return self.first_index + self.index_step * self.offsets.position(offset)

    def part(self, begin: int, end: int) -> Ranges:
        """The positions at `begin` to `end` - 1."""
        return self.offsets.part(begin, end)

    @property
    def left(self) -> Ranges:
        """Positions that no report names."""
        left = self.part(self.reports.reported, self.end)
        return left - self.reports.withdrawn if self._withdrawn else left

    # -- what there is to do -------------------------------------------------------------------

    @property
    def unfed(self) -> int:
        """Positions that no piece has."""
        return self.end - self._cursor

    @property
    def over(self) -> bool:
        """Whether nothing is under way, and nothing is left to do."""
        return not self.pieces and self._cursor >= self.end

    @property
    def under_way(self) -> int:
        """Positions that are not over, and were not returned."""
        return self.end - (self.pieces[0].base if self.pieces else self._cursor)

    @property
    def ends_soon(self) -> bool:
        """Whether its lane is expected to be free after SOON_SECONDS."""
        under_way = self.under_way
        return 0.0 < under_way * self.average <= SOON_SECONDS or under_way <= 0

    def feed(self, most: int = MAX_PIECE) -> Piece | None:
        """The next piece, now with the executor; None when there is none.

        Args:
            most: positions that it may have.
        """
        begin = self._cursor
        if begin >= self.end:
            return None
        average = self.average
        count = 1
        if average > 0:
            count = max(1, int(PIECE_SECONDS / average)) if average * most > PIECE_SECONDS else most
        count = min(count, self.offsets.of_runs(begin, MAX_RUNS))
        end = min(begin + min(count, most), self.end)
        if self.items:
            room = MAX_ITEM_BYTES - len(self.items[begin])
            for offset in range(begin + 1, end):
                room -= len(self.items[offset]) + 8
                if room < 0:
                    end = offset
                    break
        if self._withdrawn:
            end = next((one for one in range(begin, end) if one in self._withdrawn), end)
        self._cursor = end
        self._leap()
        piece = Piece(begin, end, begin)
        self.pieces.append(piece)
        return piece

    def is_fed(self, offset: int) -> bool:
        """Whether the executor has it, or had it."""
        return offset < self._cursor

    # -- what happens --------------------------------------------------------------------------

    def withdraw(self, offset: int) -> None:
        """One that is not fed never will be: it is returned."""
        if self._cursor <= offset < self.end and offset not in self._withdrawn:
            self._withdrawn[offset] = None
            self.reports.withdraw(self.part(offset, offset + 1))
            self._leap()

    def _leap(self) -> None:
        while self._cursor in self._withdrawn:
            self._cursor += 1

    def shorten(self, started: int) -> None:
        """Of the newest piece only the first `started` offsets may have begun: no other one will,
        and those follow in another piece."""
        piece = self.pieces[-1]
        piece.end = self._cursor = min(piece.end, max(piece.base, piece.begin + started))
        self._leap()

    def take_back(self) -> None:
        """The newest piece was not begun, and will not be."""
        self._cursor = self.pieces.pop().begin

    def advance(
        self,
        count: int,
        seconds: float,
        values: Iterable[Value] = (),
        failed: Iterable[Failed] = (),
    ) -> None:
        """The next `count` positions of the oldest piece ended, which took so long in all.

        Args:
            values: results, by offset; no others than of these positions, and in order.
            failed: those that failed, likewise. The rest succeeded, and has no result.
        """
        piece = self.pieces[0]
        # What was returned meanwhile, though it had begun, is somebody else's by now.
        base = min(piece.base + count, piece.end)
        self.reports.add(piece.base, base, seconds, values, failed)
        piece.base = base
        if count > 0:
            measured = seconds / count
            rising = measured > self.average > 0
            self.average = (self.average + measured) / 2 if rising else max(measured, 1e-9)

    def fail_rest(self, failure: Failure, wall: float) -> None:
        """All that is left failed without having begun; nothing is with the executor."""
        while piece := self.feed():
            offsets = range(piece.begin, piece.end)
            self.advance(len(offsets), 0.0, (), [(offset, failure, wall) for offset in offsets])
            self.pieces.popleft()

    def end_piece(self) -> None:
        """The executor has let go of the oldest piece: what is left of it was not begun."""
        piece = self.pieces.popleft()
        if piece.base < piece.end:
            # What comes behind it was not begun either.
            self.pieces.clear()
            self._cursor = piece.base
            if self.given_up:
                self.give_up()

    def put_back(self) -> None:
        """Nothing is with the executor any more."""
        if self.pieces:
            self._cursor = self.pieces[0].base
            self.pieces.clear()
            self._leap()
        if self.given_up:
            self.give_up()

    def give_up(self, started: int | None = None) -> None:
        """Return what has not begun; what is with the executor goes on.

        Args:
            started: positions of the newest piece that may have begun; None: all.
        """
        self.given_up = True
        if started is not None and self.pieces:
            self.shorten(started)
        rest = self.part(self._cursor, self.end)
        self.reports.add_returned(rest - self.reports.withdrawn if self._withdrawn else rest)
        self.end = self._cursor

    def drop_rest(self) -> None:
        """Nobody wants what is left; nothing is with the executor."""
        self.end = self._cursor

    def return_all(self) -> None:
        """Return all that has no outcome."""
        self.put_back()
        self.give_up()
