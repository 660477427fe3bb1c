"""How far the leader's clock is from the others', and by which clock finished things expire.

What is due is due by the leader's clock. A leader whose clock is an hour ahead begins an hour early
what waits for a time; nothing can be done about that but to say so: a warning in the log, the
metric `quorate_clock_offset_seconds`, `Cluster.clock_offset` and with it `quorate doctor`.

What may not be done early is to delete: results, and the answers that keep a repeated call from
being done twice. So expiry goes by the earliest of

* the leader's clock;
* the leader's clock less its offset from the middle one of the nodes' clocks, where nodes report;
* else, the last instant that the log knew when this leader was elected, and the time since.

The last costs a cluster without nodes as much delay as it was idle, or down, before the election.

Whose clocks: those of node agents, reported with the inventory and the stats of each session. etcd
has none. A message under way makes a node look late by as much, so that only seconds count here.

Owned by the term; read and written on its event loop. Bounded by the number of nodes.
"""

from __future__ import annotations

import asyncio
from statistics import median
from typing import Final

import structlog

from quorate.runtime.ids import InstanceId
from quorate.runtime.timing.clock import TermClock

log = structlog.get_logger(__name__)

# Seconds. Clocks that are kept in step differ by milliseconds.
FAR: Final = 5.0
EVERY: Final = 5.0


class Clocks:
    """The clocks of one term.

    Args:
        clock: the leader's.
        latest: the log's last instant (of its last record, not the greatest one); 0.0: none.
    """

    def __init__(self, clock: TermClock, latest: float) -> None:
        self._clock = clock
        self._elected = clock.now()
        self._latest = latest or self._elected
        # By how much the leader's clock was ahead of each process's when it reported.
        self._ahead: dict[InstanceId, float] = {}
        self._said = False

    def report(self, instance: InstanceId, wall: float) -> None:
        """A process's clock said `wall` (seconds since the epoch) just now."""
        self._ahead[instance] = self._clock.now() - wall

    def forget(self, instance: InstanceId) -> None:
        """The session with a process ended."""
        self._ahead.pop(instance, None)

    @property
    def offset(self) -> float | None:
        """By how many seconds the leader's clock is ahead of the middle one; None: unknown."""
        return median(self._ahead.values()) if self._ahead else None

    def expiry(self) -> float:
        """The instant by which finished things expire."""
        now = self._clock.now()
        offset = self.offset
        if offset is None:
            return min(now, self._latest + (now - self._elected))
        return now if abs(offset) <= FAR else min(now, now - offset)

    async def run(self) -> None:
        """Say when the clocks part, and when they agree again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            self.look()

    def look(self) -> None:
        """Say so if the clocks parted, or agree again, since the last look."""
        offset = self.offset
        far = offset is not None and abs(offset) > FAR
        if far and not self._said:
            log.warning("clock_far_from_the_nodes", ahead=round(offset or 0.0, 1))
        elif self._said and not far and offset is not None:
            log.info("clock_agrees_with_the_nodes", ahead=round(offset, 1))
        elif not far and self._said:
            return
        self._said = far
