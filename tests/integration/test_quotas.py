"""Quotas in a locked cluster: an admin sets them, a tenant meets them, its neighbour does not."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from typer.testing import CliRunner

from quorate.cli.app import application
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.client.pages import list_quotas
from quorate.client.transport.rpcs import CANCEL_TASK, SET_QUOTA
from quorate.runtime.errors import QuorateError, from_rpc_error
from quorate.security.credentials import tokens
from quorate.security.identity import Role
from quorate.v1 import scheduler_pb2, scheduler_pb2_grpc
from tests.support.auth import BOUND, Locked, locked, open_channel


@pytest.fixture(scope="module")
def cluster(etcd_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with locked(etcd_server.endpoint, tmp_path_factory.mktemp("quotas")) as started:
        yield started


def tenant(cluster: Locked, name: str, role: Role = Role.SUBMITTER) -> Client:
    token = tokens.create(
        cluster.tokens_file,
        name,
        role,
        ("*",),
        now=dt.datetime.now(dt.UTC),
        lasts=dt.timedelta(days=1),
    )
    return Client(cluster.schedulers[0], tls=cluster.leaf("viewer:test").client, token=token)


def cli(cluster: Locked, *words: str) -> str:
    """What a command says, with an admin's certificate."""
    runner = CliRunner()
    where = (f"--address={cluster.schedulers[0]}", *cluster.leaf("admin:alice").flags)
    answer = runner.invoke(application(words[0]), [*words, *where], env={"COLUMNS": "200"})
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_an_admin_sees_and_sets_what_a_tenant_may_use(cluster: Locked):
    with tenant(cluster, "ci") as mine, tenant(cluster, "neighbour") as other:
        mine.options(queue="other").command(["true"])
        said = cli(
            cluster,
            *("quota", "set", "--caller", "submitter:ci", "--live-tasks", "1"),
            *("--stored-bytes", "256M"),
        )
        assert "1 / 1" in said
        with pytest.raises(QuorateError) as told:
            mine.options(queue="other").command(["true"])
        assert told.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert told.value.reason == "TOO_MANY_LIVE_TASKS"
        assert told.value.metadata["caller"] == "submitter:ci"
        assert told.value.metadata["limit"] == "1"
        other.options(queue="other").command(["true"])
        assert "caller submitter:ci" in cli(cluster, "quotas")
        cli(cluster, "quota", "set", "--queue", "mail", "--live-tasks", "unlimited")
        cli(cluster, "quota", "set", "--caller", "*", "--open-waits", "500")
        cli(cluster, "quota", "set", "--caller", "submitter:ci", "--live-tasks", "default")
        mine.options(queue="other").command(["true"])
        found = {quota.caller: quota for quota in list_quotas(mine.calls)}
        assert found["submitter:ci"].usage.live_tasks == 2
        assert found["submitter:ci"].limits.stored_bytes == 256 << 20
        assert found["submitter:ci"].in_force.open_waits == 500
        # A tenant reads quotas and sets none.
        request = scheduler_pb2.SetQuotaRequest(quota=found["submitter:ci"])
        with pytest.raises(QuorateError) as told:
            mine.calls.call(SET_QUOTA, request)
        assert told.value.code is grpc.StatusCode.PERMISSION_DENIED


def test_callers_are_told_who_they_are_and_what_they_may(cluster: Locked):
    with tenant(cluster, "ci") as mine:
        me = mine.caller()
    assert (me.name, list(me.patterns)) == ("submitter:ci", [])
    assert "quotas.read" in me.permissions
    assert "quotas.write" not in me.permissions
    with Client(
        cluster.schedulers[1], tls=cluster.leaf("viewer:test").client, token=cluster.bound
    ) as bound:
        # Perhaps passed on by a standby: the caller is meant, not the standby.
        me = bound.caller()
    assert (me.name, list(me.patterns)) == ("admin:admin-test", BOUND)
    assert "quotas.write" in me.permissions
    assert re.search(r"You +admin:alice", cli(cluster, "status"))
    assert json.loads(cli(cluster, "status", "--json"))["caller"]["name"] == "admin:alice"


async def test_an_asynchronous_client_is_told_the_same(cluster: Locked):
    tls = cluster.leaf("viewer:test").client
    async with AsyncClient(cluster.schedulers[0], tls=tls, token=cluster.bound) as bound:
        assert (await bound.caller()).name == "admin:admin-test"


def test_the_audit_log_is_searched_for_quotas(cluster: Locked):
    cli(cluster, "quota", "set", "--queue", "mail", "--live-tasks", "77")
    assert "queue/mail" in cli(cluster, "audit", "--resource", "quota")


def test_waits_beyond_the_quota_say_when_to_come_again_and_others_wait_on(cluster: Locked):
    with tenant(cluster, "waiter") as mine:
        handle = mine.options(queue="other").command(["true"])
        cli(cluster, "quota", "set", "--caller", "submitter:waiter", "--open-waits", "0")
        request = scheduler_pb2.WaitTaskRequest(id=handle.id, timeout=Duration(seconds=1))
        with open_channel(cluster, cluster.schedulers[0], "viewer:test") as channel:
            stub = scheduler_pb2_grpc.SchedulerStub(channel)
            metadata = mine.calls._access.metadata
            # A change holds within a second; this is answered then at the latest.
            stub.WaitTask(request, timeout=60, metadata=metadata)
            with pytest.raises(grpc.RpcError) as refused:
                stub.WaitTask(request, timeout=60, metadata=metadata)
        error = from_rpc_error(refused.value)
        assert (error.reason, error.metadata["quota"]) == ("TOO_MANY_WAITERS", "open_waits")
        assert error.retry_delay
    with tenant(cluster, "patient") as other:
        assert not other.get(handle.id).done()


def test_request_ids_belong_to_their_caller(cluster: Locked):
    with tenant(cluster, "one") as one, tenant(cluster, "two") as two:
        first = one.options(queue="other").command(["true"])
        second = two.options(queue="other").command(["true"])
        request = scheduler_pb2.CancelTaskRequest
        one.calls.call(CANCEL_TASK, request(id=first.id, request_id="same"))
        two.calls.call(CANCEL_TASK, request(id=second.id, request_id="same"))
        assert second.status() == "CANCELLED"
