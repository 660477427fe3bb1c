"""Batches: written in parts, gone on with after any failure, answered once."""

from __future__ import annotations

from quorate.runtime.ids import QueueName
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import BatchCreated, Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import PauseScope, QueuePause, TaskState
from tests.support.core import Cluster, ids
from tests.support.core_log import Log
from tests.support.core_specs import spec

REQUEST = e.Request("batch", b"digest")
PARTS_OF_TWO = Limits(part_tasks=2)


def put_tasks(out: fx.Effects) -> list[str]:
    return [write.row.id for write in out.writes if isinstance(write, fx.PutTask)]


def test_batch_is_written_in_parts_and_answered_when_it_is_whole():
    c = Cluster(limits=PARTS_OF_TWO)
    c.hold_parts = True
    token, first = c.batch([spec()] * 5, request=REQUEST)
    assert list(c.state.tasks) == ids(first, 2)
    assert c.state.dedup["default", "batch"].progress == 2
    assert c.reply(token) is None
    while c.parts:
        assert c.reply(token) is None
        c.step(c.parts.popleft())
    assert c.reply(token) == BatchCreated(first, 5)
    assert list(c.state.tasks) == ids(first, 5)


def test_each_part_writes_its_tasks_and_its_progress_together():
    c = Cluster(limits=PARTS_OF_TWO)
    c.hold_parts = True
    _, first = c.batch([spec()] * 3, request=REQUEST)
    out = c.step(c.parts.popleft())
    assert put_tasks(out) == ids(first, 3)[2:]
    progress = [write for write in out.writes if isinstance(write, fx.PutDedup)]
    assert [write.row.progress for write in progress] == [3]


def test_parts_are_cut_by_bytes_too_but_hold_at_least_one_task():
    big = spec(payload=b"x" * 1_000)
    c = Cluster(limits=Limits(part_bytes=2_700))
    c.hold_parts = True
    _, first = c.batch([big] * 5, request=REQUEST)
    assert list(c.state.tasks) == ids(first, 2)
    tiny = Cluster(limits=Limits(part_bytes=10))
    token, first = tiny.batch([big] * 3, request=REQUEST)
    assert tiny.reply(token) == BatchCreated(first, 3)


def test_repeat_of_a_finished_batch_gets_the_first_answer():
    c = Cluster(limits=PARTS_OF_TWO)
    _, first = c.batch([spec()] * 5, request=REQUEST)
    token, second = c.batch([spec()] * 5, request=REQUEST)
    assert second != first
    assert c.reply(token) == BatchCreated(first, 5)
    assert len(c.state.tasks) == 5


def test_repeat_of_a_batch_under_way_is_answered_together_with_the_first():
    c = Cluster(limits=PARTS_OF_TWO)
    c.hold_parts = True
    one, first = c.batch([spec()] * 4, request=REQUEST)
    two, _ = c.batch([spec()] * 4, request=REQUEST)
    three, _ = c.batch([spec()] * 4, request=REQUEST)
    assert len(c.parts) == 1
    c.step(c.parts.popleft())
    assert not c.parts
    for token in (one, two, three):
        assert c.reply(token) == BatchCreated(first, 4)
    assert len(c.state.tasks) == 4
    # Those who come later are answered from the record.
    four, _ = c.batch([spec()] * 4, request=REQUEST)
    assert c.reply(four) == BatchCreated(first, 4)


def test_callers_that_wait_for_a_batch_are_bounded():
    c = Cluster(limits=Limits(part_tasks=1, batch_waiters=2))
    c.hold_parts = True
    tokens = [c.batch([spec()] * 2, request=REQUEST)[0] for _ in range(5)]
    refused = [token for token in tokens if isinstance(c.reply(token), Rejection)]
    assert 1 <= len(refused) < 4
    answer = c.reply(refused[0])
    assert isinstance(answer, Rejection)
    assert answer.reason == "TOO_MANY_BATCH_WAITERS"
    c.step(c.parts.popleft())
    assert all(c.reply(token) is not None for token in tokens)


def test_another_body_is_refused_while_the_batch_is_under_way():
    c = Cluster(limits=PARTS_OF_TWO)
    c.hold_parts = True
    c.batch([spec()] * 4, request=REQUEST)
    token, _ = c.batch([spec()] * 3, request=e.Request("batch", b"another"))
    answer = c.reply(token)
    assert isinstance(answer, Rejection)
    assert answer.reason == "REQUEST_ID_REUSED"


def test_batch_beyond_the_limit_of_live_tasks_is_refused_as_a_whole():
    c = Cluster(limits=Limits(live_tasks=4, part_tasks=2))
    token, _ = c.batch([spec()] * 5, request=REQUEST)
    answer = c.reply(token)
    assert isinstance(answer, Rejection)
    assert answer.reason == "TOO_MANY_LIVE_TASKS"
    assert not c.state.tasks
    assert not c.state.dedup


def test_batch_without_a_request_id_is_created_whole():
    c = Cluster(limits=PARTS_OF_TWO)
    token, first = c.batch([spec()] * 5)
    assert c.reply(token) == BatchCreated(first, 5)
    assert not c.state.dedup


def test_repeat_after_failover_goes_on_under_the_first_ids():
    log = Log()
    c = Cluster(limits=PARTS_OF_TWO, log=log)
    c.hold_parts = True
    token, first = c.batch([spec()] * 5, request=REQUEST)
    c.lead(log.followed())
    assert c.reply(token) is None
    c.hold_parts = False
    # A pause lets a creation that has begun be completed.
    pause = QueuePause(PauseScope.ADMISSION)
    c.call(lambda token: e.QueuePauseAsked(DEFAULT_QUEUE, True, e.Request(), token, pause))
    token, _ = c.batch([spec()] * 5, request=REQUEST)
    assert c.reply(token) == BatchCreated(first, 5)
    assert sorted(c.state.tasks) == ids(first, 5)


def test_batch_repeated_after_its_first_half_ran_and_was_deleted_by_retention():
    log = Log()
    c = Cluster(limits=PARTS_OF_TWO, log=log)
    queue = c.queue("brief", age=60.0)
    n = c.node("n1")
    c.hold_parts = True
    _, first = c.batch([spec()] * 4, queue=queue, request=REQUEST)
    half = ids(first, 4)[:2]
    for task in half:
        n.succeed(task)
    c.lead(log.loaded().state)
    c.advance(61)
    c.retain()
    assert not c.state.finished
    c.hold_parts = False
    token, _ = c.batch([spec()] * 4, queue=queue, request=REQUEST)
    assert c.reply(token) == BatchCreated(first, 4)
    assert sorted(c.state.tasks) == ids(first, 4)[2:]


def test_older_ids_of_a_batch_gone_on_with_go_before_younger_tasks():
    log = Log()
    c = Cluster(limits=PARTS_OF_TWO, log=log)
    c.hold_parts = True
    _, first = c.batch([spec()] * 4, request=REQUEST)
    young = c.submit()
    c.lead(log.followed())
    c.hold_parts = False
    c.batch([spec()] * 4, request=REQUEST)
    n = c.node("n1", credit=1)
    for task in [*ids(first, 4), young]:
        assert list(n.has) == [task]
        n.succeed(task)


def test_queue_deleted_between_two_parts_ends_the_batch_for_all_its_callers():
    c = Cluster(limits=PARTS_OF_TWO)
    queue = c.queue("brief", age=0.0)
    n = c.node("n1")
    c.hold_parts = True
    one, first = c.batch([spec()] * 4, queue=queue, request=REQUEST)
    two, _ = c.batch([spec()] * 4, queue=queue, request=REQUEST)
    for task in ids(first, 2):
        n.succeed(task)
    c.retain()
    c.call(lambda token: e.QueueDeleteAsked(queue, e.Request(), token))
    assert queue not in c.state.queues
    c.step(c.parts.popleft())
    for token in (one, two):
        answer = c.reply(token)
        assert isinstance(answer, Rejection)
        assert answer.reason == "QUEUE_NOT_FOUND"


def test_every_task_of_a_batch_has_its_own_settings():
    c = Cluster()
    token, first = c.batch([spec(priority=1), spec(), spec(not_before=c.now + 5)])
    assert isinstance(c.reply(token), BatchCreated)
    states = [c.state_of(task) for task in ids(first, 3)]
    assert states == [TaskState.PENDING, TaskState.PENDING, TaskState.SCHEDULED]
    assert c.state.queues[QueueName("default")].pending.size == 2
