"""Replicas in any history of a node: none is forgotten or left running, the credit is exact."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node_agent.core.attempts import SILENT, Attempt, Failure, Outcome, Ref, Result
from node_agent.core.machine import Machine
from quorate.runtime.ids import Epoch

SLOTS = 2
TASKS = st.sampled_from("abcd")
NUMBERS = st.integers(1, 3)


class History(RuleBasedStateMachine):
    """A leader, programs and a clock, drawn at random."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(SLOTS)
        self.now = 100.0
        self.machine.on_session_opened(Epoch(1))
        self.credit = 0
        # Programs that run, and those that were told to end.
        self.programs: list[Attempt] = []
        # The attempts themselves: an id alone is given again once its object is gone.
        self.killed: list[Attempt] = []
        self.pump()

    def pump(self) -> None:
        self.machine.settle(self.now)
        while effects := self.machine.take():
            for attempt in (*effects.drain, *effects.kill):
                assert attempt in self.programs
            self.killed += effects.kill
            for attempt in effects.start:
                assert attempt not in self.programs
                self.programs.append(attempt)
            if effects.credit is not None:
                self.credit = effects.credit
            self.machine.on_acknowledged(
                [Ref(report.task_id, report.number) for report in effects.finished]
            )
            self.machine.settle(self.now)

    def was_killed(self, attempt: Attempt) -> bool:
        return any(known is attempt for known in self.killed)

    @rule(task=TASKS, number=NUMBERS, grace=st.sampled_from([0.0, 5.0]))
    def assign(self, task: str, number: int, grace: float) -> None:
        attempt = Attempt(task, number, None, replica=True, drain_grace=grace)
        self.machine.on_assigned([attempt], self.now)
        self.pump()

    @rule(task=TASKS, number=NUMBERS, grace=st.sampled_from([0.0, 5.0]))
    def assign_and_cancel_in_one_message(self, task: str, number: int, grace: float) -> None:
        attempt = Attempt(task, number, None, replica=True, drain_grace=grace)
        self.machine.on_assigned([attempt], self.now)
        self.machine.on_cancelled([attempt.ref])
        self.pump()

    @rule(task=TASKS, number=NUMBERS)
    def cancel(self, task: str, number: int) -> None:
        self.machine.on_cancelled([Ref(task, number)])
        self.pump()

    @rule(data=st.data(), good=st.booleans())
    def exit(self, data: st.DataObject, good: bool) -> None:
        if self.programs:
            attempt = data.draw(st.sampled_from(self.programs))
            self.programs.remove(attempt)
            value = Result("exit_code", 0) if good else Failure("SIGNAL", "")
            self.machine.on_exited(attempt, Outcome(value, 1.0, 1.0), self.now)
            self.pump()

    @rule(data=st.data())
    def unhealthy(self, data: st.DataObject) -> None:
        if self.programs:
            self.machine.on_unhealthy(data.draw(st.sampled_from(self.programs)), "why")
            self.pump()

    @rule(seconds=st.sampled_from([0.01, 1.0, 6.0]))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.machine.on_tick(self.now)
        self.pump()

    @rule(draining=st.booleans(), grace=st.sampled_from([0.0, 8.0]))
    def drain(self, draining: bool, grace: float) -> None:
        self.machine.on_drain_ordered(draining, grace, self.now)
        self.pump()

    @rule()
    def long_after(self) -> None:
        """Whatever drains is killed in the end, never forgotten."""
        self.machine.on_tick(self.now)
        self.now += 100.0
        self.machine.on_tick(self.now)
        self.pump()
        for attempt in self.programs:
            assert (attempt.killed is not None) == self.was_killed(attempt)

    @invariant()
    def the_machine_knows_every_program(self) -> None:
        assert {id(attempt) for attempt, _ in self.machine.services} == set(map(id, self.programs))
        assert self.machine.held == len(self.programs)
        lanes = [attempt.lane for attempt in self.programs]
        assert len(set(lanes)) == len(lanes)

    @invariant()
    def the_credit_is_exact(self) -> None:
        counted = sum(attempt.killed not in SILENT for attempt in self.programs)
        assert self.credit == (0 if self.machine.draining else SLOTS + counted)


TestHistory = History.TestCase
