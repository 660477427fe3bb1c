"""What goes wrong in the showcase, what has to say so, and how it is mended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from quorate.etcd.api import Range, prefix_end
from quorate.etcd.client import EtcdClient
from quorate.etcd.snapshot.last import note_backup
from tools.showcase.cluster import CLUSTER, PREFIX, QUOTA, Showcase, wait_until

QUEUES: Final = ("sweep", "cordoned", "gpu", "billing", "imports")
# What fills etcd, beside the cluster's own keys.
_FILLER: Final = b"/showcase-filler/"
_PIECE: Final = 1 << 20
_FULL: Final = 0.75
_DEAD: Final = 6
_DAYS_AGO: Final = 3 * 86_400.0


class Fault(NamedTuple):
    """One fault.

    Attributes:
        name: for `--only`; `what`: a few words for the table.
        code: of the problem in the verdict; `about`: its `name` or a part of its sentence.
        alert: the rule of k8s/observability/alerts.yaml that fires.
        bound: seconds until the verdict has it, at most; twice as many until it has it no more.
    """

    name: str
    what: str
    code: str
    about: str
    alert: str
    bound: float
    make: Callable[[Showcase], object]
    mend: Callable[[Showcase], object]


# -- nodes


def _kill_node(showcase: Showcase) -> None:
    showcase.start_node("extra")
    wait_until(lambda: "extra" in _nodes(showcase), 30.0, "node extra did not register")
    showcase.kill("extra")


def _cordon_all(showcase: Showcase) -> None:
    for name in _nodes(showcase):
        showcase.cli("cordon", name)
    showcase.cli("submit", "-q", "cordoned", "--", "true")


def _uncordon_all(showcase: Showcase) -> None:
    for name in _nodes(showcase):
        showcase.cli("uncordon", name)


def _nodes(showcase: Showcase) -> list[str]:
    with showcase.client() as client:
        return [node.name for node in client.nodes.list()]


# -- work


def _ask_for_gpu(showcase: Showcase) -> None:
    showcase.cli("submit", "-q", "gpu", "--resource", "gpu=1", "--", "true")


def _pause(showcase: Showcase) -> None:
    showcase.cli("queue", "pause", "billing", "--reason", "the bank's API is down")
    showcase.cli("submit", "-q", "billing", "--", "true")


def _fail_tasks(showcase: Showcase) -> None:
    for _ in range(_DEAD):
        showcase.cli("submit", "-q", "imports", "--", "false")


def _break_service(showcase: Showcase) -> None:
    # It runs, and never listens.
    showcase.cli("service", "create", "web", "-n", "2", "--", "sleep", "600")


# -- what is beside the log


def _fill_etcd(showcase: Showcase) -> None:
    async def fill(client: EtcdClient) -> None:
        piece = 0
        while (await client.status()).db_size_in_use < _FULL * QUOTA:
            await client.put(_FILLER + b"%08d" % piece, bytes(_PIECE))
            piece += 1

    showcase.in_etcd(fill)


def _empty_etcd(showcase: Showcase) -> None:
    async def empty(client: EtcdClient) -> None:
        await client.delete(_FILLER, prefix_end(_FILLER))
        await client.compact((await client.range(Range(_FILLER))).revision)

    showcase.in_etcd(empty)


def _backed_up_days_ago(showcase: Showcase) -> None:
    showcase.in_etcd(lambda client: note_backup(client, PREFIX, time.time() - _DAYS_AGO))


def _back_up(showcase: Showcase) -> None:
    showcase.cli(
        "backup", str(showcase.folder / "backup"), "--etcd", showcase.etcd, "--cluster", CLUSTER
    )


FAULTS: Final = (
    Fault(
        "killed-node",
        "a node is killed",
        "NODE_LOST",
        "extra",
        "QuorateNodesLost",
        10.0,
        _kill_node,
        lambda showcase: showcase.cli("node", "dismiss", "extra"),
    ),
    Fault(
        "frozen-node",
        "a node stands still",
        "NODE_LOST",
        "n3",
        "QuorateNodesLost",
        10.0,
        lambda showcase: showcase.freeze("n3"),
        lambda showcase: showcase.thaw(),
    ),
    Fault(
        "no-nodes",
        "every node is cordoned",
        "NO_NODES",
        "",
        "QuorateNoNodes",
        20.0,
        _cordon_all,
        _uncordon_all,
    ),
    Fault(
        "no-gpu",
        "tasks fit no node",
        "TASKS_UNPLACEABLE",
        "",
        "QuorateProblem",
        15.0,
        _ask_for_gpu,
        lambda showcase: showcase.cli("cancel", "--queue", "gpu", "--yes"),
    ),
    Fault(
        "paused-queue",
        "a queue is paused",
        "QUEUE_PAUSED",
        "billing",
        "QuorateQueuePausedLong",
        10.0,
        _pause,
        lambda showcase: showcase.cli("queue", "resume", "billing"),
    ),
    Fault(
        "dead-letters",
        "tasks fail for good",
        "DEAD_LETTERS_RISING",
        "imports",
        "QuorateQueueFailing",
        10.0,
        _fail_tasks,
        lambda showcase: showcase.cli("delete", "--queue", "imports", "--state", "failed", "--yes"),
    ),
    Fault(
        "service",
        "a service is not ready",
        "SERVICE_BELOW_REPLICAS",
        "web",
        "QuorateServiceBelowReplicas",
        25.0,
        _break_service,
        lambda showcase: showcase.cli("service", "delete", "web"),
    ),
    Fault(
        "no-standby",
        "the standby stands still",
        "NO_STANDBY",
        "",
        "QuorateNoStandby",
        40.0,
        lambda showcase: showcase.freeze(showcase.standby()),
        lambda showcase: showcase.thaw(),
    ),
    Fault(
        "etcd-member",
        "an address of etcd is dead",
        "ETCD_MEMBER_UNHEALTHY",
        "",
        "QuorateProblem",
        20.0,
        lambda showcase: showcase.relay.close(),
        lambda showcase: showcase.relay.open(),
    ),
    Fault(
        "etcd-space",
        "etcd fills",
        "ETCD_SPACE",
        "",
        "QuorateEtcdFilling",
        20.0,
        _fill_etcd,
        _empty_etcd,
    ),
    Fault(
        "old-backup",
        "the backup is old",
        "BACKUP_OLD",
        "hours old",
        "QuorateBackupOld",
        20.0,
        _backed_up_days_ago,
        _back_up,
    ),
)


def doctor_says(showcase: Showcase, fault: Fault) -> bool:
    """Whether `quorate doctor` has a finding of it, too."""
    _, output = showcase.run("doctor", "--json", "--etcd", showcase.etcd)
    found = json.loads(output)["findings"]
    return any(one["code"] == fault.code and fault.about in json.dumps(one) for one in found)
