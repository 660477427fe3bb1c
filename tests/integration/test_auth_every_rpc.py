"""Every RPC that reflection lists, on every server, with every credential that must not do.

Nothing here names an RPC: one that is added is tried, and fails this test until it declares what it
demands and refuses who lacks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc_channelz.v1 import channelz_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from quorate.externalscaler import externalscaler_pb2
from quorate.runtime.errors import from_rpc_error
from quorate.security.identity import CERTIFICATE_ONLY, Role
from quorate.security.permissions import Rule, path_of, rule_of
from quorate.security.policy import PERMISSIONS, ROLES, holds
from quorate.v1 import broker_pb2, node_agent_pb2, scheduler_pb2, service_pb2
from tests.support.auth import FOREIGN, Locked, locked, open_channel
from tests.support.tls import TestAuthority

C = grpc.StatusCode
OURS = (scheduler_pb2, service_pb2, broker_pb2, node_agent_pb2, externalscaler_pb2)
OTHERS = (health_pb2, reflection_pb2, channelz_pb2)
NOBODY = "nobody:x"


@pytest.fixture(scope="module")
def cluster(etcd_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with locked(etcd_server.endpoint, tmp_path_factory.mktemp("locked")) as started:
        yield started


@dataclass(frozen=True)
class Served:
    """One server, and what it says that it serves."""

    name: str
    address: str
    methods: tuple[MethodDescriptor, ...]
    right: str
    """A certificate that may call whatever the server has."""


@pytest.fixture(scope="module")
def servers(cluster: Locked) -> list[Served]:
    found = []
    addresses = {"s1": cluster.schedulers[0], "s2": cluster.schedulers[1], "n1": cluster.agent}
    for name, address in addresses.items():
        with open_channel(cluster, address, "admin:alice") as channel:
            listed = ProtoReflectionDescriptorDatabase(channel)
            pool = descriptor_pool.DescriptorPool(listed)
            services = [pool.FindServiceByName(one) for one in listed.get_services()]
        methods = tuple(_known(method) for service in services for method in service.methods)
        right = "scheduler:s1" if name == "n1" else "admin:alice"
        found.append(Served(name, address, methods, right))
    return found


def _known(listed: MethodDescriptor) -> MethodDescriptor:
    """The same method with our options, which a foreign pool does not know."""
    service = descriptor_pool.Default().FindServiceByName(listed.containing_service.full_name)
    return service.methods_by_name[listed.name]


def call(
    channel: grpc.Channel,
    method: MethodDescriptor,
    *,
    authorization: str = "",
    request: Any = None,
    more: tuple[tuple[str, str], ...] = (),
) -> grpc.RpcError | None:
    """How a call ended; None when it was answered."""
    body = b"" if request is None else request.SerializeToString()
    metadata = (*((("authorization", authorization),) if authorization else ()), *more)
    path = path_of(method)
    kind = f"{'stream' if method.client_streaming else 'unary'}_" + (
        "stream" if method.server_streaming else "unary"
    )
    stub = getattr(channel, kind)(path)
    sent = iter((body,)) if method.client_streaming else body
    try:
        answer = stub(sent, metadata=metadata, timeout=60)
        if method.server_streaming:
            next(answer, None)
            answer.cancel()
    except grpc.RpcError as error:
        return error
    return None


def code_of(error: grpc.RpcError | None) -> grpc.StatusCode:
    return C.OK if error is None else error.code()


def naming(method: MethodDescriptor, rule: Rule, value: str) -> Any:
    """A request that names `value` where the rule looks for a name."""
    request = message_factory.GetMessageClass(method.input_type)()
    of_messages = (*rule.message_queues, *rule.exchanges, "")
    where = rule.task or rule.queue or rule.service or rule.node or of_messages[0]
    *steps, last = where.split(".")
    target: Any = request
    for step in steps:
        target = getattr(target, step)
    if isinstance(getattr(target, last), str):
        setattr(target, last, value)
    else:
        getattr(target, last).append(value)
    return request


def guarded(served: Served) -> list[tuple[MethodDescriptor, Rule]]:
    found = []
    for method in served.methods:
        rule = rule_of(method)
        assert rule is not None, f"{path_of(method)} declares no permission"
        if not rule.public:
            assert rule.name in PERMISSIONS, path_of(method)
            found.append((method, rule))
    return found


def test_reflection_lists_all_that_we_have(servers: list[Served]):
    listed = {path_of(method) for served in servers for method in served.methods}
    ours = {
        path_of(method)
        for file in OURS
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert ours <= listed
    others = {
        path_of(method)
        for file in OTHERS
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert listed - ours == others


def test_only_health_is_public(servers: list[Served]):
    for served in servers:
        rules = {path_of(method): rule_of(method) for method in served.methods}
        public = {path for path, rule in rules.items() if rule is not None and rule.public}
        assert {path.split("/")[1] for path in public} == {"grpc.health.v1.Health"}, served.name


@pytest.mark.parametrize("subject", ["", "admin:mallory"], ids=["no certificate", "wrong CA"])
def test_who_has_no_certificate_of_the_ca_cannot_even_connect(
    cluster: Locked, servers: list[Served], subject: str
):
    for served in servers:
        by: TestAuthority | None = cluster.stranger if subject else None
        with open_channel(cluster, served.address, subject, by=by) as channel:
            for method in served.methods:
                error = call(channel, method, authorization=f"Bearer {cluster.admin}")
                assert code_of(error) is C.UNAVAILABLE, path_of(method)


def test_no_credential_is_unauthenticated(cluster: Locked, servers: list[Served]):
    """A certificate of the CA whose name is no identity connects, and that is all."""
    for served in servers:
        with open_channel(cluster, served.address, NOBODY) as channel:
            for method, _ in guarded(served):
                error = call(channel, method)
                assert code_of(error) is C.UNAUTHENTICATED, path_of(method)
                assert error is not None
                assert from_rpc_error(error).reason == "CREDENTIALS_MISSING"


def test_a_bad_token_is_unauthenticated_whatever_certificate_comes_with_it(
    cluster: Locked, servers: list[Served]
):
    for served in servers:
        with open_channel(cluster, served.address, served.right) as channel:
            for kind, authorization in cluster.unauthenticated().items():
                for method, _ in guarded(served):
                    error = call(channel, method, authorization=authorization)
                    assert code_of(error) is C.UNAUTHENTICATED, (kind, path_of(method))


def test_a_role_that_lacks_the_permission_is_denied(cluster: Locked, servers: list[Served]):
    tried = 0
    for served in servers:
        for role in Role:
            by_certificate = role in CERTIFICATE_ONLY or served.name == "n1"
            subject = f"{role}:someone" if by_certificate else NOBODY
            token = "" if by_certificate else f"Bearer {cluster.by_role[role]}"
            with open_channel(cluster, served.address, subject) as channel:
                for method, rule in guarded(served):
                    if holds(role, rule.name):
                        continue
                    tried += 1
                    error = call(channel, method, authorization=token)
                    assert code_of(error) is C.PERMISSION_DENIED, (role, path_of(method))
    # Each RPC has a role that may not call it, but those that all have.
    everybody = frozenset.intersection(*ROLES.values())
    assert everybody == {"cluster.read"}
    assert tried > 150


def test_the_right_role_passes(cluster: Locked, servers: list[Served]):
    for served in servers:
        with open_channel(cluster, served.address, served.right) as channel:
            for method, rule in guarded(served):
                if served.name == "n1" and not holds(Role.SCHEDULER, rule.name):
                    # An admin's: that is how it was listed.
                    continue
                error = call(channel, method)
                assert code_of(error) not in (C.UNAUTHENTICATED, C.PERMISSION_DENIED), (
                    path_of(method),
                    error,
                )
                assert code_of(error) not in (C.UNAVAILABLE, C.INTERNAL), (path_of(method), error)


def test_good_tokens_pass_whatever_certificate_connects(cluster: Locked, servers: list[Served]):
    for served in servers:
        if served.name == "n1":
            continue
        with open_channel(cluster, served.address, NOBODY) as channel:
            for token in (cluster.admin, cluster.issuer.token()):
                for method, _ in guarded(served):
                    error = call(channel, method, authorization=f"Bearer {token}")
                    assert code_of(error) not in (C.UNAUTHENTICATED, C.PERMISSION_DENIED), path_of(
                        method
                    )


def test_no_token_makes_a_scheduler_for_an_agent(cluster: Locked, servers: list[Served]):
    """Agents know certificates alone: the admin's token is nothing to them."""
    (agent,) = (served for served in servers if served.name == "n1")
    with open_channel(cluster, agent.address, "scheduler:s1") as channel:
        for method, _ in guarded(agent):
            error = call(channel, method, authorization=f"Bearer {cluster.admin}")
            assert code_of(error) is C.UNAUTHENTICATED, path_of(method)


def test_a_foreign_queue_is_denied(cluster: Locked, servers: list[Served]):
    tokens = (cluster.bound, cluster.issuer.token(queues=["mail*"]))
    tried = set()
    for served in servers:
        if served.name == "n1":
            continue
        with open_channel(cluster, served.address, NOBODY) as channel:
            for method, rule in guarded(served):
                if rule.unbound:
                    continue
                tried.add(rule.name)
                request = None
                if not rule.names_nothing:
                    foreign = cluster.foreign_task if rule.task else FOREIGN
                    request = naming(method, rule, foreign)
                for token in tokens:
                    bearer = f"Bearer {token}"
                    error = call(channel, method, authorization=bearer, request=request)
                    assert code_of(error) is C.PERMISSION_DENIED, (path_of(method), error)
                    if not rule.task and method.name != "CreateMessageQueue":
                        # Naming nothing means everything, or `default`: not theirs either. (A
                        # message queue without a name gets one that nobody else knows.)
                        error = call(channel, method, authorization=bearer)
                        assert code_of(error) is C.PERMISSION_DENIED, (path_of(method), error)
    assert {"tasks.submit", "tasks.read", "tasks.control", "queues.write"} <= tried


def test_the_own_queue_passes(cluster: Locked, servers: list[Served]):
    for served in servers:
        if served.name == "n1":
            continue
        with open_channel(cluster, served.address, NOBODY) as channel:
            for method, rule in guarded(served):
                of_messages = rule.message_queues or rule.exchanges
                if not (rule.queue or rule.service or of_messages or rule.unbound):
                    continue
                request = None if rule.unbound else naming(method, rule, "mail2")
                error = call(
                    channel, method, authorization=f"Bearer {cluster.bound}", request=request
                )
                assert code_of(error) not in (C.UNAUTHENTICATED, C.PERMISSION_DENIED), path_of(
                    method
                )


def test_a_bound_caller_sees_only_its_own_queues(cluster: Locked, servers: list[Served]):
    for served in servers[:2]:
        with open_channel(cluster, served.address, NOBODY) as channel:
            stub = channel.unary_unary(
                "/quorate.v1.Scheduler/ListQueues",
                request_serializer=bytes,
                response_deserializer=scheduler_pb2.ListQueuesResponse.FromString,
            )
            seen = {
                token: {
                    queue.name
                    for queue in stub(
                        b"", metadata=(("authorization", f"Bearer {token}"),), timeout=20
                    ).queues
                }
                for token in (cluster.bound, cluster.admin)
            }
        assert "mail" in seen[cluster.bound]
        assert all(name.startswith("mail") for name in seen[cluster.bound])
        assert FOREIGN in seen[cluster.admin]


def test_a_node_speaks_only_for_itself(cluster: Locked, servers: list[Served]):
    for served in servers[:2]:
        for name, expected in (("n1", C.OK), ("n2", C.PERMISSION_DENIED)):
            with open_channel(cluster, served.address, "node:n1") as channel:
                rules = {method.name: (method, rule) for method, rule in guarded(served)}
                method, rule = rules["GetNode"]
                assert code_of(call(channel, method, request=naming(method, rule, name))) is (
                    expected
                )


def test_nobody_passes_an_identity_on_but_a_scheduler(cluster: Locked, servers: list[Served]):
    claim = '{"name":"eve","role":"admin","how":"certificate","queues":["*"],"expires":null}'
    for served in servers[:2]:
        methods = {method.name: method for method in served.methods}
        for subject, expected in (
            ("viewer:eve", C.PERMISSION_DENIED),
            ("gateway:g1", C.PERMISSION_DENIED),
            ("node:n1", C.PERMISSION_DENIED),
            (NOBODY, C.UNAUTHENTICATED),
            ("scheduler:s2", C.NOT_FOUND),
        ):
            with open_channel(cluster, served.address, subject) as channel:
                error = call(
                    channel,
                    methods["PauseQueue"],
                    request=scheduler_pb2.PauseQueueRequest(name="missing"),
                    more=(("quorate-caller", claim),),
                )
                assert code_of(error) is expected, (served.name, subject)


def test_a_gateway_cannot_be_made_to_act_as_itself(cluster: Locked, servers: list[Served]):
    """Its certificate does not count for calls that it makes for others."""
    for served in servers[:2]:
        methods = {method.name: method for method in served.methods}
        with open_channel(cluster, served.address, "gateway:g1") as channel:
            assert call(channel, methods["GetCluster"]) is None
            error = call(channel, methods["GetCluster"], more=(("quorate-on-behalf", "1"),))
            assert code_of(error) is C.UNAUTHENTICATED
