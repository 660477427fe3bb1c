"""Simulated callers: each repeats its call with the same request id until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import NodeName, TaskId, offset_id
from quorate.v1 import service_pb2
from scheduler.core.handlers.nodes.scaling_down import decided
from scheduler.core.model import events as e
from scheduler.core.model.answers import (
    BatchCreated,
    Done,
    Rejection,
    ServiceSeen,
    TaskCreated,
    TaskKnown,
)
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.rows import Control
from scheduler.core.values import (
    Origin,
    ServiceName,
    TaskSpec,
)
from scheduler.storage import records
from tests.simulation.calls.graphs import GraphCalls
from tests.simulation.calls.jobs import JobCalls
from tests.simulation.calls.limits import API, SEAT, WORK, LimitCalls
from tests.simulation.calls.many import ManyCalls
from tests.simulation.calls.members import MemberCalls
from tests.simulation.calls.placing import PlaceCalls
from tests.simulation.calls.schedules import ScheduleCalls
from tests.simulation.promises.starts import GPU
from tests.simulation.schedulers import Term
from tests.support.core_specs import service_spec, spec

if TYPE_CHECKING:
    from tests.simulation.world import World

SERVICES = (ServiceName("web"), ServiceName("api"))
ALICE = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/CancelTask")

Make = Callable[[Term, Pending[object]], "e.Event | None"]


class Callers:
    """Everybody who calls the leader of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.under_way = 0
        self._count = 0
        self.limits = LimitCalls(self)
        self.many = ManyCalls(self)
        self.jobs = JobCalls(self)
        self.graphs = GraphCalls(self)
        self.schedules = ScheduleCalls(self)
        self.members = MemberCalls(self)
        self.placing = PlaceCalls(self)

    @property
    def _families(self) -> tuple[object, ...]:
        work = (self.many, self.jobs, self.graphs, self.schedules)
        return (self, self.limits, *work, self.members, self.placing)

    async def call(self, make: Make, caller: str = "") -> object:
        """Ask whoever leads, again and again, until there is an answer.

        Args:
            make: the event, given the term that is asked and its token; None: nothing to ask.
        """
        rng = self.world.rng
        while True:
            term = self.world.some_leader()
            if term is not None:

                def event(token: Pending[object], term: Term = term) -> e.Event:
                    made = make(term, token)
                    if made is None:
                        raise LookupError
                    return made

                try:
                    # Patience differs: some repeat while the first call is still under way.
                    async with asyncio.timeout(rng.choice([0.05, 1.0, 3.0])):
                        return await term.driver.call(event, caller=caller)
                except LookupError:
                    return None
                except (QuorateError, TimeoutError):
                    pass
            await asyncio.sleep(rng.uniform(0.02, 0.5))

    def action(self, name: str) -> Callable[[], object]:
        """What some callers do, by name."""
        for family in self._families:
            act: Callable[[], object] | None = getattr(family, name, None)
            if act is not None:
                return act
        raise LookupError(name)

    def begin(self, ask: Callable[[], object]) -> None:
        """A caller asks something and waits for the answer."""

        async def whole() -> None:
            self.under_way += 1
            await ask()  # type: ignore[misc]
            self.under_way -= 1

        self.world.spawn(whole())

    def ask(self, make: Make) -> None:
        """A caller asks something, whatever the answer is."""
        self.begin(lambda: self.call(make))

    async def answered(self) -> None:
        """Wait until nobody waits for an answer any longer."""
        await self.world.sleep(0.01)
        while self.under_way or self.world.driver is None:
            await self.world.sleep(0.1)

    def request(self, digest: bytes) -> e.Request:
        """One that was not made before."""
        return e.Request(self.name(), digest, ALICE)

    def name(self) -> str:
        self._count += 1
        return f"r{self._count}"

    # -- tasks

    def submit(self) -> None:
        rng = self.world.rng
        count = rng.choice([1, 1, 1, 1, 2, 9, 15])
        what = spec(
            attempts=rng.choice([1, 3, 5]),
            backoff=rng.choice([0.1, 1.0]),
            max_backoff=5.0,
            jitter=0.2,
            fatal=("Fatal",),
            crash_limit=20,
            cpu=rng.choice([0.0, 0.5, 1.5]),
            priority=rng.choice([0, 0, 1]),
            key=rng.choice(["", "", "", "a", "b"]),
            limits=rng.choice([(), (), (), (SEAT,), (SEAT, API)]),
            counters=rng.choice([None, None, None, {GPU: 1}]),
            tenant=rng.choice(["", "", "gold", "silver"]),
            ordering=rng.choice(["", "", "", "", "o", "p"]),
            start_deadline=rng.choice([0.0, 0.0, 0.0, 0.0, 3.0]),
            **self._unique(count),
        )
        if self.world.ruled:
            what = self.placing.dressed(what)
        specs = [what] * count
        name, caller = self.name(), rng.choice(["", "submitter:a", "submitter:b"])
        self.begin(lambda: self._submit(name, caller, specs))

    def _unique(self, count: int) -> dict[str, Any]:
        """Now and then a unique key, with what is done where another task has it."""
        rng, world = self.world.rng, self.world
        if count > 1 or rng.random() >= world.unique:
            return {}
        if not world.windows:
            return {"unique": "u"}
        conflict = rng.choice([{}, {"rejects": True}, {"replaces": True}])
        return {"unique": rng.choice("uv"), "window": rng.choice([0.0, 0.0, 3.0]), **conflict}

    async def _submit(self, name: str, caller: str, specs: list[TaskSpec]) -> None:
        rng, limits = self.world.rng, self.world.limits
        await self._submitted(name, caller, specs)
        if rng.random() < 0.2:
            # Long after, but while it is promised to be known: its answer was lost on the way.
            await asyncio.sleep(rng.uniform(1.0, 0.3 * limits.request_age))
            await self._submitted(name, caller, specs)

    async def _submitted(self, name: str, caller: str, specs: list[TaskSpec]) -> None:
        request = e.Request(name, b"digest", caller=caller)

        def make(term: Term, token: Pending[object]) -> e.Event:
            first = term.ids.next(term.driver.clock.now())
            if len(specs) == 1:
                return e.TaskSubmitted(WORK, first, specs[0], request, token, caller)
            return e.BatchSubmitted(WORK, first, specs, request, token, caller)

        answer = await self.call(make, caller)
        match answer:
            case TaskCreated(task=task) | TaskKnown(task=task):
                made = [task]
            case BatchCreated(first, count):
                made = [offset_id(first, place) for place in range(count)]
            case Rejection(reason="QUEUE_PAUSED" | "TASKS_PAUSED"):
                return
            case Rejection(reason="TASK_ALREADY_EXISTS"):
                rejects = any(one.limits is not None and one.limits.rejects for one in specs)
                # While a graph is created there is no task that could be the answer.
                assert rejects or "is being created" in answer.message, answer
                return
            case _:
                raise AssertionError(answer)
        self.world.history.reply(name, made)

    def cancel_some(self) -> None:
        """Cancel tasks that were promised to somebody: one, or a page of them."""
        rng, answered = self.world.rng, self.world.history.answered
        if not answered:
            return
        promised = answered[rng.choice(list(answered)[-20:])]
        name = self.name()
        request = e.Request(name, b"cancel", ALICE)
        if len(promised) == 1 or rng.random() < 0.8:
            one = rng.choice(promised)
            self.begin(lambda: self._asked(lambda _, t: e.TaskCancelAsked(one, request, t)))
        else:
            some: list[TaskId] = promised[: rng.randint(1, 12)]
            self.begin(lambda: self._asked(lambda _, t: e.BulkAsked(some, frozenset(), request, t)))

    async def _asked(self, make: Make) -> object:
        return await self.call(make)

    # -- services

    def change_service(self) -> None:
        """Create, update or delete a service."""
        rng, service, name = self.world.rng, self.world.rng.choice(SERVICES), self.name()
        what = service_spec(
            replicas=rng.randint(0, 3), argv=rng.choice("ab"), unavailable=rng.randint(0, 1)
        )
        delete = rng.random() < 0.07
        self.begin(lambda: self._change(service, what, e.Request(name, b"service"), delete=delete))

    def delete_services(self) -> None:
        for service in SERVICES:
            request = e.Request(self.name(), b"service")
            self.begin(partial(self._change, service, service_spec(), request, delete=True))

    async def _change(
        self,
        service: ServiceName,
        what: service_pb2.ServiceSpec,
        request: e.Request,
        *,
        delete: bool,
    ) -> None:
        def make(term: Term, token: Pending[object]) -> e.Event | None:
            row = term.driver.state.services.get(service)
            if row is None:
                if delete:
                    return None
                return e.ServiceSubmitted(
                    service, records.service_spec(service, 1, what), request, token
                )
            if delete:
                return e.ServiceDeleteAsked(service, request, token)
            old = service_pb2.ServiceSpec.FromString(row.spec.spec)
            generation = row.spec.generation + records.replaces_replicas(old, what)
            new = records.service_spec(service, generation, what)
            return e.ServiceUpdateAsked(service, new, row.version, request, token)

        answer = await self.call(make)
        assert answer is None or isinstance(answer, ServiceSeen | Done | Rejection), answer

    # -- operators

    def control(self) -> None:
        """Cordon or drain a node, or let it be again."""
        rng = self.world.rng
        name = rng.choice(sorted(self.world.agents))
        control = rng.choice([Control(), Control(), Control(True), Control(True, True, 1.0)])
        self.begin(partial(self._control, name, control))

    async def _control(self, name: NodeName, control: Control) -> object:
        request = e.Request(self.name(), b"control", ALICE)
        return await self.call(lambda _, t: e.NodeControlAsked(name, control, request, t))

    def uncordon_all(self) -> None:
        for name in sorted(self.world.agents):
            self.begin(partial(self._control, name, Control()))

    def mark(self) -> None:
        """Mark idle nodes for a scale-down, and take marks back, at random."""
        term, rng = self.world.some_leader(), self.world.rng
        if term is None:
            return
        state = term.driver.state
        mark = [(n.name, n.instance) for n in state.nodes.values() if rng.random() < 0.5]
        back = [(name, m.instance) for name, m in state.scaling_down.items() if rng.random() < 0.3]
        term.driver.handle(decided(mark, back))
        self.world.marks += len(state.scaling_down)
