"""Clients that are not ours work against every scheduler, with the proto files or without them.

One local cluster of real processes serves the tests of this file. Node.js and npm are needed:
`tests.support.needs`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google.api
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from quorate.client.transport.discovery import LocalCluster
from quorate.local.plan import LocalPlan
from quorate.v1 import cluster_pb2, scheduler_pb2, scheduler_pb2_grpc
from tests.support import tls
from tests.support.local import environment_of, open_scheduler, running
from tools.provision import node as node_js

ROOT = Path(__file__).resolve().parents[2]
GRPC_JS = Path(__file__).resolve().parent / "grpcjs"
CALL_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Replicas:
    """Where the schedulers of the cluster under test listen."""

    leader: str
    standby: str
    local: LocalCluster


def replicas_of(local: LocalCluster) -> Replicas:
    """Ask one scheduler, whichever it is, who leads."""
    with open_scheduler(local) as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        request = scheduler_pb2.GetClusterRequest()
        cluster: cluster_pb2.Cluster = stub.GetCluster(
            request, timeout=CALL_SECONDS, wait_for_ready=True
        ).cluster
    (leader,) = (replica.address for replica in cluster.schedulers if replica.leader)
    (standby,) = (replica.address for replica in cluster.schedulers if not replica.leader)
    return Replicas(leader, standby, local)


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """A local cluster of two schedulers and one node."""
    data = tmp_path_factory.mktemp("foreign") / "cluster"
    plan = LocalPlan(data_dir=data, schedulers=2, nodes=1, slots=1, secure=tls.ON)
    with running(plan) as local:
        yield replicas_of(local)


def node_command() -> str:
    """The Node.js interpreter, with the packages of grpcjs/package-lock.json beside the script."""
    node, npm = node_js.require()
    locked = GRPC_JS / "package-lock.json"
    installed = GRPC_JS / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=GRPC_JS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"npm ci: {done.stdout}{done.stderr}"
    return node


def test_node_js_works_through_the_standby_with_nothing_but_the_proto_files(
    replicas: Replicas,
) -> None:
    (google_api,) = google.api.__path__
    includes = [str(ROOT / "protos"), str(Path(google_api).parents[1])]
    done = subprocess.run(
        [node_command(), str(GRPC_JS / "client.mjs"), replicas.standby, *includes],
        env={**os.environ, **environment_of(replicas.local)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    # Creation and assignment may be one commit; every version is seen once and in order.
    assert seen["states"][-2:] == ["TASK_STATE_RUNNING", "TASK_STATE_SUCCEEDED"]
    assert len(set(seen["states"])) == len(seen["states"])
    assert seen["final"] == "TASK_STATE_SUCCEEDED"
    assert seen["stdout"] == "out of js\n"
    assert seen["stderr"] == "no error\n"


@pytest.mark.parametrize("role", ["leader", "standby"])
def test_reflection_lists_the_services_and_their_messages(replicas: Replicas, role: str) -> None:
    with open_scheduler(replicas.local, getattr(replicas, role)) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(database.get_services()) >= {
            "quorate.v1.Scheduler",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        service = DescriptorPool(database).FindServiceByName("quorate.v1.Scheduler")
        ours = scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"]
        assert set(service.methods_by_name) == set(ours.methods_by_name)
