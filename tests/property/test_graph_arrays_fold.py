"""Random histories of graphs with arrays: no subtask starts before the one it waits for, everything
ends, and standbys know what the leader knows, whenever a leader is replaced."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import TaskId
from quorate.v1 import job_pb2
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown
from scheduler.core.model.schedules import Overlap
from scheduler.core.values import TaskSpec
from tests.property.test_jobs_fold import JobsHistory
from tests.support.core_graphs import CONDITIONS, Graphs, Shape
from tests.support.core_history_base import CALLERS, QUEUES
from tests.support.core_history_end import end_all
from tests.support.core_jobs import job_spec
from tests.support.core_specs import spec

CONTROLS = ["cancel", "pause", "resume", "resume", "resume", "retry", "retry", "delete"]


class GraphArraysHistory(JobsHistory):
    """A history in which graphs have arrays, too."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.begun: dict[TaskId, tuple[dict[str, list], dict[str, Shape]]] = {}
        self.graphs = Graphs(self.cluster)

    def spec(self, *, alone: bool = False) -> TaskSpec:
        return spec(attempts=self.rng.choice([1, 2]), backoff=0.5)

    def do_graph(self) -> None:
        rng = self.rng
        if len(self.cluster.state.jobs) > 20 or len(self.cluster.state.tasks) > 25:
            return
        names = [f"t{n}" for n in range(rng.choice([2, 4, 8, 12]))]
        size = rng.choice([0, 1, 5, 9_000])
        tasks: dict[str, list] = {}
        arrays: dict[str, Shape] = {}
        for place, name in enumerate(names):
            before = rng.sample(names[:place], min(place, rng.choice([0, 1, 1, 2])))
            tasks[name] = [
                (
                    other,
                    rng.choice(["success", "success", "failure", "always"]),
                    *rng.choice([(), (), ("cleanup",)]),
                )
                for other in before
            ]
            if rng.random() < 0.5:
                what = job_spec(
                    items=size == 5,
                    attempts=rng.choice([1, 1, 2]),
                    backoff=0.5,
                    max_parallel=rng.choice([0, 0, 2]),
                    max_failures=rng.choice([None, 0, 3]),
                )
                earlier = [one for one in arrays if one not in before]
                if earlier and rng.random() < 0.7:
                    tasks[name].append((rng.choice(earlier), "each"))
                arrays[name] = (size, what)
        if rng.random() < 0.2:
            # What waits may stand ahead of what it waits for.
            tasks = dict(reversed(tasks.items()))
        answer = self.graphs.ask(
            tasks,
            queue=rng.choice(QUEUES),
            creator=rng.choice(CALLERS),
            what=self.spec(),
            max_failures=rng.choice([None, None, 0, 2]),
            arrays=arrays,
        )
        if isinstance(answer, JobKnown):
            self.begun[answer.job] = tasks, arrays

    def do_graph_schedule(self) -> None:
        """A schedule whose runs are graphs."""
        if len(self.cluster.state.schedules.rows) > 2:
            return
        graph = job_pb2.JobGraph()
        for name in "abc":
            graph.tasks.add(name=name).task.command.argv.append(name)
        a, b, c = graph.tasks
        a.array.items.extend([b"x", b"y"])
        b.depends_on.add(task="a", condition=job_pb2.DEPENDENCY_CONDITION_EACH)
        b.array.count = 2
        c.depends_on.add(task="b", condition=self.rng.choice([0, 1, 2, 3]))
        self.schedules.create(
            f"g{self.rng.randint(0, 10**9)}",
            every=self.rng.choice([5, 60]),
            graph=graph,
            overlap=self.rng.choice(list(Overlap)),
        )

    do_job = do_graph
    do_graph_again = do_graph

    def do_add(self) -> None:
        """A caller goes on with a graph, or begins again."""
        if not self.begun:
            return
        rng = self.rng
        job = rng.choice(list(self.begun))
        row = self.cluster.state.jobs.get(job)
        if row is None or not row.loading:
            del self.begun[job]
            return
        assert row.members is not None
        tasks, arrays = self.begun[job]
        first = rng.choice([0, len(row.members.nodes)])
        parts = rng.choice([1, None, None])
        self.graphs.add(job, tasks, first=first, part=3, parts=parts, what=spec(), arrays=arrays)

    def do_items(self) -> None:
        """The items of arrays follow, and then the graph is complete."""
        rng = self.rng
        for job, (tasks, _) in self.begun.items():
            row = self.cluster.state.jobs.get(job)
            if row is None or not row.loading or row.members is None:
                continue
            arrays = list(row.members.arrays.values())
            for array in (one for one in arrays if one.loading and rng.random() < 0.7):
                first, some = array.array.count, rng.randint(0, 3)
                end = first + some >= 5
                items = [b"i"] * min(some, 5 - first)
                self.jobs.add_items(array.id, first, items, loads=True, last=end)
            count = len(row.members.nodes)
            if count == len(tasks) and not any(array.loading for array in arrays):
                token = self.cluster.token()
                self.cluster.step(e.GraphTasksAdded(job, count, [], True, token))

    do_items_again = do_items
    do_items_once_more = do_items

    def do_retry_task(self) -> None:
        """A caller retries one task, also one that was added to an array."""
        finished = list(self.cluster.state.finished)
        if finished and self.rng.random() < 0.5:
            self.graphs.retry_task(self.rng.choice(finished))

    do_add_again = do_add
    do_add_once_more = do_add

    def do_control_job(self) -> None:
        rows = [row for row in self.cluster.state.jobs.values() if row.parent is None]
        if not rows or self.rng.random() < 0.5:
            return
        row = self.rng.choice(rows)
        action = self.rng.choice(CONTROLS)
        if action == "resume":
            self.graphs.pause(row.id, paused=False)
        elif action != "cancel" or self.rng.random() < 0.3:
            getattr(self.graphs, action)(row.id)

    do_finish_more = JobsHistory.do_finish
    do_part_again = JobsHistory.do_part
    do_service = do_graph


def test_conditions_are_all_tried():
    assert set(CONDITIONS) == {"success", "failure", "always", "each"}


@pytest.mark.parametrize("seed", [*range(8), 69])
def test_graphs_with_arrays_go_on_under_every_leader(seed: int, monkeypatch: pytest.MonkeyPatch):
    # Few, so that most of what happens takes several parts.
    monkeypatch.setattr("scheduler.core.handlers.finishing.MOST_WRITES", 3)
    history = GraphArraysHistory(seed)
    for _ in range(6):
        history.run(60)
        history.compare()
        if history.rng.random() < 0.6:
            history.fail_over()
    # The last leader finishes everything.
    for row in list(history.cluster.state.jobs.values()):
        if row.parent is None:
            many = sum(array.count for array in _arrays(row)) > 500
            if row.loading or many:
                # Through a rate limit so many would take hours.
                history.graphs.cancel(row.id)
            history.graphs.pause(row.id, paused=False)
    end_all(history, history.jobs)
    history.compare()


def _arrays(row):
    return [one.array for one in row.members.arrays.values()] if row.members is not None else []
