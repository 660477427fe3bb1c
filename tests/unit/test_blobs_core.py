"""Large values in the core: what tasks name, how long they may, and what a standby folds."""

from __future__ import annotations

import pytest

from quorate.blobs.names import Blob, upload_id
from quorate.v1 import task_pb2
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone, Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import QUEUE, Quota
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.placement.unplaceable import why_unplaceable
from scheduler.core.values import BLOB_STORE, BulkAct, TaskSpec, TaskState
from scheduler.storage import records
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import START, spec_update
from tests.support.same_state import differences

HOUR = 3_600.0


def blob(uploaded: float = START, size: int = 1_000, digit: str = "a") -> Blob:
    return Blob(digit * 64, upload_id(uploaded, 7), size)


def named(what: Blob) -> TaskSpec:
    message = task_pb2.TaskSpec()
    message.python.entrypoint = "m:f"
    message.python.pickle = b""
    message.payload_blob.sha256, message.payload_blob.upload, message.payload_blob.size = what
    return records.task_spec(message, message.SerializeToString(deterministic=True))


def result(what: Blob) -> task_pb2.TaskResult:
    message = task_pb2.TaskResult(pickle=b"")
    message.blob.sha256, message.blob.upload, message.blob.size = what
    return message


def succeed(c: Cluster, node: FakeNode, task: str, what: Blob) -> None:
    row = c.state.tasks[task]  # type: ignore[index]
    c.step(e.AttemptSucceeded(node.instance, row.id, row.attempt, c.now, c.now, result(what), what))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def c(log: Log) -> Cluster:
    return Cluster(log=log)


def agree(c: Cluster, log: Log) -> None:
    log.flush()
    assert differences(c.state, log.fold.state) == []


def test_a_task_waits_for_a_node_that_has_a_store(c: Cluster, log: Log) -> None:
    c.node("plain", credit=2)
    task = c.submit(named(blob()))
    assert c.state_of(task) is TaskState.PENDING
    why = why_unplaceable(c.state, c.row(task).needs)
    assert why.startswith("no node has a blob store (--blob-url)")
    c.node("n1", credit=2, counters={BLOB_STORE: 1_000_000})
    assert c.place_of(task) == "n1"
    agree(c, log)


def test_payload_and_result_are_named_until_the_task_is_deleted(c: Cluster, log: Log) -> None:
    node = c.node("n1", credit=2, counters={BLOB_STORE: 1_000_000})
    payload, value = blob(), blob(digit="b", size=50)
    task = c.submit(named(payload), creator="submitter:ci")
    succeed(c, node, task, value)
    assert payload.name in c.state.blobs
    assert value.name in c.state.blobs
    assert c.state.blobs.bytes == 1_050
    assert c.state.callers["submitter:ci"].blob_bytes == 1_050
    agree(c, log)
    c.delete(task)
    assert payload.name not in c.state.blobs
    assert len(c.state.blobs) == 0
    assert c.state.blobs.bytes == 0
    agree(c, log)


def test_two_tasks_may_name_one_object_and_it_stays_while_one_is_left(c: Cluster) -> None:
    one, other = c.submit(named(blob())), c.submit(named(blob()))
    c.cancel(one)
    c.delete(one)
    assert blob().name in c.state.blobs
    c.cancel(other)
    c.delete(other)
    assert blob().name not in c.state.blobs


def test_a_retry_by_hand_keeps_the_payload(c: Cluster, log: Log) -> None:
    payload = blob()
    task = c.submit(named(payload))
    c.cancel(task)
    c.advance(50 * HOUR)
    c.retry(task, named(payload))
    assert c.state_of(task) is TaskState.PENDING
    assert payload.name in c.state.blobs
    assert c.state.blobs.bytes == payload.size
    agree(c, log)


def refusal(c: Cluster, what: Blob) -> object:
    task = c.new_id()
    return c.call(lambda token: e.TaskSubmitted("default", task, named(what), e.Request(), token))  # type: ignore[arg-type]


@pytest.mark.parametrize("age", [HOUR + 1, -HOUR - 1, 1_000 * HOUR])
def test_a_payload_that_may_be_deleted_is_refused(c: Cluster, age: float) -> None:
    answer = refusal(c, blob(START - age))
    assert isinstance(answer, Rejection)
    assert answer.reason == "BLOB_EXPIRED"
    assert answer.field == "spec.payload_blob"


def test_an_old_payload_may_be_named_while_a_task_names_it(c: Cluster) -> None:
    payload = blob()
    task = c.submit(named(payload))
    c.advance(100 * HOUR)
    assert not isinstance(refusal(c, payload), Rejection)
    c.cancel(task)
    c.delete(task)
    # The second task names it still.
    assert not isinstance(refusal(c, payload), Rejection)


@pytest.mark.parametrize("age", [25 * HOUR, -2 * HOUR])
def test_a_result_that_is_reported_too_late_is_a_failure(c: Cluster, log: Log, age: float) -> None:
    node = c.node("n1", credit=2, counters={BLOB_STORE: 1_000_000})
    task = c.submit()
    late = blob(START - age, digit="c")
    succeed(c, node, task, late)
    assert c.state_of(task) is TaskState.FAILED
    assert late.name not in c.state.blobs
    agree(c, log)


CI = "submitter:ci"


def test_two_batches_do_not_take_the_same_room_for_large_payloads() -> None:
    c = Cluster(limits=Limits(caller_quota=Quota(blob_bytes=2_500), part_tasks=1))
    c.hold_parts = True
    c.batch([named(blob()), named(blob(digit="b"))], creator=CI)
    assert len(c.state.tasks) == 1
    token, _ = c.batch([named(blob(digit="c"))], creator=CI)
    refused = c.reply(token)
    assert isinstance(refused, Rejection)
    assert dict(refused.metadata)["usage"] == "2000"
    while c.parts:
        c.step(c.parts.popleft())
    usage = c.state.callers[CI]
    assert (usage.blob_bytes, usage.coming_blobs) == (2_000, 0)
    queue = c.state.queues[DEFAULT_QUEUE].usage
    assert (queue.blob_bytes, queue.coming_blobs) == (2_000, 0)


def test_an_edited_spec_of_a_retry_names_what_is_there_and_fits() -> None:
    c = Cluster(limits=Limits(caller_quota=Quota(blob_bytes=2_500)))
    task = c.submit(named(blob()), creator=CI)
    c.cancel(task)

    def retry(spec: TaskSpec, edited: bool = True) -> object:
        record = e.TaskRecorded(spec, 0.0, CI)
        return c.call(lambda token: e.TaskRetryAsked(task, record, e.Request(), token, edited))

    for spec, reason in (
        (named(blob(START - HOUR - 1, digit="b")), "BLOB_EXPIRED"),
        (named(blob(size=2_501)), "TOO_MANY_BLOB_BYTES"),
    ):
        refused = retry(spec)
        assert isinstance(refused, Rejection)
        assert refused.reason == reason
    assert not isinstance(retry(named(blob(size=2_500))), Rejection)
    assert c.state.callers[CI].blob_bytes == 2_500


def test_a_task_moves_only_to_a_queue_with_room_for_its_large_payload() -> None:
    log = Log()
    c = Cluster(log=log)
    c.queue("there")
    quota = Quota(blob_bytes=1_500)
    c.call(lambda token: e.QuotaSubmitted(QUEUE, "there", quota, e.Request(), token))
    tasks = [c.submit(named(blob(digit=digit))) for digit in "ab"]
    plain = c.submit()
    asked = e.BulkAsked(
        [*tasks, plain],
        frozenset(),
        e.Request(),
        c.token(),
        act=BulkAct.UPDATE,
        update=spec_update(to="there"),
    )
    answer = c.call(lambda token: asked._replace(token=token))
    assert isinstance(answer, BulkDone)
    # Moved, and refused.
    assert (answer.counts[0], answer.counts[4]) == (2, 1)
    assert [c.row(task).queue.name for task in (*tasks, plain)] == ["there", "default", "there"]
    agree(c, log)


def test_the_quota_of_a_caller_counts_what_its_tasks_name() -> None:
    c = Cluster(limits=Limits(caller_quota=Quota(blob_bytes=2_500)))
    one = c.submit(named(blob()), creator="submitter:ci")
    c.submit(named(blob(digit="b")), creator="submitter:ci")
    third = named(blob(digit="c"))

    def ask() -> object:
        task = c.new_id()
        return c.call(
            lambda token: e.TaskSubmitted(
                DEFAULT_QUEUE, task, third, e.Request(), token, "submitter:ci"
            )
        )

    answer = ask()
    assert isinstance(answer, Rejection)
    assert answer.reason == "TOO_MANY_BLOB_BYTES"
    c.submit(third, creator="submitter:other")
    c.submit(creator="submitter:ci")
    c.cancel(one)
    c.delete(one)
    assert not isinstance(ask(), Rejection)
