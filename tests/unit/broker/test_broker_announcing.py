"""Messages of the cluster itself, about ends of tasks: what one commit has, and what waits."""

from __future__ import annotations

from functools import partial

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.ids import QueueName, TaskId, TaskIds
from quorate.v1 import task_pb2
from scheduler.api.asking import ask
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as be
from scheduler.core.broker.handlers import announcing
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.routing.rows import Destination, DestinationKind, Exchange, ExchangeType
from scheduler.core.broker.rows import MessageQueueSpec, QueueUid, SessionId
from scheduler.core.model import events as e
from scheduler.core.values import EventsTo
from scheduler.storage import records
from scheduler.storage.replica.fold import Fold
from tests.support.broker import HOST, Broker, publication
from tests.support.broker_term import leading
from tests.support.message_tasks import COMMAND, bind, exchange, task_queue

HOSTS = (HOST, "one", "two")


def broker_of(queues: int, **limits: int) -> Broker:
    """Three virtual hosts, each with a fanout exchange that leads to so many message queues."""
    broker = Broker(BrokerLimits(**limits))
    for host in HOSTS:
        broker.ask(be.VirtualHostAsked, host)
        broker.ask(be.ExchangeDeclared, Exchange(host, "x", ExchangeType.FANOUT))
        for number in range(queues):
            broker.declare(f"q{number}", host=host)
            to = Destination(DestinationKind.QUEUE, f"q{number}")
            broker.ask(be.BindingAsked, host, "x", to, b"", ())
    return broker


def announce(broker: Broker, each: int = 1) -> fx.BrokerEffects:
    """So many messages in each virtual host."""
    sent = [(host, [publication(b"%d" % n, "", "x") for n in range(each)]) for host in HOSTS]
    out = broker.machine.announce(sent, broker.now)
    for event in broker.commit(out):
        broker.step(event)
    return out


def follow(broker: Broker, *outs: fx.BrokerEffects) -> None:
    for out in outs:
        for event in out.then:
            broker.step(event)


def ready(broker: Broker, host: str) -> int:
    return broker.state.queue(host, "q0").ready


def test_what_several_virtual_hosts_get_shares_the_room_of_one_commit() -> None:
    broker = broker_of(4, step_writes=10)
    out = announce(broker)
    assert len(out.additions) == 8
    assert [ready(broker, host) for host in HOSTS] == [1, 1, 0]
    follow(broker, out)
    assert [ready(broker, host) for host in HOSTS] == [1, 1, 1]


def test_what_waits_is_bounded_and_what_is_beyond_is_dropped_and_counted() -> None:
    broker = broker_of(1, step_bytes=120, announcing=8_000)
    outs = [announce(broker, 4) for _ in range(4)]
    totals = broker.state.totals
    # Each waits with 1 KiB and its bytes. None is dropped before 8,000 bytes wait, and then all but
    # what the commit of their own tasks has room for.
    assert 8_000 <= broker.state.announcing < 8_000 + 12 * 1_200
    assert totals.announced == 48
    assert totals.unannounced["too_many"] > 12
    assert announcing.is_busy(broker.state) == (broker.state.announcing >= announcing.BUSY)
    follow(broker, *outs)
    assert broker.state.announcing == 0
    found = sum(ready(broker, host) for host in HOSTS)
    assert found == 48 - totals.unannounced["too_many"]


async def test_a_call_about_many_tasks_waits_for_the_messages_about_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So none is dropped, although next to nothing may wait."""
    monkeypatch.setattr(announcing, "BUSY", 1)
    fold, ids = Fold(), TaskIds()
    machine = BrokerMachine(
        fold.broker.state, BrokerLimits(step_writes=42, step_bytes=4_000, announcing=1)
    )
    async with leading(MemoryEtcd(), fold, machine) as term:
        await exchange(term, "ends")
        await term.broker.call(
            lambda token: be.MessageQueueDeclared(
                "/", "told", MessageQueueSpec(), SessionId(""), QueueUid(f"{7:016x}"), token
            )
        )
        await bind(term, "ends", "told", DestinationKind.QUEUE)
        await task_queue(term, template=None, events=EventsTo("ends", "/"))
        found = records.task_spec(
            task_pb2.TaskSpec(command=COMMAND.command),
            task_pb2.TaskSpec(command=COMMAND.command).SerializeToString(),
        )
        tasks: list[TaskId] = []
        request = e.Request()
        for _ in range(300):
            task = ids.next(term.driver.clock.now())
            tasks.append(task)
            submitted = partial(e.TaskSubmitted, QueueName("work"), task, found, request)
            await ask(term.driver, request, submitted)
        term.run_bulk()
        await ask(
            term.driver,
            request,
            lambda token: e.BulkAsked(tasks, frozenset(), request, token, small=True),
        )
        await term.broker.readable()
        assert not term.driver.state.tasks
        totals = term.broker.state.totals
        assert (totals.announced, totals.unannounced["too_many"]) == (300, 0)
        while term.broker.state.announcing:
            await term.driver.barrier()
        await term.broker.readable()
        assert term.broker.state.queue("/", "told").ready == 300
