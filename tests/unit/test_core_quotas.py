"""Quotas of what is on record: refused at creation, the same for whoever leads next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quorate.runtime.ids import QueueName
from quorate.v1.task_pb2 import TaskResult
from scheduler.api.validate import MAX_REQUEST_ID
from scheduler.core.model import events as e
from scheduler.core.model.answers import Done, ErrorKind, Rejection, TaskCreated, TaskKnown
from scheduler.core.model.indexes.usage import UNIT, task_units
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import Quota, in_force
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec

ALICE, BOB = "submitter:alice", "submitter:bob"


def cluster(**limits: object) -> Cluster:
    return Cluster(log=Log(), limits=Limits(**limits))  # type: ignore[arg-type]


def ask(c: Cluster, creator: str, what=None, *, queue: str = "default", request=None):
    return c.call(
        lambda token: e.TaskSubmitted(
            QueueName(queue), c.new_id(), what or spec(), request or e.Request(), token, creator
        )
    )


def set_quota(c: Cluster, kind: str, name: str, **limits: Any) -> None:
    answer = c.call(
        lambda token: e.QuotaSubmitted(kind, name, replace(Quota(), **limits), e.Request(), token)
    )
    assert isinstance(answer, Done)


def test_the_task_beyond_a_callers_quota_is_refused_and_the_next_caller_is_not():
    c = cluster(caller_quota=Quota(live_tasks=2))
    assert isinstance(ask(c, ALICE), TaskCreated)
    assert isinstance(ask(c, ALICE), TaskCreated)
    rejection = ask(c, ALICE)
    assert isinstance(rejection, Rejection)
    assert (rejection.kind, rejection.reason) == (ErrorKind.EXHAUSTED, "TOO_MANY_LIVE_TASKS")
    assert (rejection.subject, rejection.name) == ("caller", ALICE)
    assert dict(rejection.metadata) == {
        "quota": "live_tasks",
        "limit": "2",
        "usage": "2",
        "asked": "1",
    }
    assert "quorate quota set --caller submitter:alice --live-tasks N" in rejection.message
    assert rejection.retry_delay == 1.0
    assert isinstance(ask(c, BOB), TaskCreated)


def test_a_finished_task_makes_room_for_a_live_one():
    c = cluster(caller_quota=Quota(live_tasks=1))
    n = c.node("n1")
    first = ask(c, ALICE)
    assert isinstance(ask(c, ALICE), Rejection)
    n.succeed(first.task)
    assert isinstance(ask(c, ALICE), TaskCreated)


def test_a_batch_beyond_the_quota_is_refused_as_a_whole():
    c = cluster(caller_quota=Quota(live_tasks=9))
    token, _ = c.batch([spec()] * 10, creator=ALICE)
    assert isinstance(c.reply(token), Rejection)
    assert not c.state.tasks
    assert not c.state.callers


def test_two_batches_do_not_take_the_same_room():
    c = cluster(caller_quota=Quota(live_tasks=10), part_tasks=3)
    c.hold_parts = True
    c.batch([spec()] * 8, creator=ALICE)
    assert len(c.state.tasks) == 3
    token, _ = c.batch([spec()] * 8, creator=ALICE)
    rejection = c.reply(token)
    assert isinstance(rejection, Rejection)
    assert dict(rejection.metadata)["usage"] == "8"
    while c.parts:
        c.step(c.parts.popleft())
    usage = c.state.callers[ALICE]
    assert (usage.live, usage.coming_tasks, usage.coming_units) == (8, 0, 0)


def test_stored_bytes_count_results_and_are_free_when_the_task_is_deleted():
    limit = 4 * UNIT
    c = cluster(caller_quota=Quota(stored_bytes=limit))
    n = c.node("n1")
    task = ask(c, ALICE).task
    light = c.state.callers[ALICE].stored_bytes
    assert light == task_units(len(spec().spec)) * UNIT
    n.succeed(task, result=TaskResult(json="x" * 1_000))
    assert c.state.callers[ALICE].stored_bytes > light
    rejection = ask(c, ALICE)
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "TOO_MANY_STORED_BYTES"
    assert dict(rejection.metadata)["limit"] == str(limit)
    assert rejection.retry_delay is None
    c.delete(task)
    assert ALICE not in c.state.callers
    assert isinstance(ask(c, ALICE), TaskCreated)


def test_a_queue_has_a_quota_for_all_its_callers_together():
    c = cluster()
    set_quota(c, "queue", "default", live_tasks=2)
    ask(c, ALICE)
    ask(c, BOB)
    rejection = ask(c, "submitter:carol")
    assert isinstance(rejection, Rejection)
    assert (rejection.subject, rejection.name) == ("queue", "default")


def test_a_retry_by_hand_counts_as_a_live_task_of_who_created_it():
    c = cluster(caller_quota=Quota(live_tasks=1))
    task = ask(c, ALICE).task
    c.cancel(task)
    ask(c, ALICE)
    answer = c.call(
        lambda t: e.TaskRetryAsked(task, e.TaskRecorded(spec(), 0.0, ALICE), e.Request(), t)
    )
    assert isinstance(answer, Rejection)
    assert answer.reason == "TOO_MANY_LIVE_TASKS"


@pytest.mark.parametrize("kind", ["followed", "loaded"])
def test_what_an_admin_set_and_what_is_used_outlive_the_leader(kind: str):
    c = cluster(caller_quota=Quota(live_tasks=100))
    set_quota(c, "caller", "*", live_tasks=3)
    set_quota(c, "caller", "role:with/slash", open_waits=7)
    set_quota(c, "caller", BOB, live_tasks=1)
    set_quota(c, "caller", BOB)
    ask(c, ALICE)
    ask(c, ALICE)
    ask(c, ALICE)
    assert c.log is not None
    c.log.flush()
    c.lead(c.log.followed() if kind == "followed" else c.log.loaded().state)
    assert set(c.state.quotas) == {("caller", "*"), ("caller", "role:with/slash")}
    assert isinstance(ask(c, ALICE), Rejection)
    assert isinstance(ask(c, BOB), TaskCreated)


def test_a_limit_is_looked_for_in_the_record_then_everybodys_then_the_default():
    c = cluster(caller_quota=Quota(live_tasks=1, stored_bytes=2, open_waits=3))
    set_quota(c, "caller", "*", stored_bytes=20, open_waits=30)
    set_quota(c, "caller", ALICE, open_waits=-1)
    found = in_force(c.state.quotas, c.machine.limits, "caller", ALICE)
    assert (found.live_tasks, found.stored_bytes, found.open_waits) == (1, 20, -1)
    assert found.open_streams == -1


# -- request ids


def asked(caller: str, digest: bytes = b"d") -> e.Request:
    return e.Request("mine", digest, caller=caller)


def test_a_request_id_that_another_caller_used_says_nothing():
    c = cluster()
    first = ask(c, ALICE, request=asked(ALICE, b"a"))
    second = ask(c, BOB, request=asked(BOB, b"b"))
    assert isinstance(second, TaskCreated)
    assert second.task != first.task
    # Each gets its own answer again, and is told of its own mistake alone.
    assert ask(c, ALICE, request=asked(ALICE, b"a")) == TaskKnown(first.task, QueueName("default"))
    assert ask(c, BOB, request=asked(BOB, b"b")) == TaskKnown(second.task, QueueName("default"))
    reused = ask(c, BOB, request=asked(BOB, b"a"))
    assert isinstance(reused, Rejection)
    assert reused.reason == "REQUEST_ID_REUSED"


def test_the_same_request_of_two_callers_makes_two_tasks():
    c = cluster()
    first = ask(c, ALICE, request=asked(ALICE))
    assert ask(c, BOB, request=asked(BOB)).task != first.task


def test_cancelling_with_an_id_that_another_caller_used_cancels():
    c = cluster()
    one, two = c.submit(), c.submit()
    c.cancel(one, asked(ALICE, b"1"))
    assert isinstance(c.cancel(two, asked(BOB, b"2")), TaskKnown)
    assert not c.state.tasks


def test_an_answer_of_an_earlier_version_is_found_by_the_same_request_alone():
    c = cluster()
    # As version 0.1 wrote it: without the caller.
    first = ask(c, ALICE, request=e.Request("mine", b"a"))
    assert ask(c, ALICE, request=asked(ALICE, b"a")).task == first.task
    assert isinstance(ask(c, BOB, request=asked(BOB, b"b")), TaskCreated)


def test_the_first_callers_answer_is_where_an_earlier_version_looks():
    c = cluster()
    ask(c, ALICE, request=asked(ALICE))
    assert ("default", "mine") in c.state.dedup


def test_an_answer_is_found_after_that_of_the_first_caller_is_gone():
    c = cluster(request_age=10.0)
    one = ask(c, ALICE, request=asked(ALICE, b"a")).task
    c.cancel(one)
    c.delete(one)
    c.advance(9.0)
    second = ask(c, BOB, request=asked(BOB, b"b")).task
    c.advance(5.0)
    c.retain(100)
    assert ("default", "mine") not in c.state.dedup
    assert ask(c, BOB, request=asked(BOB, b"b")) == TaskKnown(second, QueueName("default"))


def test_nobody_can_choose_an_id_that_is_another_callers_key():
    c = cluster()
    ask(c, ALICE, request=asked(ALICE, b"a"))
    ask(c, BOB, request=asked(BOB, b"b"))
    keys_of_ids = [request for _, request in c.state.dedup]
    assert sum(len(request) > MAX_REQUEST_ID for request in keys_of_ids) == 1
