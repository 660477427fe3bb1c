"""What may start, by what the log says: permits, pauses, ordering keys, resources.

Everything is looked at when a revision is over: a Txn may hold the end of one attempt and the start
of the next.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskId
from quorate.v1 import queue_pb2
from quorate.v1.task_pb2 import Resources, TaskSpec
from scheduler.core.values import FINISHED, TaskState
from tests.simulation.promises.keys import UniqueKeys
from tests.simulation.promises.nodes import Nodes, Where, where_of
from tests.simulation.promises.pauses import MatchingPauses
from tests.simulation.promises.rates import RateName, Rates

# The counter that nodes and tasks of simulations have.
GPU = "gpu"
_REPLICAS = "services"
_ROUNDING = 1e-6


ANYWHERE = where_of(TaskSpec())


class Demand(NamedTuple):
    """What an attempt takes, and what it may have to wait for."""

    queue: str
    key: str = ""
    shared: tuple[str, ...] = ()
    ordering: str = ""
    cpu: float = 0.0
    gpu: int = 0
    tenant: str = ""
    where: Where = ANYWHERE

    @property
    def holds(self) -> tuple[object, ...]:
        """The limits and keys that it has."""
        return self.key, self.shared, self.ordering, self.tenant

    @property
    def permits(self) -> list[str]:
        """The limits that it takes a permit of while it runs."""
        keyed = [f"key {self.queue}/{self.key}"] if self.key else []
        return [f"queue {self.queue}", *keyed, *(f"limit {name}" for name in self.shared)]

    @property
    def rates(self) -> list[RateName]:
        """The limits that it takes a start of."""
        keyed = [("key", self.queue, self.key)] if self.key else []
        return [("queue", self.queue, ""), *keyed, *(("limit", name, "") for name in self.shared)]


def demand_of(queue: str, spec: TaskSpec) -> Demand:
    """What a task asks for."""
    return Demand(
        queue,
        spec.limit_key,
        tuple(spec.limits),
        spec.ordering_key,
        *_sizes(spec.resources),
        spec.fairness_key,
        where_of(spec),
    )


def of_array(queue: str, template: TaskSpec, level: int) -> Demand:
    """What a chunk of an array, or of a level of reduces, asks for."""
    where = where_of(template, 2 if level else 1)
    sizes, tenant = _sizes(template.resources), template.fairness_key
    return Demand(queue, template.limit_key, tuple(template.limits), "", *sizes, tenant, where)


def _sizes(resources: Resources) -> tuple[float, int]:
    return resources.cpu, int(resources.counters.get(GPU, 0))


class Running(NamedTuple):
    """An attempt on a node, or a chunk."""

    demand: Demand
    attempt: int
    instance: str
    assigned: float


class Place(NamedTuple):
    """Where an unfinished task of an ordering key is, and since which revision."""

    state: TaskState
    failures: int
    not_before: float
    since: int


class Starts:
    """Who runs, and what that takes."""

    def __init__(
        self, rates: Rates, nodes: Nodes, pauses: MatchingPauses, keys: UniqueKeys
    ) -> None:
        self._rates, self._placed, self._pauses, self._keys = rates, nodes, pauses, keys
        self.demands: dict[TaskId, Demand] = {}
        self._running: dict[TaskId, Running] = {}
        self._fresh: dict[TaskId, Running] = {}
        # By permit: who holds it, and how many may; 0: any number. And which of those numbers were
        # changed in this revision.
        self._held: dict[str, dict[TaskId, None]] = {}
        self._most: dict[str, int] = {}
        self._changed: dict[str, None] = {}
        # Queues that start nothing, until an instant (0.0: somebody resumes them); at the last
        # revision, too.
        self._paused: dict[str, float] = {}
        self._paused_before: dict[str, float] = {}
        # By process: slots, cores, GPUs.
        self._nodes: dict[str, tuple[int, float, int]] = {}
        self._on: dict[str, dict[TaskId, None]] = {}
        self._lines: dict[tuple[str, str], dict[TaskId, Place]] = {}
        # The most that each process said it would hold: its slots, and as many as it had replicas.
        # The leader may have given those up, and fills what they took until it hears so.
        self.credits: dict[str, int] = {}
        self.started = 0
        # How often a task got other limits or keys.
        self.changed_limits = 0

    # -- what is on record

    def queue(self, record: r.QueueRecord) -> None:
        name = record.name
        self._bound(f"queue {name}", record.max_running)
        self._bound(f"key {name}", record.max_running_per_key)
        self._rates.limit(("queue", name, ""), record.rate if record.HasField("rate") else None)
        keyed = record.rate_per_key if record.HasField("rate_per_key") else None
        self._rates.limit(("key", name, ""), keyed)
        if record.paused:
            self._paused[name] = record.pause.until
            assert record.pause.scope != queue_pb2.PAUSE_SCOPE_ADMISSION, record
        else:
            self._paused.pop(name, None)

    def limit(self, record: r.LimitGroupRecord) -> None:
        self._bound(f"limit {record.name}", record.max_running)
        rate = record.rate if record.HasField("rate") else None
        self._rates.limit(("limit", record.name, ""), rate)

    def node(self, record: r.NodeRecord) -> None:
        sizes = record.capacity.cpu, int(record.capacity.counters.get(GPU, 0))
        self._nodes[record.instance] = (record.slots, *sizes)

    def _bound(self, permit: str, most: int) -> None:
        self._changed[permit] = None
        self._most[permit] = most

    def created(self, task: TaskId, demand: Demand, revision: int) -> None:
        """A task is there, live again, moved or updated: PENDING, unless a run record follows."""
        before = self.demands.get(task)
        self.demands[task] = demand
        self.changed_limits += before is not None and before.holds != demand.holds
        if before is not None and before.ordering:
            old = before.queue, before.ordering
            if old != (demand.queue, demand.ordering):
                self._lines[old].pop(task, None)
        if demand.ordering:
            line = self._lines.setdefault((demand.queue, demand.ordering), {})
            if task not in line:
                line[task] = Place(TaskState.PENDING, 0, 0.0, revision)

    def run(self, task: TaskId, state: TaskState, record: r.RunRecord, revision: int) -> None:
        """The status of a task is so from now on."""
        demand = self.demands[task]
        known = self._running.get(task)
        runs = state is TaskState.RUNNING
        if known is not None and not (runs and record.attempt == known.attempt):
            self.ends(task)
            known = None
        if runs and known is None:
            self.begins(task, record.attempt, demand, record.instance, record.assign_time)
        if demand.ordering:
            line = self._lines[demand.queue, demand.ordering]
            if state in FINISHED:
                line.pop(task, None)
            else:
                before = line.get(task)
                same = before is not None and before.state is state
                since = before.since if before is not None and same else revision
                line[task] = Place(state, record.failures, record.not_before, since)

    def begins(
        self, task: TaskId, attempt: int, demand: Demand, instance: str, instant: float
    ) -> None:
        """An attempt, or a chunk, is given to a process."""
        running = Running(demand, attempt, instance, instant)
        self._running[task] = self._fresh[task] = running
        self.started += 1
        for permit in demand.permits:
            self._held.setdefault(permit, {})[task] = None
        self._on.setdefault(running.instance, {})[task] = None
        self._placed.begins(task, instance, demand.where)
        self._rates.assigned(task, attempt, instant, demand.rates)

    def ends(self, task: TaskId) -> None:
        """It is with that process no longer."""
        running = self._running.pop(task)
        self._fresh.pop(task, None)
        for permit in running.demand.permits:
            del self._held[permit][task]
        del self._on[running.instance][task]
        self._placed.ends(task, running.instance)

    # -- when a revision is over

    def over(self, revision: int) -> None:
        """Check what started."""
        for task, running in self._fresh.items():
            self._check_permits(running.demand, revision)
            self._check_pause(task, running)
            self._check_node(running.instance, revision)
            if running.demand.ordering:
                self._check_order(task, running, revision)
            self._keys.starts(task)
        if self._fresh:
            self._fresh = {}
        self._changed.clear()
        if self._paused != self._paused_before:
            self._paused_before = dict(self._paused)

    def _check_permits(self, demand: Demand, revision: int) -> None:
        for permit in demand.permits:
            of = permit.partition("/")[0]
            if of in self._changed:
                # Perhaps more than once in this Txn, which holds the last limit alone.
                continue
            most = self._most.get(of, 0)
            holders = self._held[permit]
            assert not most or len(holders) <= most, (
                f"{permit} lets {most} run, and {list(holders)} do at {revision}"
            )

    def _check_pause(self, task: TaskId, running: Running) -> None:
        queue, demand = running.demand.queue, running.demand
        if queue != _REPLICAS:
            labels, tenant = demand.where.labels, demand.tenant
            self._pauses.starts(task, queue, labels, tenant, running.assigned)
        if queue in self._paused and queue in self._paused_before:
            until = self._paused[queue]
            over = 0.0 < until <= running.assigned
            assert over, f"{task} starts, and {queue!r} is paused until {until}"

    def _check_node(self, instance: str, revision: int) -> None:
        slots, cpu, gpu = self._nodes[instance]
        held = [self._running[task].demand for task in self._on[instance]]
        tasks = sum(demand.queue != _REPLICAS for demand in held)
        full = tasks > slots and len(held) > self.credits[instance]
        assert not full, f"{tasks} of {slots} slots of {instance} at {revision}"
        used = sum(demand.cpu for demand in held)
        assert used <= cpu + _ROUNDING, f"{used} of {cpu} cores of {instance} at {revision}"
        used = sum(demand.gpu for demand in held)
        assert used <= gpu, f"{used} of {gpu} GPUs of {instance} at {revision}"

    def _check_order(self, task: TaskId, running: Running, revision: int) -> None:
        """Nobody of its key runs, is to be retried, or was there before it."""
        key = running.demand.queue, running.demand.ordering
        for other, place in self._lines[key].items():
            if other == task:
                continue
            assert place.state is not TaskState.RUNNING, f"{task} and {other} of {key} run"
            if place.since == revision:
                continue
            earlier = other < task
            if place.state is TaskState.PENDING:
                assert not earlier, f"{task} of {key} starts before {other}: {place}"
            elif place.state is TaskState.SCHEDULED and place.failures:
                later = place.not_before > running.assigned + _ROUNDING
                assert not earlier, f"{task} of {key} starts before {other}: {place}"
                assert not later, f"{task} of {key} starts before the retry of {other}: {place}"

    def at_rest(self) -> None:
        """Nothing runs but replicas: nobody holds anything."""
        held = {permit: list(tasks) for permit, tasks in self._held.items() if tasks}
        held.pop(f"queue {_REPLICAS}", None)
        assert not held, held
