"""Pauses of tasks that match, in the log: while one holds nothing that matches starts, and nothing
of it is accepted where it says so.

pauses/...  queue, labels, tenant; what is empty matches everything
"""

from __future__ import annotations

from collections.abc import Mapping

from quorate.internal.v1 import records_pb2 as r
from quorate.v1 import queue_pb2

_DISPATCH = (
    queue_pb2.PAUSE_SCOPE_UNSPECIFIED,
    queue_pb2.PAUSE_SCOPE_DISPATCH,
    queue_pb2.PAUSE_SCOPE_BOTH,
)


class MatchingPauses:
    """Those of one history."""

    def __init__(self) -> None:
        self._rows: dict[str, r.PauseRecord] = {}
        # As they were at the last revision.
        self._before: dict[str, r.PauseRecord] = {}
        # Starts while one held, of what it does not match.
        self.passed = 0

    def pause(self, name: str, record: r.PauseRecord | None) -> None:
        """One holds from now on; None: no longer."""
        if record is None:
            del self._rows[name]
        else:
            known = self._rows.get(name)
            # Ended and made anew within one Txn, or not at all.
            assert known is None or known.since < record.since, f"{record} is made and is there"
            self._rows[name] = record

    def starts(
        self, what: str, queue: str, labels: Mapping[str, str], tenant: str, assigned: float
    ) -> None:
        """An attempt, or a chunk, started in this revision."""
        for name, row in self._rows.items():
            before = self._before.get(name)
            if before is None or before.since != row.since or row.scope not in _DISPATCH:
                continue
            matches = (
                row.queue in ("", queue)
                and row.fairness_key in ("", tenant)
                and all(labels.get(key) == value for key, value in row.labels.items())
            )
            over = 0.0 < row.until <= assigned
            assert over or not matches, f"{what} starts, and {row} holds"
            self.passed += 1

    def over(self) -> None:
        """A revision is over."""
        if self._before != self._rows:
            self._before = dict(self._rows)
