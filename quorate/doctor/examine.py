"""The whole examination, in the order in which a person would look: from the disk upwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from quorate.client.transport.access import Access
from quorate.doctor.cert_checks import check_file
from quorate.doctor.cluster_checks import check_cluster
from quorate.doctor.etcd_checks import EtcdTarget, check_etcd
from quorate.doctor.finding import Finding
from quorate.doctor.process_checks import Process, check_processes
from quorate.doctor.verdict import check_verdict


@dataclass(frozen=True, slots=True)
class Targets:
    """What to look at; what is None or empty is left out.

    Attributes:
        local: it is a local cluster, made to be tried out: what it cannot have is a note.
    """

    etcd: EtcdTarget | None = None
    access: Access | None = None
    processes: Sequence[Process] = ()
    certificates: Sequence[str] = ()
    local: bool = False


async def examine(targets: Targets, now: dt.datetime) -> list[Finding]:
    """Look at everything; `now` (aware) is for certificates."""
    cluster, schedulers = None, list[Finding]()
    if targets.access is not None:
        schedulers, cluster = await check_cluster(targets.access, local=targets.local)
    findings: list[Finding] = []
    if targets.etcd is not None:
        quota = targets.etcd.quota or (cluster.etcd.db_quota if cluster is not None else 0)
        findings += await check_etcd(replace(targets.etcd, quota=quota))
    findings += schedulers
    if cluster is not None:
        findings += check_verdict(cluster, findings, local=targets.local)
    findings += await check_processes(targets.processes)
    for path in dict.fromkeys(targets.certificates):
        findings += check_file(path, now)
    return findings
