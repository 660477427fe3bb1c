"""To lead: take the folded state over, claim the log, serve, until the term ends.

```
 elected -> caught up with head -> claim head -> caught up with the claim -> hold the fold
   -> Elected -> sessions, service
```

Nobody leads while a restore from a backup is under way, nor with what was folded from the etcd of
before it: the `generation` shows it.

`LeadershipTerm.lead` is what `scheduler.leadership.elector` runs for each epoch. It raises whatever
ended it (`JournalEnded` and its kinds, etcd's errors); either way the state is dropped and the
caller folds anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from structlog.contextvars import bind_contextvars

from quorate.etcd.api import Etcd
from quorate.etcd.generation import Standing, epoch_of, read_standing
from quorate.etcd.journal.journal import Journal, JournalEnded
from quorate.runtime.quotas import UNLIMITED
from quorate.runtime.timing.clock import Clock
from quorate.security.limits import CallerLimits, CallLimits
from quorate.security.tls.dialer import Dialer
from scheduler.api.forwarding.role import Roles
from scheduler.api.tasks.changes import Recent
from scheduler.config import SchedulerSettings
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import CALLER, Quota, in_force
from scheduler.core.model.plugins import Plugins
from scheduler.core.model.state import State
from scheduler.engine.background import close_idle_jobs, note_starts
from scheduler.engine.driver import Driver
from scheduler.engine.spans import TaskSpans
from scheduler.leadership.parts import ElectionWon, ProcessParts, TermParts
from scheduler.leadership.racing import first_of
from scheduler.leadership.registrations import follow_registrations
from scheduler.leadership.trust import Trust
from scheduler.storage import keys
from scheduler.storage.compaction_checkpoints import CompactionCheckpoints
from scheduler.storage.instances import follow_instances
from scheduler.storage.replica.fold import Fold
from scheduler.storage.replica.loaded import Loaded
from scheduler.storage.replica.replica import Replica
from scheduler.telemetry.health import SERVICE, InstanceHealth
from scheduler.telemetry.metrics import SchedulerMetrics

log = structlog.get_logger(__name__)

# Seconds a new leader may take to fold what is behind it.
CATCH_UP: Final = 30.0
RETENTION_EVERY: Final = 1.0
RETENTION_AT_ONCE: Final = 20_000
# Seconds between two looks at how long the event loop was held.
LAG_EVERY: Final = 0.1
LAG_WARNING: Final = 0.25
# Of one authenticated caller, unless an admin sets a quota.
LIVE_SUBTASKS: Final = 20_000_000


class LeadershipTerm:
    """Leads, one epoch after the other, with the state that its replica folds meanwhile."""

    def __init__(
        self,
        settings: SchedulerSettings,
        etcd: Etcd,
        clock: Clock,
        roles: Roles,
        health: InstanceHealth,
        metrics: SchedulerMetrics | None = None,
        dialer: Dialer | None = None,
        session_key: bytes = b"",
        spans: TaskSpans | None = None,
        checkpoints: CompactionCheckpoints | None = None,
        plugins: Plugins | None = None,
    ) -> None:
        self._metrics = metrics or SchedulerMetrics(roles)
        self._settings = settings
        self._etcd = etcd
        self._clock = clock
        self._roles = roles
        self._health = health
        self._checkpoints = checkpoints or CompactionCheckpoints(clock)
        self.limits = _limits(settings)
        self.callers = CallerLimits(self._call_limits, monotonic=time.monotonic)
        """What one caller may ask of this process; leading or not."""
        self.loaded = Loaded()
        """Whether what is folded is all of the log; also while leading."""
        self.parts: TermParts | None = None
        """Those of the term that lasts; None while this process does not lead."""
        self._process = ProcessParts(
            settings,
            etcd,
            clock,
            self._metrics,
            dialer or Dialer(None),
            session_key,
            spans,
            self.limits,
            self.callers,
            self._checkpoints,
            plugins or Plugins(),
        )
        # Whether the replica is to run. One event for good: `stand_by` waits on it.
        self._wanted = asyncio.Event()
        self._new_fold()

    def _new_fold(self) -> None:
        self.loaded.set(False)
        spec_cache = self._settings.spec_cache_mib << 20
        self._fold = Fold(lambda: State(spec_cache_bytes=spec_cache))
        self._recent = Recent(self._settings.prefix)
        self._replica = Replica(
            self._etcd,
            self._settings.prefix,
            self._fold,
            order=keys.SNAPSHOT_ORDER,
            recent=self._recent,
            loaded=self.loaded,
            followed=self._checkpoints.wrote,
        )
        self._replica_task: asyncio.Task[None] | None = None
        self._wanted.set()

    def _call_limits(self, caller: str) -> CallLimits:
        """The limits of a caller, as far as this process has folded the log."""
        quota = in_force(self._fold.state.quotas, self.limits, CALLER, caller)
        return CallLimits(*(getattr(quota, name) for name in CallLimits._fields))

    def rows(self) -> int:
        """How many tasks are in memory."""
        return len(self._fold.state.tasks) + len(self._fold.state.finished)

    def generation(self) -> int:
        """The cluster's, as far as this process has followed the log."""
        return self._fold.generation

    async def stand_by(self) -> None:
        """Keep the replica running whenever this process does not lead. Cancel it to stop."""
        while True:
            await self._wanted.wait()
            task = self._replica_task = asyncio.create_task(self._replica.run(), name="replica")
            try:
                while not task.done():
                    self._checkpoints.note(self._replica.revision)
                    await asyncio.wait((task,), timeout=self._checkpoints.every)
            finally:
                task.cancel()
            if not task.cancelled():
                task.result()

    @asynccontextmanager
    async def _taken_over(
        self, elected: int, leader_key: bytes, trusted: Callable[[], bool]
    ) -> AsyncIterator[tuple[Fold, int, Journal]]:
        """The fold, at rest, with all of the log; (fold, its revision, the claimed journal).

        Caught up twice. Up to the head before the claim: whoever is far behind is not to stop a
        leader that works. Up to the claim after it: the one before may have purged since it last
        moved the head, and from the claim on it cannot.
        """
        standing = await read_standing(self._etcd, self._settings.prefix)
        # The candidate's own key counts too: a replica that never loaded is not caught up.
        behind = max(standing.head_mod, elected)
        await self._replica.caught_up(behind, timeout=CATCH_UP)
        try:
            await self._refuse_other_history(standing)
        except JournalEnded:
            await self._stop_folding()
            self._new_fold()
            raise
        journal = self._journal(elected, leader_key, standing.generation, trusted)
        claimed = await journal.claim(expected_head_mod=standing.head_mod)
        await self._replica.caught_up(claimed, timeout=CATCH_UP)
        revision = await self._stop_folding()
        try:
            if revision < claimed:
                # It had to load again meanwhile, and holds a part of a snapshot or nothing.
                raise JournalEnded(f"the replica fell back to revision {revision}")
            await self._refuse_other_history(standing)
            self._recent.generation = standing.generation
            yield self._fold, revision, journal
        finally:
            # Whatever this process did to the state is void: the next one is folded anew.
            self._new_fold()

    async def _stop_folding(self) -> int:
        """Hold the fold at a whole revision, for good; that revision."""
        async with self._replica.held() as revision:
            self._wanted.clear()
            assert self._replica_task is not None
            self._replica_task.cancel()
        return revision

    async def _refuse_other_history(self, standing: Standing) -> None:
        """Raise JournalEnded unless what is folded is of the etcd that is there."""
        fold, revision = self._fold, self._replica.revision
        if fold.restoring or standing.restoring is not None:
            raise JournalEnded("a restore from a backup is under way, or has just ended")
        if fold.generation != standing.generation:
            raise JournalEnded(
                f"folded from generation {fold.generation}; this is {standing.generation}"
            )
        if revision > standing.revision:
            # As a rule somebody has written meanwhile; but an etcd that was emptied is behind.
            now = (await read_standing(self._etcd, self._settings.prefix)).revision
            if revision > now:
                raise JournalEnded(f"folded up to revision {revision}; etcd is at {now}")

    def _journal(
        self, elected: int, leader_key: bytes, generation: int, trusted: Callable[[], bool]
    ) -> Journal:
        settings = self._settings
        return Journal(
            self._etcd,
            prefix=settings.prefix,
            leader_key=leader_key,
            elected=elected,
            generation=generation,
            clock=self._clock,
            max_txn_ops=settings.etcd_max_txn_ops,
            stall_after=2.0 * settings.lease_ttl,
            acts=trusted,
            on_commit=self._metrics.committed,
        )

    async def lead(self, elected: int, leader_key: bytes, trust: Trust) -> None:
        """Lead until something ends it; see the module's text.

        Args:
            elected: the leader key's create_revision; with the generation it is the epoch.
        """
        began = self._clock.monotonic()
        # On every line of this term; `Leadership` knows the plain revision only.
        bind_contextvars(epoch=epoch_of(self._fold.generation, elected))

        def trusted() -> bool:
            return trust.ok(self._clock.monotonic())

        async with self._taken_over(elected, leader_key, trusted) as (fold, revision, journal):
            won = ElectionWon(elected, leader_key, trusted)
            parts = TermParts(self._process, won, fold, self._recent, journal)
            self._metrics.term_began(parts.driver, parts.overview, parts.quotas, parts.verdicts)
            self._metrics.messages.term_began(parts.broker.state)
            # First: tasks that end in the other's step may be announced by messages.
            parts.broker.elected(fold.broker.orphans)
            parts.driver.handle((e.Elected(),))
            took = self._clock.monotonic() - began
            tasks = len(fold.state.tasks)
            log.info("leading", epoch=parts.epoch, tasks=tasks, took_ms=round(took * 1e3, 1))
            self.parts = parts
            work = asyncio.create_task(self._work(parts, revision), name="term")
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError:
                # Asked to go: callers that were heard get their answers, later ones wait for the
                # next leader. `Leadership` bounds how long this may take, by the trust's end: the
                # journal alone would wait for ever to be trusted on a lease that is gone.
                self._close()
                parts.broker.flush()
                with suppress(JournalEnded):
                    await first_of(journal.flush(), trust.over())
                raise
            finally:
                self._close()
                self.parts = None
                self._metrics.term_ended()
                parts.close()
                work.cancel()
                # Gathered, so that an error which comes beside a cancellation is not lost unread.
                await asyncio.gather(work, return_exceptions=True)
            work.result()

    async def _work(self, parts: TermParts, revision: int) -> None:
        """All of a leader's duties; the first that fails ends the others."""
        etcd, prefix = self._etcd, self._settings.prefix
        driver, sessions = parts.driver, parts.sessions
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(parts.journal.run(), name="journal")
            tasks.create_task(sessions.run(), name="sessions")
            tasks.create_task(driver.bulk.run(), name="batches")
            tasks.create_task(parts.broker.run(), name="broker")
            tasks.create_task(
                follow_registrations(etcd, prefix, driver, sessions, revision), name="nodes"
            )
            tasks.create_task(follow_instances(driver, etcd, prefix, revision), name="instances")
            tasks.create_task(driver.look_after_services(), name="services")
            tasks.create_task(note_starts(driver), name="starts")
            tasks.create_task(parts.result_merger.run(), name="results")
            tasks.create_task(parts.schedules.run(), name="schedules")
            tasks.create_task(parts.sweep.run(), name="blob sweep")
            tasks.create_task(parts.feed.run(), name="service feed")
            tasks.create_task(parts.watches.run(), name="task feed")
            tasks.create_task(parts.overview.run(), name="overview")
            tasks.create_task(parts.verdicts.run(), name="verdict")
            tasks.create_task(parts.scaling.scale_down.run(), name="scale down")
            tasks.create_task(_keep_house(driver), name="retention")
            tasks.create_task(_measure_lag(), name="lag")
            tasks.create_task(driver.clocks.run(), name="clocks")
            self._roles.lead(parts.servicers)
            self._health.set(SERVICE, serving=True)

    def _close(self) -> None:
        """Answer nobody any longer."""
        self._roles.lead(None)
        self._health.set(SERVICE, serving=False)


def _limits(settings: SchedulerSettings) -> Limits:
    """The bounds of one leader. One authenticated caller gets half of what the cluster has, so that
    there is room for others; the anonymous one, everybody on an open cluster, what it has."""
    # A part's tasks may be given to nodes in the same Txn, beside its dedup record and the head.
    part = max(1, settings.etcd_max_txn_ops * 3 // 8)
    return Limits(
        live_tasks=settings.max_live_tasks,
        part_tasks=part,
        audit_entries=settings.audit_keep,
        audit_age=settings.audit_keep_for,
        reserve_after=settings.reserve_after,
        caller_quota=Quota(
            live_tasks=settings.quota_live_tasks or max(1, settings.max_live_tasks // 2),
            live_subtasks=LIVE_SUBTASKS,
            stored_bytes=(settings.quota_stored_mib << 20) or (settings.etcd_quota_mib << 19),
            blob_bytes=settings.quota_blob_mib << 20 or UNLIMITED,
            requests_per_second=int(settings.auth_rate) or UNLIMITED,
            open_watches=settings.quota_watches,
            open_waits=settings.quota_waits,
            open_streams=settings.auth_streams or UNLIMITED,
        ),
    )


async def _keep_house(driver: Driver) -> None:
    """Retention. Also while the journal is full: when etcd has no space, only purges make some."""
    while True:
        await asyncio.sleep(RETENTION_EVERY)
        driver.purge(RETENTION_AT_ONCE)
        close_idle_jobs(driver)


async def _measure_lag() -> None:
    """Say when the loop was held for a good part of the lease's margin."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(LAG_EVERY)
        lag = time.monotonic() - before - LAG_EVERY
        if lag > LAG_WARNING:
            log.warning("event_loop_held", seconds=round(lag, 3))
