"""The audit log by RPC and REST in a locked cluster: who, through whichever scheduler."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from quorate.runtime.errors import from_rpc_error
from quorate.v1 import queue_pb2, scheduler_pb2, scheduler_pb2_grpc, service_pb2, service_pb2_grpc
from quorate.v1 import task_pb2 as t
from quorate.v1.audit_pb2 import AuditEntry
from scheduler.api.origin import AUDITED
from tests.support.auth import FOREIGN, Locked, locked, open_channel

NOBODY = "nobody:x"
SECRET = "hunter2-is-a-secret"
pb = scheduler_pb2


@pytest.fixture(scope="module")
def cluster(etcd_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with locked(etcd_server.endpoint, tmp_path_factory.mktemp("audited")) as started:
        yield started


class Desk:
    """Calls one scheduler as one caller."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._scheduler = scheduler_pb2_grpc.SchedulerStub(channel)
        self._registry = service_pb2_grpc.ServiceRegistryStub(channel)

    def ask(self, request: Any) -> Any:
        name = type(request).__name__.removesuffix("Request")
        stub = getattr(self._scheduler, name, None) or getattr(self._registry, name)
        return stub(request, metadata=self._metadata, timeout=60)

    def entries(self, **filters: Any) -> list[AuditEntry]:
        return list(self.ask(pb.ListAuditEntriesRequest(**filters)).entries)


def until_gone(admin: Desk, service: str) -> None:
    deadline = time.monotonic() + 20
    while service in {s.name for s in admin.ask(service_pb2.ListServicesRequest()).services}:
        assert time.monotonic() < deadline, f"{service} is still there"


@pytest.fixture(params=[0, 1], ids=["s1", "s2"])
def address(request: pytest.FixtureRequest, cluster: Locked) -> str:
    """Of the leader and of the standby, whichever is which."""
    return cluster.schedulers[int(request.param)]


@pytest.fixture
def operator(cluster: Locked, address: str) -> Iterator[Desk]:
    with open_channel(cluster, address, NOBODY) as channel:
        yield Desk(channel, cluster.issuer.token("operator", sub="olga"))


def test_who_changed_a_queue_is_known_whichever_scheduler_was_asked(
    cluster: Locked, address: str, operator: Desk
):
    operator.ask(pb.PauseQueueRequest(name="mail", request_id=f"pause-{address}"))
    operator.ask(pb.ResumeQueueRequest(name="mail"))
    resumed, paused = operator.entries(page_size=2)
    assert (paused.caller, paused.role, paused.credential) == ("olga", "operator", "jwt")
    assert paused.method == "quorate.v1.Scheduler/PauseQueue"
    assert resumed.method == "quorate.v1.Scheduler/ResumeQueue"
    assert (paused.resource_type, paused.resource_name) == ("queue", "mail")
    assert [(c.field, c.before, c.after) for c in paused.changes] == [("paused", "false", "true")]
    assert (paused.request_id, resumed.request_id) == (f"pause-{address}", "")
    assert paused.id < resumed.id
    assert paused.peer.startswith("127.0.0.1:")
    assert paused.peer == resumed.peer


def test_the_address_is_the_callers_also_through_a_standby(cluster: Locked):
    """A leader has one connection from its standby, whoever asks that."""
    for address in cluster.schedulers:
        peers = set()
        for name in ("otto", "ophelia"):
            with open_channel(cluster, address, f"operator:{name}") as channel:
                desk = Desk(channel, "")
                desk.ask(pb.PauseQueueRequest(name="mail"))
                desk.ask(pb.ResumeQueueRequest(name="mail"))
                found = desk.entries(caller=f"operator:{name}", page_size=2)
                assert {entry.credential for entry in found} == {"certificate"}
                (peer,) = {entry.peer for entry in found}
                peers.add(peer)
        assert len(peers) == 2


def test_nobody_but_a_scheduler_says_where_a_call_comes_from(cluster: Locked):
    token = cluster.issuer.token("operator", sub="mallory")
    claim = (
        ("authorization", f"Bearer {token}"),
        ("quorate-forwarded", "1"),
        ("quorate-peer", "ipv4:6.6.6.6:6"),
    )
    with open_channel(cluster, cluster.schedulers[0], "admin:ada") as channel:
        request = pb.CreateQueueRequest(queue=queue_pb2.Queue(name="claimed"))
        Desk(channel, "").ask(request)
    ended = []
    for address in cluster.schedulers:
        with open_channel(cluster, address, "gateway:g1") as channel:
            stub = scheduler_pb2_grpc.SchedulerStub(channel)
            call = stub.PauseQueue.with_call
            for metadata in (claim, claim[::2]):
                try:
                    call(pb.PauseQueueRequest(name="claimed"), metadata=metadata, timeout=20)
                    ended.append("OK")
                except grpc.RpcError as error:
                    ended.append(from_rpc_error(error).reason)
                Desk(channel, token).ask(pb.ResumeQueueRequest(name="claimed"))
            found = Desk(channel, token).entries(caller="mallory")
            assert all(entry.peer.startswith("127.0.0.1:") for entry in found)
    # A standby passes on nothing that was passed on to it.
    assert sorted(ended) == ["NOT_LEADER", "OK", "OK", "OK"]


def test_a_repeated_call_is_one_entry_also_through_the_other_scheduler(cluster: Locked):
    token = cluster.issuer.token("operator", sub="rita")
    for address in (*cluster.schedulers, *cluster.schedulers):
        with open_channel(cluster, address, NOBODY) as channel:
            desk = Desk(channel, token)
            queue = queue_pb2.Queue(name="once")
            desk.ask(pb.CreateQueueRequest(queue=queue, request_id="rita-1"))
            (entry,) = desk.entries(caller="rita")
            assert entry.method == "quorate.v1.Scheduler/CreateQueue"


def test_refused_calls_are_not_in_the_log(cluster: Locked, address: str, operator: Desk):
    before = operator.entries()
    viewer, bound = cluster.issuer.token("viewer"), cluster.issuer.token(queues=["mail*"])
    with open_channel(cluster, address, NOBODY) as channel:
        for token, request, reason in (
            (viewer, pb.PauseQueueRequest(name="mail"), "ROLE_LACKS_PERMISSION"),
            (viewer, pb.ListAuditEntriesRequest(), "ROLE_LACKS_PERMISSION"),
            (bound, pb.PauseQueueRequest(name=FOREIGN), "FOREIGN_QUEUE"),
            (bound, pb.ListAuditEntriesRequest(), "BOUND_CALLER"),
            (bound, pb.CreateQueueRequest(queue={"name": "mail"}), "QUEUE_ALREADY_EXISTS"),
            ("wrong", pb.PauseQueueRequest(name="mail"), "TOKEN_INVALID"),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                Desk(channel, token).ask(request)
            assert from_rpc_error(refused.value).reason == reason
    assert operator.entries() == before
    log = (cluster.folder / "log").read_text()
    assert '"reason": "FOREIGN_QUEUE"' in log
    assert '"reason": "ROLE_LACKS_PERMISSION"' in log


def test_tasks_say_who_created_them_and_the_log_says_nothing_of_it(
    cluster: Locked, address: str, operator: Desk
):
    with open_channel(cluster, address, NOBODY) as channel:
        submitter = Desk(channel, cluster.issuer.token("submitter", sub="sam"))
        spec = t.TaskSpec(command=t.CommandWork(argv=["echo", SECRET], env={"KEY": SECRET}))
        one = submitter.ask(pb.CreateTaskRequest(queue=FOREIGN, spec=spec)).task
        ids = submitter.ask(pb.BatchCreateTasksRequest(queue=FOREIGN, specs=[spec] * 3)).ids
        assert one.created_by == "submitter:sam"
        for task in (one.id, *ids):
            found = submitter.ask(pb.GetTaskRequest(id=task)).task
            assert found.created_by == "submitter:sam"
            submitter.ask(pb.CancelTaskRequest(id=task))
        retried = submitter.ask(pb.RetryTaskRequest(id=one.id)).task
        assert retried.created_by == "submitter:sam"
        submitter.ask(pb.CancelTaskRequest(id=one.id))
        submitter.ask(pb.DeleteTaskRequest(id=one.id))
    about = operator.entries(resource_type="task", resource_name=one.id)
    assert [entry.method.rpartition("/")[2] for entry in about] == [
        *("DeleteTask", "CancelTask", "RetryTask", "CancelTask"),
    ]
    assert {(entry.caller, entry.queue) for entry in about} == {("sam", FOREIGN)}
    for entry in operator.entries(page_size=1000):
        assert SECRET not in str(entry)


def test_services_are_told_of_without_their_secrets(cluster: Locked, address: str, operator: Desk):
    with open_channel(cluster, address, "admin:ada") as channel:
        admin = Desk(channel, "")
        command = t.CommandWork(argv=["serve", SECRET], env={"KEY": SECRET})
        spec = service_pb2.ServiceSpec(command=command, labels={"key": SECRET})
        admin.ask(
            service_pb2.CreateServiceRequest(service=service_pb2.Service(name="audited", spec=spec))
        )
        spec.replicas, spec.command.argv[0] = 1, "other"
        spec.drain_grace.seconds = 3
        admin.ask(
            service_pb2.UpdateServiceRequest(service=service_pb2.Service(name="audited", spec=spec))
        )
        admin.ask(service_pb2.DeleteServiceRequest(name="audited"))
        # Its replica, if it has one by now, is cancelled: then the name is free again.
        until_gone(admin, "audited")
    deleted, updated, created = operator.entries(
        resource_type="service", resource_name="audited", page_size=3
    )
    assert created.caller == updated.caller == deleted.caller == "ada"
    assert {change.field for change in created.changes} == {"command", "labels"}
    assert [(c.field, c.before, c.after) for c in updated.changes] == [
        ("command", "", ""),
        ("replicas", "0", "1"),
        ("drain_grace", "", "3s"),
    ]
    assert SECRET not in str((created, updated, deleted))


def test_nodes_are_told_of(cluster: Locked, operator: Desk):
    operator.ask(pb.CordonNodeRequest(name="n1"))
    operator.ask(pb.DrainNodeRequest(name="n1"))
    operator.ask(pb.UncordonNodeRequest(name="n1"))
    found = operator.entries(resource_type="node", page_size=3)
    assert [entry.method.rpartition("/")[2] for entry in found] == [
        *("UncordonNode", "DrainNode", "CordonNode"),
    ]
    assert {entry.resource_name for entry in found} == {"n1"}


READING = ("Get", "List", "Wait", "Watch", "Stream", "Read", "Explain", "Preview", "Search")


def test_every_rpc_that_changes_something_is_in_the_log():
    """But what creates tasks and jobs, and instances, which are leases."""
    changing = {
        f"{service.full_name}/{method.name}"
        for service in (
            pb.DESCRIPTOR.services_by_name["Scheduler"],
            service_pb2.DESCRIPTOR.services_by_name["ServiceRegistry"],
        )
        for method in service.methods
        if not method.name.startswith(READING)
    }
    left_out = {name.rpartition("/")[2] for name in changing - set(AUDITED.values())}
    assert left_out == {
        *("CreateTask", "BatchCreateTasks", "CreateJob", "AppendJobItems"),
        *("RegisterInstance", "DeregisterInstance"),
    }


def test_pages_and_filters(cluster: Locked, operator: Desk):
    for _ in range(3):
        operator.ask(pb.PauseQueueRequest(name="mail"))
        operator.ask(pb.ResumeQueueRequest(name="mail"))
    everything = operator.entries(page_size=1000)
    assert [entry.id for entry in everything] == sorted(
        (entry.id for entry in everything), reverse=True
    )
    chosen: tuple[dict[str, Any], ...]
    chosen = ({}, {"method": "PauseQueue"}, {"caller": "olga"}, {"resource_type": "queue"})
    for filters in chosen:
        paged, token = [], ""
        while True:
            answer = operator.ask(
                pb.ListAuditEntriesRequest(page_size=2, page_token=token, **filters)
            )
            assert len(answer.entries) <= 2
            paged += answer.entries
            token = answer.next_page_token
            if not token:
                break
        assert paged == operator.entries(page_size=1000, **filters)
    assert {e.method for e in operator.entries(method="quorate.v1.Scheduler/PauseQueue")} == {
        "quorate.v1.Scheduler/PauseQueue"
    }
    third = everything[2]
    assert operator.entries(since=third.time) == everything[:3]
    assert operator.entries(until=third.time)[0] == everything[3]
    assert operator.entries(since=third.time, until=everything[1].time) == [third]
    assert operator.entries(caller="nobody") == []


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListAuditEntriesRequest(page_size=1001), "page_size"),
        (pb.ListAuditEntriesRequest(page_size=-1), "page_size"),
        (pb.ListAuditEntriesRequest(page_token="nonsense"), "page_token"),
        (pb.ListAuditEntriesRequest(resource_type="tasks"), "resource_type"),
        (pb.ListAuditEntriesRequest(resource_name="x" * 257), "resource_name"),
        (pb.ListAuditEntriesRequest(caller="x" * 257), "caller"),
        (pb.ListAuditEntriesRequest(method="CreateTask"), "method"),
        (pb.ListAuditEntriesRequest(since={"seconds": -1}), "since"),
        (pb.ListAuditEntriesRequest(until={"seconds": 1, "nanos": -1}), "until"),
        (pb.ListAuditEntriesRequest(since={"seconds": 9}, until={"seconds": 9}), "until"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_named(operator: Desk, request_: Any, field: str):
    with pytest.raises(grpc.RpcError) as refused:
        operator.ask(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert from_rpc_error(refused.value).field == field


def test_a_page_token_is_good_for_its_own_filters_alone(operator: Desk):
    token = operator.ask(pb.ListAuditEntriesRequest(page_size=1)).next_page_token
    assert token
    with pytest.raises(grpc.RpcError) as refused:
        operator.ask(pb.ListAuditEntriesRequest(page_token=token, caller="olga"))
    assert from_rpc_error(refused.value).reason == "STALE_PAGE_TOKEN"


def test_the_log_is_read_by_http(cluster: Locked, operator: Desk):
    operator.ask(pb.PauseQueueRequest(name="mail"))
    operator.ask(pb.ResumeQueueRequest(name="mail"))
    (expected,) = operator.entries(page_size=1)
    verify = ssl.create_default_context(cafile=str(cluster.authority.ca_file))
    headers = {"Authorization": f"Bearer {cluster.issuer.token('operator')}"}
    with httpx.Client(
        base_url=f"https://{cluster.gateway}", verify=verify, headers=headers, timeout=30
    ) as http:
        found = http.get(
            "/v1/audit",
            params={
                "page_size": "1",
                "resource_type": "queue",
                "resource_name": "mail",
                "since": expected.time.ToJsonString(),
            },
        )
        assert found.status_code == 200, found.text
        (entry,) = found.json()["entries"]
        assert entry["id"] == expected.id
        assert entry["changes"] == [{"field": "paused", "before": "true", "after": "false"}]
        assert http.get("/v1/audit", params={"method": "Nonsense"}).status_code == 400
        viewer = {"Authorization": f"Bearer {cluster.issuer.token('viewer')}"}
        assert http.get("/v1/audit", headers=viewer).status_code == 403
        # Who changes something by HTTP is known as well, from where only up to the gateway.
        http.post("/v1/queues/mail:pause", json={}).raise_for_status()
        http.post("/v1/queues/mail:resume", json={}).raise_for_status()
    (entry,) = operator.entries(page_size=1)
    assert (entry.caller, entry.role) == ("alice", "operator")
