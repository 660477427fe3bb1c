"""The audit log in the core: what is written with which change, and when entries go."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest

import scheduler.core.handlers
from quorate.etcd.api import Delete
from quorate.internal.v1.audit_pb2 import AuditRecord
from quorate.internal.v1.records_pb2 import TaskRecord
from quorate.runtime.ids import NodeName, QueueName, TaskId
from quorate.v1.audit_pb2 import AuditEntry
from scheduler.api.cluster.audit_log import RESOURCE_TYPES
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import Control
from scheduler.core.values import Change, Disconnect, Origin, Placement, ServiceName
from scheduler.storage.records import audit as audit_records
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import START, service_spec, spec
from tests.support.tokens import Token

ALICE = Origin("alice", "operator", "token", "10.0.0.1:5", "quorate.v1.Scheduler/PauseQueue")


def asked(name: str = "") -> e.Request:
    """A call of alice's."""
    return e.Request(name, name.encode(), ALICE)


def logged(**limits: Any) -> Cluster:
    return Cluster(log=Log(), limits=dataclasses.replace(Limits(), **limits))


def entries(c: Cluster) -> list[AuditEntry]:
    """What etcd holds, oldest first."""
    assert c.log is not None
    c.log.flush()
    kept = sorted((k, v) for k, v in c.log.kept.items() if k.startswith(b"audit/"))
    return [audit_records.entry(audit_records.id_of(key), value) for key, value in kept]


def told(entry: AuditEntry) -> tuple[str, str, list[tuple[str, str, str]]]:
    return (
        entry.resource_type,
        entry.resource_name,
        [(change.field, change.before, change.after) for change in entry.changes],
    )


def pause(c: Cluster, request: e.Request, *, paused: bool = True) -> object:
    return c.call(lambda token: e.QueuePauseAsked(QueueName("default"), paused, request, token))


def test_each_type_that_is_written_can_be_asked_for() -> None:
    handlers = Path(scheduler.core.handlers.__file__).parent
    notes = [
        node
        for path in handlers.rglob("*.py")
        if "audit.note(" in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.note"
    ]
    # note(state, limits, out, request, now, TYPE, name, *changes)
    types = [one.args[5] for one in notes]
    written = {ast.literal_eval(one) for one in types if isinstance(one, ast.Constant)}
    assert len(written) > 5
    assert written <= set(RESOURCE_TYPES)


# -- what is written


def test_the_entry_is_among_the_writes_of_the_change_and_says_who_and_what():
    c = logged()
    out = c.step(e.QueuePauseAsked(QueueName("default"), True, asked("r1"), Token("t")))
    assert [type(write) for write in out.writes] == [fx.PutQueue, fx.PutAudit, fx.PutDedup]
    (entry,) = entries(c)
    assert told(entry) == ("queue", "default", [("paused", "false", "true")])
    assert (entry.caller, entry.role, entry.credential) == ("alice", "operator", "token")
    assert (entry.peer, entry.method) == ("10.0.0.1:5", "quorate.v1.Scheduler/PauseQueue")
    assert entry.request_id == "r1"
    assert entry.time.ToMicroseconds() == int(START * 1e6) == int(entry.id, 16)


def test_the_caller_is_answered_after_the_entry_can_be_read():
    c = logged()
    out = c.step(e.QueuePauseAsked(QueueName("default"), True, asked(), Token("t")))
    assert [type(effect) for effect in out.after] == [fx.IndexAudit, fx.Reply]


def test_an_entry_that_is_not_durable_is_not_to_be_read_and_not_to_be_deleted():
    c = logged(audit_entries=1)
    c.commit_late = True
    pause(c, asked())
    pause(c, asked(), paused=False)
    assert len(c.state.audit) == 0
    assert c.retain().purged_audit is None
    c.commit()
    assert len(c.state.audit) == 2


@pytest.mark.parametrize(
    "twice",
    [
        lambda c, r: pause(c, r),
        lambda c, r: c.cancel(TaskId(next(iter({**c.state.tasks, **c.state.finished}))), r),
        lambda c, r: c.call(
            lambda token: e.NodeControlAsked(NodeName("n1"), Control(cordoned=True), r, token)
        ),
        lambda c, r: c.service("web", r, replicas=0),
        lambda c, r: c.call(
            lambda token: e.QueueSubmitted(
                QueueName("mail"), Placement(1), Disconnect.KEEP, 60.0, 5, r, token
            )
        ),
    ],
    ids=["pause", "cancel", "cordon", "service", "queue"],
)
def test_a_repeated_call_writes_no_second_entry(twice: Any):
    c = logged()
    c.node("n1", credit=0)
    c.submit()
    twice(c, asked("again"))
    assert len(entries(c)) == 1
    twice(c, asked("again"))
    assert len(entries(c)) == 1


def test_what_changes_nothing_or_is_refused_writes_no_entry():
    c = logged()
    node = c.node("n1")
    done = c.submit()
    node.succeed(done)
    assert isinstance(c.cancel(done, asked("a")), Rejection)
    assert isinstance(c.cancel(TaskId("f" * 32), asked("b")), Rejection)
    pause(c, asked("c"), paused=False)
    uncordon = e.NodeControlAsked(NodeName("n1"), Control(), asked("d"), Token("t"))
    c.step(uncordon)
    c.step(e.QueueDeleteAsked(QueueName("default"), asked("e"), Token("t")))
    c.step(e.QueueDeleteAsked(QueueName("none"), asked("f"), Token("t")))
    assert entries(c) == []


def test_what_no_caller_asks_for_writes_no_entry():
    c = logged()
    c.pause("default")
    c.node("n1")
    c.control("n1", Control(cordoned=True))
    assert entries(c) == []


def test_every_change_of_a_task_says_from_which_state_to_which():
    c = logged()
    node = c.node("n1", credit=1)
    runs, waits = c.submit(), c.submit()
    c.cancel(waits, asked())
    c.cancel(runs, asked())
    c.cancel(runs, asked())
    node.fail(runs, "CANCELLED")
    c.call(lambda t: e.TaskRetryAsked(waits, e.TaskRecorded(spec(), START), asked(), t))
    node.succeed(waits)
    c.call(lambda t: e.TaskDeleteAsked(waits, asked(), t))
    assert [told(entry) for entry in entries(c)] == [
        ("task", waits, [("state", "PENDING", "CANCELLED")]),
        ("task", runs, [("cancel_requested", "false", "true")]),
        ("task", waits, [("state", "CANCELLED", "PENDING")]),
        ("task", waits, [("state", "SUCCEEDED", "")]),
    ]
    assert {entry.queue for entry in entries(c)} == {"default"}


def test_queues_nodes_and_services_say_what_changed():
    c = logged()
    c.node("n1")
    c.call(
        lambda t: e.QueueSubmitted(
            QueueName("mail"), Placement.ROUND_ROBIN, Disconnect.STOP, 90.0, 7, asked(), t
        )
    )
    c.call(lambda t: e.QueueDeleteAsked(QueueName("mail"), asked(), t))
    for control in (Control(True, True, 30.0), Control()):
        c.call(lambda t, control=control: e.NodeControlAsked(NodeName("n1"), control, asked(), t))
    c.service("web", replicas=0)
    row = c.state.services[ServiceName("web")]
    new = row.spec._replace(spec=service_spec(replicas=2).SerializeToString(), replicas=2)
    changes = (Change("replicas", "0", "2"), Change("command"))
    c.call(lambda t: e.ServiceUpdateAsked(row.name, new, row.version, asked(), t, changes))
    c.call(lambda t: e.ServiceUpdateAsked(row.name, new, row.version, asked(), t, ()))
    for _ in range(2):
        c.call(lambda t: e.ServiceDeleteAsked(row.name, asked(), t))
    assert [told(entry) for entry in entries(c)] == [
        (
            "queue",
            "mail",
            [
                ("placement", "", "ROUND_ROBIN"),
                ("disconnect", "", "STOP"),
                ("retention.age", "", "90s"),
                ("retention.count", "", "7"),
            ],
        ),
        ("queue", "mail", []),
        (
            "node",
            "n1",
            [
                ("cordoned", "false", "true"),
                ("draining", "false", "true"),
                ("drain_grace", "0s", "30s"),
            ],
        ),
        (
            "node",
            "n1",
            [
                ("cordoned", "true", "false"),
                ("draining", "true", "false"),
                ("drain_grace", "30s", "0s"),
            ],
        ),
        ("service", "web", [("replicas", "0", "2"), ("command", "", "")]),
        ("service", "web", []),
    ]


def test_values_are_cut_and_changes_are_bounded():
    many = tuple(Change(f"f{n}", "x" * 1_000, "y") for n in range(50))
    write = fx.PutAudit(1, ALICE, "r", "service", "web", "", many)
    record = audit_records.record(write)
    assert len(record.entry.changes) == 16
    assert record.entry.changes[0].before == "x" * 256
    assert record.ByteSize() < 12 << 10


def test_ids_grow_within_an_instant_and_when_the_clock_stands():
    c = logged()
    for turn in range(4):
        pause(c, asked(), paused=turn % 2 == 0)
    ids = [int(entry.id, 16) for entry in entries(c)]
    assert ids == list(range(ids[0], ids[0] + 4))


def test_a_new_leader_gives_no_id_twice():
    c = logged()
    for turn in range(3):
        pause(c, asked(), paused=turn % 2 == 0)
    assert c.log is not None
    c.log.flush()
    before = [entry.id for entry in entries(c)]
    c.lead(c.log.loaded().state)
    pause(c, asked(), paused=False)
    after = [entry.id for entry in entries(c)]
    assert after[:3] == before
    assert after[3] > before[2]


def test_nothing_is_written_where_the_log_is_off_and_what_there_was_goes():
    c = logged()
    pause(c, asked())
    c.machine.limits = dataclasses.replace(c.limits, audit_entries=0)
    pause(c, asked(), paused=False)
    assert len(entries(c)) == 1
    c.retain()
    assert entries(c) == []


# -- retention


def test_the_oldest_go_when_there_are_too_many():
    c = logged(audit_entries=3)
    for turn in range(5):
        pause(c, asked(), paused=turn % 2 == 0)
    ids = [entry.id for entry in entries(c)]
    c.retain()
    assert [entry.id for entry in entries(c)] == ids[2:]
    assert len(c.state.audit) == 3
    assert c.retain().purged_audit is None


def test_those_that_are_too_old_go():
    c = logged(audit_age=100.0)
    pause(c, asked())
    c.advance(60.0)
    pause(c, asked(), paused=False)
    c.retain()
    assert len(entries(c)) == 2
    c.advance(41.0)
    c.retain()
    assert [told(entry)[2] for entry in entries(c)] == [[("paused", "true", "false")]]


def test_retention_is_one_deletion_and_bounded():
    c = logged(audit_entries=1)
    for turn in range(10):
        pause(c, asked(), paused=turn % 2 == 0)
    entries(c)
    out = c.machine.step(e.RetentionDue(4), c.now)
    assert out.writes == []
    (delete,) = c.codec.encode_purges(out)
    assert isinstance(delete, Delete)
    assert c.log is not None
    assert sum(delete.key <= key < delete.range_end for key in c.log.kept) == 4


# -- who created a task


def created_by(c: Cluster) -> dict[str, str]:
    assert c.log is not None
    c.log.flush()
    return {
        key.rpartition(b"/")[2].decode(): TaskRecord.FromString(value).created_by
        for key, value in c.log.kept.items()
        if key.startswith(b"tasks/")
    }


def test_tasks_say_who_created_them_and_write_no_entry():
    c = logged()
    c.hold_parts = True
    c.machine.limits = dataclasses.replace(c.limits, part_tasks=2)
    first, several = c.new_id(), c.new_id()
    c.step(
        e.TaskSubmitted(
            QueueName("default"), first, spec(), e.Request(), Token("a"), "submitter:bob"
        )
    )
    c.step(
        e.BatchSubmitted(
            QueueName("default"), several, [spec()] * 3, e.Request("r"), Token("b"), "submitter:eve"
        )
    )
    while c.parts:
        c.step(c.parts.popleft())
    assert sorted(created_by(c).values()) == ["submitter:bob"] + ["submitter:eve"] * 3
    assert entries(c) == []


def test_a_retry_by_hand_keeps_who_created_the_task():
    c = logged()
    task = c.submit()
    c.cancel(task)
    c.call(
        lambda t: e.TaskRetryAsked(task, e.TaskRecorded(spec(), START, "submitter:bob"), asked(), t)
    )
    assert created_by(c)[task] == "submitter:bob"


# -- a standby


def test_a_standby_knows_the_entries_whether_it_followed_or_loaded():
    c = logged(audit_entries=4)
    for turn in range(7):
        pause(c, asked(), paused=turn % 2 == 0)
    entries(c)
    c.retain()
    assert c.log is not None
    for fold in (c.log.fold, c.log.loaded()):
        index = fold.state.audit
        assert len(index) == len(c.state.audit) == 4
        assert index.below(1 << 60, 0, 10) == c.state.audit.below(1 << 60, 0, 10)
        assert index.last == c.state.audit.last


def test_an_entry_that_was_overtaken_finds_its_place_and_one_known_is_not_doubled():
    c = logged()
    index = c.state.audit
    for entry in (5, 9, 7, 9, 5):
        index.add(entry)
    assert index.below(100, 0, 10) == [5, 7, 9]
    assert index.below(9, 6, 10) == [7]
    assert index.below(100, 0, 2) == [7, 9]
    index.discard(7)
    index.discard(8)
    assert index.below(100, 0, 10) == [5, 9]


def test_the_record_is_where_the_docs_say():
    c = logged()
    pause(c, asked())
    assert c.log is not None
    c.log.flush()
    (key,) = [key for key in c.log.kept if key.startswith(b"audit/")]
    assert key == b"audit/" + f"{int(START * 1e6):016x}".encode()
    assert AuditRecord.FromString(c.log.kept[key]).entry.id == ""
