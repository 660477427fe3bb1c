"""However a service is changed and whatever becomes of its replicas, the bounds hold.

A world around the pure reconciler: replicas start, become ready, fail, are ended; the wish and the
generation change. The plan is followed at once, as the core does.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quorate.runtime.ids import TaskId
from scheduler.core.handlers.services.reconcile import DesiredState, ReplicaSeen, plan


@dataclass
class Replica:
    generation: int
    ready: bool = False
    waiting: bool = True
    leaving: bool = False


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.wish = DesiredState(3, 1, 0)
        self.generation = 1
        self.replicas: dict[TaskId, Replica] = {}
        self.made = 0
        self.follow()

    def see(self) -> list[ReplicaSeen]:
        return [
            ReplicaSeen(task, r.generation == self.generation and not r.leaving, r.ready, r.waiting)
            for task, r in self.replicas.items()
        ]

    def ready(self) -> int:
        return sum(1 for r in self.replicas.values() if r.ready)

    def follow(self) -> int:
        """Do what the plan says, and hold it against the bounds; how much it was."""
        wish, before = self.wish, self.ready()
        what = plan(wish, self.see())
        for task in what.end:
            del self.replicas[task]
        least = wish.replicas - wish.max_unavailable
        assert self.ready() >= min(before, least), "ended a ready one too many"
        for _ in range(what.create):
            self.made += 1
            self.replicas[TaskId(f"{self.made:06}")] = Replica(self.generation)
        assert len(self.replicas) <= wish.replicas + wish.max_surge
        return len(what.end) + what.create

    def some(self, data, **state: bool) -> Replica | None:
        found = [
            r
            for r in self.replicas.values()
            if all(getattr(r, name) == value for name, value in state.items())
        ]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data())
    def start(self, data) -> None:
        replica = self.some(data, waiting=True)
        if replica is not None:
            replica.waiting = False
            self.follow()

    @rule(data=st.data())
    def become_ready(self, data) -> None:
        replica = self.some(data, waiting=False)
        if replica is not None:
            replica.ready = True
            self.follow()

    @rule(data=st.data())
    def become_unready(self, data) -> None:
        replica = self.some(data, ready=True)
        if replica is not None:
            replica.ready = False
            self.follow()

    @rule(data=st.data())
    def fail(self, data) -> None:
        replica = self.some(data, waiting=False)
        if replica is not None:
            replica.ready, replica.waiting, replica.leaving = False, True, False
            self.follow()

    @rule(data=st.data(), leaving=st.booleans())
    def node_is_emptied(self, data, leaving: bool) -> None:
        replica = self.some(data, waiting=False)
        if replica is not None:
            replica.leaving = leaving
            self.follow()

    @rule()
    def new_generation(self) -> None:
        self.generation += 1
        self.follow()

    @rule(replicas=st.integers(0, 6), surge=st.integers(1, 3), unavailable=st.integers(0, 3))
    def wish_again(self, replicas: int, surge: int, unavailable: int) -> None:
        self.wish = DesiredState(replicas, surge, unavailable)
        self.follow()

    @invariant()
    def a_plan_that_was_followed_leaves_nothing_to_do(self) -> None:
        assert plan(self.wish, self.see()) == ((), 0)

    @precondition(lambda self: self.replicas)
    @rule()
    def given_health_all_becomes_as_wished(self) -> None:
        """And once it began with enough ready ones, there were never fewer."""
        least = self.wish.replicas - self.wish.max_unavailable
        enough = self.ready() >= least
        for _ in range(100):
            for replica in list(self.replicas.values()):
                if not replica.ready:
                    replica.ready, replica.waiting = True, False
                    break
            moved = self.follow()
            assert not enough or self.ready() >= least
            if not moved and all(r.ready for r in self.replicas.values()):
                break
        assert len(self.replicas) == self.wish.replicas
        assert all(r.ready and r.generation == self.generation for r in self.replicas.values())
        assert not any(r.leaving for r in self.replicas.values())


World.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase
