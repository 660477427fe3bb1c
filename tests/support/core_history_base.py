"""What all parts of a random history share: its cluster, its choices, and what it remembers."""

from __future__ import annotations

import random
from typing import Any

from quorate.runtime.ids import TaskId
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.values import Origin, Rate, ServiceName, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_schedules import Schedules
from tests.support.core_specs import spec

QUEUES = ("default", "a", "b")
CALLERS = ("", "submitter:a", "submitter:b")
RATES = (Rate(2, 1.0, 2), Rate(1, 10.0, 1), Rate(5, 1.0, 3))
SERVICES = (ServiceName("web"), ServiceName("api"))
# Seconds for which answers are remembered.
REQUEST_AGE = 40.0
# Of a caller that the audit log tells of.
ASKED = e.Request(origin=Origin("alice", "operator", "token", "10.0.0.1:5", "Test"))


class HistoryBase:
    """A cluster with a log, and what may happen to it: methods that begin with `do_`."""

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
            replaces=rng.choice([False, True]),
            window=rng.choice([0.0, 0.0, 5.0, 50.0]),
        )

    def other_keys(self) -> dict[str, Any]:
        """Other limits and keys for tasks that wait, as `spec` has them: often none."""
        rng, found = self.rng, {}
        for name, values in (
            ("limit_key", ("", "x", "y")),
            ("limits", ((), ("licence",), ("api", "licence"))),
            ("fairness_key", ("", "gold", "silver")),
            ("ordering_key", ("", "o", "p")),
        ):
            if rng.random() < 0.3:
                found[name] = rng.choice(values)
        return found

    def some(self, *states: TaskState):
        found = [t for t, row in self.cluster.state.tasks.items() if row.state in states]
        found += [t for t, row in self.cluster.state.finished.items() if row.state in states]
        return self.rng.choice(found) if found else None

    def running(self):
        """A node in session and a task it has."""
        pairs = [(n, task) for n in self.nodes.values() for task in n.has]
        return self.rng.choice(pairs) if pairs else (None, None)

    def request(self, digest: bytes) -> e.Request:
        """Of a call that the audit log tells of; every other one may be repeated."""
        self.requests += 1
        id_ = f"c{self.requests}" if self.rng.random() < 0.5 else ""
        return ASKED._replace(id=id_, digest=digest, caller=self.rng.choice(CALLERS))
