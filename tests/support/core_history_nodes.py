"""Random histories: what nodes, their attempts and services do."""

from __future__ import annotations

from typing import Any

from quorate.runtime.ids import TaskId
from quorate.v1.task_pb2 import TaskResult
from scheduler.core.handlers.nodes.scaling_down import decided
from scheduler.core.model.rows import Control
from scheduler.core.values import InstanceState, TaskState
from tests.support.core_history_base import SERVICES, HistoryBase
from tests.support.core_node import FakeNode


class NodeHistory(HistoryBase):
    """Nodes come and go; attempts begin and end; services change."""

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
