"""Problems of what is beside the log: schedulers, etcd, clocks, certificates, backups. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from scheduler.core.verdict.facts import Facts
from scheduler.core.verdict.problems import Code, Problem, Severity

_DAY: Final = 86_400.0
CERTIFICATE_DAYS: Final = 14
BACKUP_HOURS: Final = 26
CLOCKS_FAR: Final = 5.0
# Shares of etcd's quota.
FILLING: Final = 0.7
FULL: Final = 0.8
# Of etcd: the least patch of a minor version for production, and what loses acknowledged writes.
_FLOOR: Final = {(3, 5): 28, (3, 6): 9}
_LATER: Final = (3, 7)
_LOSES: Final = ((3, 5, 0), (3, 5, 1), (3, 5, 2))


def problems(facts: Facts, now: float) -> Iterator[Problem]:
    """All of them; nothing for what is not known."""
    if facts.schedulers == 1:
        sentence = "There is no standby: if the leader fails, no scheduler takes over."
        yield Problem(Code.NO_STANDBY, Severity.WARNING, sentence, "cluster")
    yield from _etcd(facts)
    offset = facts.clock_offset
    if offset is not None and abs(offset) > CLOCKS_FAR:
        where = "ahead of" if offset > 0 else "behind"
        sentence = f"The leader's clock is {abs(offset):.0f} s {where} the nodes' clocks."
        yield Problem(Code.CLOCKS_APART, Severity.WARNING, sentence, "cluster")
    yield from _certificates(facts, now)
    yield from _backup(facts, now)


def _etcd(facts: Facts) -> Iterator[Problem]:
    for endpoint, version in facts.etcd_members:
        if not version:
            sentence = f"The etcd member {endpoint} does not answer."
            code = Code.ETCD_MEMBER_UNHEALTHY
            yield Problem(code, Severity.ERROR, sentence, "cluster", endpoint)
        elif (found := _parsed(version)) in _LOSES:
            sentence = f"etcd {version} at {endpoint} can lose acknowledged writes: upgrade it."
            yield Problem(Code.ETCD_OLD, Severity.ERROR, sentence, "cluster", endpoint)
        elif found is not None and found[:2] < _LATER and found[2] < _FLOOR.get(found[:2], 1_000):
            sentence = f"etcd {version} at {endpoint} is older than 3.5.28 or 3.6.9."
            yield Problem(Code.ETCD_OLD, Severity.NOTE, sentence, "cluster", endpoint)
    used = facts.etcd_in_use / facts.etcd_quota if facts.etcd_quota else 0.0
    if facts.etcd_no_space:
        sentence = "etcd refuses writes: its quota is used up."
        yield Problem(Code.ETCD_SPACE, Severity.ERROR, sentence, "cluster")
    elif used > FILLING:
        full = used > FULL
        sentence = f"etcd's quota is used to {used:.0%}"
        sentence += (
            ", and new tasks are refused." if full else "; above 80 % new tasks are refused."
        )
        severity = Severity.ERROR if full else Severity.WARNING
        yield Problem(Code.ETCD_SPACE, severity, sentence, "cluster")


def _parsed(version: str) -> tuple[int, int, int] | None:
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _certificates(facts: Facts, now: float) -> Iterator[Problem]:
    for purpose, until in sorted(facts.certificates.items()):
        left = until - now
        if left > CERTIFICATE_DAYS * _DAY:
            continue
        what = f"The leader's certificate for {purpose}"
        severity = Severity.ERROR if left <= 0.0 else Severity.WARNING
        days = int(left // _DAY)
        ends = f"expires in {days} {'day' if days == 1 else 'days'}"
        words = "cannot be read" if not until else "has expired" if left <= 0.0 else ends
        yield Problem(Code.CERTIFICATE_EXPIRES, severity, f"{what} {words}.", "cluster", purpose)


def _backup(facts: Facts, now: float) -> Iterator[Problem]:
    last = facts.last_backup
    if last is None:
        return
    if not last:
        sentence = "The cluster was never backed up."
        yield Problem(Code.BACKUP_OLD, Severity.NOTE, sentence, "cluster")
    elif now - last > BACKUP_HOURS * 3600.0:
        sentence = f"The last backup is {int((now - last) // 3600)} hours old."
        yield Problem(Code.BACKUP_OLD, Severity.WARNING, sentence, "cluster", since=last)
