"""The chunks among a node's attempts: their reports, and how they are taken back. Pure.

A chunk is an attempt like any other: it waits, gets a lane, ends, and its end is in the outbox. In
addition it tells what became of its subtasks while it runs. All that it has to tell is in the box
of reports before its end is in the outbox.
"""

from __future__ import annotations

from collections.abc import Iterable

from node_agent.core.attempts import RETURNED, SILENT, Attempt, Failure, Outcome, Reason, Ref
from node_agent.core.chunks.inputs import Wanted
from node_agent.core.chunks.report import ReportBox
from node_agent.core.held.attempts import HeldAttempts
from node_agent.core.outbox import Outbox
from node_agent.core.slots import MOST_YIELDED
from quorate.runtime.ranges import Ranges

# A chunk that waits for a lane is not returned sooner: the leader recalls it if others are idle.
CHUNK_WAIT_SECONDS = 5.0
# How long the credit for chunks ahead outlives its reason.
AHEAD_STAYS_SECONDS = 0.5
# What short subtasks did gathers for this long: each report is a transaction, and so a chunk, which
# is about 0.075 s of work, is mostly one. It has to be on record within 0.1 s, so that no more is
# repeated when a node is lost.
PATIENCE_SECONDS = 0.070
LONG_SECONDS = 0.010
# A chunk that runs for longer than this returns what it has not begun: its subtasks take far longer
# than expected, and others may have a turn before them.
RUNS_SECONDS = 1.0


class HeldChunks(HeldAttempts):
    """Arguments as of `Machine`."""

    def __init__(
        self, slots: int, outbox: Outbox | None = None, most_yielded: int = MOST_YIELDED
    ) -> None:
        super().__init__(slots, outbox, most_yielded)
        self.reports = ReportBox()
        # A chunk began here once: else nobody looks for one at each step.
        self._any_chunks = False
        # Chunks wanted ahead, and when so many were wanted last.
        self._ahead, self._ahead_at = 0, 0.0

    @property
    def unacknowledged(self) -> int:
        """Outcomes and reports that the leader has not acknowledged."""
        return len(self.outbox) + len(self.reports)

    # -- orders of the leader ------------------------------------------------------------------

    def on_template_missing(self, ref: Ref) -> None:
        """A chunk came without its template, which is not known here: the leader sends both."""
        self._effects.returned.append(ref)

    def on_chunks_recalled(self, refs: Iterable[Ref]) -> None:
        """Return what has not begun of these."""
        for ref in refs:
            attempt = self._live.get(ref[0])
            if attempt is None or attempt.number != ref[1] or attempt.chunk is None:
                continue
            if attempt.task_id in self._waiting:
                self._return(attempt)
            elif attempt.killed is None:
                self._effects.recall_chunks.append(attempt)

    def on_subtasks_cancelled(self, orders: Iterable[tuple[Ref, Ranges]]) -> None:
        """End subtasks: one that has not begun is given back, one that runs is ended."""
        for ref, positions in orders:
            attempt = self._live.get(ref[0])
            if attempt is None or attempt.number != ref[1] or attempt.chunk is None:
                continue
            chunk = attempt.chunk
            offsets = [chunk.offsets.offset(position) for position in positions & chunk.left]
            if attempt.task_id in self._waiting:
                for offset in offsets:
                    chunk.withdraw(offset)
                self._report_progress(attempt)
            elif attempt.killed is None and offsets:
                self._effects.end_subtasks.append((attempt, offsets))

    def on_reports_acknowledged(self, refs: Iterable[tuple[str, int, int]]) -> None:
        """Forget reports that are durable, or stale, at the leader."""
        for ref in refs:
            self.reports.acknowledge(ref)

    def on_results(self, ref: Ref, number: int) -> Attempt | None:
        """Results arrived; the chunk that waits for them, None when none does."""
        attempt = self._live.get(ref[0])
        if attempt is None or attempt.number != ref[1] or attempt.chunk is None:
            return None
        chunk = attempt.chunk
        if chunk.wanted is None or chunk.wanted.number != number:
            return None
        chunk.wanted = None
        return attempt

    # -- executors -----------------------------------------------------------------------------

    def on_results_wanted(self, attempt: Attempt, wanted: Wanted) -> None:
        """A reduce waits for results: the leader is asked, now or in the next session."""
        assert attempt.chunk is not None
        if attempt.over:
            return
        attempt.chunk.wanted = wanted
        if self.connected:
            self._effects.wanted.append(attempt)

    def on_chunk_progress(self, attempt: Attempt) -> None:
        """Subtasks of a chunk ended, or were returned: what is in a hurry is reported at once."""
        chunk = attempt.chunk
        assert chunk is not None
        if not attempt.over and chunk.reports.full:
            self._report_progress(attempt)

    def may_feed(self, attempt: Attempt) -> bool:
        """Whether the leader keeps up with what a chunk tells."""
        assert attempt.chunk is not None
        return not attempt.chunk.reports.blocked and not self.reports.full

    # -- inside --------------------------------------------------------------------------------

    def _chunks_ahead(self, now: float) -> int:
        """Chunks to hold beside those that run, so that no slot waits for the next one.

        One for each slot whose chunk ends soon. It stays as high for a while, as each change is a
        message to the leader, and falls at once when no chunk is here any more.
        """
        if not self._any_chunks:
            return 0
        chunks = [
            chunk
            for lane in self.slots
            if lane.attempts and (chunk := lane.attempts[0].chunk) is not None and not lane.yielded
        ]
        wanted = sum(chunk.ends_soon for chunk in chunks)
        if wanted >= self._ahead or not chunks or now - self._ahead_at > AHEAD_STAYS_SECONDS:
            self._ahead, self._ahead_at = wanted, now
        return self._ahead

    def _recall_chunks(self) -> None:
        for lane in self.slots:
            if lane.attempts and lane.attempts[0].chunk is not None:
                self._effects.recall_chunks.append(lane.attempts[0])

    def _tick_chunk(self, attempt: Attempt, now: float) -> None:
        """Report what has gathered."""
        chunk = attempt.chunk
        assert chunk is not None
        if attempt.killed not in SILENT and self.connected:
            # Of long ones each is reported with the next tick, as somebody may wait for it.
            patience = PATIENCE_SECONDS if chunk.average < LONG_SECONDS else 0.0
            if chunk.reports.wanted(now, patience):
                self._report_progress(attempt)
            began = attempt.running_since
            if began and now - began > RUNS_SECONDS and chunk.under_way > 1 and not chunk.given_up:
                self._effects.recall_chunks.append(attempt)

    def _report_progress(self, attempt: Attempt) -> None:
        assert attempt.chunk is not None
        reports = attempt.chunk.reports
        for report in reports.cut(attempt.task_id, attempt.number):
            self.reports.add(report, reports)
            if self.connected:
                self._effects.chunk_reports.append(report)

    def _report(self, attempt: Attempt, outcome: Outcome) -> None:
        chunk = attempt.chunk
        if chunk is not None and attempt.killed not in SILENT:
            if attempt.killed in RETURNED:
                chunk.return_all()
                # What it has done stays done.
                outcome = Outcome(None, outcome.start, outcome.seconds)
            elif attempt.killed is None and outcome.value is None:
                chunk.return_all()
            self._report_progress(attempt)
        super()._report(attempt, outcome)


def failure_of_kill(attempt: Attempt) -> Failure | None:
    """How the subtask failed that ran when its chunk was ended; None: it is to run elsewhere."""
    return cancelled() if attempt.killed is Reason.CANCELLED else None


def cancelled() -> Failure:
    """How a subtask failed that was ended, as its leader wanted."""
    return Failure(Reason.CANCELLED.name, Reason.CANCELLED.value)
