"""Slots as lanes: what each slot runs, and what is queued behind it at the executor.

A lane runs one attempt at a time. Short attempts may be handed over ahead of time, so that the
slot never waits for the agent's loop between two of them. All that is in a lane is of one kind
(calls at its warm worker, or programs at the spawner). A lane whose first attempt turns out long
is `blocked`: what is queued behind it is taken back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
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


@dataclass(slots=True)
class Lane:
    """One slot."""

    index: int
    # Its worker has imported what it needs and takes work.
    ready: bool = False
    attempts: deque[Attempt] = field(default_factory=deque)
    # When the first attempt began, as far as the agent can tell.
    head_since: float = 0.0
    # Expected seconds of everything in hand.
    load: float = 0.0


class Slots:
    """All lanes of the node."""

    def __init__(self, count: int) -> None:
        assert count > 0
        self.lanes: Sequence[Lane] = tuple(Lane(index) for index in range(count))

    def __iter__(self) -> Iterator[Lane]:
        return iter(self.lanes)

    def choose(self, attempt: Attempt, expected: float | None, now: float) -> Lane | None:
        """The lane that should take an attempt now, or None when it has to wait."""
        limit = SHORT_CALL_SECONDS if attempt.warm else SHORT_PROGRAM_SECONDS
        short = expected is not None and expected <= limit
        best: Lane | None = None
        for lane in self.lanes:
            if attempt.warm and not lane.ready:
                continue
            if not lane.attempts:
                return lane
            if (
                short
                and lane.load < LANE_SECONDS
                and len(lane.attempts) < LANE_DEPTH
                and lane.attempts[0].warm == attempt.warm
                and lane.attempts[0].killed is None
                and now - lane.head_since < BLOCKED_SECONDS
                and (best is None or lane.load < best.load)
            ):
                best = lane
        return best

    def put(self, lane: Lane, attempt: Attempt, expected: float | None, now: float) -> None:
        """Hand an attempt to a lane."""
        if not lane.attempts:
            lane.head_since = now
            lane.load = 0.0
        attempt.lane = lane.index
        # Nothing is queued behind an attempt of which nothing is known.
        attempt.load = LANE_SECONDS if expected is None else expected
        lane.attempts.append(attempt)
        lane.load += attempt.load

    def remove(self, attempt: Attempt, now: float) -> None:
        """Take an attempt out of its lane; the one behind it begins now."""
        lane = self.lanes[attempt.lane]
        if lane.attempts[0] is attempt:
            lane.attempts.popleft()
            lane.head_since = now
        else:
            lane.attempts.remove(attempt)
        lane.load = lane.load - attempt.load if lane.attempts else 0.0

    def flowing(self, now: float) -> int:
        """Lanes that are not blocked by a long attempt."""
        return sum(
            not lane.attempts or now - lane.head_since < BLOCKED_SECONDS for lane in self.lanes
        )

    def empty(self) -> int:
        """Lanes with nothing in hand."""
        return sum(not lane.attempts for lane in self.lanes)
