"""Random histories of a pure core with a log: what callers, agents and time may do to it.

Owned by one test. The seed decides everything.
"""

from __future__ import annotations

import random
from typing import Any

from quorate.internal.v1.records_pb2 import TaskRecord
from quorate.runtime.ids import QueueName, TaskId
from quorate.v1.task_pb2 import TaskResult, TaskSpec
from scheduler.core.handlers.nodes.scaling_down import decided
from scheduler.core.handlers.requests import known_to
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import NO_QUOTA, Quota
from scheduler.core.model.rows import Control
from scheduler.core.model.schedules import Cause, Overlap
from scheduler.core.values import (
    FINISHED,
    BulkAct,
    InstanceState,
    Origin,
    PauseScope,
    QueuePause,
    Rate,
    ServiceName,
    TaskState,
)
from scheduler.storage.records import task_spec
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_schedules import Schedules
from tests.support.core_specs import spec, spec_update

QUEUES = ("default", "a", "b")
CALLERS = ("", "submitter:a", "submitter:b")
RATES = (Rate(2, 1.0, 2), Rate(1, 10.0, 1), Rate(5, 1.0, 3))
SERVICES = (ServiceName("web"), ServiceName("api"))
# Seconds for which answers are remembered.
REQUEST_AGE = 40.0
# Of a caller that the audit log tells of.
ASKED = e.Request(origin=Origin("alice", "operator", "token", "10.0.0.1:5", "Test"))


class History:
    """One random history of a cluster with a log."""

    # Of the runs of schedules; 0: a task.
    subtasks: tuple[int, ...] = (0,)

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.log = Log(join=self.rng.choice([1, 2, 10]), replayable=True)
        self.cluster = Cluster(
            log=self.log,
            limits=Limits(part_tasks=3, request_age=REQUEST_AGE, live_tasks=60, audit_entries=5),
        )
        self.cluster.hold_parts = True
        for name in QUEUES[1:]:
            self.cluster.queue(name, age=60.0, count=8)
        self.cluster.limit("licence", 2)
        self.cluster.limit("api", 0, RATES[0])
        self.nodes: dict[str, FakeNode] = {}
        self.schedules = Schedules(self.cluster)
        self.schedule_count = 0
        # The task of each tick that fired, by schedule; their names are not used twice.
        self.fired: dict[tuple[str, int], TaskId] = {}
        self.requests = 0
        # What repeated calls must get again: the task of each, and when it was made.
        self.answered: dict[tuple[str, str, str], tuple[TaskId, float]] = {}
        self.seen: list[tuple[str, e.Request, list]] = []

    def run(self, steps: int) -> None:
        choices = [getattr(self, name) for name in dir(self) if name.startswith("do_")]
        for _ in range(steps):
            self.rng.choice(choices)()
            if self.rng.random() < 0.3:
                self.cluster.advance(self.rng.choice([0.0, 0.5, 5.0]))

    def spec(self, *, alone: bool = False):
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
            counters=rng.choice([None, None, None, {"gpu": 1}]),
            affinity=rng.choice(["", "", "near"]),
            fatal=rng.choice([(), ("OSError",)]),
            not_before=rng.choice([0.0, 0.0, self.cluster.now + 3.0]),
            key=rng.choice(["", "", "", "x", "y"]),
            limits=rng.choice([(), (), (), ("licence",), ("api", "licence")]),
            start_deadline=rng.choice([0.0, 0.0, 0.0, 2.0, 20.0]),
            tenant=rng.choice(["", "", "", "gold", "silver"]),
            ordering=rng.choice(["", "", "", "o", "p"]),
            unique=rng.choice(["", "", "", "u", "v"]) if alone else "",
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
            request = e.Request(f"r{self.requests}", b"d" + caller.encode(), caller=caller)
            task = self.cluster.submit(
                self.spec(alone=True), queue=queue, request=request, creator=caller
            )
            first, when = self.answered.setdefault(
                (queue, request.id, caller), (task, self.cluster.now)
            )
            assert task == first or self.cluster.now - when >= REQUEST_AGE, "done twice"

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

    def do_schedule(self) -> None:
        """A schedule is created, or a caller asks something of one."""
        rng, made = self.rng, list(self.cluster.state.schedules.rows)
        if len(made) < 3:
            self.schedule_count += 1
            self.schedules.create(
                f"s{self.schedule_count}",
                every=rng.choice([2.0, 10.0]),
                overlap=rng.choice(list(Overlap)),
                queue=rng.choice(QUEUES),
                window=rng.choice([5.0, 60.0]),
                count=rng.choice([0, 2]),
                jitter=rng.choice([0.0, 3.0]),
                max_runs=rng.choice([0, 0, 4]),
                pause_on_failure=rng.random() < 0.3,
                subtasks=rng.choice(self.subtasks),
            )
            return
        name = rng.choice(made)
        wall = self.schedules.wall
        rng.choice(
            [
                lambda: self.schedules.pause(name, rng.choice([0.0, wall + 8.0])),
                lambda: self.schedules.resume(name),
                lambda: self.schedules.run_now(name),
                lambda: self.schedules.backfill(
                    name, wall - 30.0, wall, rng.choice([Overlap.ALLOW, Overlap.QUEUE_ALL])
                ),
                lambda: self.schedules.update(name, every=rng.choice([3.0, 10.0])),
                lambda: self.schedules.delete(name),
            ]
        )()

    def do_tick(self) -> None:
        """The wall clock goes on, or jumps, and what is due is looked at."""
        if len(self.cluster.state.tasks) > 40:
            return
        jump = self.rng.choice([0.0, 1.0, 4.0, 4.0, 20.0, -20.0])
        self.schedules.wall += jump
        self.schedules.look(self.rng.choice([1, 3, 50]))
        for name, row in self.cluster.state.schedules.rows.items():
            for run in row.runs:
                if run.cause is Cause.TICK:
                    first = self.fired.setdefault((name, run.tick), run.task)
                    assert first == run.task, f"{name}: {run.tick} fired twice"

    do_tick_again = do_tick

    def do_part(self) -> None:
        if self.cluster.parts:
            self.cluster.step(self.cluster.parts.popleft())

    def do_node(self) -> None:
        name = self.rng.choice(["n1", "n2", "n3"])
        self.nodes[name] = self.cluster.node(
            name,
            credit=self.rng.randint(1, 6),
            cpu=self.rng.choice([1.0, 4.0]),
            counters=self.rng.choice([None, {"gpu": 2}]),
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
                    lambda: self.fail(node, task),
                    lambda: self.fail(node, task, "OSError", traceback="t" * 1_000),
                    lambda: node.give_back(task),
                ]
            )()

    do_finish_again = do_finish

    def fail(
        self, node: FakeNode, task: TaskId, error: str = "ValueError", traceback: str = ""
    ) -> None:
        """An attempt fails: that counts, and the last one's failure is the task's."""
        state, number = self.cluster.state, node.number(task)
        row = state.tasks.get(task)
        before = row.failures if row is not None else 0
        node.fail(task, error, traceback=traceback)
        if row is None or (row.replica is not None) or row.attempt != number:
            return
        ended = row.past and row.past[-1].number == number
        if task in state.tasks and ended and row.past[-1].error_type == error:
            assert row.failures == before + 1, f"{task}: a failure that does not count"
            assert row.failures < row.retry.max_attempts, f"{task}: an attempt too many"

    def do_cancel(self) -> None:
        task = self.some(TaskState.PENDING, TaskState.RUNNING, TaskState.SCHEDULED)
        if task is not None:
            self.cluster.cancel(task, self.request(b"cancel" + task.encode()))

    def request(self, digest: bytes) -> e.Request:
        """Of a call that the audit log tells of; every other one may be repeated."""
        self.requests += 1
        id_ = f"c{self.requests}" if self.rng.random() < 0.5 else ""
        return ASKED._replace(id=id_, digest=digest, caller=self.rng.choice(CALLERS))

    def do_cancel_many(self) -> None:
        tasks = sorted(self.cluster.state.tasks)[:8]
        if len(tasks) > 2 and self.rng.random() < 0.2:
            states = self.rng.choice([frozenset(), frozenset({TaskState.PENDING})])
            request = self.request(b"many")
            self.cluster.call(lambda token: e.BulkAsked(tasks, states, request, token))

    def do_other_queue(self) -> None:
        """One that comes and goes."""
        c = self.cluster
        if QueueName("c") not in c.state.queues:
            c.queue("c", age=30.0, count=4)
            c.submit(self.spec(), queue="c")
        else:
            c.call(lambda token: e.QueueDeleteAsked(QueueName("c"), self.request(b"c"), token))

    def do_retry(self) -> None:
        task = self.some(TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED)
        if task is not None:
            # The service reads the spec back: the same bytes, the same instant of creation.
            self.log.flush()
            key = next(k for k in self.log.kept if k.startswith(b"tasks/") and task.encode() in k)
            record = TaskRecord.FromString(self.log.kept[key])
            what = task_spec(TaskSpec.FromString(record.spec), record.spec)
            found = e.TaskRecorded(what, record.create_time, record.created_by)
            request = self.request(b"retry" + task.encode())
            self.cluster.call(lambda token: e.TaskRetryAsked(task, found, request, token))

    def do_retry_many(self) -> None:
        """In parts, at a rate or at once, also tasks that cannot be retried."""
        tasks = sorted(self.cluster.state.finished)[:6]
        if tasks and self.rng.random() < 0.2:
            request, rate = self.request(b"again"), self.rng.choice([0.0, 0.5, 100.0])
            self.cluster.call(
                lambda token: e.BulkAsked(
                    tasks, frozenset(), request, token, act=BulkAct.RETRY, rate=rate
                )
            )

    def do_pause_task(self) -> None:
        task = self.some(TaskState.PENDING, TaskState.SCHEDULED, TaskState.PAUSED)
        if task is not None:
            paused, request = self.rng.random() < 0.5, self.request(b"pause" + task.encode())
            self.cluster.call(lambda t: e.TaskPauseAsked(task, paused, request, t, "why"))

    def do_update_many(self) -> None:
        tasks = sorted(self.cluster.state.tasks)[:6]
        if tasks and self.rng.random() < 0.3:
            request = self.request(b"update")
            fields: dict[str, Any] = {"priority": self.rng.choice([-1, 0, 2])}
            if self.rng.random() < 0.5:
                later = self.cluster.now + self.rng.choice([-5.0, 3.0, 30.0])
                fields["not_before"] = self.rng.choice([0.0, later])
            if self.rng.random() < 0.3:
                fields["start_deadline"] = self.rng.choice([0.0, 1.0, 15.0])
            if self.rng.random() < 0.3:
                fields["labels"] = {"a": "b" * self.rng.choice([1, 500])}
            self.cluster.call(
                lambda token: e.BulkAsked(
                    tasks,
                    frozenset(),
                    request,
                    token,
                    act=BulkAct.UPDATE,
                    update=spec_update(**fields),
                )
            )

    def do_delete_many(self) -> None:
        tasks = sorted(self.cluster.state.finished)[:6]
        if tasks and self.rng.random() < 0.1:
            request = self.request(b"delete many")
            self.cluster.call(
                lambda token: e.BulkAsked(tasks, frozenset(), request, token, act=BulkAct.DELETE)
            )

    def do_delete(self) -> None:
        task = self.some(*sorted(FINISHED))
        if task is not None:
            request = self.request(b"delete" + task.encode())
            self.cluster.call(lambda token: e.TaskDeleteAsked(task, request, token))

    def do_pause(self) -> None:
        queue, paused = QueueName(self.rng.choice(QUEUES)), self.rng.random() < 0.4
        until = self.rng.choice([0.0, self.cluster.now + 5.0])
        # Admission too would refuse what this history submits.
        pause = QueuePause(PauseScope.DISPATCH, reason=self.rng.choice(["", "x"]), until=until)
        request = self.request(b"pause")
        self.cluster.call(lambda t: e.QueuePauseAsked(queue, paused, request, t, pause))

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

    def do_limits(self) -> None:
        """Limits of a queue and of a shared limit are changed, or taken away."""
        rng = self.rng
        rates = (None, None, *RATES)
        self.cluster.set_limits(
            rng.choice(QUEUES),
            max_running=rng.choice([0, 0, 1, 3]),
            rate=rng.choice(rates),
            max_running_per_key=rng.choice([0, 1, 2]),
            rate_per_key=rng.choice(rates),
        )
        self.cluster.update_limit("licence", rng.choice([1, 2, 4]), rng.choice(rates))

    def do_retain(self) -> None:
        self.cluster.retain(self.rng.choice([2, 1_000]))
