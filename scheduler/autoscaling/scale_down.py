"""Marks idle nodes for a scale-down, as long as somebody asks how many nodes are wanted.

Each call for the number is a request; the requests of the last `ASKED_WITHIN` seconds together
decide (`scheduler.autoscaling.surplus`), and the changes are events like all others: stepped,
committed behind the fence, and only then sent to agents. Without a request nothing is ever marked.

Owned by the term, together with what it remembers: who asked, and which nodes were given up. A
new leader keeps the marks (they are records), knows neither of these, and so gives whoever asked
`ASKED_WITHIN` seconds to ask it before it takes their marks back.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from quorate.runtime.ids import InstanceId
from scheduler.autoscaling.ask import Ask
from scheduler.autoscaling.look import look
from scheduler.autoscaling.plan import plan
from scheduler.autoscaling.surplus import Decision, Target, decide, number
from scheduler.core.handlers.nodes.scaling_down import decided
from scheduler.engine.driver import Driver

log = structlog.get_logger(__name__)

# Seconds after its last question that a trigger counts. HorizontalPodAutoscalers ask every 15 s.
ASKED_WITHIN: Final = 300.0
# Triggers that are remembered; of more, those that asked longest ago are forgotten.
MAX_ASKS: Final = 32
# Seconds between two looks for marks that nobody stands by any longer.
LOOK_EVERY: Final = 5.0


class ScaleDown:
    """See the module. One for each term."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._began = driver.clock.now()
        # When each asked last, in that order.
        self._asks: dict[Ask, float] = {}
        # When each was given up; processes that are gone are forgotten.
        self._given_up: dict[InstanceId, float] = {}

    async def wanted(self, ask: Ask) -> int:
        """How many nodes to report to this trigger; marks are set and taken back before.

        Wait for the driver's barrier before telling it.

        Raises:
            QuorateError: UNAVAILABLE: this process does not lead any longer.
        """
        await self._driver.room()
        self._asks.pop(ask, None)
        self._asks[ask] = self._driver.clock.now()
        if len(self._asks) > MAX_ASKS:
            del self._asks[next(iter(self._asks))]
        self.look()
        return number(self._target(ask), self._since_given_up())

    async def run(self) -> None:
        """Take back what nobody stands by, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if self._driver.state.scaling_down:
                await self._driver.journal.wait_room()
                self.look()

    def look(self) -> None:
        """Bring the marks to what was asked lately."""
        driver = self._driver
        now = driver.clock.now()
        for ask in [ask for ask, at in self._asks.items() if now - at > ASKED_WITHIN]:
            del self._asks[ask]
        targets = [self._target(ask) for ask in self._asks]
        decision = decide(targets, self._since_given_up())
        mark = [(node.name, node.instance) for node in decision.mark]
        back = [(node.name, node.instance) for node in decision.back]
        if now - self._began > ASKED_WITHIN:
            owned = {node.name for target in targets for node in target.seen.nodes}
            back += [
                (name, row.instance)
                for name, row in driver.state.scaling_down.items()
                if name not in owned
            ]
        if mark or back:
            self._note(decision)
            driver.handle(decided(mark, back))

    def _note(self, decision: Decision) -> None:
        now = self._driver.clock.now()
        registered = {node.instance for node in self._driver.state.nodes.values()}
        self._given_up = {i: at for i, at in self._given_up.items() if i in registered}
        self._given_up.update((node.instance, now) for node in decision.given_up)
        log.info(
            "scale_down_marks",
            marked=[node.name for node in decision.mark],
            taken_back=[node.name for node in decision.back],
            given_up=[node.name for node in decision.given_up],
        )

    def _target(self, ask: Ask) -> Target:
        seen = look(self._driver.state, ask, self._driver.clock.now())
        return Target(ask, seen, plan(ask, seen))

    def _since_given_up(self) -> dict[InstanceId, float]:
        now = self._driver.clock.now()
        return {instance: now - at for instance, at in self._given_up.items()}
