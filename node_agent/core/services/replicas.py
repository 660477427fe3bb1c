"""Replicas on this node: attempts that run beside the slots until they are ended.

```
 assigned -> RUNNING --cancel, drain--> DRAINING --its grace is over--> killed -> exited
                |                          +--------- ends by itself ------------^
                +--unhealthy, superseded, lease lost: killed at once ------------^
```

A replica may run for months. In a slot it would keep all other work out, so it gets a lane of its
own, numbered behind those of the slots; what it takes of the node is what its resources say, which
the leader counts. It never waits, so it is never returned for waiting; its run says nothing
about how long tasks take. The leader counts it against the node's credit like any other attempt:
the credit is raised by exactly as many (`Services.counted`).
"""

from __future__ import annotations

from collections.abc import Iterator

from node_agent.core.attempts import SILENT, WAITING, Attempt

# More than a machine should run: attempts beyond it are returned.
MAX_REPLICAS = 1024


class Services:
    """All replicas of the node, dying ones included.

    Args:
        first_lane: the lowest number that is no slot's lane.
    """

    def __init__(self, first_lane: int) -> None:
        self._first_lane = first_lane
        # When each began.
        self._since: dict[Attempt, float] = {}
        # When those that drain are killed (None: not known yet), and how long they have.
        self._deadlines: dict[Attempt, tuple[float | None, float]] = {}

    def __iter__(self) -> Iterator[tuple[Attempt, float]]:
        """Each with the instant when it began; may change meanwhile."""
        return iter(tuple(self._since.items()))

    def __len__(self) -> int:
        return len(self._since)

    @property
    def counted(self) -> int:
        """Replicas that the leader believes to be here; it gave the others away."""
        return sum(attempt.killed not in SILENT for attempt in self._since)

    @property
    def full(self) -> bool:
        """Whether no other is taken."""
        return len(self._since) >= MAX_REPLICAS

    def add(self, attempt: Attempt, now: float) -> None:
        """Give a replica a lane that no other one has."""
        taken = {other.lane for other in self._since}
        lane = self._first_lane
        while lane in taken:
            lane += 1
        attempt.lane = lane
        self._since[attempt] = now

    def began(self, attempt: Attempt, when: float) -> None:
        """Its program began at `when`."""
        if attempt in self._since:
            self._since[attempt] = when

    def remove(self, attempt: Attempt) -> None:
        """It has exited; its lane is free."""
        del self._since[attempt]
        self._deadlines.pop(attempt, None)
        attempt.lane = WAITING

    def drain(self, attempt: Attempt, grace: float) -> None:
        """Let it finish its requests for so many seconds from the next `overdue`."""
        self._deadlines[attempt] = None, grace

    def overdue(self, now: float) -> list[Attempt]:
        """Replicas whose time to finish requests is over; each is returned once."""
        due = []
        for attempt, (until, grace) in tuple(self._deadlines.items()):
            if until is None:
                until = now + grace
                self._deadlines[attempt] = until, grace
            if now >= until:
                del self._deadlines[attempt]
                due.append(attempt)
        return due
