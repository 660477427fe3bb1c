"""Message queues whose leaders die: producers, consumers, the real broker.

| queue | has |
|---|---|
| `plain` | two consumers |
| `single` | one consumer: its order is checked |
| `full` | one consumer, and refuses messages when it has a few |
| `log` | a stream without messages: its named offsets are stored |
| `nowhere` | does not exist: what goes there is returned |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from quorate.etcd.journal.journal import JournalEnded
from quorate.runtime.errors import QuorateError
from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.rows import MessageQueueSpec, Overflow, QueueType, QueueUid, SessionId
from scheduler.core.broker.state import BrokerState
from scheduler.core.handlers.tasks.from_messages import MessageTasks
from scheduler.engine.broker.driver import BrokerDriver
from scheduler.engine.driver import Driver
from scheduler.storage.records.broker.stored import StoredChunks
from scheduler.storage.records.broker.writes import BrokerCodec
from tests.simulation.broker.consumers import Consumer, Sink
from tests.simulation.broker.producers import Producer
from tests.simulation.broker.promises import Promises
from tests.simulation.broker.settings import Settings
from tests.simulation.network import PREFIX
from tests.simulation.world import ONE_CLOCK, WELL_AFTER, World
from tests.support.jumping_loop import JumpingLoop

if TYPE_CHECKING:
    from tests.simulation.schedulers import Scheduler

SPECS = {
    "plain": MessageQueueSpec(delivery_limit=0),
    "single": MessageQueueSpec(delivery_limit=0),
    "full": MessageQueueSpec(delivery_limit=0, max_length=3, overflow=Overflow.REJECT_PUBLISH),
    "log": MessageQueueSpec(type=QueueType.STREAM),
}
# Bodies are read back, publishes are done in parts.
LIMITS = BrokerLimits(step_bytes=120, step_writes=42, window_bytes=4_000, step_messages=7)
_MOST_STEPS = 200_000


class CheckedBroker(BrokerMachine):
    """Counts its steps."""

    def __init__(self, world: Messages, state: BrokerState) -> None:
        super().__init__(state, world.broker_limits)
        self._world = world

    def step(self, event: object, now: float) -> BrokerEffects:
        self._world.steps += 1
        assert self._world.steps < _MOST_STEPS, f"it never comes to rest: {event}"
        return super().step(event, now)


class Messages(World):
    """Messages, and nothing else."""

    broker_type: type[BrokerDriver] = BrokerDriver
    broker_machine_type: type[CheckedBroker] = CheckedBroker
    broker_limits: BrokerLimits = LIMITS
    # Message queues, and where messages go, by how often.
    specs: ClassVar[Mapping[str, MessageQueueSpec]] = SPECS
    targets: ClassVar[Mapping[str, float]] = {"plain": 6, "single": 6, "full": 4, "nowhere": 1}
    weights: ClassVar[dict[str, float]] = {
        "publish": 20,
        "change_settings": 1,
        "hang_up_producer": 1,
        "hang_up_consumer": 2,
        "kill_leader": 1.2,
        "depose_leader": 1.2,
        "lose_etcd": 0.4,
        "compact": 0.5,
        "nothing": 30,
    }

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        super().__init__(seed, loop)
        self.clocks_ahead, self.txn_ops = ONE_CLOCK, 128
        self.promises = Promises()
        self.sinks: dict[BrokerDriver, Sink] = {}
        self.settings = Settings(self)
        self.producers = [Producer(self, f"p{number}") for number in range(2)]
        self.consumers = [
            Consumer(self, "one", "plain", alone=False),
            Consumer(self, "two", "plain", alone=False),
            Consumer(self, "three", "single", alone=True),
            Consumer(self, "four", "full", alone=True),
        ]

    async def start(self) -> None:
        await super().start()
        for number, (name, spec) in enumerate(self.specs.items(), 1):
            await self._declare(name, spec, QueueUid(f"{number:016x}"))
        actors: list[Producer | Consumer | Settings] = [*self.producers, *self.consumers]
        actors.append(self.settings)
        for actor in actors:
            self.spawn(actor.run())

    def lead_messages(self, scheduler: Scheduler, driver: Driver) -> BrokerDriver:
        fold = scheduler.fold.broker

        def trusted() -> bool:
            return self._leader is not None and self._leader[0] is scheduler

        broker = self.broker_type(
            self.broker_machine_type(self, fold.state),
            driver,
            BrokerCodec(PREFIX, fold.later),
            StoredChunks(scheduler.way, PREFIX),
            trusted,
            self.txn_ops,
            tasks=self.message_tasks(scheduler, driver),
        )
        self.sinks[broker] = Sink(self)
        broker.serve(self.sinks[broker])
        broker.elected(fold.orphans)
        return broker

    def message_tasks(self, scheduler: Scheduler, driver: Driver) -> MessageTasks | None:
        """What makes tasks of messages, where there are task queues."""
        return None

    def publication(self, queue: str, body: bytes, number: int) -> e.Publication:
        """A message to a queue. Where only queues get it, its bytes are nothing but its body."""
        return e.Publication(body, "", queue.encode(), b"", mandatory=True, number=number)

    def is_consumed(self, message: bytes) -> bool:
        """Whether a message goes to a message queue."""
        return True

    # -- what happens

    def publish(self) -> None:
        producer = self.rng.choice(self.producers)
        for _ in range(self.rng.choice([1, 1, 3, 12])):
            producer.add(self.rng.choices(list(self.targets), list(self.targets.values()))[0])

    def change_settings(self) -> None:
        self.settings.change()

    def hang_up_producer(self) -> None:
        self.rng.choice(self.producers).hang_up()

    def hang_up_consumer(self) -> None:
        self.rng.choice(self.consumers).hang_up()

    async def _declare(self, name: str, spec: MessageQueueSpec, uid: QueueUid) -> None:
        def declared(token: Any) -> object:
            return e.MessageQueueDeclared("/", name, spec, SessionId(""), uid, token)

        while not await self.asked(declared):
            await asyncio.sleep(0.1)

    async def asked(self, make: Callable[[Any], object]) -> bool:
        """Ask the leader, if there is one; whether it has confirmed."""
        term = self.some_leader()
        if term is None or term.broker is None:
            return False
        try:
            async with asyncio.timeout(2.0):
                await term.broker.call(make)
        except (QuorateError, TimeoutError, JournalEnded):
            return False
        return True

    # -- the end

    async def settle(self) -> None:
        """Faults end: all messages are answered, delivered and acknowledged; standbys agree."""
        self.mischief, self.etcd_away = 0.0, False
        end = self.loop.time() + WELL_AFTER
        while (why := self._unsettled()) and self.loop.time() < end:
            await self.sleep(0.5)
        self.promises.over(self.is_consumed)
        assert not why, why
        await self.sleep(1.0)
        leader = self._broker_state()
        self.settings.check(leader)
        for one in self.schedulers:
            if one.term is None:
                one.fold.broker.settle()
                assert _facts(one.fold.broker.state) == _facts(leader)

    async def forget(self) -> None:
        """Producers are forgotten, and nothing is left of messages."""
        self.loop.now += 700.0
        end = self.loop.time() + WELL_AFTER
        while (state := self._broker_state()).producers and self.loop.time() < end:
            await self.sleep(1.0)
        assert not state.producers
        assert not state.publishing
        self.history.look()
        left = [key for key in self.history.kept if key.startswith(b"mq/") and b"/c/" in key]
        assert not left, left

    def _broker_state(self) -> BrokerState:
        assert self._leader is not None
        term = self._leader[0].term
        assert term is not None
        assert term.broker is not None
        return term.broker.state

    def _unsettled(self) -> str:
        term = self._leader[0].term if self._leader is not None else None
        if term is None or term.broker is None:
            return "nobody leads"
        if not all(one.idle for one in self.producers):
            return "messages are not answered"
        if not self.settings.idle:
            return "settings are not answered"
        if not all(one.idle for one in self.consumers):
            return "messages are not settled"
        for queue in term.broker.state.queues.values():
            if queue.ready or queue.unacknowledged or queue.in_flight:
                return f"{queue.row.name} has {queue.ready} messages"
        return "" if term.driver.journal.idle else "the journal is busy"


def _facts(state: BrokerState) -> object:
    queues = {
        f"{queue.row.name} {name}": lane.log.facts()
        for queue in state.queues.values()
        for name, lane in queue.sub_logs()
        if len(lane.log.chunks) or lane.log.tail
    }
    declared = {queue.row.name: (queue.row, queue.offsets) for queue in state.queues.values()}
    return queues, state.producers, declared, state.policies.rows, state.named_offsets
