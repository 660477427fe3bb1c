"""Policies and named offsets that are set while leaders die.

Each change has a number. What is confirmed stays on record, or a later one does; and all queues
follow the policy that is on record, however many leaders died on the way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from scheduler.core.broker import events as e
from scheduler.core.broker.handlers.policies import PolicyAsked
from scheduler.core.broker.rows import PolicyDefinition, PolicyRow
from scheduler.core.broker.state import BrokerState

if TYPE_CHECKING:
    from tests.simulation.broker.world import Messages

# So much that no queue ever loses a message.
_PLENTY: Final = 1 << 40
_NAMES: Final = 5


class Settings:
    """Whoever changes settings, one after the other.

    Attributes:
        confirmed: the number of the latest policy that was confirmed; `offsets`: names likewise.
    """

    def __init__(self, world: Messages) -> None:
        self._world = world
        self._wanted: asyncio.Queue[int] = asyncio.Queue()
        self._number = 0
        self._answered = 0
        self.confirmed = 0
        self.offsets: set[str] = set()

    @property
    def idle(self) -> bool:
        """All changes are answered, or given up."""
        return self._answered == self._number

    def change(self) -> None:
        """One more change."""
        self._number += 1
        self._wanted.put_nowait(self._number)

    async def run(self) -> None:
        while True:
            number = await self._wanted.get()
            definition = PolicyDefinition(max_length_bytes=_PLENTY + number)
            row = PolicyRow("/", "most", ".*", definition)
            name = f"n{number % _NAMES}"

            def policy(token: Any, row: PolicyRow = row) -> object:
                return PolicyAsked(row, token)

            def offset(token: Any, name: str = name) -> object:
                return e.OffsetAsked("/", "log", name, 0, None, token)

            if await self._world.asked(policy):
                self.confirmed = number
            if "log" in self._world.specs and await self._world.asked(offset):
                self.offsets.add(name)
            self._answered = number

    def check(self, state: BrokerState) -> None:
        """At the end, of the leader."""
        rows = list(state.policies.rows.values())
        kept = (rows[0].definition.max_length_bytes or 0) - _PLENTY if rows else 0
        assert kept >= self.confirmed, f"policy {self.confirmed} was confirmed; {kept} is on record"
        for queue in state.queues.values():
            follows = queue.row.policy.definition.max_length_bytes if queue.row.policy else _PLENTY
            assert follows == _PLENTY + kept, f"{queue.row.name} follows no policy, or another one"
        offsets = {name for queue in state.queues.values() for name in queue.offsets}
        assert offsets >= self.offsets, f"confirmed offsets are gone: {self.offsets - offsets}"
