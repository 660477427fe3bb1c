"""What is known of 4,096 subtasks of an array.

    pending --cut into a chunk--> out --reported--> succeeded
       ^                           |  \\-----------> failed
       |<--node lost, returned-----|
       |<--due-- waiting <---------'  (failed, and attempts are left)
    any of these but succeeded, failed --by a caller--> cancelled
    failed, cancelled --retried by a caller--> pending

A subtask is in at most one of the masks `succeeded`, `failed`, `cancelled`, `out` and `waiting`; in
none of them it is pending. Five bits a subtask at most; a byte more for each subtask of a block in
which one was tried again. When a job that ended early is reopened for single subtasks, the others
are in `cancelled`, too: before, that followed from the state of the job. All of it but `out`, which
the chunks say, is in the block's record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from scheduler.core.arrays.positions import BLOCK, offsets_of


@dataclass(slots=True, eq=False)
class Block:
    """4,096 subtasks, or as many as the array has. Owned by its `Array`."""

    succeeded: int = 0
    failed: int = 0
    # By themselves, by a caller; or when the job was reopened without them.
    cancelled: int = 0
    # `JobRow.reopening`, as far as the block knows of it.
    reopening: int = 0
    out: int = 0
    waiting: int = 0
    # Of those that wait: when they are due (whole seconds since the epoch), as masks.
    waits: dict[int, int] = field(default_factory=dict)
    # Failed attempts of this round by place; None while all have none.
    failures: bytearray | None = None
    # Attempts of earlier rounds by place.
    earlier: bytearray | None = None
    # Nodes that were lost while a subtask ran there, by place; those run alone in their chunk.
    crashes: dict[int, int] = field(default_factory=dict)
    run_seconds: float = 0.0
    run_count: int = 0
    # Bytes of results and errors on record.
    stored_bytes: int = 0
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""
    # Records of results, about: this process's memory.
    pieces: int = 0

    @property
    def taken(self) -> int:
        """Those that are not pending."""
        return self.finished | self.out | self.waiting

    @property
    def finished(self) -> int:
        """Those that are over, whatever becomes of the job."""
        return self.succeeded | self.failed | self.cancelled

    @property
    def suspects(self) -> int:
        """Those that run alone: a node was lost while they ran."""
        mask = 0
        for place in self.crashes:
            mask |= 1 << place
        return mask

    def failures_of(self, place: int) -> int:
        """Attempts of this round that failed."""
        if self.failures is not None and self.failures[place]:
            return self.failures[place]
        return self.failed >> place & 1

    def attempts_of(self, place: int) -> int:
        """Attempts that have ended, or go on."""
        ended = self.failures_of(place) + self.crashes.get(place, 0)
        going = (self.succeeded | self.out) >> place & 1
        return ended + going + (self.earlier[place] if self.earlier is not None else 0)

    def count_failure(self, place: int) -> int:
        """One more attempt has failed; how many these are."""
        if self.failures is None:
            self.failures = bytearray(BLOCK)
        self.failures[place] = min(255, self.failures[place] + 1)
        return self.failures[place]

    def reopen(self, place: int) -> None:
        """One that failed or was cancelled is pending again, with fresh attempts."""
        bit = 1 << place
        ended = self.failures_of(place) + self.crashes.get(place, 0)
        if ended:
            if self.earlier is None:
                self.earlier = bytearray(BLOCK)
            self.earlier[place] = min(255, self.earlier[place] + ended)
        if self.failures is not None:
            self.failures[place] = 0
        self.crashes.pop(place, None)
        self.failed &= ~bit
        self.cancelled &= ~bit

    def join_waits(self) -> None:
        """The two instants that are closest to each other become one, the later."""
        dues = sorted(self.waits)
        _, early, late = min((late - early, early, late) for early, late in pairwise(dues))
        self.waits[late] |= self.waits.pop(early)

    def begin_round(self) -> tuple[int, int]:
        """What failed, or was left, waits again with fresh attempts; how many had failed, and been
        cancelled."""
        failed, cancelled = self.failed, self.cancelled
        tried = failed
        if self.failures is not None:
            for place, count in enumerate(self.failures):
                if count:
                    tried |= 1 << place
        tried |= self.suspects
        tried &= ~self.succeeded
        if tried:
            earlier = self.earlier or bytearray(BLOCK)
            for place in offsets_of(tried):
                count = self.failures_of(place) + self.crashes.get(place, 0)
                earlier[place] = min(255, earlier[place] + count)
                if self.failures is not None:
                    self.failures[place] = 0
                self.crashes.pop(place, None)
            self.earlier = earlier
        self.failed = self.cancelled = self.reopening = 0
        self.waiting = 0
        self.waits.clear()
        return failed.bit_count(), cancelled.bit_count()
