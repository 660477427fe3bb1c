"""Roles, permissions, patterns and limits: the whole policy, and what requests may name."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import Any

import grpc
import pytest

from quorate.externalscaler import externalscaler_pb2
from quorate.runtime.errors import QuorateError, to_status
from quorate.security.identity import (
    Caller,
    How,
    Role,
    check_name,
    check_patterns,
    decode,
    encode,
    from_common_name,
)
from quorate.security.limits import BURST, CallerLimits, CallLimits, Kind
from quorate.security.permissions import Rule, check_request, check_role, rule_of, rules_of
from quorate.security.policy import PERMISSIONS, ROLES
from quorate.v1 import broker_pb2, node_agent_pb2, scheduler_pb2, service_pb2
from quorate.v1 import scheduler_pb2 as pb

ROOT = Path(__file__).parents[2]
SERVICES = [
    service
    for file in (scheduler_pb2, service_pb2, broker_pb2, node_agent_pb2, externalscaler_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
]
METHODS = [method for service in SERVICES for method in service.methods]


def caller(*patterns: str, role: Role = Role.ADMIN, name: str = "alice") -> Caller:
    return Caller(name, role, How.TOKEN, patterns or ("*",))


# -- rules


def test_every_rpc_declares_a_permission_that_exists_and_fields_that_it_has():
    for method in METHODS:
        rule = rule_of(method)
        assert rule is not None, method.full_name
        assert not rule.public, method.full_name
        assert rule.name in PERMISSIONS, method.full_name
        paths = (rule.queue, rule.task, rule.service, rule.node)
        for path in (*paths, *rule.message_queues, *rule.exchanges):
            fields = method.input_type.fields_by_name
            for step in filter(None, path.split(".")):
                field = fields[step]
                fields = field.message_type.fields_by_name if field.message_type else {}


def test_every_permission_is_demanded_by_an_rpc_and_held_by_a_role():
    demanded = {rule.name for rule in rules_of(SERVICES).values()} - {""}
    held = set().union(*ROLES.values())
    assert held == set(PERMISSIONS)
    assert demanded == set(PERMISSIONS)


def test_only_admin_and_submitter_bring_code_and_only_schedulers_command_agents():
    def holders(permission: str) -> set[Role]:
        return {role for role, held in ROLES.items() if permission in held}

    assert holders("tasks.submit") == {Role.ADMIN, Role.SUBMITTER}
    assert holders("services.write") == {Role.ADMIN}
    assert holders("agent.session") == holders("agent.logs") == {Role.SCHEDULER}
    assert set(ROLES) == set(Role)


def test_the_docs_list_every_role_with_what_it_holds():
    text = (ROOT / "docs/security.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z]+)` \| (.+?) \|", text, re.MULTILINE))
    for role, held in ROLES.items():
        assert set(re.findall(r"`([a-z_]+\.[a-z]+)`", rows[role])) == held, role


def test_a_method_that_declares_nothing_is_refused_to_everybody():
    with pytest.raises(QuorateError) as told:
        check_role(None, caller(), "/x.Y/Z")
    assert told.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert told.value.reason == "NO_PERMISSION_DECLARED"


# -- names in requests


def queue_of(task: str) -> str | None:
    return {"t-mail": "mail", "t-other": "other"}.get(task)


def denied(rule: Rule, who: Caller, request: Any) -> str:
    """Why; empty when it is not."""
    try:
        check_request(rule, who, request, queue_of)
    except QuorateError as error:
        return error.reason if error.code is grpc.StatusCode.PERMISSION_DENIED else repr(error)
    return ""


BY_QUEUE = Rule("tasks.read", queue="queue")
SUBMIT = Rule("tasks.submit", queue="queue", queue_when_empty="default")
BY_TASK = Rule("tasks.read", task="id")
MANY_TASKS = Rule("tasks.control", task="ids", queue="queue")
BY_NAMES = Rule("services.read", service="names")
NESTED = Rule("queues.write", queue="queue.name")


@pytest.mark.parametrize(
    ("rule", "request_", "reason"),
    [
        (BY_QUEUE, pb.ListTasksRequest(queue="mail"), ""),
        (BY_QUEUE, pb.ListTasksRequest(queue="mail-2"), ""),
        (BY_QUEUE, pb.ListTasksRequest(queue="other"), "FOREIGN_QUEUE"),
        (BY_QUEUE, pb.ListTasksRequest(queue="xmail"), "FOREIGN_QUEUE"),
        (BY_QUEUE, pb.ListTasksRequest(queue="mail\n"), ""),
        (BY_QUEUE, pb.ListTasksRequest(), "BOUND_CALLER"),
        (SUBMIT, pb.CreateTaskRequest(), "FOREIGN_QUEUE"),
        (NESTED, pb.CreateQueueRequest(), "BOUND_CALLER"),
        (BY_TASK, pb.GetTaskRequest(id="t-mail"), ""),
        (BY_TASK, pb.GetTaskRequest(id="t-other"), "FOREIGN_QUEUE"),
        (BY_TASK, pb.GetTaskRequest(id="unknown"), ""),
        (MANY_TASKS, pb.CancelTasksRequest(ids=["t-mail", "unknown"]), ""),
        (MANY_TASKS, pb.CancelTasksRequest(ids=["t-mail", "t-other"]), "FOREIGN_QUEUE"),
        (MANY_TASKS, pb.CancelTasksRequest(queue="mail"), ""),
        (MANY_TASKS, pb.CancelTasksRequest(queue="other"), "FOREIGN_QUEUE"),
        (MANY_TASKS, pb.CancelTasksRequest(text="x"), "BOUND_CALLER"),
        (MANY_TASKS, pb.CancelTasksRequest(), "BOUND_CALLER"),
        (BY_NAMES, service_pb2.WatchServicesRequest(names=["mail", "mail2"]), ""),
        (BY_NAMES, service_pb2.WatchServicesRequest(names=["mail", "web"]), "FOREIGN_SERVICE"),
        (BY_NAMES, service_pb2.WatchServicesRequest(names=["mail", ""]), "BOUND_CALLER"),
        (BY_NAMES, service_pb2.WatchServicesRequest(), "BOUND_CALLER"),
        (Rule("scaling.read"), pb.GetClusterRequest(), "BOUND_CALLER"),
        (Rule("cluster.read", unbound=True), pb.GetClusterRequest(), ""),
    ],
)
def test_a_bound_caller_names_what_it_is_bound_to(rule: Rule, request_: Any, reason: str):
    assert denied(rule, caller("mail*"), request_) == reason
    assert denied(rule, caller(), request_) == ""


def test_a_caller_that_is_bound_to_default_submits_without_naming_it():
    assert denied(SUBMIT, caller("default"), pb.CreateTaskRequest()) == ""


def test_a_node_names_itself():
    rule = Rule("nodes.read", node="name", unbound=True)
    node = caller(role=Role.NODE, name="n1")
    assert denied(rule, node, pb.GetNodeRequest(name="n1")) == ""
    assert denied(rule, node, pb.GetNodeRequest(name="n2")) == "FOREIGN_NODE"
    assert denied(rule, node, pb.GetNodeRequest()) == "FOREIGN_NODE"


# -- identities


@pytest.mark.parametrize(
    ("patterns", "yes", "no"),
    [
        (("mail",), ["mail"], ["mail2", "Mail", "amail", ""]),
        (("mail*",), ["mail", "mail-2"], ["xmail"]),
        (("*-eu",), ["a-eu"], ["a-us"]),
        (("a?c",), ["abc"], ["ac", "abbc"]),
        (("a", "b*"), ["a", "b1"], ["aa"]),
        (("a.b",), ["a.b"], ["axb"]),
        (("a", "*"), ["anything"], []),
        (("team/*",), ["team/mail"], ["team", "mail"]),
    ],
)
def test_patterns_are_those_of_a_shell(patterns: tuple[str, ...], yes: list[str], no: list[str]):
    who = caller(*patterns)
    assert all(map(who.may_name, yes))
    assert not any(map(who.may_name, no))


def test_a_pattern_of_many_stars_takes_no_time():
    who = caller("*a" * 32)
    assert not who.may_name("a" * 31 + "b" * 10_000)


@pytest.mark.parametrize("patterns", [[], None, "mail", ["a"] * 17, ["["], ["a b"], [""], [1]])
def test_patterns_are_bounded(patterns: object):
    with pytest.raises(ValueError, match="queues: "):
        check_patterns(patterns)


def test_names_are_bounded():
    assert check_name("auth0|64f:a@b.c/d+e-_") == "auth0|64f:a@b.c/d+e-_"
    for name in ("", "a" * 129, "a\nb", "-a", 7, None):
        with pytest.raises(ValueError, match="name: "):
            check_name(name)


def test_a_common_name_is_role_and_name():
    found = from_common_name("node:n1")
    assert found == Caller("n1", Role.NODE, How.CERTIFICATE)
    for other in ("n1", "king:n1", "node:", ":n1", "", "NODE:n1", "node:a b", "localhost"):
        assert from_common_name(other) is None


def test_an_identity_survives_being_passed_on():
    for who in (
        caller("mail*", "a"),
        Caller("bob@x", Role.VIEWER, How.JWT, ("*",), 1767225600.5),
        Caller("n1", Role.NODE, How.CERTIFICATE, ("*",), inf),
    ):
        assert decode(encode(who)) == who
        assert encode(who).isascii()


@pytest.mark.parametrize(
    "text",
    ["", "x", "{}", "[]", "[" * 5000, '{"name":"a","role":"king","how":"token"}', "9" * 4097],
)
def test_what_is_no_identity_is_refused(text: str):
    with pytest.raises(ValueError, match=r"\w"):
        decode(text)


# -- limits


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_calls_beyond_the_rate_are_told_when_to_come_again():
    clock = Clock()
    limits = CallerLimits(lambda name: CallLimits(10), monotonic=clock)
    for _ in range(int(10 * BURST)):
        limits.begin(caller(), Kind.CALL)
    with pytest.raises(QuorateError) as told:
        limits.begin(caller(), Kind.CALL)
    assert told.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert told.value.retry_delay == pytest.approx(0.1)
    details = to_status(told.value).details
    assert any(detail.type_url.endswith("google.rpc.RetryInfo") for detail in details)
    # Nobody else pays for it, and processes of the cluster speak for many.
    limits.begin(caller(name="bob"), Kind.CALL)
    for _ in range(100):
        limits.begin(caller(role=Role.GATEWAY), Kind.CALL)
    clock.now += 0.11
    limits.begin(caller(), Kind.CALL)
    with pytest.raises(QuorateError):
        limits.begin(caller(), Kind.CALL)


def test_streams_beyond_the_bound_are_refused_until_one_ends():
    limits = CallerLimits(lambda name: CallLimits(open_streams=2), monotonic=Clock())
    first, _ = (limits.begin(caller(), Kind.STREAM) for _ in range(2))
    with pytest.raises(QuorateError, match="2 streams open"):
        limits.begin(caller(), Kind.STREAM)
    assert limits.begin(caller(), Kind.CALL) is None
    assert first is not None
    first()
    assert limits.begin(caller(), Kind.STREAM) is not None


def test_the_table_of_callers_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("quorate.security.limits.MOST_CALLERS", 3)
    limits = CallerLimits(lambda name: CallLimits(1), monotonic=Clock())
    for number in range(10):
        limits.begin(caller(name=f"u{number}"), Kind.CALL)
    assert len(limits._uses) == 3
