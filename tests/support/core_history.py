"""Random histories of a pure core with a log: what callers, agents and time may do to it.

Owned by one test. The seed decides everything.
"""

from __future__ import annotations

from typing import Any

from quorate.internal.v1.records_pb2 import TaskRecord
from quorate.runtime.ids import QueueName
from quorate.v1.task_pb2 import TaskSpec
from scheduler.core.handlers.requests import known_to
from scheduler.core.model import events as e
from scheduler.core.model.limits.quotas import NO_QUOTA, Quota
from scheduler.core.model.schedules import Cause, Overlap
from scheduler.core.values import (
    FINISHED,
    BulkAct,
    PauseScope,
    QueuePause,
    TaskState,
)
from scheduler.storage.records import task_spec
from tests.support.core_history_base import CALLERS, QUEUES, RATES, REQUEST_AGE
from tests.support.core_history_nodes import NodeHistory
from tests.support.core_specs import spec_update


class History(NodeHistory):
    """One random history of a cluster with a log."""

    # Of the runs of schedules; 0: a task.
    subtasks: tuple[int, ...] = (0,)

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

    def do_cancel(self) -> None:
        task = self.some(TaskState.PENDING, TaskState.RUNNING, TaskState.SCHEDULED)
        if task is not None:
            self.cluster.cancel(task, self.request(b"cancel" + task.encode()))

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
        waiting = (TaskState.PENDING, TaskState.SCHEDULED, TaskState.PAUSED)
        task = self.some(*waiting, TaskState.RUNNING)
        if task is not None:
            paused, request = self.rng.random() < 0.5, self.request(b"pause" + task.encode())
            self.cluster.call(lambda t: e.TaskPauseAsked(task, paused, request, t, "why", True))

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
            if self.rng.random() < 0.4:
                fields["to"] = self.rng.choice(QUEUES)
            fields.update(self.other_keys())
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
