"""Messages that become tasks while leaders die.

    producers -> exchange "x" --> message queue `copied`, with two consumers
                              '-> task queue `jobs`, which takes a few tasks and starts none
              -> exchange "y" --> task queue `more`, and nothing else

Each message that is confirmed is one task in each task queue that it reaches, and one that was
refused is in no queue at all, whatever was repeated.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from quorate.etcd.journal.journal import JournalEnded
from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import QueueName
from quorate.v1 import task_pb2
from scheduler.api.asking import ask, refused
from scheduler.core.broker import events as be
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.routing.rows import DestinationKind
from scheduler.core.broker.rows import MessageQueueSpec
from scheduler.core.handlers.tasks.from_messages import MessageTasks
from scheduler.core.model import events as e
from scheduler.core.model.state import State
from scheduler.core.values import NO_LIMITS, PauseScope, QueueLimits, QueuePause
from scheduler.engine.driver import Driver
from scheduler.storage import records
from tests.simulation.broker.consumers import Consumer
from tests.simulation.broker.world import Messages
from tests.support.broker import publication
from tests.support.jumping_loop import JumpingLoop
from tests.support.message_tasks import COMMAND, bind, exchange, spec_of, task_queue

if TYPE_CHECKING:
    from tests.simulation.schedulers import Scheduler

# How many tasks each queue takes; 0: any number.
_MOST: Final = {"jobs": 40, "more": 0}
# What messages become: the second queue takes something of each message.
_TEMPLATES: Final = {
    "jobs": COMMAND,
    "more": task_pb2.TaskSpec(
        command=task_pb2.CommandWork(argv=["resize", "{message.exchange}-{message.id|none}"]),
        labels={"of": "{message.exchange}"},
    ),
}
# Where the messages to a target go.
_REACHES: Final = {"copied": ("x", "jobs"), "alone": ("y", "more")}
# A message and its task fit into one commit: otherwise a queue may have it without its task.
_LIMITS: Final = BrokerLimits(step_bytes=3_000, step_writes=12, window_bytes=4_000, step_messages=7)


class Bound(Messages):
    """Messages that become tasks, and a few that do not.

    Attributes:
        made: tasks that were found at the end.
    """

    broker_limits = _LIMITS
    specs: ClassVar[Mapping[str, MessageQueueSpec]] = {
        "copied": MessageQueueSpec(delivery_limit=0),
        "plain": MessageQueueSpec(delivery_limit=0),
    }
    targets: ClassVar[Mapping[str, float]] = {"copied": 6, "alone": 6, "plain": 2, "nowhere": 1}

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        super().__init__(seed, loop)
        self.made = 0
        self.consumers = [
            Consumer(self, "one", "copied", alone=False),
            Consumer(self, "two", "copied", alone=False),
            Consumer(self, "three", "plain", alone=False),
        ]

    async def start(self) -> None:
        await super().start()
        for target, (source, queue) in _REACHES.items():
            most = QueueLimits(max_length=_MOST[queue]) if _MOST[queue] else NO_LIMITS
            await self._until_done(partial(exchange, name=source))
            template = _TEMPLATES[queue]
            await self._until_done(partial(task_queue, name=queue, limits=most, template=template))
            await self._until_done(partial(_pause, queue=queue))
            await self._until_done(partial(bind, source=source, name=queue))
            if target in self.specs:
                kind = DestinationKind.QUEUE
                await self._until_done(partial(bind, source=source, name=target, kind=kind))

    async def _until_done(self, do: Callable[[Any], Awaitable[None]]) -> None:
        """Ask one leader after the other."""
        while True:
            term = self.some_leader()
            if term is not None and term.broker is not None:
                try:
                    async with asyncio.timeout(2.0):
                        await do(term)
                    return
                except QuorateError as error:
                    if error.reason.endswith("_ALREADY_EXISTS"):
                        return
                except (TimeoutError, JournalEnded):
                    pass
            await asyncio.sleep(0.1)

    def message_tasks(self, scheduler: Scheduler, driver: Driver) -> MessageTasks:
        fold = scheduler.fold
        fold.state.bound = fold.broker.state.router.bound_task_queue
        ids, template = driver._ids.next, records.message_template
        return MessageTasks(fold.state, self.limits, ids, refused, 256 << 10, template)

    def publication(self, queue: str, body: bytes, number: int) -> be.Publication:
        source, _ = _REACHES.get(queue, ("", ""))
        key = "" if source else queue
        return publication(body, key, source, mandatory=True, number=number)

    def is_consumed(self, message: bytes) -> bool:
        return not _body(message).startswith(b"alone")

    async def settle(self) -> None:
        await super().settle()
        term = self.some_leader()
        assert term is not None
        found: dict[str, Counter[bytes]] = {queue: Counter() for queue in _MOST}
        for row in term.driver.state.tasks.values():
            spec = spec_of(row)
            found[row.queue.name][spec.message.body] += 1
            if row.queue.name == "more":
                assert (spec.command.argv[1], dict(spec.labels)) == ("y-none", {"of": "y"})
        for target, (_, queue) in _REACHES.items():
            wanted = Counter(
                body
                for body in map(_body, self.promises.confirmed)
                if body.startswith(target.encode())
            )
            missing, more = wanted - found[queue], found[queue] - wanted
            assert not missing, f"confirmed, and no task of {queue!r}: {missing}"
            assert not more, f"tasks of {queue!r} of nothing that was confirmed once: {more}"
            self.made += found[queue].total()
        for one in self.schedulers:
            if one.term is None:
                assert _specs(one.fold.state) == _specs(term.driver.state)


async def _pause(term: Any, *, queue: str) -> None:
    """Nothing is started, so that all tasks are there at the end."""
    asked, pause = e.Request(), QueuePause(PauseScope.DISPATCH)
    await ask(
        term.driver,
        asked,
        lambda token: e.QueuePauseAsked(QueueName(queue), True, asked, token, pause),
    )


def _specs(state: State) -> dict[str, Any]:
    return {row.id: row.spec for row in state.tasks.values()}


def _body(message: bytes) -> bytes:
    return MessageEnvelope.FromString(message).body
