"""The components that give a cluster a store of large values reach it from every program."""

from __future__ import annotations

import pytest

from node_agent.task.environment import DEFAULT_ENVIRONMENT, patterns
from tests.support.manifests import (
    CREDENTIALS,
    container_of,
    environment,
    labels_of,
    of_kind,
    selects,
    workloads,
)

BUCKET, FOLDER = "blobs in a bucket", "blobs in a folder"
both = pytest.mark.parametrize("name", ["scheduler", "agent"])


@both
def test_a_folder_of_blobs_is_where_the_volume_is(name: str) -> None:
    workload = dict(workloads(FOLDER))[name]
    (mount,) = (m for m in container_of(workload)["volumeMounts"] if m["name"] == "blobs")
    assert environment(FOLDER, workload)["QUORATE_BLOB_URL"] == f"file://{mount['mountPath']}"
    assert not mount.get("readOnly")
    (claim,) = of_kind(FOLDER, "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


@both
def test_a_bucket_of_blobs_is_reached_with_its_credentials(name: str) -> None:
    workload = dict(workloads(BUCKET))[name]
    assert set(environment(BUCKET, workload)) >= CREDENTIALS
    (policy,) = (e for e in of_kind(BUCKET, "NetworkPolicy")
                 if e["metadata"]["name"] == "blob-store")  # fmt: skip
    assert selects(policy["spec"]["podSelector"], labels_of(workload))


def test_workers_see_where_the_credentials_are_and_what_they_always_see() -> None:
    variables = environment(BUCKET, dict(workloads(BUCKET))["agent"])
    seen = variables["QUORATE_TASK_ENV"]
    assert seen.startswith(f"{DEFAULT_ENVIRONMENT},")
    assert set(patterns(seen).select(variables)) >= CREDENTIALS
