"""Random histories: graphs, pauses of what matches, taints, and tasks that choose their nodes."""

from __future__ import annotations

from quorate.runtime.ids import QueueName, TaskId
from quorate.v1.task_pb2 import TaskSpec as Message
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown
from scheduler.core.model.rows import Control, PauseRow
from scheduler.core.values import TaskSpec
from tests.support.core_graphs import Graphs
from tests.support.core_history_base import CALLERS, QUEUES, HistoryBase
from tests.support.core_rules import LABELS, TAINTS, with_rules
from tests.support.core_specs import spec

_NAMES = ("n0", "n1", "n2")
# Of tasks; arrays may wait for each other's subtasks, too.
_CONDITIONS = ("success", "success", "failure", "always")


class MoreHistory(HistoryBase):
    """What callers and operators do besides."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.graphs = Graphs(self.cluster)
        # Those that are not complete: their tasks.
        self.begun: dict[TaskId, dict] = {}

    def spec(self, *, alone: bool = False) -> TaskSpec:
        what: TaskSpec = super().spec(alone=alone)
        if self.rng.random() < 0.5:
            return what
        made = with_rules(what, self.rng)
        return made if not Message.FromString(made.spec).HasField("hooks") else what

    def do_node(self) -> None:
        rng, name = self.rng, self.rng.choice(_NAMES)
        self.nodes[name] = self.cluster.node(
            name,
            credit=rng.randint(1, 6),
            cpu=rng.choice([1.0, 4.0]),
            counters=rng.choice([None, {"gpu": 2}]),
            labels=dict(LABELS[name]),
        )

    def do_taint(self) -> None:
        """An operator taints a node, or takes its taints away."""
        if self.nodes:
            name = self.rng.choice(sorted(self.nodes))
            taints = self.rng.sample(TAINTS, self.rng.choice([0, 0, 1, 2]))
            self.cluster.control(name, Control(taints=tuple(taints)))

    def do_pause_matching(self) -> None:
        """What a tenant or a label has is paused for a while, or goes on."""
        rng, rows = self.rng, self.cluster.state.pauses.rows
        request = self.request(b"matching")
        if rows and rng.random() < 0.6:
            row = rng.choice(list(rows.values()))
            self.cluster.call(lambda t: e.PauseDeleteAsked(row.name, row.queue, request, t))
            return
        queue = QueueName(rng.choice(["", *QUEUES]))
        until = rng.choice([0.0, self.cluster.now + rng.choice([1.0, 5.0])])
        name, labels = rng.choice("pq"), rng.choice([(), (("app", "x"),), (("team", "a"),)])
        tenant = "" if labels else rng.choice(["gold", "silver"])
        pause = PauseRow(name, queue, labels=labels, tenant=tenant, until=until)
        self.cluster.call(lambda t: e.PauseSubmitted(pause, request, t))

    def do_graph(self) -> None:
        """A graph is created, some parts of it at once."""
        rng = self.rng
        if len(self.cluster.state.jobs) > 5 or len(self.cluster.state.tasks) > 30:
            return
        names = [f"t{n}" for n in range(rng.choice([1, 3, 8]))]
        tasks: dict[str, list] = {}
        for place, name in enumerate(names):
            before = rng.sample(names[:place], min(place, rng.choice([0, 1, 1, 2])))
            marks = ((), (), ("cleanup",))
            tasks[name] = [(other, rng.choice(_CONDITIONS), *rng.choice(marks)) for other in before]
        what = spec(attempts=rng.choice([1, 1, 2]), backoff=0.5, tenant=rng.choice(["", "gold"]))
        answer = self.graphs.ask(
            tasks,
            queue=rng.choice(QUEUES),
            creator=rng.choice(CALLERS),
            what=what,
            max_failures=rng.choice([None, None, 0, 2]),
        )
        if isinstance(answer, JobKnown):
            self.begun[answer.job] = tasks
            self.do_add()

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
        parts = self.rng.choice([1, None, None])
        self.graphs.add(job, self.begun[job], first=first, part=3, parts=parts)

    do_add_again = do_add
