"""A machine for tests of the broker's driver: it does what its events say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from quorate.etcd.api import Range
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.rows import ConsumerNumber, QueueUid, SessionId
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import pack
from scheduler.core.broker.storage.places import of_priority
from scheduler.core.broker.storage.records import Acks, PutAcks
from scheduler.storage import keys
from tests.support.broker_term import PREFIX, BrokerTerm

UID = QueueUid("00000000000000a1")
OTHER = QueueUid("00000000000000a2")
P0 = of_priority(0)
SESSION = SessionId("s")


class Do(NamedTuple):
    """An event whose effects a test says."""

    out: BrokerEffects
    token: Any = None


class Script:
    """A machine that does what its events say, and notes what comes back from the log."""

    def __init__(self) -> None:
        self.state = BrokerState()
        self.stepped: list[Any] = []
        self.on_chunks: Callable[[e.ChunksCommitted], BrokerEffects] = lambda event: BrokerEffects()

    def step(self, event: Any, now: float) -> BrokerEffects:
        self.stepped.append(event)
        if isinstance(event, Do):
            return event.out
        if isinstance(event, e.ChunksCommitted):
            return self.on_chunks(event)
        if isinstance(event, ZeroDivisionError):
            raise event
        return BrokerEffects()


def publish(first: int, count: int = 1, uid: QueueUid = UID, size: int = 10) -> fx.AddMessages:
    return fx.AddMessages(uid, P0, [pack(first + n, 1.0, b"x" * size) for n in range(count)])


def acks(cursor: int, uid: QueueUid = UID) -> fx.ChangeSubLog:
    return fx.ChangeSubLog(uid, P0, (PutAcks(Acks(cursor, cursor)),))


def asked(*writes: fx.Write, add: Sequence[fx.AddMessages] = ()) -> Callable[[Any], Do]:
    """Makes an event that is answered with its own effects' number of writes."""

    def make(token: Any) -> Do:
        reply = fx.Reply(token, len(writes) + len(add))
        return Do(BrokerEffects(list(writes), list(add), [reply]), token)

    return make


def deliver(number: int) -> fx.Deliver:
    return fx.Deliver(SESSION, ConsumerNumber(number), ())


async def stored(term: BrokerTerm, uid: QueueUid = UID) -> dict[bytes, bytes]:
    """What is below `mq/<uid>/`."""
    place = PREFIX + keys.message_queue_messages(uid)
    found = await term.etcd.range(Range(place, place + b"z"))
    return {kv.key.removeprefix(place): kv.value for kv in found.kvs}


async def until(script: Script, kind: type, count: int) -> list[Any]:
    """Wait until so many events of a kind were stepped."""
    async with asyncio.timeout(60):
        while True:
            found = [event for event in script.stepped if type(event) is kind]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)
