"""Transactions of the clients: settlements and publications that are one commit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from scheduler.core.broker import events as e
from scheduler.core.broker.rows import ConsumerNumber
from tests.simulation.messages.model import Copy, Sent

if TYPE_CHECKING:
    from tests.simulation.messages.clients import Client
    from tests.simulation.messages.world import World


@dataclass(slots=True)
class Transaction:
    """One, until it is answered."""

    client: Client
    request: str
    consumer: int
    queue: str
    outcome: e.Outcome
    copies: dict[int, Copy]
    sent: list[Sent]
    publications: list[e.Publication]
    # Its outcome is not unknown yet.
    waits: bool = False


class Transactions:
    """Those without an answer. Each is repeated to the next leader, when its session is open."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._count = 0
        self.open: dict[str, Transaction] = {}
        self.done = 0

    def begin(self) -> None:
        """Settle something and publish one or two messages."""
        world = self._world
        found = [
            (client, number)
            for client in world.clients.values()
            if client.connected
            for number, held in client.consumers.items()
            if held.copies
        ]
        if not found:
            return
        client, number = world.random.choice(found)
        held = client.consumers[number]
        ids = world.random.sample(list(held.copies), world.random.randint(1, len(held.copies)))
        outcome = world.random.choice((e.Outcome.ACK, e.Outcome.ACK, e.Outcome.REJECT))
        made = [world.message() for _ in range(world.random.randint(1, 2))]
        self._count += 1
        copies = {id: held.copies.pop(id) for id in ids}
        held.busy.update(copies)
        one = Transaction(
            client,
            f"alice/request {self._count}",
            number,
            held.spec.queue,
            outcome,
            copies,
            [sent for sent, _ in made],
            [publication for _, publication in made],
        )
        for copy in copies.values():
            copy.unsure += 1
            if outcome is e.Outcome.REJECT:
                copy.asked[one.queue] += 1
        self.open[one.request] = one
        self._send(one)

    def repeat(self, client: Client) -> None:
        """Its session is open again."""
        for one in list(self.open.values()):
            if one.client is client and not one.waits:
                self._send(one)

    def forget(self, client: Client) -> None:
        """Its process ends: nobody learns what came of them."""
        for one in [one for one in self.open.values() if one.client is client]:
            del self.open[one.request]
            self._world.let_go(one.copies)

    def _send(self, one: Transaction) -> None:
        one.waits = True
        settle = e.Settled(
            one.client.id, 0, ConsumerNumber(one.consumer), "", list(one.copies), one.outcome
        )
        token = self._world.ask(
            lambda token: e.Transacted(
                "/",
                one.publications,
                one.client.id,
                [settle],
                token,
                "alice",
                "",
                one.request,
                b"digest",
            )
        )
        token.add_done_callback(partial(self._answered, one))

    def _answered(self, one: Transaction, token: asyncio.Future[Any]) -> None:
        if token.cancelled() or one.request not in self.open:
            return
        error = token.exception()
        if getattr(error, "reason", "") == "LEADER_LOST":
            one.waits = False
            return
        world = self._world
        del self.open[one.request]
        held = one.client.consumers.get(one.consumer)
        for id in one.copies:
            if held is not None:
                held.busy.pop(id, None)
        if error is not None:
            # Somebody else has one of them: nothing was done.
            for sent in one.sent:
                world.void(sent)
            if held is not None:
                held.copies.update(one.copies)
                one.client.forget()
            return
        self.done += 1
        for sent in one.sent:
            sent.until = world.now
        for copy in one.copies.values():
            if one.outcome is e.Outcome.ACK:
                copy.acked = True
            else:
                copy.unsure -= 1
                copy.rejected[one.queue] += 1
        world.let_go(one.copies)
