"""The Jobs of k8s/: confined as pods are, their commands exist, and the backup's script works."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from quorate.etcd.api import Range, prefix_end
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess
from quorate.etcd.snapshot.last import LAST_BACKUP, last_backup
from quorate.internal.v1.records_pb2 import HeadRecord, QueueRecord
from tests.support import tls
from tests.support.manifests import named, of_kind

PREFIX = b"/quorate/default/"


def _jobs() -> dict[str, dict[str, Any]]:
    """The pod's spec of each Job and CronJob of `prod`."""
    (job,) = of_kind("prod", "Job")
    (cron,) = of_kind("prod", "CronJob")
    return {
        "etcd-users": job["spec"]["template"],
        "backup": cron["spec"]["jobTemplate"]["spec"]["template"],
    }


def test_pods_of_jobs_are_confined() -> None:
    for name, template in _jobs().items():
        pod = template["spec"]
        assert template["metadata"]["labels"]["quorate/etcd-operator"] == "true"
        assert pod["serviceAccountName"] == name
        named("prod", "ServiceAccount", name)
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsUser"] == 65532
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["image"] in ("quorate:0.1.0", "etcd:v3.6.9")
            assert container["resources"]["limits"]
        secrets = [v["secret"] for v in pod["volumes"] if "secret" in v]
        assert secrets == [{"secretName": "etcd-operator-tls", "defaultMode": 0o440}]


def test_etcd_lets_these_pods_in() -> None:
    rules = named("prod", "NetworkPolicy", "etcd-operators")["spec"]
    assert rules["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "etcd"
    (peer,) = rules["ingress"][0]["from"]
    for template in _jobs().values():
        labels = template["metadata"]["labels"]
        assert peer["podSelector"]["matchLabels"].items() <= labels.items()


async def test_the_script_makes_a_backup_restores_it_and_keeps_fourteen(
    own_etcd: Callable[..., Awaitable[EtcdProcess]], tmp_path: Path
) -> None:
    own, other = await own_etcd(), await own_etcd(tls=None)
    template = _jobs()["backup"]["spec"]
    script = template["containers"][0]["command"][-1]
    (sidecar,) = template["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert "--listen-client-urls=http://127.0.0.1:23790" in sidecar["args"]
    backups = tmp_path / "backups"
    backups.mkdir()
    for number in range(16):
        (backups / f"20200101T0000{number:02}Z.quorate").touch()
    (backups / "20200101T000000Z.quorate.part").touch()
    script = script.replace("/backups", str(backups)).replace("127.0.0.1:23790", other.endpoint)
    async with tls.open_etcd(own.endpoint) as etcd:
        await etcd.put(PREFIX + b"head", HeadRecord(epoch=1, sequence=1).SerializeToString())
        await etcd.put(PREFIX + b"queues/q", QueueRecord().SerializeToString())

        async def run() -> subprocess.CompletedProcess[str]:
            environment = {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "QUORATE_ETCD": own.endpoint,
                "QUORATE_CLUSTER": "default",
                "QUORATE_ETCD_MAX_TXN_OPS": "128",
                **tls.etcd_environment(),
            }
            return await asyncio.to_thread(
                subprocess.run,
                ["sh", "-eu", "-c", script],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )

        done = await run()
        assert done.returncode == 0, done.stderr
        assert await last_backup(etcd, PREFIX) > 1_700_000_000
        left = sorted(path.name for path in backups.iterdir())
        assert len(left) == 14
        assert left[-1] > "2026"
        assert not [name for name in left if name.endswith(".part")]
    async with EtcdClient([other.endpoint]) as etcd:
        found = (await etcd.range(Range(PREFIX, prefix_end(PREFIX)))).kvs
        assert PREFIX + b"queues/q" in {kv.key for kv in found}
        assert PREFIX + LAST_BACKUP not in {kv.key for kv in found}
        # A restore into an etcd that has the cluster already fails, and so does the Job.
    done = await run()
    assert done.returncode != 0
    assert list(backups.glob("*.part"))
