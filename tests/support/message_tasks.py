"""Task queues that take messages, of a `BrokerTerm`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quorate.runtime.ids import QueueName
from quorate.v1 import task_pb2
from scheduler.api.asking import ask
from scheduler.core.broker import events as be
from scheduler.core.broker.routing.rows import Destination, DestinationKind, Exchange, ExchangeType
from scheduler.core.model import events as e
from scheduler.core.model.rows import TaskRow
from scheduler.core.values import NO_LIMITS, Disconnect, EventsTo, Placement, QueueLimits
from scheduler.storage import records
from tests.support.broker_term import BrokerTerm

COMMAND = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["resize", "-"]))


async def task_queue(
    term: BrokerTerm,
    name: str = "work",
    template: task_pb2.TaskSpec | None = COMMAND,
    limits: QueueLimits = NO_LIMITS,
    events: EventsTo | None = None,
) -> None:
    """A task queue; None: without a template."""
    queue, asked = QueueName(name), e.Request()
    settings = Placement.LEAST_LOADED, Disconnect.KEEP, 3_600.0, 1_000
    await ask(
        term.driver,
        asked,
        lambda token: e.QueueSubmitted(
            queue, *settings, asked, token, limits=limits, events=events
        ),
    )
    if template is not None:
        await set_template(term, name, template)


async def set_template(term: BrokerTerm, name: str, template: task_pb2.TaskSpec | None) -> None:
    """SetMessageTemplate."""
    data = b"" if template is None else template.SerializeToString(deterministic=True)
    row, asked = records.message_template(data), e.Request()
    await ask(
        term.driver,
        asked,
        lambda token: e.MessageTemplateSubmitted(QueueName(name), row, asked, token),
    )


async def exchange(
    term: BrokerTerm, name: str, kind: ExchangeType = ExchangeType.FANOUT, **fields: Any
) -> None:
    """An exchange."""
    await term.broker.call(
        lambda token: be.ExchangeDeclared(Exchange("/", name, kind, **fields), token)
    )


async def bind(
    term: BrokerTerm, source: str, name: str, kind: DestinationKind = DestinationKind.TASK_QUEUE
) -> None:
    """A binding without a key."""
    destination = Destination(kind, name)
    await term.broker.call(lambda token: be.BindingAsked("/", source, destination, b"", (), token))


async def bound(term: BrokerTerm, source: str = "x", name: str = "work", **queue: Any) -> None:
    """A fanout exchange with a task queue."""
    await task_queue(term, name, **queue)
    await exchange(term, source)
    await bind(term, source, name)


async def publish(
    term: BrokerTerm,
    publications: Sequence[be.Publication],
    producer: str = "",
    caller: str = "operator:ann",
) -> Any:
    """The answer to a publish."""
    return await term.broker.call(
        lambda token: be.MessagesPublished("/", producer, publications, token, caller=caller),
        publishes=True,
    )


def tasks(term: BrokerTerm, queue: str = "work") -> list[TaskRow]:
    """The live tasks of a queue, in the order of their creation."""
    found = [row for row in term.driver.state.tasks.values() if row.queue.name == queue]
    return sorted(found, key=lambda row: row.id)


def spec_of(row: TaskRow) -> task_pb2.TaskSpec:
    """The spec of a live task."""
    assert row.spec is not None
    return task_pb2.TaskSpec.FromString(row.spec)


def bodies(term: BrokerTerm, queue: str = "work") -> list[bytes]:
    """Of the messages that the tasks were made of."""
    return [spec_of(row).message.body for row in tasks(term, queue)]
