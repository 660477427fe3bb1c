"""A local cluster in the background: started, found and stopped from another process.

`python -m quorate.local` is the supervisor without a terminal. It tells its starter how it went in
one line of JSON on standard output, and then has no terminal, pipe or session in common with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import psutil

from quorate.client.transport.discovery import LocalCluster, owner_of, read_local_cluster
from quorate.local.plan import LocalPlan
from quorate.runtime.errors import QuorateError, unavailable

_START_TIMEOUT = 120.0
STOP_TIMEOUT = 60.0
_LOOK = 0.02


def plan_argv(plan: LocalPlan) -> list[str]:
    """Flags from which `python -m quorate.local` makes the same plan."""
    return [
        *("--data-dir", str(plan.data_dir), "--cluster", plan.cluster),
        *("--schedulers", str(plan.schedulers), "--nodes", str(plan.nodes)),
        *("--slots", str(plan.slots), "--port", str(plan.port)),
        *("--lease-ttl", str(plan.lease_ttl)),
        *(("--tls",) if plan.tls else ()),
        *(("--secure",) if plan.secure else ()),
        *(("--gateway", "--gateway-port", str(plan.gateway_port)) if plan.gateway else ()),
        *(("--amqp", "--amqp-port", str(plan.amqp_port)) if plan.amqp else ()),
    ]


def start(plan: LocalPlan) -> LocalCluster:
    """Start a cluster in the background and wait until it is up. Raises QuorateError."""
    package = Path(__file__).resolve().parents[2]
    environment = dict(os.environ)
    search = [str(package), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in search if path)
    supervisor = subprocess.Popen(
        [sys.executable, "-P", "-m", "quorate.local", *plan_argv(plan)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )
    assert supervisor.stdout is not None
    with supervisor.stdout as pipe:
        line = pipe.readline()
    try:
        found = cluster_of(plan, line)
    except QuorateError:
        supervisor.wait(_START_TIMEOUT)
        raise
    # It is nobody's child from here on: init takes it over when this process ends.
    supervisor.returncode = 0
    return found


def cluster_of(plan: LocalPlan, line: bytes) -> LocalCluster:
    """The cluster that the supervisor has started, by its answer; raises its QuorateError."""
    if not line:
        raise unavailable("SUPERVISOR_ENDED", "the supervisor ended without a message")
    answer = json.loads(line)
    if "error" in answer:
        code = grpc.StatusCode[answer["code"]]
        raise QuorateError(code, answer["reason"], answer["error"])
    found = read_local_cluster(plan.data_dir)
    if found is None:
        raise unavailable("SUPERVISOR_ENDED", "the supervisor ended as soon as it was up")
    return found


def stop(data_dir: Path, *, timeout: float = STOP_TIMEOUT) -> bool:
    """Stop the cluster of a data dir and wait until it is gone; False when none was running.

    After `timeout` seconds the supervisor is killed, and the kernel kills its children.
    """
    pid = owner_of(data_dir)
    if not pid:
        return False
    end = time.monotonic() + timeout
    _signal(pid, signal.SIGTERM)
    while owner_of(data_dir) == pid or _is_running(pid):
        if time.monotonic() > end:
            _signal(pid, signal.SIGKILL)
            end = time.monotonic() + timeout
        time.sleep(_LOOK)
    return True


def _is_running(pid: int) -> bool:
    """Whether the process exists and is more than a dead child that nobody collected."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise QuorateError(
            grpc.StatusCode.PERMISSION_DENIED,
            "NOT_YOUR_CLUSTER",
            f"the cluster's supervisor (process {pid}) belongs to another user",
        ) from error
