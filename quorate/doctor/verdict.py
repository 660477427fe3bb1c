"""The leader's verdict as findings: what it says of the cluster, in `quorate status` too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quorate.doctor.finding import Finding, Level, ok
from quorate.v1 import cluster_pb2

_LEVELS: Final = {
    cluster_pb2.SEVERITY_NOTE: Level.NOTE,
    cluster_pb2.SEVERITY_WARNING: Level.WARNING,
    cluster_pb2.SEVERITY_ERROR: Level.ERROR,
}
_ADVICE: Final = {
    "NODE_LOST": "start its agent again, or, if it will not come back: quorate node dismiss NAME",
    "NO_NODES": "start node agents, or `quorate uncordon` those that are cordoned",
    "TASKS_UNPLACEABLE": "add such a node, or cancel what waits for it: NAME",
    "NO_STANDBY": "run a second scheduler",
    "ETCD_OLD": "upgrade etcd",
    "CLOCKS_APART": "keep the clocks of all machines in step (chrony, systemd-timesyncd)",
    "QUEUE_PAUSED": "resume it when its reason is gone: quorate queue resume NAME",
    "QUEUE_STALLED": "ask for the reasons of one of its tasks: quorate explain ID",
    "SERVICE_BELOW_REPLICAS": "see the errors of its replicas: quorate service show NAME",
    "ETCD_MEMBER_UNHEALTHY": "start the member again, or replace it",
    "ETCD_SPACE": "shorten the retention of queues, or raise the quota",
    "CERTIFICATE_EXPIRES": "issue a new certificate: quorate certs",
    "BACKUP_OLD": "make a backup regularly: quorate backup FILE",
    "DEAD_LETTERS_RISING": "see the failed tasks by error: quorate dead list",
}


def check_verdict(
    cluster: cluster_pb2.Cluster, found: Sequence[Finding], *, local: bool
) -> list[Finding]:
    """A finding for each problem that the examination has not found by itself, with more detail.

    Args:
        found: what the examination has found.
        local: a local cluster, which nobody has to back up.
    """
    if not cluster.HasField("problems_time"):
        return []
    # Most of what is found is not a problem of the verdict.
    known = [one for one in found if one.code]
    others = [
        one
        for one in cluster.problems
        if not any(finding.covers(one.code, one.name) for finding in known)
    ]
    if local:
        others = [one for one in others if one.code != "BACKUP_OLD"]
    if not cluster.problems:
        return [ok("cluster", "all is well")]
    return [_finding(one) for one in others]


def _finding(one: cluster_pb2.Problem) -> Finding:
    advice = _ADVICE.get(one.code, "look at the dashboard").replace("NAME", one.name or "NAME")
    subject = f"{one.kind} {one.name}".strip()
    level = _LEVELS.get(one.severity, Level.WARNING)
    return Finding(level, subject, one.sentence, advice).of(one.code, *filter(None, [one.name]))
