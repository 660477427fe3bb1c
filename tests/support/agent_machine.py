"""An agent's pure machine with a clock: what happens is a call, what follows is returned.

Invariants are checked after every step.
"""

from __future__ import annotations

from node_agent.core import machine as m
from node_agent.core.attempts import Attempt, Outcome, Ref, Result
from node_agent.core.effects import Effects
from node_agent.core.machine import Machine
from node_agent.core.outbox import Outbox
from node_agent.core.slots import MOST_YIELDED
from quorate.runtime.ids import Epoch

OK = Outcome(Result("json", "1"), start=1000.0, seconds=0.00002)
# Too long for another to queue behind it.
SLOW = Outcome(Result("exit_code", 0), start=1000.0, seconds=0.012)


class Node:
    """A machine with ready lanes, an open session and a clock."""

    def __init__(
        self, slots: int = 2, outbox: Outbox | None = None, most_yielded: int = MOST_YIELDED
    ) -> None:
        self.machine = Machine(slots, outbox, most_yielded)
        for lane in range(slots):
            self.machine.on_lane_ready(lane)
        self.now = 100.0
        self.machine.on_session_opened(Epoch(1))
        self.first = self.settle()

    def settle(self) -> Effects:
        self.machine.settle(self.now)
        effects = self.machine.take() or Effects()
        check(self.machine)
        return effects

    def assign(self, *attempts: Attempt) -> Effects:
        self.machine.on_assigned(attempts, self.now)
        return self.settle()

    def cancel(self, *refs: tuple[str, int]) -> Effects:
        self.machine.on_cancelled(Ref(*ref) for ref in refs)
        return self.settle()

    def exit(self, attempt: Attempt, outcome: Outcome = OK) -> Effects:
        self.machine.on_exited(attempt, outcome, self.now)
        return self.settle()

    def yields(self, attempt: Attempt) -> Effects:
        assert self.machine.on_yielded(attempt), "it may wait"
        return self.settle()

    def resumes(self, attempt: Attempt) -> Effects:
        self.machine.on_resumed(attempt)
        return self.settle()

    def staffed(self, *lanes: int) -> Effects:
        for lane in lanes:
            self.machine.on_lane_ready(lane)
        return self.settle()

    def recalled(self, lane: int, *attempts: Attempt) -> Effects:
        self.machine.on_recalled(lane, attempts, self.now)
        return self.settle()

    def tick(self, seconds: float = m.TICK_SECONDS) -> Effects:
        self.now += seconds
        self.machine.on_tick(self.now)
        return self.settle()

    def learn(self, profile: str, seconds: float) -> None:
        for _ in range(60):
            self.machine.durations.observe(profile, seconds)
        self.settle()


def check(machine: Machine) -> None:
    places = [attempt for lane in machine.slots for attempt in lane.attempts]
    slots = machine.slots
    assert slots.yielded == sum(lane.yielded for lane in slots) <= slots.most_yielded
    assert len(slots.lanes) <= slots.count + slots.most_yielded
    assert slots.busy() <= slots.count + slots.most_yielded
    for lane in machine.slots:
        assert lane.attempts or not lane.yielded
        for attempt in lane.attempts:
            assert attempt.lane == lane.index
            assert not attempt.over
            assert attempt.warm == lane.attempts[0].warm
    assert all(attempt.lane == -1 for attempt in machine.waiting)
    places += machine.waiting
    assert len({id(attempt) for attempt in places}) == len(places) == machine.held
    reported = {(report.task_id, report.number) for report in machine.outbox}
    assert not reported & {(attempt.task_id, attempt.number) for attempt in places}


def call(task: str, number: int = 1, **more: object) -> Attempt:
    return Attempt(task, number, None, "f", warm=True, **more)  # type: ignore[arg-type]


def command(task: str, number: int = 1, **more: object) -> Attempt:
    return Attempt(task, number, None, "$ true", **more)  # type: ignore[arg-type]


def names(attempts: list[Attempt]) -> list[str]:
    return [attempt.task_id for attempt in attempts]
