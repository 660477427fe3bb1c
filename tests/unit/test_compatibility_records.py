"""A scheduler that leads over records of the next version: what it rewrites loses nothing.

`NEXT` are the message classes of a release in which every message has a field more; each record
here has that field set, down to the innermost message.
"""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from quorate.etcd.api import Delete, Put
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from quorate.v1 import queue_pb2, service_pb2, task_pb2
from scheduler.core.machine import Machine
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import Control
from scheduler.core.values import Disconnect, Placement, ServiceName, TaskState
from scheduler.storage import keys, records
from scheduler.storage import unknown_fields as unknown
from scheduler.storage.records import NewerRecord
from scheduler.storage.replica.fold import Fold
from tests.support.core_specs import spec
from tests.support.next_release import FIELD, NOTE, classes, fill, following, present
from tests.support.tokens import Token

NEXT = classes(following(present()))
INTERNAL = "quorate.internal.v1."
TASK = TaskId("0190b2a8c0a07000800000000000000a")
INSTANCE = InstanceId("i1")
BEGAN = 1_700_000_000.0
ASKED = e.Request()
NEXT_VALUE = 99
# The answer to the request `r1`.
KEY = keys.dedup_key("q", "r1").decode()


class OldScheduler:
    """Folds records of the next version, is elected, and steps events."""

    def __init__(self) -> None:
        self.fold = Fold()
        self.record("queues/q", "QueueRecord", name="q", retention_count=1_000, create_time=BEGAN)

    def record(self, key: str, kind: str, **fields: Any) -> None:
        """A record that the next version wrote, with all its added fields set."""
        message = NEXT[INTERNAL + kind](**fields)
        fill(message)
        self.fold.put(key.encode(), message.SerializeToString(), 1)

    def task(self, **run: Any) -> None:
        self.record(f"tasks/q/{TASK}", "TaskRecord", spec=spec().spec, create_time=BEGAN)
        if run:
            self.record(f"runs/q/{TASK}", "RunRecord", **run)

    def step(self, event: e.Event) -> dict[str, bytes]:
        """What is written of it, by key."""
        machine = Machine(self.fold.state, Limits())
        codec = records.Codec(b"", self.fold.state)
        ops: list[Put | Delete] = []
        pending: list[e.Event] = [event]
        while pending:
            out = machine.step(pending.pop(0), BEGAN + 60.0)
            codec.encode(out.writes, ops)
            pending.extend(out.then)
        return {op.key.decode(): op.value for op in ops if isinstance(op, Put)}


def as_next(kind: str, value: bytes) -> Any:
    """A record as the next version reads it again."""
    return NEXT[INTERNAL + kind].FromString(value)


def test_a_queue_keeps_what_a_newer_scheduler_wrote() -> None:
    old = OldScheduler()
    written = old.step(e.QueuePauseAsked(QueueName("q"), True, ASKED, Token("t")))
    record = as_next("QueueRecord", written["queues/q"])
    assert (record.paused, getattr(record, FIELD)) == (True, NOTE)


def test_a_queue_that_is_folded_again_keeps_what_is_newest() -> None:
    """A standby follows: the row is there already when the record changes."""
    old = OldScheduler()
    changed = NEXT[INTERNAL + "QueueRecord"](name="q")
    setattr(changed, FIELD, "changed")
    old.fold.put(b"queues/q", changed.SerializeToString(), 2)
    written = old.step(e.QueuePauseAsked(QueueName("q"), True, ASKED, Token("t")))
    assert getattr(as_next("QueueRecord", written["queues/q"]), FIELD) == "changed"


def test_a_placement_nobody_here_knows_is_done_by_default_and_stays_on_record() -> None:
    old = OldScheduler()
    old.record("queues/p", "QueueRecord", name="p", placement=NEXT_VALUE, disconnect=NEXT_VALUE)
    row = old.fold.state.queues[QueueName("p")]
    assert (row.placement, row.disconnect) == (Placement.LEAST_LOADED, Disconnect.KEEP)
    written = old.step(e.QueuePauseAsked(QueueName("p"), True, ASKED, Token("t")))
    record = as_next("QueueRecord", written["queues/p"])
    assert (record.placement, record.disconnect) == (NEXT_VALUE, NEXT_VALUE)
    assert (record.paused, getattr(record, FIELD)) == (True, NOTE)


def test_a_nodes_control_keeps_what_a_newer_scheduler_wrote() -> None:
    old = OldScheduler()
    old.record("controls/n1", "NodeControlRecord", cordoned=True)
    control = old.fold.state.controls[NodeName("n1")]
    ordered = Control(False, unknown_fields=control.unknown_fields)
    written = old.step(e.NodeControlAsked(NodeName("n1"), ordered, ASKED, Token("t")))
    record = as_next("NodeControlRecord", written["controls/n1"])
    assert (record.cordoned, getattr(record, FIELD)) == (False, NOTE)


@pytest.mark.parametrize(
    ("event", "state"),
    [
        pytest.param(e.TaskCancelAsked(TASK, ASKED, Token("t")), TaskState.RUNNING, id="cancel"),
        pytest.param(e.AttemptReturned(INSTANCE, TASK, 2), TaskState.PENDING, id="returned"),
        pytest.param(e.AttemptLost(TASK, 2, INSTANCE, "gone"), TaskState.PENDING, id="lost"),
        pytest.param(
            e.AttemptSucceeded(INSTANCE, TASK, 2, BEGAN, BEGAN, task_pb2.TaskResult(json="1")),
            TaskState.SUCCEEDED,
            id="succeeded",
        ),
        pytest.param(
            e.AttemptFailed(INSTANCE, TASK, 2, BEGAN, BEGAN, "X", "", task_pb2.TaskError(type="X")),
            TaskState.FAILED,
            id="failed",
        ),
    ],
)
def test_a_run_keeps_what_a_newer_scheduler_wrote(event: e.Event, state: TaskState) -> None:
    old = OldScheduler()
    past = NEXT[INTERNAL + "PastAttempt"](number=1, node="n0", error_type="Lost")
    old.task(
        state=TaskState.RUNNING, attempt=2, crashes=1, node="n1", instance=INSTANCE, past=[past]
    )
    record = as_next("RunRecord", old.step(event)[f"runs/q/{TASK}"])
    assert (record.state, getattr(record, FIELD)) == (state, NOTE)
    assert getattr(record.past[0], FIELD) == NOTE


def test_an_outcome_keeps_what_a_newer_agent_reported() -> None:
    old = OldScheduler()
    old.task(state=TaskState.RUNNING, attempt=1, node="n1", instance=INSTANCE)
    reported = NEXT["quorate.v1.TaskResult"](json="1")
    fill(reported)
    heard = task_pb2.TaskResult.FromString(reported.SerializeToString())
    event = e.AttemptSucceeded(INSTANCE, TASK, 1, BEGAN, BEGAN, heard)
    record = as_next("RunRecord", old.step(event)[f"runs/q/{TASK}"])
    assert record.result == reported


def test_a_task_that_is_retried_keeps_what_a_newer_scheduler_wrote_of_its_spec() -> None:
    old = OldScheduler()
    old.task(state=TaskState.FAILED, attempt=1, finish_time=BEGAN)
    stored = NEXT[INTERNAL + "TaskRecord"](spec=spec().spec)
    fill(stored)
    kept = unknown.unknown_fields(r.TaskRecord.FromString(stored.SerializeToString()))
    written = old.step(
        e.TaskRetryAsked(
            TASK, e.TaskRecorded(spec(), BEGAN, unknown_fields=kept), ASKED, Token("t")
        )
    )
    assert getattr(as_next("TaskRecord", written[f"tasks/q/{TASK}"]), FIELD) == NOTE


def test_the_progress_of_a_batch_keeps_what_a_newer_scheduler_wrote() -> None:
    old = OldScheduler()
    old.record(KEY, "DedupRecord", digest=b"d", queue="q", first_id=TASK, count=2, progress=1)
    event = e.BatchSubmitted(QueueName("q"), TASK, [spec()] * 2, e.Request("r1", b"d"), Token("t"))
    record = as_next("DedupRecord", old.step(event)[KEY])
    assert (record.progress, getattr(record, FIELD)) == (2, NOTE)


def test_a_service_keeps_what_a_newer_scheduler_wrote_also_inside_its_spec() -> None:
    old = OldScheduler()
    wanted = NEXT["quorate.v1.ServiceSpec"](replicas=1)
    wanted.command.argv.append("x")  # type: ignore[attr-defined]
    fill(wanted)
    old.record("service-specs/s", "ServiceRecord", name="s", version=1, generation=1, spec=wanted)
    written = old.step(e.ServiceDeleteAsked(ServiceName("s"), ASKED, Token("t")))
    record = as_next("ServiceRecord", written["service-specs/s"])
    assert (record.deleting, getattr(record, FIELD), record.spec) == (True, NOTE, wanted)


def test_a_scheduler_does_not_fold_a_state_that_it_does_not_know() -> None:
    with pytest.raises(NewerRecord, match=f"{TASK} is in state {NEXT_VALUE}"):
        OldScheduler().task(state=NEXT_VALUE, attempt=1)


def test_records_of_kinds_nobody_here_knows_are_left_alone() -> None:
    old = OldScheduler()
    old.fold.put(b"next-kind/x", b"anything", 2)
    old.fold.deleted(b"next-kind/x")
    assert QueueName("q") in old.fold.state.queues


def test_nothing_is_kept_of_a_record_of_this_version() -> None:
    running = r.RunRecord(state=task_pb2.TASK_STATE_RUNNING, attempt=1)
    for record in (running, r.QueueRecord(placement=queue_pb2.PLACEMENT_STRATEGY_ROUND_ROBIN)):
        assert unknown.unknown_fields(record) == b""
        assert unknown.unknown_fields_with_enums(record) == b""


def populated(kind: type[Message], depth: int = 4) -> Message:
    """A message with every field set, and the added ones too, in all messages within."""
    message: Any = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.message_type is None:
            value = _scalar(field)
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        elif field.message_type.GetOptions().map_entry:
            # Two, so that their order could differ.
            entry = field.message_type.fields_by_name["value"]
            entries = getattr(message, field.name)
            for key in ("a", "b"):
                if entry.message_type is None:
                    entries[key] = _scalar(entry)
                elif depth:
                    entries[key].CopyFrom(_inner(entry, depth))
        elif depth:
            inner = _inner(field, depth)
            if field.is_repeated:
                getattr(message, field.name).append(inner)
            else:
                getattr(message, field.name).CopyFrom(inner)
    return message  # type: ignore[no-any-return]


def _inner(field: Any, depth: int) -> Message:
    return populated(GetMessageClass(field.message_type), depth - 1)


def _scalar(field: Any) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.cpp_type == field.CPPTYPE_STRING:
        return b"x" if field.type == field.TYPE_BYTES else "x"
    return field.cpp_type == field.CPPTYPE_BOOL or 1


OLD = classes(present())
OURS = sorted(name for name in OLD if name.startswith("quorate."))


@pytest.mark.parametrize("name", OURS)
def test_any_message_passes_through_the_version_before_unchanged(name: str) -> None:
    sent = populated(NEXT[name])
    data = sent.SerializeToString(deterministic=True)
    read = OLD[name].FromString(data)
    assert NEXT[name].FromString(read.SerializeToString()) == sent


@pytest.mark.parametrize(
    "name", [n for n in OURS if "request_id" in OLD[n].DESCRIPTOR.fields_by_name]
)
def test_a_request_has_one_digest_with_either_version(name: str) -> None:
    """A call that was answered by one version's leader may be repeated to the other's."""
    sent = populated(NEXT[name])
    data = sent.SerializeToString(deterministic=True)
    read = OLD[name].FromString(data)
    assert read.SerializeToString(deterministic=True) == data


def test_a_service_of_the_present_version_is_what_the_codec_says() -> None:
    """The classes above are not those of the stubs; the stubs read them all the same."""
    wanted = NEXT["quorate.v1.ServiceSpec"](replicas=3)
    fill(wanted)
    assert service_pb2.ServiceSpec.FromString(wanted.SerializeToString()).replicas == 3
