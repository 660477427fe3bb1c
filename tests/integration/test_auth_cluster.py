"""Work in a locked cluster: submitted by token, run by an agent that obeys schedulers alone."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from quorate.client.client import Client
from quorate.runtime.errors import QuorateError
from tests.support.auth import FOREIGN, Locked, locked


@pytest.fixture(scope="module")
def cluster(etcd_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with locked(etcd_server.endpoint, tmp_path_factory.mktemp("locked")) as started:
        yield started


def client(cluster: Locked, address: str, token: str) -> Client:
    return Client(address, tls=cluster.leaf("viewer:test").client, token=token)


def test_a_bound_submitter_works_in_its_queue_alone(cluster: Locked):
    token = cluster.make_token("submitter", "mail*")
    for address in cluster.schedulers:
        with client(cluster, address, token) as mine:
            handle = mine.options(queue="mail").command(["echo", "hello"])
            assert handle.result(30) == 0
            assert b"".join(chunk.data for chunk in handle.logs()) == b"hello\n"
            with pytest.raises(QuorateError) as refused:
                mine.options(queue=FOREIGN).command(["true"])
            assert refused.value.reason == "FOREIGN_QUEUE"
            with pytest.raises(QuorateError) as refused:
                mine.command(["true"])
            assert refused.value.reason == "FOREIGN_QUEUE"
            with pytest.raises(QuorateError) as refused:
                mine.get(cluster.foreign_task).result(5)
            assert refused.value.reason == "FOREIGN_QUEUE"


def test_a_task_is_submitted_by_http_and_its_log_is_read(cluster: Locked):
    headers = {"Authorization": f"Bearer {cluster.issuer.token('submitter', queues=['mail'])}"}
    verify = ssl.create_default_context(cafile=str(cluster.authority.ca_file))
    with httpx.Client(
        base_url=f"https://{cluster.gateway}", verify=verify, headers=headers, timeout=30
    ) as http:
        body = {"spec": {"command": {"argv": ["echo", "by http"]}}}
        made = http.post("/v1/queues/mail/tasks", json=body)
        assert made.status_code == 200, made.text
        task = made.json()["task"]["id"]
        done = http.get(f"/v1/tasks/{task}:wait", params={"timeout": "20s"})
        assert done.json()["task"]["state"] == "TASK_STATE_SUCCEEDED"
        assert "YnkgaHR0cAo=" in http.get(f"/v1/tasks/{task}/logs").text
        assert http.post(f"/v1/queues/{FOREIGN}/tasks", json=body).status_code == 403
