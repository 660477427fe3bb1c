"""Clusters of `quorate up` for tests: run for a while, and spoken to without the SDK.

They may have TLS and tokens. Everything is found as the SDK finds it: by what `cluster.json` says.
HTTP is in `tools.gateway_http`.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc

from quorate.client.transport.discovery import LocalCluster, owner_of
from quorate.etcd.client import EtcdClient, EtcdTls
from quorate.local import background
from quorate.local.certificates import Certificates
from quorate.local.plan import LocalPlan
from quorate.security.tls.dialer import Options
from tests.support import forked
from tests.support.lock_guard import let_prove
from tests.support.tls import Leaf
from tools.gateway_http import token_of


@contextmanager
def running(plan: LocalPlan) -> Iterator[LocalCluster]:
    """Run a cluster in the background from entering to leaving.

    Its processes need no time to load: see `tests.support.loaded_cluster`. How they start from
    scratch, and how a cluster stops, is what `test_cli_up` is about: what runs at the end here is
    killed. It would have its grace, and a service's replicas take all of that.
    """
    with ExitStack() as stack:
        if forked.watched():
            stack.callback(_stop, plan)
            local = background.start(plan)
        else:
            local = start_loaded(plan, stack)
        stack.callback(let_prove)
        yield local


def start_loaded(plan: LocalPlan, stack: ExitStack) -> LocalCluster:
    """As `background.start`, with processes that need no time to load; `stack` stops it."""
    reads, writes = os.pipe()
    with open(reads, "rb", 0) as answer:
        try:
            supervisor = forked.server().start(
                *("tests.support.loaded_cluster", background.plan_argv(plan), os.environ),
                *(writes, 2),
                folder=os.getcwd(),
            )
        finally:
            os.close(writes)
        stack.callback(supervisor.wait, background.STOP_TIMEOUT)
        stack.callback(_stop, plan)
        return background.cluster_of(plan, answer.readline())


def _stop(plan: LocalPlan) -> None:
    # The second signal kills; two of a kind could be taken for one.
    if pid := owner_of(plan.data_dir):
        os.kill(pid, signal.SIGINT)
    background.stop(plan.data_dir)


def environment_of(local: LocalCluster) -> dict[str, str]:
    """For a program that is told its address."""
    if local.tls is None:
        return {}
    return {
        "QUORATE_TLS_CA_FILE": local.tls.ca_file,
        "QUORATE_TLS_CERT_FILE": local.tls.cert_file,
        "QUORATE_TLS_KEY_FILE": local.tls.key_file,
        "QUORATE_TOKEN_FILE": local.token_file,
    }


def open_scheduler(local: LocalCluster, address: str = "", options: Options = ()) -> grpc.Channel:
    """A channel for plain stubs; to its first scheduler unless told otherwise."""
    address = address or local.addresses[0]
    if local.tls is None:
        return grpc.insecure_channel(address, options=options)
    pem = local.tls.files.read()
    credentials = grpc.ssl_channel_credentials(pem.ca, pem.key, pem.cert)
    if token := token_of(local):
        credentials = grpc.composite_channel_credentials(
            credentials, grpc.access_token_call_credentials(token)
        )
    return grpc.secure_channel(address, credentials, options=options)


def open_etcd_of(local: LocalCluster) -> EtcdClient:
    """A client of its etcd."""
    (etcd,) = (one.address for one in local.processes if one.role == "etcd")
    files = local.etcd_tls
    tls = EtcdTls(files.ca_file, files.cert_file, files.key_file) if files else None
    return EtcdClient([etcd], tls=tls)


def gateway_leaf(local: LocalCluster) -> Leaf | None:
    """The certificate of another gateway of this cluster; None when it has no TLS."""
    if local.tls is None:
        return None
    subject = "gateway:test"
    certificates = Certificates(Path(local.tls.ca_file).parent)
    certificates.prepare([subject], dt.datetime.now(dt.UTC))
    files = certificates.of(subject)
    return Leaf(Path(files.cert_file), Path(files.key_file), Path(files.ca_file))
