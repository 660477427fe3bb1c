"""Any history of events leaves each attempt in one place, and nothing is forgotten or doubled."""

from __future__ import annotations

from collections import Counter, deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from node_agent.core.attempts import SILENT, Attempt, Failure, Outcome, Ref, Result
from node_agent.core.machine import Machine
from node_agent.core.outbox import Report
from quorate.runtime.ids import Epoch

SLOTS = 2
MOST_YIELDED = 3
LANES = SLOTS + MOST_YIELDED


class AgentHistory(RuleBasedStateMachine):
    """A machine with executors that do exactly what they are told, and a forgetful leader."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(SLOTS, most_yielded=MOST_YIELDED)
        self.now = 0.0
        self.epoch = 0
        self.connected = False
        self.accepted: dict[Ref, Attempt] = {}
        # What each lane's executor holds; the first `taken` of them cannot be recalled.
        self.lanes: list[deque[Attempt]] = [deque() for _ in range(LANES)]
        # Spare lanes that have a worker, or will have one.
        self.staffed: set[int] = set()
        # By id, and kept: an id is given again once its object is gone.
        self.doomed: dict[int, Attempt] = {}
        self.reported: Counter[Ref] = Counter()
        self.returned: Counter[Ref] = Counter()
        for lane in range(SLOTS):
            self.machine.on_lane_ready(lane)

    def pump(self) -> None:
        machine = self.machine
        machine.settle(self.now)
        while effects := machine.take():
            for lane in effects.recall:
                queue = self.lanes[lane]
                back = list(queue)[1:]
                for attempt in back:
                    queue.remove(attempt)
                machine.on_recalled(lane, back, self.now)
            for attempt in effects.kill:
                if attempt.over:
                    continue  # it died meanwhile
                assert attempt in self.lanes[attempt.lane], "only what runs is killed"
                self.doomed[id(attempt)] = attempt
            for lane in effects.unstaff:
                assert not self.lanes[lane], "only an idle worker is ended"
                self.staffed.remove(lane)
            for lane in effects.staff:
                assert lane >= SLOTS, "the slots' own lanes have workers"
                assert lane not in self.staffed, "a lane has one worker"
                self.staffed.add(lane)
            slots = self.machine.slots
            for attempt in effects.start:
                assert not slots.lanes[attempt.lane].yielded
                self.lanes[attempt.lane].append(attempt)
                assert not attempt.warm or attempt.lane < SLOTS or attempt.lane in self.staffed
            if any(len(self.lanes[attempt.lane]) == 1 for attempt in effects.start):
                assert slots.busy() <= SLOTS, "none begins while the slots are taken"
            assert self.connected or not effects.finished, "the outbox keeps it"
            for report in effects.finished:
                self.reported[Ref(report.task_id, report.number)] += 1
            for ref in effects.returned:
                self.returned[ref] += 1
            machine.settle(self.now)

    @rule(
        tasks=st.lists(st.sampled_from("abcdefgh"), max_size=5),
        number=st.integers(1, 3),
        warm=st.booleans(),
        timeout=st.sampled_from([0.0, 0.5]),
        stop=st.booleans(),
    )
    @precondition(lambda self: self.connected)
    def assign(self, tasks: list[str], number: int, warm: bool, timeout: float, stop: bool) -> None:
        attempts = [Attempt(task, number, None, f"p{warm}", warm, timeout, stop) for task in tasks]
        self.machine.on_assigned(attempts, self.now)
        self.pump()

    @rule(task=st.sampled_from("abcdefgh"), number=st.integers(1, 3))
    @precondition(lambda self: self.connected)
    def cancel(self, task: str, number: int) -> None:
        self.machine.on_cancelled([Ref(task, number)])
        self.pump()

    @rule(lane=st.integers(0, LANES - 1))
    def wait(self, lane: int) -> None:
        if self.lanes[lane] and self.lanes[lane][0].warm:
            head = self.lanes[lane][0]
            rest = list(self.lanes[lane])[1:]
            for attempt in rest:
                self.lanes[lane].remove(attempt)
            self.machine.on_recalled(lane, rest, self.now)
            room = self.machine.slots.yielded < MOST_YIELDED
            already = self.machine.slots.lanes[lane].yielded
            assert self.machine.on_yielded(head) is (room or already)
            self.pump()

    @rule(lane=st.integers(0, LANES - 1))
    def go_on(self, lane: int) -> None:
        if self.lanes[lane]:
            self.machine.on_resumed(self.lanes[lane][0])
            self.pump()

    @rule()
    def spare_workers_are_ready(self) -> None:
        for lane in sorted(self.staffed):
            self.machine.on_lane_ready(lane)
        self.pump()

    @rule(lane=st.integers(0, LANES - 1), seconds=st.sampled_from([0.00001, 0.3]))
    def finish(self, lane: int, seconds: float) -> None:
        if self.lanes[lane]:
            attempt = self.lanes[lane].popleft()
            outcome = Outcome(Result("json", "1"), 1.0, seconds)
            if id(attempt) in self.doomed:
                outcome = Outcome(Failure("SIGNAL", ""), 1.0, seconds)
            self.machine.on_exited(attempt, outcome, self.now)
            self.pump()

    @rule(lane=st.integers(0, LANES - 1))
    def crash(self, lane: int) -> None:
        queue = self.lanes[lane]
        self.machine.on_lane_lost(lane)
        if queue and queue[0].warm:
            head, *rest = queue
            queue.clear()
            self.machine.on_recalled(lane, rest, self.now)
            self.machine.on_exited(head, Outcome(Failure("WORKER_CRASHED", ""), 1.0), self.now)
        self.pump()
        if lane < SLOTS or lane in self.staffed:
            self.machine.on_lane_ready(lane)
        self.pump()

    @rule(seconds=st.sampled_from([0.01, 0.06, 1.0, 31.0]))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.machine.on_tick(self.now)
        self.pump()

    @rule(higher=st.booleans())
    def open_session(self, higher: bool) -> None:
        self.epoch += higher
        inventory = self.machine.on_session_opened(Epoch(self.epoch))
        self.connected = True
        listed = [attempt.ref for attempt, _ in inventory.running]
        listed += [*inventory.waiting, *inventory.finished]
        assert len(set(listed)) == len(listed)
        self.pump()

    @rule()
    def close_session(self) -> None:
        self.machine.on_session_closed()
        self.connected = False

    @rule()
    @precondition(lambda self: self.connected)
    def acknowledge_all(self) -> None:
        reports: list[Report] = list(self.machine.outbox)
        self.machine.on_acknowledged(Ref(report.task_id, report.number) for report in reports)
        self.pump()

    @rule(draining=st.booleans())
    @precondition(lambda self: self.connected)
    def drain(self, draining: bool) -> None:
        self.machine.on_drain_ordered(draining, 0.5, self.now)
        self.pump()

    @rule()
    def confirm_lease(self) -> None:
        self.machine.on_lease_confirmed(self.now + 0.5)

    @invariant()
    def machine_and_executors_agree(self) -> None:
        slots = self.machine.slots
        assert SLOTS <= len(slots.lanes) <= LANES
        for lane, queue in zip(slots, self.lanes, strict=False):
            assert list(lane.attempts) == list(queue)
            assert queue or not lane.yielded
        assert not any(self.lanes[len(slots.lanes) :]), "a lane in use stays"
        assert slots.yielded == sum(lane.yielded for lane in slots) <= MOST_YIELDED

    @invariant()
    def every_attempt_is_in_one_place(self) -> None:
        held = [attempt for queue in self.lanes for attempt in queue]
        held += self.machine.waiting
        assert len({id(attempt) for attempt in held}) == len(held) == self.machine.held
        assert not any(attempt.over for attempt in held)
        live = [attempt for attempt in held if attempt.killed not in SILENT]
        assert len({attempt.task_id for attempt in live}) == len(live)
        for attempt in live:
            assert self.machine.live(attempt.task_id) is attempt
            assert self.machine.outbox.get(attempt.ref) is None

    @invariant()
    def a_draining_node_asks_for_nothing(self) -> None:
        credit = self.machine.credit(self.now)
        assert credit == 0 if self.machine.draining else credit >= SLOTS

    def teardown(self) -> None:
        """Whatever happened, the node gets empty when executors answer and the leader listens."""
        self.machine.on_drain_ordered(True, 0.0, self.now, shutting_down=True)
        self.pump()
        while self.machine.held:
            self.now += 1.0
            self.machine.on_tick(self.now)
            self.pump()
            for lane in range(LANES):
                self.finish(lane, 0.001)
        assert self.machine.inventory().running == ()


AgentHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAgentHistory = AgentHistory.TestCase
