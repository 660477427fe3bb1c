"""Is etcd fit to hold the log: version, members, leader, alarms, space, and how fast it commits."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from quorate.doctor.etcd_auth_checks import check_auth
from quorate.doctor.finding import Finding, Level, failure, note, ok, warning
from quorate.etcd.api import EtcdError, EtcdUnauthenticated, StoreStatus
from quorate.etcd.client import EtcdClient, EtcdTls
from quorate.etcd.server.binary import RECOMMENDED, check_version
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import size_text

# Puts, one after the other, by which latency is judged.
PUTS: Final = 100
# Seconds. etcd's guide wants the 99th percentile of an fsync below 10 ms; a put has one, and a
# round trip between members.
SLOW_PUT: Final = 0.025
TOO_SLOW_PUT: Final = 0.25
# Where the examination writes; no cluster's keys are there.
PREFIX: Final = b"/quorate-doctor/"
_LEASE: Final = 60
_TIMEOUT: Final = 3.0
# Least versions for production by minor version, and the first that is fit whatever its patch.
_FLOOR: Final = {(3, 5): 28, (3, 6): 9}
_LATER: Final = (3, 7)
_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class EtcdTarget:
    """How to reach etcd.

    Attributes:
        quota: bytes, as etcd was started with; 0: not known.
        local: it is the one of a local cluster, of which nobody expects three members.
    """

    endpoints: Sequence[str]
    user: str = ""
    password: str = ""
    tls: EtcdTls | None = None
    quota: int = 0
    local: bool = False


async def check_etcd(target: EtcdTarget) -> list[Finding]:
    """Look at each endpoint, and at the store behind them."""
    findings: list[Finding] = []
    statuses: dict[str, StoreStatus] = {}
    for endpoint in target.endpoints:
        async with _client(target, [endpoint]) as client:
            try:
                statuses[endpoint] = status = await client.status(timeout=_TIMEOUT)
            except EtcdUnauthenticated as error:
                findings.append(
                    failure(
                        f"etcd {endpoint}",
                        f"refuses the credentials: {error}",
                        "check --etcd-user and --etcd-password-file",
                    )
                )
            except EtcdError as error:
                findings.append(
                    failure(
                        f"etcd {endpoint}",
                        f"does not answer: {error}",
                        "is it running, is the address right, does it want TLS (--etcd-ca-file)?",
                    )
                )
            else:
                one = endpoint if len(target.endpoints) > 1 else ""
                release = check_release(one, status.version, local=target.local)
                findings.append(
                    release if release.level is Level.OK else release.of("ETCD_OLD", endpoint)
                )
                findings.extend(check_space(one, status, target.quota))
                if not status.leader:
                    findings.append(
                        failure(
                            f"etcd {endpoint}",
                            "knows no leader: it has no quorum",
                            "start the missing members, or replace them",
                        )
                    )
    if not statuses:
        return findings
    findings.append(_check_members(target, statuses))
    async with _client(target, list(statuses)) as client:
        findings.extend(await check_auth(client, local=target.local))
        findings.extend(await _check_alarms(client))
        findings.append(await _check_latency(client))
    return findings


def _client(target: EtcdTarget, endpoints: Sequence[str]) -> EtcdClient:
    return EtcdClient(endpoints, user=target.user, password=target.password, tls=target.tls)


def check_release(endpoint: str, version: str, *, local: bool) -> Finding:
    """Whether this version of etcd may hold the log. `endpoint` is empty if there is only one."""
    subject = f"etcd {endpoint}".rstrip()
    try:
        check_version(version, where=subject)
    except QuorateError as error:
        return failure(subject, error.message, f"upgrade etcd to {RECOMMENDED}")
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    assert match is not None
    minor, patch = (int(match[1]), int(match[2])), int(match[3])
    if minor >= _LATER or patch >= _FLOOR.get(minor, patch + 1):
        return ok(subject, f"version {version}")
    if local:
        text = f"version {version} is good enough for a trial; in production, run {RECOMMENDED}"
        return note(subject, text)
    return warning(
        subject,
        f"version {version} is older than the versions recommended for production",
        f"use {RECOMMENDED}: they fix leases, stale reads after a pause, and authentication",
    )


def check_space(endpoint: str, status: StoreStatus, quota: int) -> list[Finding]:
    """How full the database is, and how much of the file is holes; `endpoint` as above."""
    subject = f"etcd {endpoint}".rstrip()
    used, size = status.db_size_in_use, status.db_size
    findings = []
    in_use = size_text(used)
    if not quota:
        findings.append(ok(subject, f"database uses {in_use} (its quota is not known)"))
    elif used > 0.8 * quota:
        findings.append(
            failure(
                subject,
                f"database uses {used / quota:.0%} of its quota; new tasks are refused",
                "shorten the retention of queues, or raise --quota-backend-bytes and "
                "--etcd-quota-mib together",
            )
        )
    elif used > 0.6 * quota:
        findings.append(
            warning(
                subject,
                f"database uses {used / quota:.0%} of its quota; at 80 % new tasks are refused",
                "shorten the retention of queues, or raise the quota",
            )
        )
    else:
        findings.append(ok(subject, f"database uses {in_use} of {size_text(quota)}"))
    if size > 2 * used and size > 256 * _MEBIBYTE:
        findings.append(
            warning(
                subject,
                f"database has {size / _MEBIBYTE:,.0f} MiB on disk, of which {in_use} are in use",
                "defragment the members one at a time",
            )
        )
    return findings


def _check_members(target: EtcdTarget, statuses: dict[str, StoreStatus]) -> Finding:
    members = max(status.members for status in statuses.values())
    if members >= 3 and members % 2:
        return ok("etcd", f"{members} members")
    if members == 1 and target.local:
        return note("etcd", "one member: if this machine's disk is lost, all tasks are lost")
    advice = "run 3 or 5 members, on machines of their own"
    if members == 1:
        return warning("etcd", "one member: if its machine is lost, all tasks are lost", advice)
    return warning(
        "etcd", f"{members} members tolerate no more failures than {members - 1} members", advice
    )


async def _check_alarms(client: EtcdClient) -> list[Finding]:
    try:
        alarms = await client.alarms(timeout=_TIMEOUT)
    except EtcdError as error:
        return [note("etcd", f"its alarms cannot be read: {error}")]
    advice = {
        "NOSPACE": "compact, defragment each member, then `etcdctl alarm disarm`",
        "CORRUPT": "members disagree: stop writing, and replace the corrupt one",
    }
    if not alarms:
        return [ok("etcd", "no alarms")]
    return [
        failure("etcd", f"member {member:x} raised {kind}", advice.get(kind, "ask etcd's log"))
        for member, kind in alarms
    ]


async def _check_latency(client: EtcdClient) -> Finding:
    """Commit small writes one after the other."""
    key = PREFIX + uuid.uuid4().hex.encode()
    seconds = []
    try:
        # Whatever becomes of this process, the key goes.
        lease = await client.lease_grant(_LEASE, timeout=_TIMEOUT)
        try:
            for number in range(PUTS):
                begin = time.perf_counter()
                await client.put(key, b"%d" % number, lease=lease.id, timeout=_TIMEOUT)
                seconds.append(time.perf_counter() - begin)
        finally:
            await client.lease_revoke(lease.id, timeout=_TIMEOUT)
    except EtcdUnauthenticated:
        return note("etcd", f"latency not measured: no right to write below {PREFIX.decode()}")
    except EtcdError as error:
        return failure(
            "etcd",
            f"a write failed: {error}",
            "nothing can be accepted until this works: look at etcd's own log",
        )
    return judge_latency(sorted(seconds))


def judge_latency(seconds: Sequence[float]) -> Finding:
    """What sorted latencies of single writes say."""
    half, most = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.99)]
    text = f"a write takes {half * 1e3:.1f} ms (p50), {most * 1e3:.1f} ms (p99)"
    advice = "give etcd SSDs that nobody else writes to, and members near each other"
    if most > TOO_SLOW_PUT:
        return failure("etcd", text, f"leases will be lost: {advice}")
    if most > SLOW_PUT:
        return warning("etcd", text, advice)
    return ok("etcd", text)
