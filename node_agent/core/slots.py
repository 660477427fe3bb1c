"""Slots as lanes: what each slot runs, and what is queued behind it at the executor.

```
            yielded                      resumed
 BUSY -------------------> YIELDED -------------------> BUSY
  takes a slot              takes none: one more lane    takes a slot again, at once
```

A lane runs one attempt at a time. Short attempts may be handed over ahead of time, so that the
slot never waits for the agent's loop between two of them. All that is in a lane is of one kind
(calls at its warm worker, or programs at the spawner). A lane whose first attempt turns out long
is `blocked`: what is queued behind it is taken back.

An attempt *yields* when it gives its slot up because its code waits for another task. What runs
meanwhile needs another lane: a spare one, opened when something waits for it, and closed when it
was empty for SPARE_SECONDS. At most `most_yielded` attempts have yielded at a time, so at most that
many spare lanes are open.

An attempt that goes on takes a slot at once, also when none is free. If it had to wait for one, it
would wait for attempts that may need what it holds: memory, a lock, a file. The price is that more
attempts than slots may run for a while, at most `most_yielded` more. None begins before they are
fewer than the slots again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from node_agent.core.attempts import Attempt

# An attempt expected to run no longer than this may queue behind another: calls, programs.
SHORT_CALL_SECONDS = 0.001
SHORT_PROGRAM_SECONDS = 0.005
# Work (seconds, expected) and attempts that one lane may have in hand.
LANE_SECONDS = 0.010
LANE_DEPTH = 128
# A lane whose first attempt has run this long is blocked.
BLOCKED_SECONDS = 0.020
# An empty spare lane is closed, and its worker ended, after this time. A worker takes some tenths
# of a second to start, and tens of MB while it is there.
SPARE_SECONDS = 30.0
# Attempts that have yielded at once, unless the operator says otherwise.
MOST_YIELDED = 64


@dataclass(slots=True)
class Lane:
    """One slot, or a spare one."""

    index: int
    # A worker is there, or starts: always in the slots' own lanes, in a spare one when needed.
    staffed: bool = True
    # Its worker has imported what it needs and takes work.
    ready: bool = False
    attempts: deque[Attempt] = field(default_factory=deque)
    # When the first attempt began, as far as the agent can tell.
    head_since: float = 0.0
    # Expected seconds of everything in hand.
    load: float = 0.0
    # Its attempt has given the slot up for as long as its code waits for another task.
    yielded: bool = False


class Slots:
    """All lanes of the node.

    Args:
        count: attempts that run at once.
        most_yielded: attempts that wait for other tasks beside them; 0: none gives its slot up.
    """

    def __init__(self, count: int, most_yielded: int = MOST_YIELDED) -> None:
        assert count > 0
        self.count = count
        self.most_yielded = most_yielded
        # Lanes whose attempt has yielded.
        self.yielded = 0
        # The slots' own, then the spare ones that are open.
        self.lanes: list[Lane] = [Lane(index) for index in range(count)]

    def __iter__(self) -> Iterator[Lane]:
        return iter(self.lanes)

    def choose(self, attempt: Attempt, expected: float | None, now: float) -> Lane | None:
        """The lane that should take an attempt now, or None when it has to wait."""
        warm = attempt.warm
        limit = SHORT_CALL_SECONDS if warm else SHORT_PROGRAM_SECONDS
        short = expected is not None and expected <= limit
        # Without spare lanes an empty lane is a free slot.
        full = len(self.lanes) > self.count and self.busy() >= self.count
        best, least = None, LANE_SECONDS
        for lane in self.lanes:
            if warm and not lane.ready:
                continue
            attempts = lane.attempts
            if not attempts:
                if full:
                    continue
                return lane
            load = lane.load
            if (
                short
                and load < least
                and len(attempts) < LANE_DEPTH
                and attempts[0].warm == warm
                and attempts[0].killed is None
                and not lane.yielded
                and now - lane.head_since < BLOCKED_SECONDS
            ):
                best, least = lane, load
        return best

    def put(self, lane: Lane, attempt: Attempt, expected: float | None, now: float) -> None:
        """Hand an attempt to a lane."""
        attempts = lane.attempts
        if not attempts:
            lane.head_since = now
            lane.load = 0.0
        attempt.lane = lane.index
        # Nothing is queued behind an attempt of which nothing is known.
        load = attempt.load = LANE_SECONDS if expected is None else expected
        attempts.append(attempt)
        lane.load += load

    def remove(self, attempt: Attempt, now: float) -> None:
        """Take an attempt out of its lane; the one behind it begins now."""
        lane = self.lanes[attempt.lane]
        attempts = lane.attempts
        if attempts[0] is attempt:
            attempts.popleft()
            lane.head_since = now
            if lane.yielded:
                self.resume(lane)
        else:
            attempts.remove(attempt)
        lane.load = lane.load - attempt.load if attempts else 0.0

    # -- attempts that wait for other tasks ----------------------------------------------------

    def resume(self, lane: Lane) -> None:
        """The lane's attempt goes on, or is over: it has not yielded (any longer)."""
        if lane.yielded:
            lane.yielded = False
            self.yielded -= 1

    def give_up(self, lane: Lane) -> bool:
        """The lane's attempt yields; False when too many have already."""
        if not lane.yielded:
            if self.yielded >= self.most_yielded:
                return False
            lane.yielded = True
            self.yielded += 1
        return True

    def most_ahead(self) -> int:
        """Attempts that may wait here for a slot while another one has yielded.

        They come before what the yielded one waits for, and may yield in their turn: all of them
        can, within the limit. The leader decides about the rest, by priority.
        """
        return max(0, self.most_yielded - self.yielded - self.count)

    def make_room(self, wanted: int, now: float, *, warm: bool) -> list[int]:
        """Have an empty lane for each of `wanted` attempts that a slot is free for.

        Returns the lanes that need a worker for it, none where the attempts are programs.
        """
        wanted = min(wanted, self.count - self.busy())
        staff: list[int] = []
        if wanted <= 0:
            return staff
        for lane in self.lanes:
            if not lane.attempts and wanted > 0:
                wanted -= 1
                if warm and not lane.staffed:
                    lane.staffed = True
                    staff.append(lane.index)
        while wanted > 0 and len(self.lanes) < self.count + self.most_yielded:
            wanted -= 1
            lane = Lane(len(self.lanes), staffed=warm, head_since=now)
            self.lanes.append(lane)
            if warm:
                staff.append(lane.index)
        return staff

    def close_spare(self, now: float) -> list[int]:
        """Close spare lanes that nobody needs, the last ones first: those that had a worker."""
        closed = []
        while len(self.lanes) > self.count:
            lane = self.lanes[-1]
            starting = lane.staffed and not lane.ready
            if lane.attempts or starting or now - lane.head_since < SPARE_SECONDS:
                break
            self.lanes.pop()
            if lane.staffed:
                closed.append(lane.index)
        return closed

    # -- figures -------------------------------------------------------------------------------

    def busy(self) -> int:
        """Lanes whose attempt takes a slot."""
        return sum(1 for lane in self.lanes if lane.attempts and not lane.yielded)

    def flowing(self, now: float) -> int:
        """Slots that are not blocked by a long attempt."""
        blocked = sum(
            1
            for lane in self.lanes
            if lane.attempts and not lane.yielded and now - lane.head_since >= BLOCKED_SECONDS
        )
        return max(0, self.count - blocked)

    def empty(self) -> int:
        """Slots with nothing in hand."""
        return max(0, self.count - self.busy())
