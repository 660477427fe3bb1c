"""Queues that wait for the same slots get equal slot time, whatever their tasks are like."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush

import pytest

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.handlers.queues.update import settings_of
from scheduler.core.model import events as e
from scheduler.core.model.limits.permits import of_share
from scheduler.core.placement.turns import InTurn
from scheduler.core.queues.slot_time import SlotTime
from scheduler.core.values import QueueOrder
from tests.support.core import Cluster
from tests.support.core_jobs import Jobs, followed_cluster
from tests.support.core_node import FakeNode
from tests.support.core_specs import spec


class Slots:
    """Runs what a node is given, oldest first, for as long as tasks of each queue take."""

    def __init__(self, jobs: Jobs, node: FakeNode, slots: int, seconds: dict[str, float]) -> None:
        self.cluster, self.jobs, self.node = jobs.cluster, jobs, node
        self.slots, self.seconds = slots, seconds
        # Slot-seconds that were used of each queue, and attempts.
        self.used: Counter[str] = Counter()
        self.ran: Counter[str] = Counter()
        # When what runs ends: (instant, task, queue, seconds).
        self._ends: list[tuple[float, TaskId, str, float]] = []

    def work(self, seconds: float) -> None:
        """Until so many seconds have passed."""
        until = self.cluster.now + seconds
        while True:
            self._begin()
            if not self._ends or self._ends[0][0] > until:
                break
            end, task, queue, took = heappop(self._ends)
            self.cluster.advance(end - self.cluster.now)
            self.used[queue] += took  # type: ignore[assignment]
            self.ran[queue] += 1
            if task in self.cluster.state.chunks:
                self.jobs.succeed(self.node, task, took)
            else:
                self.node.succeed(task)
        self.cluster.advance(until - self.cluster.now)

    def _begin(self) -> None:
        running = {task for _, task, _, _ in self._ends}
        for task in list(self.node.has):
            if len(running) >= self.slots:
                return
            if task in running:
                continue
            row = self.cluster.state.chunks.get(task) or self.cluster.state.tasks[task]
            took = self.seconds[row.queue.name] * (row.chunk.size if row.chunk else 1)
            self.node.start(task)
            heappush(self._ends, (self.cluster.now + took, task, row.queue.name, took))
            running.add(task)


def cluster_of(tasks: dict[str, int], credit: int = 2) -> tuple[Cluster, Jobs, FakeNode]:
    """A cluster with so many tasks in each queue."""
    c = Cluster(checked=False)
    for queue in tasks:
        c.queue(queue)
    for queue, count in tasks.items():
        for _ in range(count):
            c.submit(queue=queue)
    return c, Jobs(c), c.node("n1", credit=credit, slots=2)


@pytest.mark.parametrize("credit", [2, 6])
def test_short_tasks_get_as_much_slot_time_as_long_ones(credit: int) -> None:
    _, jobs, n = cluster_of({"short": 6_000, "long": 200}, credit)
    slots = Slots(jobs, n, 2, {"short": 0.001, "long": 0.1})
    slots.work(5.0)
    assert slots.used["short"] == pytest.approx(slots.used["long"], rel=0.1)
    assert slots.used.total() == pytest.approx(10.0, rel=0.05)


def test_shares_divide_the_slots() -> None:
    c, jobs, n = cluster_of({"short": 6_000, "long": 200, "array": 0})
    jobs.create(200_000, queue="array")
    for queue, share in (("long", 3.0), ("array", 0.5)):
        row = c.state.queues[QueueName(queue)]
        settings = settings_of(row)._replace(order=QueueOrder(share=share))
        asked = e.QueueUpdateAsked(row.name, settings, e.Request(), c.token())
        c.step(asked)
    slots = Slots(jobs, n, 2, {"short": 0.002, "long": 0.1, "array": 0.0005})
    slots.work(9.0)
    assert slots.used["short"] == pytest.approx(4.0, rel=0.1)
    assert slots.used["long"] == pytest.approx(12.0, rel=0.1)
    assert slots.used["array"] == pytest.approx(2.0, rel=0.1)


def test_three_queues_get_a_third_each() -> None:
    _, jobs, n = cluster_of({"a": 3_000, "b": 2_000, "c": 200})
    slots = Slots(jobs, n, 2, {"a": 0.002, "b": 0.013, "c": 0.2})
    slots.work(9.0)
    for queue in ("a", "b", "c"):
        assert slots.used[queue] == pytest.approx(6.0, rel=0.1)


def test_an_array_counts_by_what_its_subtasks_take() -> None:
    c, jobs, n = cluster_of({"calls": 5_000, "array": 0}, credit=4)
    jobs.create(100_000, queue="array")
    slots = Slots(jobs, n, 2, {"calls": 0.001, "array": 0.00025})
    slots.work(4.0)
    assert c.state.jobs
    assert slots.used["calls"] == pytest.approx(slots.used["array"], rel=0.1)
    # Chunks, of hundreds of subtasks each.
    assert slots.ran["array"] < 200


def test_what_was_not_run_of_a_chunk_is_not_charged() -> None:
    turns, chunk = SlotTime(), TaskId("chunk")
    array, calls = QueueName("array"), QueueName("calls")
    assert turns.look([(array, 0), (calls, 0)], 0.0)
    turns.charge(array, chunk, 1.0, 0.01, 100)
    turns.charge(calls, TaskId("call"), 1.0, 0.01)
    assert turns.first() == calls
    turns.correct_chunk(array, chunk, 1.0, 0.005, 50)
    turns.correct_chunk(array, chunk, 1.0, 0.0, 50, over=True)
    assert turns.first() == array
    turns.correct_chunk(array, chunk, 1.0, 5.0, 50)
    assert turns.first() == array, "it was over"


def test_a_queue_that_comes_back_has_saved_nothing() -> None:
    c, jobs, n = cluster_of({"busy": 3_000, "late": 1})
    slots = Slots(jobs, n, 2, {"busy": 0.01, "late": 0.01})
    slots.work(4.0)
    for _ in range(300):
        c.submit(queue="late")
    slots.used.clear()
    slots.work(1.0)
    assert slots.used["late"] == pytest.approx(slots.used["busy"], rel=0.1)


def test_a_queue_of_one_task_at_a_time_waits_for_no_second_chunk() -> None:
    c, jobs, n = cluster_of({"one": 1, "array": 0})
    jobs.create(200_000, queue="array")
    slots = Slots(jobs, n, 2, {"one": 0.001, "array": 0.0005})
    slots.work(1.0)
    for _ in range(20):
        task = c.submit(queue="one")
        slots.work(0.11)
        assert c.state_of(task) is not None
        assert task in c.state.finished, "it waited for more than the chunk that ran"


def test_what_could_not_start_for_long_catches_up_with_little() -> None:
    c, jobs, n = cluster_of({"gpu": 0, "busy": 7_000})
    for _ in range(3_000):
        c.submit(spec(counters={"gpu": 1}), queue="gpu")
    slots = Slots(jobs, n, 2, {"gpu": 0.01, "busy": 0.01})
    slots.work(20.0)
    assert slots.used["gpu"] == 0
    n.register(counters={"gpu": 2}, slots=2)
    slots.used.clear()
    slots.work(20.0)
    assert slots.used["gpu"] < 0.5 * 40.0 + 5.0


def test_one_attempt_that_takes_far_longer_than_others_does_not_shut_its_queue_out() -> None:
    _, jobs, n = cluster_of({"a": 5_000, "b": 5_000})
    seconds = {"a": 0.05, "b": 0.05}
    slots = Slots(jobs, n, 2, seconds)
    slots.work(2.0)
    seconds["a"] = 10_000.0
    slots.work(0.2)
    seconds["a"] = 0.05
    slots.work(20_000.0)
    c = jobs.cluster
    left = Counter(str(row.queue.name) for row in c.state.tasks.values())
    assert left["a"] < 5_000 - 1_000


def test_nobody_is_charged_where_one_queue_is_alone() -> None:
    c, jobs, n = cluster_of({"alone": 500})
    Slots(jobs, n, 2, {"alone": 0.01}).work(1.0)
    assert not c.state.slot_time.on
    assert not c.state.slot_time.charged


def test_charging_ends_when_nobody_else_has_waited_for_a_while() -> None:
    c, jobs, n = cluster_of({"a": 4_000, "b": 10})
    slots = Slots(jobs, n, 2, {"a": 0.01, "b": 0.01})
    slots.work(1.0)
    assert c.state.slot_time.on
    assert len(c.state.slot_time.charged) == len(n.has)
    slots.work(12.0)
    assert not c.state.slot_time.on
    assert not c.state.slot_time.charged


def test_a_new_leader_begins_anew() -> None:
    c, jobs, n = cluster_of({"short": 4_000, "long": 100})
    seconds = {"short": 0.001, "long": 0.1}
    Slots(jobs, n, 2, seconds).work(1.0)
    assert c.state.slot_time.charged
    c.state.slot_time = SlotTime()
    c.lead(c.state)
    n.open()
    n.credit(2)
    slots = Slots(jobs, n, 2, seconds)
    slots.work(3.0)
    assert slots.used["short"] == pytest.approx(slots.used["long"], rel=0.1)


def test_a_chunk_counts_for_tasks_without_a_fairness_key_by_what_it_takes() -> None:
    with followed_cluster() as c:
        jobs, n = Jobs(c), c.node("n1", credit=2, slots=2)
        for _ in range(300):
            c.submit(spec(tenant="a"))
        jobs.create(20_000)
        used: Counter[str] = Counter()
        for _ in range(300):
            task = next(iter(n.has))
            chunk = c.state.chunks.get(task)
            if chunk is None:
                n.start(task)
                c.advance(0.01)
                used["a"] += 10
                n.succeed(task)
            else:
                assert chunk.chunk is not None
                size = chunk.chunk.size
                c.advance(size * 0.001)
                used[""] += size
                jobs.succeed(n, task, size * 0.001)
        assert used["a"] == pytest.approx(used[""], rel=0.15)
        names = {tenant: of_share("default", tenant) for tenant in ("a", "")}
        times = {tenant: c.state.permits.arrivals[name] for tenant, name in names.items()}
        assert times["a"] == pytest.approx(times[""], abs=0.2)


def test_queues_that_are_gone_leave_nothing_behind() -> None:
    turns, now = SlotTime(), 0.0
    for number in range(5_000):
        names = [QueueName(f"q{number}"), QueueName("stays")]
        assert turns.look([(name, 0) for name in names], now)
        while (first := turns.first()) is not None:
            turns.charge(first, TaskId(first), 1.0, 0.01)
            turns.correct(first, TaskId(first), 1.0, 0.01)
            turns.leave(first) if first != "stays" else turns.set_aside(first)
        now += 0.01
    assert not turns.charged


def test_a_full_cluster_costs_no_look_at_each_queue_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[object] = []
    next_of = InTurn.next

    def count(turns: InTurn) -> object:
        looked.append(turns)
        return next_of(turns)

    monkeypatch.setattr(InTurn, "next", count)
    c = Cluster()
    for number in range(50):
        c.queue(f"q{number}")
        c.submit(queue=f"q{number}")
    node = c.node("n1", credit=1)
    looked.clear()
    (task,) = node.has
    node.succeed(task)
    assert len(node.has) == len(looked) == 1
    c.submit(queue="q1")
    assert len(looked) == 1


def test_another_share_gives_back_no_more_than_was_charged() -> None:
    turns = SlotTime()
    mine, other, task = QueueName("mine"), QueueName("other"), TaskId("1")
    assert turns.look([(mine, 0), (other, 0)], 0.0)
    turns.charge(mine, task, 1_000.0, each=60.0)
    turns.correct(mine, task, 0.001, 0.001)
    turns.charge(mine, task, 1_000.0, each=60.0, count=2)
    turns.correct_chunk(mine, task, 0.001, 0.001, 2, over=True)
    turns.charge(other, TaskId("2"), 1.0, each=1.0)
    assert turns.first() == other
