"""Any interleaving of events keeps the invariants and a simple model of what callers were told.

The model knows only what leaves the machine: replies, assignments, acknowledgements. Every task
that was acknowledged is live or ended exactly once; a result is accepted at most once; no two
processes run the same attempt.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from quorate.runtime.ids import TaskId
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import BatchCreated, BulkDone, Done, Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import Control
from scheduler.core.values import FINISHED, Placement, TaskState
from tests.support.core import Cluster, ids
from tests.support.core_node import FakeNode
from tests.support.core_specs import spec

QUEUES = ("default", "round", "hash")
NODES = ("n1", "n2", "n3")

specs = st.builds(
    spec,
    priority=st.sampled_from([0, 0, 4, -4]),
    attempts=st.integers(1, 3),
    backoff=st.sampled_from([0.5, 4.0]),
    crash_limit=st.integers(1, 2),
    cpu=st.sampled_from([0.0, 0.0, 0.7, 2.0]),
    counters=st.sampled_from([None, None, {"gpu": 1}]),
    affinity=st.sampled_from(["", "k1", "k2"]),
)


class CoreMachine(RuleBasedStateMachine):
    tasks: Bundle[TaskId] = Bundle("tasks")

    @initialize()
    def begin(self) -> None:
        self.c = Cluster(limits=Limits(part_tasks=3, live_tasks=40, request_age=30.0))
        self.c.hold_parts = True
        self.c.commit_late = True
        self.c.queue("round", placement=Placement.ROUND_ROBIN, count=5, age=20.0)
        self.c.queue("hash", placement=Placement.CONSISTENT_HASH)
        self.c.commit()
        self.nodes: dict[str, FakeNode] = {}
        # What was promised: ids that a caller may hold.
        self.promised: dict[TaskId, None] = {}
        self.deleted: dict[TaskId, None] = {}
        # (task, attempt) whose result or failure changed the record.
        self.accepted: dict[tuple[TaskId, int], None] = {}
        self.batches: list[tuple[str, str, TaskId, int]] = []
        self.requests = 0
        self.cancels: list[tuple[str, int]] = []

    def _report(self, node: FakeNode, task: TaskId, number: int, event: e.Event) -> None:
        """A report is accepted only for the attempt on record, and once."""
        row = self.c.state.tasks.get(task)
        current = (
            row is not None
            and row.state is TaskState.RUNNING
            and (row.attempt, row.instance) == (number, node.instance)
        )
        self.c.placing = False
        out = self.c.step(event)
        self.c.placing = True
        assert bool(out.writes) == current
        assert fx.Acknowledge(node.instance, task, number) in out.after
        if current:
            assert (task, number) not in self.accepted
            self.accepted[task, number] = None
        self.c.place()

    # -- callers

    @rule(target=tasks, what=specs, queue=st.sampled_from(QUEUES), again=st.booleans())
    def submit(self, what, queue: str, again: bool):
        self.requests += 1
        request = e.Request(f"r{self.requests}", b"d")
        made = []
        for _ in range(1 + again):
            token, task = self.c.token(), self.c.new_id()
            self.c.step(e.TaskSubmitted(queue, task, what, request, token))  # type: ignore[arg-type]
            self.c.commit()
            answer = self.c.reply(token)
            if isinstance(answer, Rejection):
                assert len(self.c.state.tasks) >= 40
                return multiple()
            made.append(answer.task)  # type: ignore[attr-defined]
        assert len(set(made)) == 1
        self.promised[made[0]] = None
        return made[0]

    @rule(what=st.lists(specs, min_size=1, max_size=8), queue=st.sampled_from(QUEUES))
    def submit_batch(self, what, queue: str) -> None:
        self.requests += 1
        token, first = self.c.batch(what, queue=queue, request=e.Request(f"b{self.requests}", b"d"))
        self.batches.append((token, queue, first, len(what)))

    @precondition(lambda self: self.c.parts)
    @rule()
    def write_part(self) -> None:
        self.c.step(self.c.parts.popleft())

    @rule(task=tasks)
    def cancel(self, task: TaskId) -> None:
        self.c.cancel(task)

    @rule(
        chosen=st.lists(tasks, max_size=8, unique=True),
        waiting=st.booleans(),
        again=st.booleans(),
    )
    def cancel_many(self, chosen: list[TaskId], waiting: bool, again: bool) -> None:
        """In parts, between which everything else may happen; whatever it says adds up."""
        self.requests += 1
        states = frozenset((TaskState.PENDING, TaskState.SCHEDULED) if waiting else ())
        request = e.Request(f"c{self.requests}", b"d")
        for _ in range(1 + again):
            token = self.c.token()
            self.c.step(e.BulkAsked(chosen, states, request, token))
            self.cancels.append((token, len(chosen)))

    @rule(task=tasks)
    def retry(self, task: TaskId) -> None:
        self.c.retry(task)

    @rule(task=tasks)
    def delete(self, task: TaskId) -> None:
        token = self.c.token()
        self.c.step(e.TaskDeleteAsked(task, e.Request(), token))
        self.c.commit()
        if self.c.reply(token) == Done():
            self.deleted[task] = None

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, queue: str, paused: bool) -> None:
        self.c.pause(queue, paused)

    @rule(name=st.sampled_from(NODES), cordoned=st.booleans(), draining=st.booleans())
    def control(self, name: str, cordoned: bool, draining: bool) -> None:
        self.c.control(name, Control(cordoned, draining, 1.0))

    # -- nodes

    @rule(
        name=st.sampled_from(NODES),
        credit=st.integers(0, 5),
        cpu=st.sampled_from([1.0, 4.0]),
        gpu=st.integers(0, 2),
    )
    def register(self, name: str, credit: int, cpu: float, gpu: int) -> None:
        self.nodes[name] = self.c.node(name, credit=credit, cpu=cpu, counters={"gpu": gpu})

    @rule(name=st.sampled_from(NODES))
    def lose(self, name: str) -> None:
        if name in self.nodes:
            self.nodes[name].lose()

    @rule(name=st.sampled_from(NODES), credit=st.integers(0, 5))
    def lease_lost_and_registered_again(self, name: str, credit: int) -> None:
        if name in self.nodes:
            node = self.nodes[name]
            node.lose()
            node.register()
            node.open()
            node.credit(credit)

    @rule(name=st.sampled_from(NODES), forgets=st.booleans(), credit=st.integers(0, 5))
    def session(self, name: str, forgets: bool, credit: int) -> None:
        if name in self.nodes:
            node = self.nodes[name]
            node.close()
            if forgets:
                node.has.clear()
            node.open()
            node.credit(credit)

    @rule(data=st.data())
    def start(self, data) -> None:
        node, task, _ = self._attempt(data)
        if node is not None:
            node.start(task)

    @rule(data=st.data(), kind=st.sampled_from(["succeed", "fail", "fatal", "return"]))
    def report(self, data, kind: str) -> None:
        node, task, number = self._attempt(data)
        if node is None:
            return
        node.has.pop(task)
        self._report(node, task, number, self._event(kind, node, task, number))

    @rule(
        data=st.data(),
        task=tasks,
        number=st.integers(1, 4),
        kind=st.sampled_from(["succeed", "fail", "return"]),
    )
    def stray_report(self, data, task: TaskId, number: int, kind: str) -> None:
        """Late, repeated, of an attempt given away, of a process replaced: anything."""
        if not self.c.nodes:
            return
        node = data.draw(st.sampled_from(list(self.c.nodes.values())))
        if node.has.get(task, (0, 0.0))[0] == number:
            node.has.pop(task)
        self._report(node, task, number, self._event(kind, node, task, number))

    def _attempt(self, data):
        pairs = [
            (node, task, number)
            for node in self.c.nodes.values()
            for task, (number, _) in node.has.items()
        ]
        return data.draw(st.sampled_from(pairs)) if pairs else (None, None, 0)

    def _event(self, kind: str, node: FakeNode, task: TaskId, number: int) -> e.Event:
        now = self.c.now
        if kind == "succeed":
            return e.AttemptSucceeded(node.instance, task, number, now, now, None)
        if kind == "return":
            return e.AttemptReturned(node.instance, task, number)
        error = "CANCELLED" if kind == "fatal" else "ValueError"
        return e.AttemptFailed(node.instance, task, number, now, now, error, "", None)

    # -- time and commits

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.c.advance(seconds)

    @rule()
    def commit(self) -> None:
        self.c.commit()

    @rule(limit=st.sampled_from([1, 3, 1_000]))
    def retain(self, limit: int) -> None:
        self.c.retain(limit)

    @rule()
    def another_leader(self) -> None:
        """The same state in other hands; what was not written yet is asked for again."""
        self.c.commit()
        for row in self.c.state.dedup.values():
            row.waiters = None
        self.c.lead(self.c.state)
        self.c.commit()
        self.batches.clear()
        self.cancels.clear()
        for node in self.nodes.values():
            if self.c.state.nodes.get(node.name, None) is not None:
                node.open()
                node.credit(3)

    # -- what must hold, beside the core's own invariants after every step

    @invariant()
    def no_attempt_is_given_to_two_processes(self) -> None:
        given: dict[tuple[TaskId, int], str] = {}
        for node in self.c.nodes.values():
            for task, number in dict.fromkeys(node.started):
                assert given.setdefault((task, number), node.instance) == node.instance

    @invariant()
    def promised_tasks_are_live_or_finished_or_let_go(self) -> None:
        for task in self.promised:
            if not self.c.state.on_record(task) and task not in self.deleted:
                # Only retention may have taken it, and only when it was finished.
                assert task in self.c.finished

    @invariant()
    def whole_batches_were_made_whole(self) -> None:
        for token, _queue, first, count in self.batches:
            answer = self.c.reply(token)
            if isinstance(answer, BatchCreated):
                assert (answer.first, answer.size) == (first, count)
                for task in ids(first, count):
                    self.promised[task] = None
        self.batches = [b for b in self.batches if self.c.reply(b[0]) is None]

    @invariant()
    def bulk_cancels_account_for_every_task(self) -> None:
        for token, asked in self.cancels:
            answer = self.c.reply(token)
            if answer is not None and not isinstance(answer, Rejection):
                assert isinstance(answer, BulkDone)
                assert sum(answer.counts) == asked
        self.cancels = [c for c in self.cancels if self.c.reply(c[0]) is None]

    @invariant()
    def nodes_hold_no_more_than_they_have(self) -> None:
        for node in self.c.state.nodes.values():
            held = list(node.allocation.rows.values())
            gpus = sum(dict(row.needs.counters).get("gpu", 0) for row in held)
            assert gpus == node.allocation.counters.get("gpu", 0)

    def teardown(self) -> None:
        """Given working nodes, everything ends."""
        if not hasattr(self, "c"):
            return
        c = self.c
        c.commit_late = False
        c.commit()
        while c.parts:
            c.step(c.parts.popleft())
        for queue in QUEUES:
            c.pause(queue, False)
        for node in self.nodes.values():
            node.lose()
        last = c.node("last", credit=100, cpu=64.0, counters={"gpu": 64})
        for _ in range(500):
            if not c.state.tasks:
                break
            for task in list(last.has):
                last.succeed(task)
            c.advance(5.0)
        assert not c.state.tasks, [row.state for row in c.state.tasks.values()]
        assert all(done.state in FINISHED for done in c.state.finished.values())


CoreMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, print_blob=True
)
TestCore = CoreMachine.TestCase
