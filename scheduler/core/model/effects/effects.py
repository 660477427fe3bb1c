"""What one step wants, all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorate.runtime.ids import QueueName
from scheduler.core.model.effects.after_commit import After, RecallChunk
from scheduler.core.model.effects.ended import Ended
from scheduler.core.model.effects.purges import PurgeAudit, PurgeRun
from scheduler.core.model.effects.writes import DropJob, Write
from scheduler.core.model.limits.permits import RateName
from scheduler.core.values import ServiceName

if TYPE_CHECKING:
    from scheduler.core.model.events import Event


@dataclass(slots=True, init=False)
class Effects:
    """What one step wants."""

    writes: list[Write]
    after: list[After]
    then: list[Event]
    # Deletions by retention, in Txns of their own that move no head.
    purges: list[PurgeRun]
    purged_requests: list[tuple[str, str]]
    purged_audit: PurgeAudit | None
    # None as a rule, as `rates` is: they cost every step otherwise.
    purged_rates: list[RateName] | None
    purged_windows: list[tuple[QueueName, str]] | None
    # Of placement: rate limits of which assignments took starts. They are written before the
    # assignments, as they are at the end of the pass: a leader that knows only a part of the Txns
    # starts less, never more.
    rates: dict[RateName, None] | None
    # Services of which something changed: `ServiceDue` for each, when there is room.
    due: list[ServiceName]
    # Finished jobs whose records retention deletes.
    purged_jobs: Sequence[DropJob]
    # Of placement: requests to agents, which wait for no commit.
    recalls: Sequence[RecallChunk]
    # Ends of tasks and jobs whose queues announce them; None as a rule.
    announced: list[Ended] | None
    # Of placement: there is more to do, when others have had the loop.
    more: bool

    def __init__(self) -> None:
        # By hand: it is made for each event, and factories of fields take twice as long.
        self.writes, self.after, self.then, self.due = [], [], [], []
        self.purges, self.purged_requests, self.purged_audit = [], [], None
        self.purged_rates = self.purged_windows = self.rates = self.announced = None
        # Rarely any: no list is made for none.
        self.purged_jobs = self.recalls = ()
        self.more = False

    def announce(self, ended: Ended) -> None:
        """Have a message about it, in the same commit."""
        if self.announced is None:
            self.announced = []
        self.announced.append(ended)

    def took(self, rate: RateName) -> None:
        """An assignment took of a rate limit or of a share."""
        if self.rates is None:
            self.rates = {}
        self.rates[rate] = None
