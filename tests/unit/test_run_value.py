"""A status record is written in two parts, and reads as one record that has all of its fields."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.batch import weigh
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from quorate.v1 import task_pb2 as t
from scheduler.core.model.effects import PutRun, PutTask
from scheduler.core.model.rows import QueueRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import DEFAULT_RETRY, NO_NEEDS, PastAttempt, TaskState
from scheduler.storage.records.codec import Codec
from scheduler.storage.records.tasks.tasks import run_record, run_value

QUEUE = QueueRow(QueueName("q"), 1.0)
NODE, INSTANCE = NodeName("n1"), InstanceId("i1")
RESULT = t.TaskResult(json="[1]")
ERROR = t.TaskError(type="ValueError", message="no")


def row(state: TaskState, **fields: Any) -> TaskRow:
    made = TaskRow(TaskId("a"), QUEUE, 1.0, 0, DEFAULT_RETRY, NO_NEEDS, "", b"", state)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def assigned(state: TaskState, attempt: int = 1, **fields: Any) -> TaskRow:
    return row(state, attempt=attempt, node=NODE, instance=INSTANCE, assign_time=2.0, **fields)


ASSIGNED: dict[str, Any] = {"attempt": 1, "node": NODE, "instance": INSTANCE, "assign_time": 2.0}
PAST = PastAttempt(1, NODE, INSTANCE, 2.0, 3.0, 4.0, "ValueError", "no")


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (PutRun(row(TaskState.PENDING)), r.RunRecord()),
        (PutRun(assigned(TaskState.RUNNING)), r.RunRecord(**ASSIGNED)),
        (
            PutRun(assigned(TaskState.RUNNING, start_time=3.0)),
            r.RunRecord(start_time=3.0, **ASSIGNED),
        ),
        (
            PutRun(assigned(TaskState.SUCCEEDED, start_time=3.0), 4.0, RESULT),
            r.RunRecord(start_time=3.0, finish_time=4.0, result=RESULT, **ASSIGNED),
        ),
        (
            PutRun(assigned(TaskState.FAILED, failures=1), 4.0, None, ERROR),
            r.RunRecord(failures=1, finish_time=4.0, error=ERROR, **ASSIGNED),
        ),
        (
            PutRun(row(TaskState.CANCELLED, cancel_requested=True), 4.0, None, None, "C", "why"),
            r.RunRecord(
                cancel_requested=True,
                finish_time=4.0,
                error=t.TaskError(type="C", message="why"),
            ),
        ),
        (
            PutRun(row(TaskState.SCHEDULED, attempt=1, crashes=1, not_before=9.0, past=(PAST,))),
            r.RunRecord(
                attempt=1,
                crashes=1,
                not_before=9.0,
                past=[
                    r.PastAttempt(
                        number=1,
                        node=NODE,
                        instance=INSTANCE,
                        assign_time=2.0,
                        start_time=3.0,
                        finish_time=4.0,
                        error_type="ValueError",
                        error_message="no",
                    )
                ],
            ),
        ),
    ],
    ids=["pending", "assigned", "started", "succeeded", "failed", "cancelled", "scheduled"],
)
def test_a_status_record_has_all_of_its_fields(write: PutRun, expected: r.RunRecord) -> None:
    expected.state = int(write.row.state)  # type: ignore[assignment]
    assert r.RunRecord.FromString(run_value(write)) == expected
    assert run_record(write) == expected


def test_tasks_of_one_step_do_not_share_what_differs() -> None:
    one, other = assigned(TaskState.RUNNING), assigned(TaskState.RUNNING, attempt=2)
    assert run_value(PutRun(one)) == run_value(PutRun(assigned(TaskState.RUNNING)))
    assert r.RunRecord.FromString(run_value(PutRun(other))).attempt == 2


def test_tasks_share_a_spec_record_only_where_all_of_it_is_equal() -> None:
    spec = b"spec"
    early, late = row(TaskState.PENDING), row(TaskState.PENDING)
    late.create_time = 9.0
    writes = [
        PutTask(early, spec, "admin:a"),
        PutTask(early, spec, "admin:b"),
        PutTask(late, spec, "admin:b"),
        PutTask(late, b"other", "admin:b"),
        PutTask(late, b"other", "admin:b"),
    ]
    ops: list[Put | Delete] = []
    size = Codec(b"/q/", State()).encode(writes, ops)
    assert size == weigh(ops)
    assert [r.TaskRecord.FromString(op[1]) for op in ops] == [
        r.TaskRecord(spec=w.spec, create_time=w.row.create_time, created_by=w.created_by)
        for w in writes
    ]
