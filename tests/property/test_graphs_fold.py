"""Random histories of graphs among tasks: what waits goes on, and standbys know what the leader
knows, whenever a leader is replaced."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown, Rejection
from scheduler.core.model.rows import JobRow
from scheduler.core.values import MemberOf, TaskSpec
from tests.support.core_graphs import Graphs
from tests.support.core_history import History
from tests.support.core_history_base import CALLERS, QUEUES
from tests.support.core_history_end import end_all
from tests.support.core_specs import spec
from tests.support.same_state import differences, settle

KEYS = ["k1", "k2", "k3"]
CONTROLS = ["cancel", "pause", "resume", "resume", "resume", "retry", "retry", "delete"]


class GraphsHistory(History):
    """A history in which there are graphs, too."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.graphs = Graphs(self.cluster)
        # Those that are not complete: the tasks, and what they are.
        self.begun: dict[TaskId, tuple[dict, dict[str, TaskSpec]]] = {}

    def spec(self, *, alone: bool = False) -> TaskSpec:
        """Of tasks beside the graphs: plain ones."""
        return spec(attempts=self.rng.choice([1, 2]), backoff=0.5)

    def do_keyed(self) -> None:
        """A task beside the graphs that has a unique key, where that is free."""
        rng, task = self.rng, self.cluster.new_id()
        if len(self.cluster.state.tasks) > 30:
            return
        what = spec(
            unique=rng.choice(KEYS),
            replaces=rng.random() < 0.4,
            window=rng.choice([0.0, 0.0, 10.0]),
        )
        queue = QueueName(rng.choice(QUEUES))
        answer = self.cluster.call(
            lambda token: e.TaskSubmitted(queue, task, what, e.Request(), token)
        )
        assert not isinstance(answer, Rejection) or answer.reason == "TASK_ALREADY_EXISTS"

    def some_job(self) -> JobRow | None:
        rows = list(self.cluster.state.jobs.values())
        return self.rng.choice(rows) if rows else None

    def do_graph(self) -> None:
        rng = self.rng
        if len(self.cluster.state.jobs) > 5 or len(self.cluster.state.tasks) > 25:
            return
        names = [f"t{n}" for n in range(rng.choice([1, 3, 8, 12]))]
        tasks: dict[str, list] = {}
        for place, name in enumerate(names):
            before = rng.sample(names[:place], min(place, rng.choice([0, 1, 1, 2, 4])))
            tasks[name] = [
                (
                    other,
                    rng.choice(["success", "success", "success", "failure", "always"]),
                    *rng.choice([(), (), ("cleanup",)]),
                )
                for other in before
            ]
        plain: dict[str, Any] = {
            "attempts": rng.choice([1, 1, 2]),
            "backoff": 0.5,
            "not_before": rng.choice([0.0, 0.0, self.cluster.now + 3.0]),
            "crash_limit": rng.choice([1, 3]),
            "key": rng.choice(["", "", "x"]),
            "start_deadline": rng.choice([0.0, 0.0, 0.0, 4.0]),
            "tenant": rng.choice(["", "", "gold"]),
        }
        what = dict.fromkeys(names, spec(**plain))
        for name, key in zip(rng.sample(names, len(names)), rng.sample(KEYS, 2), strict=False):
            replaces, window = rng.random() < 0.4, rng.choice([0.0, 0.0, 20.0])
            keyed: dict[str, Any] = {"unique": key, "rejects": not replaces, "replaces": replaces}
            if rng.random() < 0.7:
                what[name] = spec(**plain, **keyed, window=window)
        answer = self.graphs.ask(
            tasks,
            queue=rng.choice(QUEUES),
            creator=rng.choice(CALLERS),
            what=what,
            max_failures=rng.choice([None, None, 0, 2]),
        )
        if isinstance(answer, JobKnown):
            self.begun[answer.job] = tasks, what

    do_graph_again = do_graph

    def do_add(self) -> None:
        """A caller goes on with a graph, or begins again."""
        if not self.begun:
            return
        job = self.rng.choice(list(self.begun))
        row = self.cluster.state.jobs.get(job)
        if row is None or not row.loading:
            del self.begun[job]
            return
        assert row.members is not None
        first = self.rng.choice([0, len(row.members.nodes)])
        tasks, what = self.begun[job]
        parts = self.rng.choice([1, None, None])
        refused = self.graphs.offer(job, tasks, first=first, part=3, parts=parts, what=what)
        if refused is not None:
            # Under another leader a key was taken meanwhile.
            assert refused.reason == "TASK_ALREADY_EXISTS", refused
            assert row.over

    do_add_again = do_add
    do_add_once_more = do_add

    def do_child(self) -> None:
        """A task is added to a job that runs."""
        row = self.some_job()
        if row is None or row.over or row.loading or len(self.cluster.state.tasks) > 40:
            return
        self.cluster.submit(
            spec()._replace(member=MemberOf(row.id)),
            queue=row.queue.name,
            creator=self.rng.choice(CALLERS),
        )

    def do_control_job(self) -> None:
        row = self.some_job()
        if row is None or self.rng.random() < 0.4:
            return
        action = self.rng.choice(CONTROLS)
        if action == "resume":
            self.graphs.pause(row.id, paused=False)
        elif action != "cancel" or self.rng.random() < 0.3:
            getattr(self.graphs, action)(row.id)

    def do_idle(self) -> None:
        if self.rng.random() < 0.1:
            self.cluster.step(e.IdleJobsDue())

    def compare(self) -> None:
        c = self.cluster
        c.step(e.TimersDue())
        self.log.flush()
        for how, fold in (("followed", self.log.replayed()), ("loaded", self.log.loaded())):
            settle(fold.state, c.now)
            assert differences(c.state, fold.state) == [], how

    def fail_over(self) -> None:
        c = self.cluster
        c.lead(self.log.followed() if self.rng.random() < 0.5 else self.log.loaded().state)
        c.step(e.TimersDue())
        for node in self.nodes.values():
            node.register()
            node.open()
            node.credit(4)

    do_finish_more = History.do_finish
    do_finish_most = History.do_finish
    do_part_again = History.do_part
    do_node_again = History.do_node

    # Not of this history: what it does to instances needs a watch.
    do_service = do_graph


@pytest.mark.parametrize("seed", range(8))
def test_graphs_go_on_under_every_leader_and_standbys_know_them(
    seed: int, monkeypatch: pytest.MonkeyPatch
):
    # Few, so that most of what happens takes several parts.
    monkeypatch.setattr("scheduler.core.handlers.finishing.MOST_WRITES", 3)
    monkeypatch.setattr("scheduler.core.handlers.chunks.ending.READ_AT_ONCE", 2)
    history = GraphsHistory(seed)
    for _ in range(8):
        history.run(60)
        history.compare()
        if history.rng.random() < 0.6:
            history.fail_over()
    # The last leader finishes everything.
    c = history.cluster
    for row in list(c.state.jobs.values()):
        if row.loading:
            history.graphs.cancel(row.id)
        history.graphs.pause(row.id, paused=False)
    end_all(history)
    assert not any(queue.coming_unique for queue in c.state.queues.values())
    history.compare()
