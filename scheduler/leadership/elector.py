"""The election states of one scheduler: standby, leader, standby again.

```
            loaded        lease granted, key created       elected (linearizable read)
   LOADING ---> ENTERING ---------------------------> STANDBY ------------------> LEADING
      ^                                                  |                           |
      +--- lease or key gone | has to load anew ---------+                           |
      +------------ resigned (lease revoked), after a pause -------------------------+
                        `lead` ended | lease lost | etcd silent for too long
```

A replica stands for election only while it holds the whole log
(`scheduler.storage.replica.loaded`), and withdraws when it has to load anew: one that is loading
would keep a loaded one, which came later, waiting.

`Leadership` owns the lease, the candidate key and the task that leads. What it guarantees:

* `lead` runs only after a linearizable read found no candidate of lower `create_revision`, with a
  trusted lease, and never twice at a time;
* it is cancelled when etcd says that the lease is gone. While etcd is silent nobody knows: a leader
  whose lease was not renewed in time neither answers nor dispatches (`scheduler.leadership.trust`),
  keeps what it has in memory, and goes on where it was once etcd renews the lease after all. It
  lived all that time then, and so did the leader's key: nobody else was elected. After `patience`
  it gives up;
* every term has a lease and a key, hence an epoch, of its own;
* however the term or the process ends, the lease is revoked, which deletes the key in the same
  step, so that the next candidate is elected at once. If etcd does not answer then, the revocation
  is made good later, or the TTL does it.

Two replicas may still both believe that they lead for an instant: the journal's fence, not this
module, is what excludes the earlier one. Leaders that fail quickly pause longer and longer before
they stand again, so that a fault all replicas share does not turn into a storm of elections.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, Final

import structlog
from structlog.contextvars import bound_contextvars

from quorate.etcd.api import Etcd, EtcdError
from quorate.etcd.election import Candidate, CandidateGone, Election
from quorate.etcd.journal.fence import JournalEnded
from quorate.etcd.lease import LeaseSession
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.timing.backoff import Backoff
from quorate.runtime.timing.clock import Clock
from scheduler.leadership.racing import first_of
from scheduler.leadership.trust import Trust
from scheduler.storage.replica.loaded import Loaded

log = structlog.get_logger(__name__)

Lead = Callable[[int, bytes, Trust], Coroutine[Any, Any, None]]

# Seconds. A term shorter than this counts as a failure to lead.
_SHORT_TERM: Final = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_RETRY_PAUSE, _LONGEST_RETRY_PAUSE = 0.1, 1.0
# A busy machine or an etcd without quorum takes seconds; where etcd is out of reach of this process
# alone, its callers must get to the next leader.
PATIENCE: Final = 10.0
_REVOKE_TIMEOUT: Final = 1.0
_SILENCE_PAUSE: Final = 0.1
# Leases whose revocation failed; only this process's own, so more of them are not worth keeping.
_MAX_LEFTOVERS: Final = 8


class ElectionState(Enum):
    """Where a replica stands."""

    LOADING = "loading"
    ENTERING = "entering"
    STANDBY = "standby"
    LEADING = "leading"
    RESIGNING = "resigning"


class Leadership:
    """Stands for election and leads when it is this replica's turn.

    Args:
        etcd: the store.
        election: the schedulers' election.
        candidate: what the replica says about itself in its key.
        lead: `(elected, leader key, trust)` leads until it returns or raises; the term then ends.
            It is cancelled when the term ends for another reason, and has `hand_over` seconds
            to finish what it has begun (flush, answer) before the replica resigns.
        clock: monotonic time for the lease and the trust window.
        ttl: of the lease, seconds; etcd's least is 2.
        margin: of the trust window, seconds; a fifth of the TTL by default.
        hand_over: seconds.
        patience: seconds for which a leader goes on without word from etcd, beyond its lease's end.
        jitter: gives a number in [0, 1), for pauses.
        loaded: whether it may stand; always when left out.
    """

    def __init__(
        self,
        etcd: Etcd,
        election: Election,
        candidate: CandidateRecord,
        lead: Lead,
        *,
        clock: Clock,
        ttl: int = 2,
        margin: float | None = None,
        hand_over: float = 0.1,
        patience: float = PATIENCE,
        jitter: Callable[[], float] = random.random,
        loaded: Loaded | None = None,
    ) -> None:
        self._etcd = etcd
        self._election = election
        self._value = candidate.SerializeToString()
        self._lead = lead
        self._clock = clock
        self._ttl = ttl
        self._margin = ttl / 5 if margin is None else margin
        self._hand_over = hand_over
        self._patience = patience
        self._jitter = jitter
        self._loaded = Loaded(True) if loaded is None else loaded
        self._election_state = ElectionState.LOADING
        self._short_terms = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, spread=0.5)
        self._leftovers: list[int] = []
        self._look = asyncio.Event()
        self.lease: LeaseSession | None = None
        """The lease of the present candidacy; read it, do not end it."""

    @property
    def election_state(self) -> ElectionState:
        """Where this replica stands."""
        return self._election_state

    def look_again(self) -> None:
        """It may be this replica's turn: look at once, not when the watch does.

        (etcd serves a watch that is new, or asked for from an older revision, every 100 ms only.)
        """
        self._look.set()

    async def run(self) -> None:
        """Stand, lead, resign, for ever. Cancel it to leave: it resigns first."""
        backoff = Backoff(_RETRY_PAUSE, _LONGEST_RETRY_PAUSE)
        while True:
            self._election_state = ElectionState.LOADING
            await self._loaded.wait()
            self._election_state = ElectionState.ENTERING
            try:
                await self._once()
                backoff.reset()
            except CandidateGone as gone:
                log.info("leadership_candidacy_lost", reason=str(gone))
            except EtcdError as error:
                if not backoff.failures:
                    log.warning("leadership_etcd_unreachable", error=str(error))
                await asyncio.sleep(backoff.next())

    async def _once(self) -> None:
        """One lease, from its grant to its end. Raises EtcdError when it came to no term."""
        session = await LeaseSession.open(self._etcd, self._ttl, clock=self._clock)
        self.lease = session
        stood_only = True
        try:
            await self._revoke_leftovers()
            candidate = await self._election.campaign(session.id, self._value)
            self._election_state = ElectionState.STANDBY
            log.info("leadership_standby", elected=candidate.create_revision)
            await self._until_elected(session, candidate)
            # A term resigns by itself.
            stood_only = False
            led = await self._term(session, candidate)
        finally:
            if stood_only:
                await self._revoke(session.id)
            self.lease = None
            await session.close(revoke=False)
        await self._pause_after(led)

    async def _until_elected(self, session: LeaseSession, candidate: Candidate) -> None:
        over = (session.lost.wait(), self._loaded.lost())
        ended = await first_of(self._elected(session, candidate), *over)
        if ended == 1:
            raise CandidateGone("the lease is gone")
        if ended == 2:
            raise CandidateGone("it has to load the log anew")

    async def _elected(self, session: LeaseSession, candidate: Candidate) -> None:
        while True:
            self._look.clear()
            try:
                if await first_of(self._election.wait_elected(candidate), self._look.wait()) == 1:
                    continue
                # Being elected on a lease that was silent for long is worth nothing.
                if not session.trusted(self._margin):
                    await session.renew()
                return
            except CandidateGone:
                raise
            except EtcdError:
                # The lease outlives short outages; when it does not, `lost` ends this.
                await asyncio.sleep(_RETRY_PAUSE)

    async def _term(self, session: LeaseSession, candidate: Candidate) -> float:
        """Lead until something ends it, and resign; how long it lasted, in seconds."""
        elected = candidate.create_revision
        trust = Trust(session, self._margin)
        begin = self._clock.monotonic()
        self._election_state = ElectionState.LEADING
        log.info("leadership_won", elected=elected)
        # Bound here, once: the term's tasks inherit it, and say it in every line they log.
        with bound_contextvars(elected=elected):
            leading = asyncio.create_task(self._lead(elected, candidate.key, trust), name="lead")
        watching = asyncio.create_task(self._trust_passed(session), name="trust")
        try:
            await asyncio.wait({leading, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._election_state = ElectionState.RESIGNING
            why = "ended" if leading.done() else "trust passed" if watching.done() else "leaving"
            try:
                watching.cancel()
                leading.cancel()
                # Not longer, whatever it still does: from the revocation on it is fenced.
                await asyncio.wait({leading}, timeout=self._hand_over)
                trust.end()
                await self._revoke(session.id)
            finally:
                trust.end()
                outcome, _ = await asyncio.gather(leading, watching, return_exceptions=True)
            self._log_end(elected, why, outcome)
        return self._clock.monotonic() - begin

    async def _trust_passed(self, session: LeaseSession) -> None:
        """Return when the lease is lost, or was not renewed for `patience` beyond its end."""
        silent = False
        while not session.lost.is_set():
            left = session.trusted_until - self._clock.monotonic()
            if left <= 0 and not silent:
                log.warning("leadership_etcd_silent", lease=f"{session.id:x}")
            elif left > 0 and silent:
                log.info("leadership_lease_renewed_late", lease=f"{session.id:x}")
            silent = left <= 0
            left += self._patience if silent else 0.0
            if left <= 0:
                return
            try:
                async with asyncio.timeout(min(left, _SILENCE_PAUSE) if silent else left):
                    await session.lost.wait()
            except TimeoutError:
                # Renewed meanwhile, or not: the loop looks.
                pass

    def _log_end(self, elected: int, why: str, outcome: BaseException | None) -> None:
        if outcome is None or isinstance(outcome, asyncio.CancelledError):
            log.info("leadership_resigned", elected=elected, why=why)
        elif _expected(outcome):
            log.warning("leadership_resigned", elected=elected, why=repr(outcome))
        else:
            # Whatever it was: its memory is dropped and another replica may try. This one goes on
            # as a standby, since the log, not the process, is what must be right.
            log.error("leadership_failed", elected=elected, exc_info=outcome)

    async def _pause_after(self, led: float) -> None:
        if led >= _SHORT_TERM:
            self._short_terms.reset()
            return
        self._election_state = ElectionState.LOADING
        await asyncio.sleep(self._short_terms.next(self._jitter()))

    async def _revoke(self, lease: int) -> None:
        try:
            await self._etcd.lease_revoke(lease, timeout=_REVOKE_TIMEOUT)
        except EtcdError:
            self._leftovers = [*self._leftovers, lease][-_MAX_LEFTOVERS:]

    async def _revoke_leftovers(self) -> None:
        """End former candidacies that an etcd away did not let us end: they would lead in vain."""
        leftovers, self._leftovers = self._leftovers, []
        for lease in leftovers:
            await self._revoke(lease)


def _expected(outcome: BaseException) -> bool:
    if isinstance(outcome, BaseExceptionGroup):
        return all(_expected(error) for error in outcome.exceptions)
    return isinstance(outcome, JournalEnded | EtcdError | asyncio.CancelledError)
