"""A standby that follows the log, or loads a snapshot of it, knows what the leader knows.

Random histories; at random points the leader's state is compared with that of a standby that
followed from the beginning and of one that loads now. Then one of them leads on.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from quorate.internal.v1.records_pb2 import TaskRecord
from quorate.v1.task_pb2 import TaskResult, TaskSpec
from scheduler.core.handlers.requests import known_to
from scheduler.core.handlers.scaling_down import decided
from scheduler.core.model import events as e
from scheduler.core.model.invariants import check
from scheduler.core.model.limits import Limits
from scheduler.core.model.quotas import NO_QUOTA, Quota
from scheduler.core.model.rows import Control, TaskRow
from scheduler.core.model.state import SERVICES_QUEUE, State
from scheduler.core.values import FINISHED, InstanceState, Origin, ServiceName, TaskState
from scheduler.storage import keys
from scheduler.storage.records import task_spec
from tests.support.core import Cluster, FakeNode
from tests.support.core_log import Log
from tests.support.core_specs import spec

QUEUES = ("default", "a", "b")
CALLERS = ("", "submitter:a", "submitter:b")
SERVICES = (ServiceName("web"), ServiceName("api"))
# Of a caller that the audit log tells of.
ASKED = e.Request(origin=Origin("alice", "operator", "token", "10.0.0.1:5", "Test"))


def task_view(row: TaskRow, now: float) -> tuple:
    """What must be equal of a live task. The start time: see `check_starts`."""
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


def check_starts(leader: State, standby: State) -> None:
    """Starts that must be on record are; another one may be, with whatever else was written."""
    recent = {(task, attempt) for _, task, attempt in leader.recent_starts}
    for task, row in leader.tasks.items():
        known = standby.tasks[task].start_time
        assert known == row.start_time or (not known and (task, row.attempt) in recent), task


def view(state: State, now: float) -> dict[str, object]:
    """What must be equal of a whole state."""
    return {
        "tasks": {task: task_view(row, now) for task, row in state.tasks.items()},
        "finished": {
            task: (done.queue.name, done.state, done.finish_time, done.attempt, done.text)
            for task, done in state.finished.items()
        },
        "queues": {
            name: (q.placement, q.disconnect, q.retention_age, q.retention_count, q.paused)
            for name, q in state.queues.items()
        },
        "sizes": {name: q.index.size for name, q in state.queues.items()},
        "leaving": state.scaling_down,
        "controls": {name: c for name, c in state.controls.items() if c != Control()},
        "dedup": {
            key: (d.digest, d.create_time, d.queue, d.first_id, d.count, d.progress, d.caller)
            for key, d in state.dedup.items()
        },
        "callers": {
            name: (usage.live, usage.finished, usage.units) for name, usage in state.callers.items()
        },
        "quotas": state.quotas,
        "audit": (state.audit.below(1 << 62, 0, 1_000), state.audit.last),
        "nodes": {name: node.instance for name, node in state.nodes.items()},
        "held": {
            instance: (sorted(held.rows), round(held.cpu, 6), held.memory)
            for instance, held in state.allocations.items()
            if held.rows
        },
        "services": {
            name: (s.create_time, s.spec, s.version, s.deleting)
            for name, s in state.services.items()
        },
        "replicas": {name: sorted(replicas) for name, replicas in state.replicas.items()},
        "instances": (state.instances, state.instance_count),
        "retained": {
            name: sorted(d.id for d in q.retained if state.finished.get(d.id) is d)
            for name, q in state.queues.items()
        },
    }


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
        queue.paused = False
    state.nodes.clear()
    held = {task for task, row in state.tasks.items() if row.state is TaskState.RUNNING}
    c = Cluster(state=state, now=now)
    c.placing = False
    c.step(e.TimersDue())
    node = c.node("all", credit=1_000, cpu=1e6, memory=1 << 50)
    c.place()
    went: dict[str, list[str]] = {name: [] for name in state.queues}
    for task, _ in node.started:
        if task not in held:
            went[c.row(task).queue.name].append(task)
    return went


class History:
    """One random history of a cluster with a log."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.log = Log(join=self.rng.choice([1, 2, 10]))
        self.cluster = Cluster(
            log=self.log,
            limits=Limits(part_tasks=3, request_age=40.0, live_tasks=60, audit_entries=5),
        )
        self.cluster.hold_parts = True
        for name in QUEUES[1:]:
            self.cluster.queue(name, age=60.0, count=8)
        self.nodes: dict[str, FakeNode] = {}
        self.requests = 0
        self.seen: list[tuple[str, e.Request, list]] = []

    def run(self, steps: int) -> None:
        choices = [getattr(self, name) for name in dir(self) if name.startswith("do_")]
        for _ in range(steps):
            self.rng.choice(choices)()
            if self.rng.random() < 0.3:
                self.cluster.advance(self.rng.choice([0.0, 0.5, 5.0]))

    def spec(self):
        rng = self.rng
        return spec(
            priority=rng.choice([0, 0, 0, 3, -2]),
            attempts=rng.choice([1, 2, 3]),
            backoff=rng.choice([0.5, 3.0]),
            jitter=rng.choice([0.0, 0.3]),
            payload=b"x" * rng.choice([0, 100, 1_000]),
            crash_limit=rng.choice([1, 2]),
            cpu=rng.choice([0.0, 0.0, 0.5, 1.5]),
            memory=rng.choice([0, 1 << 20]),
            fatal=rng.choice([(), ("OSError",)]),
            not_before=rng.choice([0.0, 0.0, self.cluster.now + 3.0]),
        )

    def some(self, *states: TaskState):
        found = [t for t, row in self.cluster.state.tasks.items() if row.state in states]
        found += [t for t, row in self.cluster.state.finished.items() if row.state in states]
        return self.rng.choice(found) if found else None

    def running(self):
        """A node in session and a task it has."""
        pairs = [(n, task) for n in self.nodes.values() for task in n.has]
        return self.rng.choice(pairs) if pairs else (None, None)

    # -- what happens

    def do_submit(self) -> None:
        queue = self.rng.choice(QUEUES)
        if len(self.cluster.state.tasks) < 40:
            # Each caller has request ids of its own, so that the same ones come from several.
            caller = self.rng.choice(CALLERS)
            self.requests += caller == ""
            self.cluster.submit(
                self.spec(),
                queue=queue,
                request=e.Request(f"r{self.requests}", b"d" + caller.encode(), caller=caller),
                creator=caller,
            )

    do_submit_again = do_submit

    def do_batch(self) -> None:
        if len(self.cluster.state.tasks) > 25:
            return
        caller = self.rng.choice(CALLERS)
        self.requests += caller == ""
        queue = self.rng.choice(QUEUES)
        request = e.Request(f"b{self.requests}", b"b" + caller.encode(), caller=caller)
        if known_to(self.cluster.state, queue, request):
            return
        specs = [self.spec() for _ in range(self.rng.randint(1, 10))]
        self.seen.append((queue, request, specs))
        self.cluster.batch(specs, queue=queue, request=request, creator=caller)

    def do_repeat_batch(self) -> None:
        if self.seen:
            queue, request, specs = self.rng.choice(self.seen)
            if known_to(self.cluster.state, queue, request):
                self.cluster.batch(specs, queue=queue, request=request, creator=request.caller)

    def do_quota(self) -> None:
        """Of nobody who submits: what is refused is tested in test_core_quotas.py."""
        kind = self.rng.choice(["caller", "queue"])
        quota = self.rng.choice([NO_QUOTA, Quota(live_tasks=5), Quota(open_waits=0)])
        self.cluster.call(
            lambda token: e.QuotaSubmitted(kind, "viewer:c/d", quota, e.Request(), token)
        )

    def do_part(self) -> None:
        if self.cluster.parts:
            self.cluster.step(self.cluster.parts.popleft())

    def do_node(self) -> None:
        name = self.rng.choice(["n1", "n2", "n3"])
        self.nodes[name] = self.cluster.node(
            name, credit=self.rng.randint(1, 6), cpu=self.rng.choice([1.0, 4.0])
        )

    def do_lose(self) -> None:
        if self.nodes and self.rng.random() < 0.4:
            name = self.rng.choice(sorted(self.nodes))
            self.nodes.pop(name).lose()

    def do_start(self) -> None:
        node, task = self.running()
        if node is not None:
            node.start(task)

    def do_finish(self) -> None:
        node, task = self.running()
        if node is not None:
            self.rng.choice(
                [
                    lambda: node.succeed(task),
                    lambda: node.succeed(task, result=TaskResult(json="1" * 700)),
                    lambda: node.fail(task),
                    lambda: node.fail(task, "OSError", traceback="t" * 1_000),
                    lambda: node.give_back(task),
                ]
            )()

    do_finish_again = do_finish

    def do_cancel(self) -> None:
        task = self.some(TaskState.PENDING, TaskState.RUNNING, TaskState.SCHEDULED)
        if task is not None:
            self.cluster.cancel(task, ASKED)

    def do_retry(self) -> None:
        task = self.some(TaskState.FAILED, TaskState.CANCELLED)
        if task is not None:
            # The service reads the spec back: the same bytes, the same instant of creation.
            self.log.flush()
            key = next(k for k in self.log.kept if k.startswith(b"tasks/") and task.encode() in k)
            record = TaskRecord.FromString(self.log.kept[key])
            what = task_spec(TaskSpec.FromString(record.spec), record.spec)
            self.cluster.call(
                lambda token: e.TaskRetryAsked(
                    task, what, record.create_time, e.Request(), token, record.created_by
                )
            )

    def do_delete(self) -> None:
        task = self.some(*sorted(FINISHED))
        if task is not None:
            self.cluster.delete(task)

    def do_pause(self) -> None:
        self.cluster.pause(self.rng.choice(QUEUES), self.rng.random() < 0.4)

    def do_control(self) -> None:
        if self.nodes:
            name = self.rng.choice(sorted(self.nodes))
            draining = self.rng.random() < 0.3
            self.cluster.control(name, Control(self.rng.random() < 0.3, draining, 5.0))

    def do_leave(self) -> None:
        """Decided a while ago: it may hold work meanwhile, and may be another process."""
        state = self.cluster.state
        mark = [(n.name, n.instance) for n in self.nodes.values() if self.rng.random() < 0.5]
        back = [
            (name, m.instance) for name, m in state.scaling_down.items() if self.rng.random() < 0.2
        ]
        for event in decided(mark, back):
            self.cluster.step(event)

    def do_session(self) -> None:
        if self.nodes:
            node = self.nodes[self.rng.choice(sorted(self.nodes))]
            node.close()
            node.open()
            node.credit(3)

    def do_service(self) -> None:
        c, name = self.cluster, self.rng.choice(SERVICES)
        row = c.state.services.get(name)
        wish: dict[str, Any] = {
            "replicas": self.rng.randint(0, 3),
            "argv": self.rng.choice("ab"),
        }
        if row is None:
            c.service(name, **wish)
        elif not row.deleting and self.rng.random() < 0.2:
            c.delete_service(name)
        elif not row.deleting:
            c.update(name, **wish, unavailable=self.rng.randint(0, 1))

    def do_health(self) -> None:
        c = self.cluster
        replicas = [
            task
            for rows in c.state.replicas.values()
            for task, row in rows.items()
            if row.state is TaskState.RUNNING
        ]
        if replicas:
            c.health(self.rng.choice(replicas), self.rng.choice(list(InstanceState)))

    do_health_again = do_health

    def do_instance_gone(self) -> None:
        known = [(s, i) for s, found in self.cluster.state.instances.items() for i in found]
        if known:
            self.cluster.instance(*self.rng.choice(known), None)

    def do_retain(self) -> None:
        self.cluster.retain(self.rng.choice([2, 1_000]))

    # -- what is compared

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
        leader = view(c.state, c.now)
        for how, fold in (("followed", self.log.fold), ("loaded", self.log.loaded())):
            check(fold.state)
            standby = view(fold.state, c.now)
            for part, value in leader.items():
                assert standby[part] == value, f"{how}: {part}"
            check_starts(c.state, fold.state)
        held_back = [t for t, row in c.state.tasks.items() if row.state is TaskState.RUNNING]
        expected = expected_order(c.state, c.now)
        # Whoever leads looks after services at once: which replicas wait may change.
        expected.pop(SERVICES_QUEUE, None)
        # Attempts on processes that are gone wait again: they are not compared.
        went = order_of(self.log.loaded().state, c.now)
        went.pop(SERVICES_QUEUE, None)
        assert {q: [t for t in went[q] if t not in held_back] for q in went} == expected

    def fail_over(self) -> None:
        """Another process leads, from either kind of standby."""
        c = self.cluster
        before = view(c.state, c.now)["tasks"]
        c.lead(self.log.followed() if self.rng.random() < 0.5 else self.log.loaded().state)
        assert view(c.state, c.now)["tasks"] == before
        c.step(e.TimersDue())
        for node in self.nodes.values():
            node.register()
            node.open()
            node.credit(4)


@pytest.mark.parametrize("seed", range(30))
def test_standbys_know_what_the_leader_knows_and_lead_on(seed: int):
    history = History(seed)
    for _ in range(6):
        history.run(60)
        history.compare()
        if history.rng.random() < 0.5:
            history.fail_over()
    # The last leader finishes everything.
    c = history.cluster
    for service in list(c.state.services):
        c.delete_service(service)
    for queue in QUEUES:
        c.pause(queue, False)
    last = c.node("last", credit=100, cpu=64.0)
    for node in history.nodes.values():
        node.lose()
    for _ in range(3_000):
        if not c.state.tasks:
            break
        if last.has:
            last.succeed(next(iter(last.has)))
        else:
            c.advance(5.0)
    assert not c.state.tasks
    assert not c.state.services
    history.compare()
