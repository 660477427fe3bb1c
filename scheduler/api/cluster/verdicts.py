"""The verdict as it is served: computed at most once a second, from what memory has.

It remembers since when a problem has been there. A problem that comes and goes by itself (replicas
that start, a standby in a rolling upgrade) has to last for a while first. A new leader begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from quorate.security.identity import Caller
from quorate.v1 import cluster_pb2
from scheduler.api.cluster.overview import Overview
from scheduler.api.views import instant
from scheduler.core.verdict.facts import Facts
from scheduler.core.verdict.problems import Code, Problem
from scheduler.core.verdict.rising import Rising
from scheduler.core.verdict.verdict import shortened, verdict
from scheduler.engine.driver import Driver

log = structlog.get_logger(__name__)

_EVERY: Final = 1.0
# Seconds for which problems have to last.
LASTS: Final[Mapping[Code, float]] = {
    Code.SERVICE_BELOW_REPLICAS: 15.0,
    Code.NO_STANDBY: 15.0,
    Code.NO_NODES: 10.0,
    Code.TASKS_UNPLACEABLE: 5.0,
}
_Key = tuple[Code, str, str]


class Verdicts:
    """The problems of one term.

    Args:
        certificates: until when each certificate of this process is valid, by purpose.
    """

    def __init__(
        self,
        driver: Driver,
        overview: Overview,
        certificates: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._driver = driver
        self._overview = overview
        self._certificates = certificates
        self._rising = Rising()
        self._since: dict[_Key, float] = {}
        self._known: list[Problem] = []
        self._looked = 0.0

    def problems(self) -> list[Problem]:
        """What is wrong now, the worst first; at most a second old."""
        now = self._driver.clock.now()
        if not self._looked or not 0.0 <= now - self._looked < _EVERY:
            self._looked = now
            self._known = self._look(now)
        return self._known

    async def run(self) -> None:
        """Look until cancelled, so that it is known since when a problem lasts."""
        while True:
            try:
                self.problems()
            except Exception:
                # It is for people: the term, whose task this is, goes on without.
                log.exception("verdict_failed")
            await asyncio.sleep(_EVERY)

    @property
    def looked(self) -> float:
        """When `problems` was last made."""
        return self._looked

    def _look(self, now: float) -> list[Problem]:
        state, overview = self._driver.state, self._overview
        self._rising.look(state, now)
        status = overview.status
        facts = Facts(
            schedulers=overview.schedulers,
            etcd_members=overview.members,
            etcd_in_use=status.db_size_in_use if status is not None else 0,
            etcd_quota=overview.quota,
            etcd_no_space=self._driver.journal.no_space,
            clock_offset=self._driver.clocks.offset,
            certificates=self._certificates(),
            last_backup=overview.last_backup if status is not None else None,
        )
        found = verdict(state, facts, self._rising, now)
        before, self._since = self._since, {}
        shown = []
        for problem in found:
            # Of tasks that fit no node: the queue's, whichever comes first.
            key = (problem.code, problem.kind, problem.queue or problem.name)
            since = self._since[key] = before.get(key, now)
            if now - since >= LASTS.get(problem.code, 0.0):
                shown.append(problem._replace(since=problem.since or since))
        return shown


def shown_to(caller: Caller | None, problems: list[Problem]) -> list[cluster_pb2.Problem]:
    """Those that a caller may see, at most `EACH` of a code: of queues and services that it may not
    name, nothing, not how many they are either."""
    seen = [
        one for one in problems if not one.queue or caller is None or caller.may_name(one.queue)
    ]
    return [
        cluster_pb2.Problem(
            code=one.code,
            severity=f"SEVERITY_{one.severity.name}",
            sentence=one.sentence,
            kind=one.kind,
            name=one.name,
            since=instant(one.since),
        )
        for one in shortened(seen)
    ]
