"""What is declared, bound and deleted while messages flow. Each change waits until all that is
published has its answer: so each message is routed as the model says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import events as e
from scheduler.core.broker.routing.rows import Destination, DestinationKind, Exchange, ExchangeType
from scheduler.core.broker.rows import NO_SESSION, MessageQueueSpec, QueueUid
from tests.simulation.messages.model import DEAD_LETTERS, KINDS, ROOTS, Binding

if TYPE_CHECKING:
    from tests.simulation.messages.world import World

EXCHANGES: Final = {"direct": "direct", "fanout": "fanout", "topic": "topic"}
KEYS: Final = ("a", "b", "a.b", "a.b.c", "")
PATTERNS: Final = (*KEYS, "#", "*", "a.#", "*.b", "#.c")


class Topology:
    """The exchanges, bindings and message queues of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def start(self) -> None:
        """All queues and exchanges, and no bindings but that of dead letters."""
        for name in KINDS:
            await self.declare(name)
        for name, type_ in (*EXCHANGES.items(), (DEAD_LETTERS, "fanout")):
            row = Exchange("/", name, ExchangeType(type_))
            await self._world.call(partial(e.ExchangeDeclared, row))
            self._world.model.exchanges[name] = type_
        await self.bind_to(Binding(DEAD_LETTERS, "dead", ""))

    async def declare(self, name: str) -> None:
        self._world.uids += 1
        uid, spec = QueueUid(f"{self._world.uids:016x}"), MessageQueueSpec(**KINDS[name].declared)
        await self._world.call(partial(e.MessageQueueDeclared, "/", name, spec, NO_SESSION, uid))
        self._world.model.queues.add(name)

    async def bind(self) -> None:
        source, queue = self._world.random.choice(list(EXCHANGES)), self._world.random.choice(ROOTS)
        if queue in self._world.model.queues:
            await self.bind_to(Binding(source, queue, self._world.random.choice(PATTERNS)))

    async def bind_to(self, one: Binding) -> None:
        await self._world.quiet()
        to = Destination(DestinationKind.QUEUE, one.queue)
        await self._world.call(partial(e.BindingAsked, "/", one.source, to, one.key.encode(), ()))
        self._world.model.bindings.add(one)

    async def unbind(self) -> None:
        known = sorted(one for one in self._world.model.bindings if one.source in EXCHANGES)
        if known:
            one = self._world.random.choice(known)
            await self._world.quiet()
            to = Destination(DestinationKind.QUEUE, one.queue)
            await self._world.call(
                partial(e.UnbindAsked, "/", one.source, to, one.key.encode(), ())
            )
            self._world.model.bindings.discard(one)

    async def delete_extra(self) -> None:
        """Delete a queue with its messages, and make it again."""
        await self._world.quiet()
        delete = partial(e.MessageQueueDeleteAsked, "/", "extra", NO_SESSION, False, False)
        try:
            await self._world.call(delete)
        except QuorateError as error:
            # The leader before did it.
            if error.reason != "MESSAGE_QUEUE_NOT_FOUND":
                raise
        for copy in self._world.model.copies.values():
            copy.gone |= copy.root == "extra"
        self._world.model.bindings = {
            one for one in self._world.model.bindings if one.queue != "extra"
        }
        await self.declare("extra")

    async def purge(self) -> None:
        await self._world.quiet()
        name = self._world.random.choice(("plain", "ranked"))
        await self._world.call(partial(e.PurgeAsked, "/", name, NO_SESSION))
        for copy in self._world.model.copies.values():
            copy.excused |= copy.root == name
