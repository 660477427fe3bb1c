"""The attempts that a node has, each in exactly one place, and how an attempt leaves. Pure.

    waiting --> in a lane --> outbox --> forgotten, when the leader has acknowledged it
       |            |            ^
       |            +- killed ---+
       +--> returned to the leader
    replicas are beside the lanes (`services`), and end like what is in them

What is to be done gathers in an `Effects`. When something happens is decided in `machine`, whose
base class this is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from node_agent.core.attempts import (
    GENTLE,
    SILENT,
    WAITING,
    Attempt,
    Outcome,
    Reason,
    Ref,
    outcome_of_kill,
)
from node_agent.core.effects import Effects, Inventory
from node_agent.core.held.progress import ProgressReports
from node_agent.core.outbox import Outbox
from node_agent.core.services.replicas import Services
from node_agent.core.slots import MOST_YIELDED, Slots


class HeldAttempts:
    """Arguments as of `Machine`."""

    def __init__(
        self, slots: int, outbox: Outbox | None = None, most_yielded: int = MOST_YIELDED
    ) -> None:
        self.connected = False
        # No new work is taken; started attempts are ended at `_drain_deadline`.
        self.draining = False
        # No new work is taken, as the disk cannot be written (`disk`); started attempts go on.
        self.unwritable = False
        self.outbox = outbox if outbox is not None else Outbox()
        self.slots = Slots(slots, most_yielded)
        self.services = Services(slots + most_yielded)
        # Accepted, not handed to a lane; first come, first served.
        self._waiting: OrderedDict[str, Attempt] = OrderedDict()
        # The newest attempt of each task that waits or runs here (superseded ones are left out).
        self._live: dict[str, Attempt] = {}
        self._effects = Effects()
        self._progress = ProgressReports()

    # -- what others may look at ---------------------------------------------------------------

    def live(self, task_id: str) -> Attempt | None:
        """The attempt of a task that waits or runs here."""
        return self._live.get(task_id)

    @property
    def held(self) -> int:
        """Attempts waiting or in lanes, and replicas; dying ones included."""
        in_lanes = sum(len(lane.attempts) for lane in self.slots)
        return len(self._waiting) + in_lanes + len(self.services)

    @property
    def waiting(self) -> Sequence[Attempt]:
        """Attempts that were not handed to a lane, in order."""
        return tuple(self._waiting.values())

    def inventory(self) -> Inventory:
        """What the node has: the first message of a session."""
        running: list[tuple[Attempt, float]] = []
        waiting: list[Ref] = []
        for lane in self.slots:
            for position, attempt in enumerate(lane.attempts):
                if attempt.killed in SILENT:
                    continue
                if position == 0:
                    running.append((attempt, attempt.running_since or lane.head_since))
                else:
                    waiting.append(attempt.ref)
        running.extend(found for found in self.services if found[0].killed not in SILENT)
        waiting.extend(attempt.ref for attempt in self._waiting.values())
        finished = tuple(Ref(report.task_id, report.number) for report in self.outbox)
        chunks = tuple(one for one in self._live.values() if one.chunk is not None)
        return Inventory(tuple(running), tuple(waiting), finished, chunks)

    def take(self) -> Effects | None:
        """The effects gathered so far, if any; they are the driver's from now on."""
        effects = self._effects
        if not effects:
            return None
        self._effects = Effects()
        return effects

    def on_progress(self, attempt: Attempt, fraction: float | None, text: str, now: float) -> None:
        """A running attempt says how far it is; of chunks their reports say that."""
        if not attempt.over and attempt.killed is None and attempt.chunk is None:
            self._progress.note(attempt, fraction, text, now)

    @property
    def _closed(self) -> bool:
        """Whether nothing new may begin here."""
        return self.draining or self.unwritable

    def _start_replica(self, attempt: Attempt, now: float) -> None:
        if self.services.full:
            self._effects.returned.append(attempt.ref)
            return
        self._live[attempt.task_id] = attempt
        self.services.add(attempt, now)
        self._effects.start.append(attempt)

    def _end_all(self, reason: Reason, *, stop_only: bool = False) -> None:
        for attempt in tuple(self._live.values()):
            if attempt.killed is None and (attempt.stop_on_disconnect or not stop_only):
                self._end(attempt, reason)

    def _end(self, attempt: Attempt, reason: Reason) -> None:
        """End an attempt wherever it is. Repeating it changes nothing."""
        if attempt.settled and reason not in SILENT:
            return
        first = attempt.killed is None
        if first or reason in SILENT:
            attempt.killed = reason
        if reason in SILENT and self._live.get(attempt.task_id) is attempt:
            # A newer attempt of the task takes the place at once, while this one is dying.
            del self._live[attempt.task_id]
        if attempt.replica:
            self._end_replica(attempt, reason, first)
        elif attempt.lane == WAITING:
            self._waiting.pop(attempt.task_id, None)
            self._report(attempt, Outcome(None))
        elif first:
            lane = self.slots.lanes[attempt.lane]
            if len(lane.attempts) > 1:
                # Whoever is queued behind must not die with it; then `on_recalled` kills.
                if lane.index not in self._effects.recall:
                    self._effects.recall.append(lane.index)
            else:
                self._effects.kill.append(attempt)

    def _end_replica(self, attempt: Attempt, reason: Reason, first: bool) -> None:
        if attempt in self._effects.start:
            # Nobody has seen it yet.
            self._effects.start.remove(attempt)
            self.services.remove(attempt)
            self._report(attempt, Outcome(None))
        elif reason in GENTLE:
            if first:
                self._effects.drain.append(attempt)
                self.services.drain(attempt, attempt.drain_grace)
        elif first or reason in SILENT:
            self._effects.kill.append(attempt)

    def _return(self, attempt: Attempt) -> None:
        """Return an attempt that never started."""
        self._waiting.pop(attempt.task_id, None)
        self._forget(attempt)
        self._effects.returned.append(attempt.ref)

    def _report(self, attempt: Attempt, outcome: Outcome) -> None:
        self._forget(attempt)
        if attempt.killed is not None:
            if attempt.killed in SILENT:
                return
            outcome = outcome_of_kill(attempt, outcome)
        report = self.outbox.add(attempt.task_id, attempt.number, outcome)
        if self.connected:
            self._effects.finished.append(report)

    def _forget(self, attempt: Attempt) -> None:
        attempt.over = True
        live, task_id = self._live, attempt.task_id
        if live.get(task_id) is attempt:
            del live[task_id]

    def _leave_lane(self, attempt: Attempt, now: float) -> None:
        self.slots.remove(attempt, now)
        attempt.lane = WAITING
