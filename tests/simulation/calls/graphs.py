"""Callers that create graphs, pause, cancel and retry them, and go on where a leader died."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from quorate.runtime.ids import TaskId
from quorate.v1 import job_pb2
from scheduler.core.arrays.spec import GraphArray
from scheduler.core.graphs.members import Condition, edge
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobItemsKnown, JobKnown, Rejection
from scheduler.core.model.reply_token import Pending
from scheduler.core.values import MemberOf, TaskSpec
from scheduler.storage.records import jobs as records
from scheduler.storage.records.graphs import Spec
from tests.simulation.calls.limits import WORK
from tests.support.core_jobs import job_spec
from tests.support.core_specs import spec

if TYPE_CHECKING:
    from tests.simulation.callers import Callers
    from tests.simulation.schedulers import Term

# Graphs that callers look back to; tasks of one part.
_RECENT: Final = 5
_PART: Final = 3
_SUCCESS, _FAILURE, _ALWAYS = Condition.ON_SUCCESS, Condition.ON_FAILURE, Condition.ALWAYS


class GraphCalls:
    """Those of one world."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._world = callers.world
        self.graphs: list[TaskId] = []

    def submit_graph(self) -> None:
        """A graph of a few tasks, or of a wide layer that waits for one."""
        rng = self._world.rng
        size = rng.choice([1, 4, 8, 8])
        edges: list[tuple[int, ...]] = []
        for place in range(size):
            others = rng.sample(range(place), min(place, rng.choice([0, 1, 1, 2])))
            chosen = [rng.choice([_SUCCESS, _SUCCESS, _FAILURE, _ALWAYS]) for _ in others]
            cleanup = rng.random() < 0.2
            pairs = zip(others, chosen, strict=True)
            edges.append(tuple(edge(other, how, cleanup=cleanup) for other, how in pairs))
        if rng.random() < 0.3:
            edges += [(edge(0, rng.choice([_SUCCESS, _FAILURE])),)] * rng.choice([5, 25])
        what: dict[str, Any] = {
            "attempts": rng.choice([1, 2]),
            "backoff": 0.3,
            "max_backoff": 5.0,
            "fatal": ("Fatal",),
            "crash_limit": 20,
            "cpu": rng.choice([0.0, 0.5]),
            "priority": rng.choice([0, 1]),
        }
        tasks = self._keyed(what, len(edges))
        arrays: dict[int, GraphArray] = {}
        count = rng.choice([1, 3, 12])
        for place in range(len(edges)):
            if rng.random() < 0.25 and len(arrays) < 4:
                if arrays and rng.random() < 0.6:
                    edges[place] += (edge(rng.choice(list(arrays)), Condition.EACH),)
                made = job_spec(
                    attempts=rng.choice([1, 2]), backoff=0.3, max_backoff=5.0, crash_limit=20
                )
                arrays[place] = GraphArray(MemberOf(TaskId("")), made, b"t", count)
        failures = rng.choice([None, None, None, 2])
        request = self._callers.request(b"graph")
        self._callers.begin(partial(self._submit, edges, tasks, failures, request, arrays))

    def _keyed(self, what: dict[str, Any], count: int) -> list[TaskSpec]:
        """So many tasks, of which few have a unique key: each another one."""
        rng, often = self._world.rng, self._world.graph_keys
        found = [spec(**what)] * count
        keys = ["u", "v"]
        for place in range(count):
            if often and keys and rng.random() < often:
                rejects = rng.random() < 0.5
                window = rng.choice([0.0, 0.0, 3.0])
                key = keys.pop(rng.randrange(len(keys)))
                found[place] = spec(
                    **what, unique=key, window=window, rejects=rejects, replaces=not rejects
                )
        return found

    async def _submit(
        self,
        edges: Sequence[tuple[int, ...]],
        what: Sequence[TaskSpec],
        failures: int | None,
        request: e.Request,
        arrays: Mapping[int, GraphArray],
    ) -> None:
        message = job_pb2.JobSpec(name="g", max_failures=failures)
        message.graph.SetInParent()
        found = records.job_spec(message, message.SerializeToString(), items=False)

        def specs(job: TaskId) -> list[Spec]:
            found: list[Spec] = []
            for place, some in enumerate(edges):
                of = MemberOf(job, f"t{place}", True, some)
                array = arrays.get(place)
                found.append((what[place] if array is None else array)._replace(member=of))
            return found

        def make(term: Term, token: Pending[object]) -> e.Event:
            job = term.ids.next(term.driver.clock.now())
            return e.JobSubmitted(
                WORK, job, found, b"", 0, False, True, request, token, "", specs(job)
            )

        answer = await self._callers.call(make)
        if isinstance(answer, Rejection):
            refusals = ("QUEUE_PAUSED", "TASKS_PAUSED", "TASK_ALREADY_EXISTS")
            assert answer.reason in refusals, answer
            return
        assert isinstance(answer, JobKnown), answer
        job = answer.job
        self._world.history.look()
        assert job in self._world.history.graphs.jobs, f"{job} was acknowledged, and is lost"
        tasks = specs(job)
        for begin in range(0, len(tasks), _PART):
            part, last = tasks[begin : begin + _PART], begin + _PART >= len(tasks)

            def add(
                term: Term,
                token: Pending[object],
                begin: int = begin,
                part: list[Spec] = part,
                last: bool = last,
            ) -> e.Event:
                return e.GraphTasksAdded(job, begin, part, last, token)

            added = await self._callers.call(add)
            if isinstance(added, Rejection):
                # Somebody cancelled it meanwhile, or it ended and expired; or a key of it was taken
                # after a leader had died.
                reasons = ("JOB_INCOMPLETE", "JOB_NOT_FOUND", "TASK_ALREADY_EXISTS")
                assert added.reason in reasons, added
                return
            assert isinstance(added, JobItemsKnown), added
            if begin == 0:
                self.graphs.append(job)
        self._world.history.look()
        self._world.history.graphs.promised[job] = None

    def control_graph(self) -> None:
        """Cancel, pause, resume or retry one, also while it is created."""
        rng = self._world.rng
        if self.graphs:
            job = rng.choice(self.graphs[-_RECENT:])
            how = rng.choice(["cancel", "pause", "pause", "resume", "resume", "retry", "retry"])
            self._callers.jobs.control(job, how)
