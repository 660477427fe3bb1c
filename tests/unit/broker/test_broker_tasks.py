"""Messages that are routed to a task queue become tasks."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import QueueName
from quorate.v1 import task_pb2
from scheduler.api.asking import ask
from scheduler.core.broker import events as be
from scheduler.core.broker.answers import PublishAnswer, ResultKind
from scheduler.core.broker.intake import EVENT_HEADER, Asked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.queues.envelope import of_payload
from scheduler.core.broker.routing.fields import text
from scheduler.core.broker.routing.rows import DestinationKind
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueSpec,
    Overflow,
    QueueUid,
    SessionId,
    SubscribeSpec,
)
from scheduler.core.jobs.from_message import made_of
from scheduler.core.model import events as e
from scheduler.core.values import LengthPolicy, PauseScope, QueueLimits, QueuePause, TaskState
from scheduler.storage import records
from scheduler.storage.replica.fold import Fold
from tests.support.broker import publication
from tests.support.broker_term import Follower, leading
from tests.support.message_tasks import (
    COMMAND,
    bind,
    bodies,
    bound,
    exchange,
    publish,
    set_template,
    spec_of,
    task_queue,
    tasks,
)

C = grpc.StatusCode


async def message_queue(term: Any, name: str, **spec: Any) -> None:
    uid = QueueUid(name.encode().hex().zfill(16)[:16])
    declared = MessageQueueSpec(**spec)
    await term.broker.call(
        lambda token: be.MessageQueueDeclared("/", name, declared, SessionId(""), uid, token)
    )


async def test_each_message_becomes_one_task_in_the_commit_of_its_copies():
    store = MemoryEtcd()
    async with leading(store) as term:
        await bound(term)
        await message_queue(term, "copies")
        await bind(term, "x", "copies", DestinationKind.QUEUE)
        before = store._revision
        sent = [publication(b"%d" % n, "photos", "x", message_id=f"m{n}") for n in range(3)]
        answer = await publish(term, sent)
        assert answer == PublishAnswer()
        assert store._revision == before + 1, "one Txn"
        rows = tasks(term)
        assert bodies(term) == [b"0", b"1", b"2"]
        assert [row.creator.name for row in rows] == ["operator:ann"] * 3
        assert rows[0].state is TaskState.PENDING
        spec = spec_of(rows[1])
        assert spec.command == COMMAND.command
        assert (spec.message.routing_key, spec.message.properties.message_id) == ("photos", "m1")
        assert term.broker.state.queue("/", "copies").ready == 3
        standby = Follower(store).follow().state
        assert {row.id: row.spec for row in standby.tasks.values()} == {
            row.id: row.spec for row in rows
        }


async def test_numbers_of_a_producer_make_no_second_task():
    async with leading(MemoryEtcd()) as term:
        await bound(term)
        sent = [publication(b"%d" % n, "", "x", number=n) for n in (1, 2)]
        for _ in range(2):
            assert await publish(term, sent, "p") == PublishAnswer()
        await publish(term, [publication(b"3", "", "x", number=3)], "p")
        assert bodies(term) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("known", [False, True])
async def test_what_the_core_knows_of_a_task_is_what_it_reads_back(known: bool):
    template = task_pb2.TaskSpec(
        python=task_pb2.PythonWork(entrypoint="a:b", json='[1, "x"]'),
        priority=7 if known else 0,
        labels={"team": "a"},
    )
    if known:
        template.start_deadline.FromSeconds(5)
        template.ordering_key = "mine"
        template.unique.key = "one"
    row = records.message_template(template.SerializeToString(deterministic=True))
    assert row is not None
    for properties in (
        {},
        {"priority": 9},
        {"deliver_after": Duration(seconds=3, nanos=500_000_000)},
        {"expiration": Duration(seconds=9), "deliver_after": Duration(seconds=3)},
        {"expiration": Duration(seconds=1), "deliver_after": Duration(seconds=3)},
        {"ordering_key": "ka", "priority": 1},
        {"headers": {EVENT_HEADER: {"text": "task.q.failed"}}},
    ):
        one = publication(b"body", "key", "x", **properties)
        _, parsed = of_payload(one.payload)
        made = made_of(row, Asked("q", one.payload, parsed, 1_700_000_000.25))
        assert made == records.recorded_spec(made.spec), properties
        assert task_pb2.TaskSpec.FromString(made.spec).message.body == b"body"
    assert made.from_event


async def test_a_message_decides_when_its_task_may_start():
    async with leading(MemoryEtcd()) as term:
        await bound(term)
        later, soon = Duration(seconds=60), Duration(seconds=30)
        await publish(term, [publication(b"a", "", "x", deliver_after=later)])
        await publish(term, [publication(b"b", "", "x", expiration=soon, priority=4)])
        first, second = tasks(term)
        assert first.state is TaskState.SCHEDULED
        assert first.not_before == pytest.approx(first.create_time + 60, abs=1)
        assert second.expire_at == pytest.approx(second.create_time + 30, abs=1)
        assert second.priority == 4


async def test_a_queue_is_bound_only_with_a_template():
    async with leading(MemoryEtcd()) as term:
        await exchange(term, "x")
        await task_queue(term, template=None)
        for name, code, reason in (
            ("work", C.FAILED_PRECONDITION, "QUEUE_WITHOUT_TEMPLATE"),
            ("other", C.NOT_FOUND, "QUEUE_NOT_FOUND"),
        ):
            with pytest.raises(QuorateError) as refused:
                await bind(term, "x", name)
            assert (refused.value.code, refused.value.reason) == (code, reason)
        await set_template(term, "work", COMMAND)
        await bind(term, "x", "work")


async def test_a_bound_queue_stays_and_so_does_its_template():
    async with leading(MemoryEtcd()) as term:
        await bound(term)
        asked = e.Request()
        with pytest.raises(QuorateError) as refused:
            await set_template(term, "work", None)
        assert refused.value.reason == "QUEUE_BOUND"
        assert refused.value.metadata["bindings"] == "1"
        delete = lambda token: e.QueueDeleteAsked(QueueName("work"), asked, token)  # noqa: E731
        with pytest.raises(QuorateError) as refused:
            await ask(term.driver, asked, delete)
        assert refused.value.reason == "QUEUE_BOUND"
        await term.broker.call(lambda token: be.ExchangeDeleteAsked("/", "x", False, token))
        await set_template(term, "work", None)
        await ask(term.driver, asked, delete)


async def refusal(term: Any, one: be.Publication) -> QuorateError:
    """Why a message is rejected, which then is in no queue."""
    before = term.broker.state.queue("/", "copies").ready
    (result,) = (await publish(term, [one])).results
    assert result.kind is ResultKind.REJECTED
    assert term.broker.state.queue("/", "copies").ready == before
    error: QuorateError = result.error
    return error


async def refusing(term: Any, **queue: Any) -> None:
    await bound(term, **queue)
    await message_queue(term, "copies")
    await bind(term, "x", "copies", DestinationKind.QUEUE)


async def test_a_full_queue_rejects():
    async with leading(MemoryEtcd()) as term:
        await refusing(term, limits=QueueLimits(max_length=2))
        sent = [publication(b"%d" % n, "", "x") for n in range(3)]
        (result,) = (await publish(term, sent)).results
        assert (result.position, result.error.reason) == (2, "QUEUE_FULL")
        assert bodies(term) == [b"0", b"1"]
        error = await refusal(term, publication(b"more", "", "x"))
        assert (error.code, error.reason) == (C.RESOURCE_EXHAUSTED, "QUEUE_FULL")


async def test_a_full_queue_may_drop_its_oldest_task():
    async with leading(MemoryEtcd()) as term:
        limits = QueueLimits(max_length=2, length_policy=LengthPolicy.DROP_OLDEST)
        await bound(term, limits=limits)
        await publish(term, [publication(b"%d" % n, "", "x") for n in range(4)])
        assert bodies(term) == [b"2", b"3"]
        await term.driver.barrier()
        assert len(term.driver.state.finished) == 2


async def test_a_queue_that_accepts_no_tasks_rejects():
    async with leading(MemoryEtcd()) as term:
        await refusing(term)
        asked = e.Request()
        pause = QueuePause(PauseScope.ADMISSION)
        await ask(
            term.driver,
            asked,
            lambda token: e.QueuePauseAsked(QueueName("work"), True, asked, token, pause),
        )
        error = await refusal(term, publication(b"x", "", "x"))
        assert (error.code, error.reason) == (C.FAILED_PRECONDITION, "QUEUE_PAUSED")


async def test_a_body_that_is_too_large_for_a_task_is_rejected():
    async with leading(MemoryEtcd()) as term:
        await refusing(term)
        error = await refusal(term, publication(bytes(256 << 10), "", "x"))
        assert (error.code, error.reason) == (C.INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE")
        assert error.metadata["limit"] == str(256 << 10)
        assert error.field == "message"


@pytest.mark.parametrize("conflict", ["RETURN_EXISTING", "REJECT", "REPLACE"])
async def test_unique_keys_act_as_for_create_task(conflict: str):
    template = task_pb2.TaskSpec()
    template.CopyFrom(COMMAND)
    template.unique.key = "one"
    template.unique.on_conflict = getattr(task_pb2, f"UNIQUE_CONFLICT_{conflict}")
    async with leading(MemoryEtcd()) as term:
        await bound(term, template=template)
        sent = [publication(b"a", "", "x"), publication(b"b", "", "x")]
        answer = await publish(term, sent)
        if conflict == "REJECT":
            assert [one.error.reason for one in answer.results] == ["TASK_ALREADY_EXISTS"]
        else:
            assert answer == PublishAnswer()
        assert bodies(term) == [b"b" if conflict == "REPLACE" else b"a"]


async def test_a_task_queue_counts_as_a_route():
    async with leading(MemoryEtcd()) as term:
        await message_queue(term, "others")
        await exchange(term, "unrouted")
        await bind(term, "unrouted", "others", DestinationKind.QUEUE)
        await task_queue(term)
        await exchange(term, "outer", arguments=(("alternate-exchange", text("unrouted")),))
        await exchange(term, "inner")
        await bind(term, "outer", "inner", DestinationKind.EXCHANGE)
        await bind(term, "inner", "work")
        one = publication(b"a", "", "outer", mandatory=True)
        assert await publish(term, [one]) == PublishAnswer()
        await bind(term, "outer", "work")
        assert await publish(term, [one]) == PublishAnswer()
        assert bodies(term) == [b"a", b"a"], "once, whatever the number of ways"
        assert term.broker.state.queue("/", "others").ready == 0


async def test_a_dead_letter_becomes_a_task_also_of_a_full_queue():
    async with leading(MemoryEtcd()) as term:
        await bound(term, limits=QueueLimits(max_length=1))
        await publish(term, [publication(b"before", "", "x")])
        await message_queue(term, "in", dead_letter_exchange="x")
        await publish(term, [publication(b"bad", "in")])
        session = SessionId("a session of the tests")
        spec = SubscribeSpec(ConsumerNumber(1), "in")
        await term.broker.call(lambda token: be.SessionOpened(session, "", "/", [spec], [], token))
        while not term.sessions.deliveries:
            await term.driver.barrier()
        (delivery,) = term.sessions.deliveries
        ids, out = [delivery.id], be.Outcome.REJECT
        term.broker.handle((be.Settled(session, 1, spec.consumer, "in", ids, out),))
        await term.broker.readable()
        assert bodies(term) == [b"before", b"bad"]
        row = tasks(term)[1]
        assert row.creator.name == ""
        assert "x-death" in spec_of(row).message.properties.headers
        assert row.expire_at == 0.0
        assert row.not_before < inf


async def test_more_tasks_of_one_message_than_a_commit_takes_are_refused_or_dropped():
    fold = Fold()
    machine = BrokerMachine(fold.broker.state, BrokerLimits(step_writes=5))
    async with leading(MemoryEtcd(), fold, machine) as term:
        await exchange(term, "x")
        for number in range(6):
            await task_queue(term, f"work{number}")
            await bind(term, "x", f"work{number}")
        sent = [publication(b"%d" % n, "", "x", number=n) for n in (1, 2)]
        for _ in range(2):
            answer = await publish(term, sent, "p")
            assert len(answer.results) == 2
            assert {one.error.reason for one in answer.results} == {"TOO_MANY_TASK_QUEUES"}
        assert not term.driver.state.tasks

        # A dead letter is not refused to anybody: it becomes as many as there can be.
        await message_queue(term, "in", dead_letter_exchange="x")
        await publish(term, [publication(b"bad", "in"), publication(b"worse", "in")])
        session, spec = SessionId("a session of the tests"), SubscribeSpec(ConsumerNumber(1), "in")
        await term.broker.call(lambda token: be.SessionOpened(session, "", "/", [spec], [], token))
        while len(term.sessions.deliveries) < 2:
            await term.driver.barrier()
        ids = [delivery.id for delivery in term.sessions.deliveries]
        settled = be.Settled(session, 1, spec.consumer, "in", ids, be.Outcome.REJECT)
        term.broker.handle((settled,))
        while len(term.driver.state.tasks) < 10:
            await term.driver.barrier()
        await term.broker.readable()
        made = [len(tasks(term, f"work{number}")) for number in range(6)]
        assert sorted(made) == [0, 2, 2, 2, 2, 2]
        assert term.broker.state.totals.tasks_dropped == 2


async def test_a_dead_letter_of_a_refused_message_that_cannot_become_a_task_is_dropped_once():
    async with leading(MemoryEtcd()) as term:
        await bound(term, template=COMMAND)
        spec = {"max_length": 1, "overflow": Overflow.REJECT_PUBLISH_DEAD_LETTER}
        await message_queue(term, "in", dead_letter_exchange="x", **spec)
        large = bytes(256 << 10)
        sent = [
            publication(b"first", "in", number=1),
            publication(large, "in", number=2),
            publication(b"third", "in", number=3),
        ]
        for _ in range(2):
            answer = await publish(term, sent, "p")
            assert [(one.position, one.error.reason) for one in answer.results] == [
                (1, "MESSAGE_QUEUE_FULL"),
                (2, "MESSAGE_QUEUE_FULL"),
            ]
        assert bodies(term) == [b"third"]
        assert tasks(term)[0].creator.name == ""
        assert term.broker.state.totals.tasks_dropped == 1


async def test_a_dead_letter_to_a_hundred_queues_does_not_end_the_term():
    async with leading(MemoryEtcd(), ops=64) as term:
        await exchange(term, "x")
        names = [f"dead{number}" for number in range(100)]
        for name in names:
            await message_queue(term, name)
            await bind(term, "x", name, DestinationKind.QUEUE)
        await message_queue(term, "in", dead_letter_exchange="x", max_length=1)
        await publish(term, [publication(b"a", "in"), publication(b"b", "in")])
        await term.broker.readable()
        async with asyncio.timeout(60):
            while term.broker.state.queue("/", names[-1]).ready < 1:
                await term.driver.barrier()
        assert {term.broker.state.queue("/", name).ready for name in names} == {1}
        assert term.broker.state.queue("/", "in").ready == 1


async def test_a_transaction_creates_its_tasks_or_none():
    async with leading(MemoryEtcd()) as term:
        await bound(term, limits=QueueLimits(max_length=3))

        def transact(*sent: be.Publication) -> Any:
            return term.broker.call(
                lambda token: be.Transacted(
                    "/", sent, SessionId(""), [], token, "operator:ann", "", "", b""
                )
            )

        await transact(publication(b"a", "", "x"), publication(b"b", "", "x"))
        assert bodies(term) == [b"a", b"b"]
        with pytest.raises(QuorateError) as refused:
            await transact(publication(b"c", "", "x"), publication(b"d", "", "x"))
        assert refused.value.reason == "QUEUE_FULL"
        assert bodies(term) == [b"a", b"b"]
        with pytest.raises(QuorateError) as refused:
            await transact(*[publication(b"x", "", "x")] * 200)
        assert refused.value.reason in ("TRANSACTION_TOO_LARGE", "QUEUE_FULL")


async def test_many_messages_become_tasks_in_several_commits():
    async with leading(MemoryEtcd()) as term:
        await bound(term)
        sent = [publication(b"%d" % n, "", "x", number=n) for n in range(1, 301)]
        assert await publish(term, sent, "p") == PublishAnswer()
        assert bodies(term) == [b"%d" % n for n in range(1, 301)]
        assert await publish(term, sent, "p") == PublishAnswer()
        assert len(tasks(term)) == 300
