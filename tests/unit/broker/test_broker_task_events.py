"""Messages that tell of the ends of tasks and jobs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.runtime.ids import QueueName, TaskId, TaskIds
from quorate.v1 import broker_pb2, job_pb2, task_pb2
from quorate.v1.message_pb2 import HeaderValue, MessageProperties
from scheduler.api.asking import ask
from scheduler.core.broker import events as be
from scheduler.core.broker.intake import EVENT_HEADER
from scheduler.core.broker.routing.rows import DestinationKind, ExchangeType
from scheduler.core.broker.rows import MessageQueueSpec, Overflow, QueueUid, SessionId
from scheduler.core.model import events as e
from scheduler.core.values import EventsTo, LengthPolicy, QueueLimits
from scheduler.storage import records
from scheduler.storage.records.jobs import job_spec
from tests.support.broker import publication
from tests.support.broker_calls import Broker
from tests.support.broker_calls import publication as api_publication
from tests.support.broker_term import Follower, leading
from tests.support.message_tasks import (
    COMMAND,
    bind,
    bodies,
    exchange,
    publish,
    set_template,
    spec_of,
    task_queue,
    tasks,
)

ENDS = EventsTo("ends", "/")
IDS = TaskIds()


async def told(term: Any, **spec: Any) -> None:
    """A message queue that gets each message of the exchange "ends"."""
    await exchange(term, "ends", ExchangeType.FANOUT)
    declared, uid = MessageQueueSpec(**spec), QueueUid(f"{7:016x}")
    await term.broker.call(
        lambda token: be.MessageQueueDeclared("/", "told", declared, SessionId(""), uid, token)
    )
    await bind(term, "ends", "told", DestinationKind.QUEUE)


async def submit(term: Any, queue: str = "work", **spec: Any) -> TaskId:
    """A task of a queue."""
    task, asked = IDS.next(term.driver.clock.now()), e.Request()
    message = task_pb2.TaskSpec(command=COMMAND.command, **spec)
    found = records.task_spec(message, message.SerializeToString())
    await ask(
        term.driver,
        asked,
        lambda token: e.TaskSubmitted(QueueName(queue), task, found, asked, token),
    )
    return task


async def cancel(term: Any, task: TaskId) -> None:
    asked = e.Request()
    await ask(term.driver, asked, lambda token: e.TaskCancelAsked(task, asked, token))


async def messages(term: Any) -> list[MessageEnvelope]:
    """What the queue "told" has got."""
    await term.broker.readable()
    answer: Any = await term.broker.call(lambda token: be.PeekAsked("/", "told", 100, 0, token))
    return [MessageEnvelope.FromString(one.payload) for one in answer.deliveries]


async def test_the_end_of_a_task_is_told_in_its_commit():
    store = MemoryEtcd()
    async with leading(store) as term:
        await told(term)
        await task_queue(term, template=None, events=ENDS)
        task = await submit(term, labels={"team": "a"})
        before = store._revision
        await cancel(term, task)
        assert store._revision == before + 1, "one Txn"
        (message,) = await messages(term)
        assert (message.exchange, message.routing_key) == ("ends", "task.work.cancelled")
        properties = MessageProperties.FromString(message.properties)
        assert properties.content_type == "application/json"
        assert properties.message_id == f"{task}.0.cancelled"
        assert properties.headers[EVENT_HEADER].text == "task"
        assert properties.headers["quorate-queue"].text == "work"
        body = json.loads(message.body)
        assert body["error"] == {"type": "CANCELLED", "message": "cancelled by a caller"}
        assert body["labels"] == {"team": "a"}
        assert (body["id"], body["state"], body["attempt"]) == (task, "CANCELLED", 0)
        assert body["create_time"] <= body["finish_time"]
        standby = Follower(store).follow()
        standby.broker.settle()
        assert standby.broker.state.queue("/", "told").lanes[0].log.facts() == (
            term.broker.state.queue("/", "told").lanes[0].log.facts()
        )
        assert standby.state.queues[QueueName("work")].events == ENDS


async def test_the_end_of_a_job_is_told():
    async with leading(MemoryEtcd()) as term:
        await told(term)
        await task_queue(term, template=None, events=ENDS)
        job, asked = IDS.next(term.driver.clock.now()), e.Request()
        asked_for = job_pb2.JobSpec(template=COMMAND, count=3)
        spec = job_spec(asked_for, asked_for.SerializeToString(), items=False)
        template = COMMAND.SerializeToString()
        await ask(
            term.driver,
            asked,
            lambda token: e.JobSubmitted(
                QueueName("work"), job, spec, template, 3, False, False, asked, token
            ),
        )
        await ask(term.driver, asked, lambda token: e.JobCancelAsked(job, asked, token))
        (message,) = await messages(term)
        assert message.routing_key == "job.work.cancelled"
        body = json.loads(message.body)
        assert (body["succeeded"], body["failed"], body["cancelled"]) == (0, 0, 3)


async def test_a_new_leader_announces_what_ends_in_its_first_steps():
    store = MemoryEtcd()
    async with leading(store) as term:
        await told(term)
        await task_queue(term, template=None, events=ENDS)
        await cancel(term, await submit(term))
        # No node is there that could start it.
        await submit(term, start_deadline=Duration(nanos=50_000_000))
    async with leading(store, Follower(store).follow()) as term:
        term.driver.handle((e.Elected(),))
        async with asyncio.timeout(60):
            while term.driver.state.tasks:
                await asyncio.sleep(0.01)
                term.driver.handle((e.TimersDue(),))
        found = [one.routing_key for one in await messages(term)]
        assert found == ["task.work.cancelled", "task.work.expired"]


async def test_other_queues_tell_nothing():
    async with leading(MemoryEtcd()) as term:
        await told(term)
        await task_queue(term, template=None)
        await cancel(term, await submit(term))
        assert await messages(term) == []
        assert term.broker.state.totals.announced == 0


@pytest.mark.parametrize("why", ["no_exchange", "refused", "no_space"])
async def test_what_cannot_be_told_is_dropped_and_holds_nothing_up(why: str):
    async with leading(MemoryEtcd()) as term:
        if why != "no_exchange":
            await told(term, max_length=1, overflow=Overflow.REJECT_PUBLISH)
        await task_queue(term, template=None, events=ENDS)
        if why == "no_space":
            term.full = "etcd is almost full"
        first = await submit(term)
        second = await submit(term)
        await cancel(term, first)
        await cancel(term, second)
        assert not term.driver.state.tasks
        totals = term.broker.state.totals
        assert totals.unannounced[why] == (1 if why == "refused" else 2)
        assert totals.announced == 2


async def test_many_ends_of_one_step_are_told_in_several_commits():
    async with leading(MemoryEtcd(), ops=128) as term:
        await told(term)
        await task_queue(term, template=None, events=ENDS)
        sent = [await submit(term) for _ in range(120)]
        asked = e.Request()
        for task in sent:
            term.driver.handle((e.TaskCancelAsked(task, asked, term.driver._loop.create_future()),))
        await term.broker.readable()
        assert term.broker.state.queue("/", "told").ready == 120
        keys = [
            MessageProperties.FromString(one.properties).message_id for one in await messages(term)
        ]
        assert keys == [f"{task}.0.cancelled" for task in sent[:100]]


async def test_a_task_of_a_message_about_a_task_tells_nobody():
    async with leading(MemoryEtcd()) as term:
        await told(term)
        await task_queue(term, template=COMMAND, events=ENDS)
        await bind(term, "ends", "work")
        await cancel(term, await submit(term))
        (row,) = tasks(term)
        assert spec_of(row).message.routing_key == "task.work.cancelled"
        assert row.creator.name == ""
        await cancel(term, row.id)
        assert tasks(term) == []
        assert len(await messages(term)) == 1


@pytest.mark.parametrize("way", ["publish", "transact", "stream"])
async def test_a_publisher_cannot_pass_its_message_off_as_one_about_a_task(way: str):
    forged = {name: HeaderValue(text="task") for name in (EVENT_HEADER, "quorate-x", "mine")}
    sent = api_publication(b"body", "", exchange="x", properties={"headers": forged}, number=1)
    async with leading(MemoryEtcd()) as term:
        await told(term)
        await task_queue(term, template=COMMAND, events=ENDS)
        await exchange(term, "x")
        await bind(term, "x", "work")
        broker = Broker(term)
        if way == "stream":
            stream = broker.stream()
            stream.send([sent])
            await stream.until(1)
            await stream.close()
        elif way == "publish":
            await broker.call(broker_pb2.PublishRequest(publications=[sent]))
        else:
            await broker.call(broker_pb2.TransactRequest(publications=[sent]))
        (row,) = tasks(term)
        message = spec_of(row).message
        assert (message.body, list(message.properties.headers)) == (b"body", ["mine"])
        await cancel(term, row.id)
        (announced,) = await messages(term)
        assert announced.routing_key == "task.work.cancelled"


async def test_messages_about_tasks_do_not_empty_a_full_queue():
    async with leading(MemoryEtcd()) as term:
        await exchange(term, "ends", ExchangeType.FANOUT)
        await exchange(term, "x")
        limits = QueueLimits(max_length=5, length_policy=LengthPolicy.DROP_OLDEST)
        await task_queue(term, limits=limits, events=ENDS)
        await bind(term, "x", "work")
        await bind(term, "ends", "work")
        await publish(term, [publication(b"%d" % n, "", "x") for n in range(5)])
        assert bodies(term) == [b"0", b"1", b"2", b"3", b"4"]
        await publish(term, [publication(b"5", "", "x")])
        await term.broker.readable()
        # "0" made room for "5"; the message about its end took the place of "1", and that is all.
        assert bodies(term)[:4] == [b"2", b"3", b"4", b"5"]
        assert spec_of(tasks(term)[4]).message.routing_key == "task.work.failed"


async def test_a_template_may_be_set_after_the_binding_of_events():
    async with leading(MemoryEtcd()) as term:
        await told(term)
        await task_queue(term, "calls", template=None)
        await set_template(term, "calls", COMMAND)
        await bind(term, "ends", "calls")
        await task_queue(term, template=None, events=ENDS)
        task = await submit(term)
        before = len(term.driver.state.tasks)
        await cancel(term, task)
        assert len(term.driver.state.tasks) == before
        assert [json.loads(one)["id"] for one in bodies(term, "calls")] == [task]
