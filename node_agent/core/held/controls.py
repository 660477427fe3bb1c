"""Orders for programs that run: signals, and to stop and go on. Pure.

A program that is suspended keeps its lane, and its timeout stands still. It is stopped when it has
begun: until then the order is remembered. Whoever ends it lets it go on, so that it can end
(`executors.kills`). Calls in workers take no orders: a worker that is stopped would answer nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from node_agent.core.attempts import Attempt, Ref
from node_agent.core.held.chunks import HeldChunks

# Without the "SIG" in front of them.
STOP: Final = "STOP"
GO_ON: Final = "CONT"
# What may be sent. To stop and to go on are orders of their own, which the leader keeps on record.
SIGNALS: Final = frozenset(("HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "WINCH"))


class HeldControls(HeldChunks):
    """Arguments as of `Machine`."""

    def on_signalled(self, orders: Iterable[tuple[Ref, str]]) -> None:
        """Send signals to programs that run; what is unknown is ignored."""
        for ref, name in orders:
            attempt = self._program(ref)
            if attempt is not None and attempt.running_since and name in SIGNALS:
                self._effects.signal.append((attempt, name))

    def on_suspended(self, orders: Iterable[tuple[Ref, bool]], now: float) -> None:
        """Stop programs, or let them go on. Repeating it changes nothing."""
        for ref, suspended in orders:
            attempt = self._program(ref)
            if attempt is None or attempt.suspended is suspended:
                continue
            attempt.suspended = suspended
            if not attempt.running_since:
                continue  # `_began` stops it
            if suspended:
                self._stop(attempt, now)
            else:
                attempt.stood_still += now - attempt.stopped_at
                attempt.stopped_at = 0.0
                self._effects.signal.append((attempt, GO_ON))

    def _began(self, attempt: Attempt, when: float) -> None:
        """A program began, and may be one that is to be stopped."""
        if attempt.suspended:
            self._stop(attempt, when)

    def _stop(self, attempt: Attempt, now: float) -> None:
        attempt.stopped_at = now
        # How long it takes says nothing about the next one.
        attempt.waited = True
        self._effects.signal.append((attempt, STOP))

    def _program(self, ref: Ref) -> Attempt | None:
        """The attempt, if it is a program that takes orders."""
        attempt = self._live.get(ref.task_id)
        if (
            attempt is None
            or attempt.number != ref.number
            or attempt.warm
            or attempt.replica
            or attempt.chunk is not None
            or attempt.killed is not None
        ):
            return None
        return attempt
