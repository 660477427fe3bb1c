"""A standby that follows the log, or loads a snapshot of it, knows what the leader knows.

Random histories; at random points the leader's state is compared with that of a standby that
followed from the beginning and of one that loads now. Then one of them leads on.
"""

from __future__ import annotations

import pytest

from quorate.runtime.ids import QueueName
from scheduler.core.model import events as e
from scheduler.core.model.invariants import check
from scheduler.core.model.rows import PauseRow, TaskRow
from scheduler.core.model.state import SERVICES_QUEUE, State
from scheduler.core.values import NO_LIMITS, TaskState
from scheduler.storage import keys
from tests.support.core import Cluster
from tests.support.core_history import History
from tests.support.core_history_base import QUEUES
from tests.support.core_history_end import end_all
from tests.support.same_state import differences, settle


def task_view(row: TaskRow, now: float) -> tuple:
    """What a new leader knows of a live task."""
    state, not_before = row.state, row.not_before
    if state is TaskState.SCHEDULED and not_before <= now:
        # Due: nothing is written when a timer fires.
        state, not_before = TaskState.PENDING, 0.0
    return (
        row.id,
        row.queue.name,
        row.create_time,
        row.priority,
        row.retry,
        row.needs,
        row.affinity,
        state,
        not_before,
        row.attempt,
        row.failures,
        row.crashes,
        row.node,
        row.instance,
        row.assign_time,
        row.cancel_requested,
        row.past,
        row.replica,
        row.text,
    )


def tasks_view(state: State, now: float) -> dict[str, tuple]:
    """What a new leader knows of the live tasks, but for when their attempts began."""
    return {task: task_view(row, now) for task, row in state.tasks.items()}


def expected_order(state: State, now: float) -> dict[str, list[str]]:
    """In what order the waiting tasks of each queue are to go."""
    waiting: dict[str, list[tuple]] = {name: [] for name in state.queues}
    for row in state.tasks.values():
        if task_view(row, now)[7] is TaskState.PENDING:
            waiting[row.queue.name].append((-row.priority, row.id))
    return {name: [task for _, task in sorted(rows)] for name, rows in waiting.items()}


def order_of(state: State, now: float) -> dict[str, list[str]]:
    """In what order they do go, under a new leader with a node that takes everything."""
    for queue in state.queues.values():
        state.set_pause(queue, None, paused=False)
        queue.limits = NO_LIMITS
    state.permits.shared.clear()
    for name in list(state.pauses.rows):
        state.pauses.drop(name)
    state.nodes.clear()
    held = {task for task, row in state.tasks.items() if row.state is TaskState.RUNNING}
    c = Cluster(state=state, now=now)
    c.placing = False
    c.step(e.TimersDue())
    node = c.node("all", credit=1_000, cpu=1e6, memory=1 << 50, counters={"gpu": 1_000})
    c.place()
    went: dict[str, list[str]] = {name: [] for name in state.queues}
    for task, _ in node.started:
        if task not in held:
            went[c.row(task).queue.name].append(task)
    return went


class ComparedHistory(History):
    """A history whose standbys are compared with its leader."""

    def do_pause_matching(self) -> None:
        """What a tenant has, or has in a queue, is paused for a while, or goes on."""
        rows, request = self.cluster.state.pauses.rows, self.request(b"matching")
        if rows and self.rng.random() < 0.6:
            row = self.rng.choice(list(rows.values()))
            self.cluster.call(lambda t: e.PauseDeleteAsked(row.name, row.queue, request, t))
            return
        queue = QueueName(self.rng.choice(["", *QUEUES]))
        until = self.cluster.now + self.rng.choice([1.0, 5.0])
        name, tenant = self.rng.choice("pq"), self.rng.choice(["gold", "silver", ""])
        if queue or tenant:
            pause = PauseRow(name, queue, tenant=tenant, until=until)
            self.cluster.call(lambda t: e.PauseSubmitted(pause, request, t))

    def compare(self) -> None:
        c = self.cluster
        self.log.flush()
        # Of the instances that went with their service, the leader hears from its watch.
        for service, found in list(c.state.instances.items()):
            for name in list(found):
                if keys.instance_key(service, name) not in self.log.kept:
                    c.step(e.InstanceGone(service, name))
        batches = [part for part in c.parts if isinstance(part, e.BatchContinued)]
        coming = sum(len(part.specs) - part.progress for part in batches)
        assert sum(usage.coming_tasks for usage in c.state.callers.values()) == coming
        assert sum(queue.usage.coming_tasks for queue in c.state.queues.values()) == coming
        c.step(e.TimersDue())
        self.log.flush()
        for how, fold in (("followed", self.log.replayed()), ("loaded", self.log.loaded())):
            check(fold.state)
            settle(fold.state, c.now)
            assert differences(c.state, fold.state) == [], how
        check(self.log.fold.state)
        held_back = [t for t, row in c.state.tasks.items() if row.state is TaskState.RUNNING]
        expected = expected_order(c.state, c.now)
        # Whoever leads looks after services at once: which replicas wait may change.
        expected.pop(SERVICES_QUEUE, None)
        # Attempts on processes that are gone wait again: they are not compared.
        went = order_of(self.log.loaded().state, c.now)
        went.pop(SERVICES_QUEUE, None)
        # Tenants take turns, which is another test's: each has its own order.
        # Of an ordering key only the first one starts; who replaces another one waits for its end.
        tenant: dict[str, str] = {
            t: row.tenant
            for t, row in c.state.tasks.items()
            if row.limits is None or not (row.limits.ordering or row.limits.replaces)
        }
        for queue, order in expected.items():
            for name in sorted(set(tenant.values())):
                mine = [t for t in went[queue] if t not in held_back and tenant.get(t) == name]
                assert mine == [t for t in order if tenant.get(t) == name], (queue, name)

    def fail_over(self) -> None:
        """Another process leads, from either kind of standby."""
        c = self.cluster
        before = tasks_view(c.state, c.now)
        c.lead(self.log.followed() if self.rng.random() < 0.5 else self.log.loaded().state)
        assert tasks_view(c.state, c.now) == before
        c.step(e.TimersDue())
        for node in self.nodes.values():
            node.register()
            node.open()
            node.credit(4)


@pytest.mark.parametrize("seed", range(30))
def test_standbys_know_what_the_leader_knows_and_lead_on(seed: int):
    history = ComparedHistory(seed)
    for _ in range(6):
        history.run(60)
        history.compare()
        if history.rng.random() < 0.5:
            history.fail_over()
    # The last leader finishes everything.
    end_all(history)
    history.compare()
