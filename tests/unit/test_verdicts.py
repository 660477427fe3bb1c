"""The verdict as it is served: since when, for how long first, and to whom."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from quorate.etcd.api import StoreStatus
from quorate.security.identity import Caller, How, Role
from scheduler.api.cluster import verdicts as module
from scheduler.api.cluster.verdicts import LASTS, Verdicts, shown_to
from scheduler.core.model import events as e
from scheduler.core.verdict.problems import Code, Problem, Severity
from tests.support.core import Cluster
from tests.support.core_specs import START


class Around:
    """What a term has besides: all well but what a test sets."""

    def __init__(self, c: Cluster) -> None:
        self.c = c
        self.overview = SimpleNamespace(
            status=StoreStatus("3.6.9", 10, 10, 1, 1, 3),
            schedulers=2,
            members=(),
            quota=100,
            last_backup=START,
        )
        driver: Any = SimpleNamespace(
            clock=SimpleNamespace(now=lambda: c.now),
            state=c.state,
            journal=SimpleNamespace(no_space=False),
            clocks=SimpleNamespace(offset=None),
        )
        overview: Any = self.overview
        self.verdicts = Verdicts(driver, overview)

    def codes(self) -> list[Code]:
        return [one.code for one in self.verdicts.problems()]


def test_a_problem_that_may_pass_by_itself_has_to_last():
    around = Around(Cluster())
    around.overview.schedulers = 1
    assert around.codes() == []
    around.c.now += LASTS[Code.NO_STANDBY] - 1.0
    assert around.codes() == []
    around.c.now += 1.0
    (one,) = around.verdicts.problems()
    assert (one.code, one.since) == (Code.NO_STANDBY, START)
    around.overview.schedulers = 2
    around.c.now += 1.0
    assert around.codes() == []
    # It counts from the beginning when it comes again.
    around.overview.schedulers = 1
    around.c.now += 1.0
    assert around.codes() == []


def test_it_is_made_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch):
    around = Around(Cluster())
    made: list[float] = []

    def counted(*arguments: Any) -> list[Problem]:
        made.append(around.c.now)
        return []

    monkeypatch.setattr(module, "verdict", counted)
    for _ in range(10):
        around.verdicts.problems()
        around.c.now += 0.2
    assert len(made) == 2


def test_a_lost_node_is_there_at_once_since_its_loss():
    c = Cluster()
    around = Around(c)
    n = c.node("n1", announces_end=True)
    c.step(e.NodeLeaseEnded(n.name, n.instance))
    c.now += 5.0
    (one,) = around.verdicts.problems()
    assert (one.code, one.since) == (Code.NODE_LOST, START)


def test_who_is_bound_to_queues_sees_no_problems_of_others():
    problems = [
        Problem(Code.QUEUE_PAUSED, Severity.WARNING, "a.", "queue", "mail", "mail", START),
        Problem(Code.QUEUE_PAUSED, Severity.WARNING, "b.", "queue", "other", "other", START),
        Problem(Code.NODE_LOST, Severity.WARNING, "c.", "node", "n1", since=START),
    ]
    bound = Caller("ci", Role.SUBMITTER, How.TOKEN, ("mail*",))
    assert [one.sentence for one in shown_to(bound, problems)] == ["a.", "c."]
    assert len(shown_to(None, problems)) == 3
    assert shown_to(None, problems)[0].severity == 2


def test_problems_of_others_take_no_place_and_are_not_counted():
    def paused(queue: str) -> Problem:
        return Problem(
            Code.QUEUE_PAUSED, Severity.WARNING, f"{queue}.", "queue", queue, queue, START
        )

    problems = [*(paused(f"a{number:02}") for number in range(30)), paused("z")]
    bound = Caller("ci", Role.SUBMITTER, How.TOKEN, ("z",))
    assert [one.sentence for one in shown_to(bound, problems)] == ["z."]
    assert shown_to(None, problems)[-1].sentence == "11 more problems of the kind QUEUE_PAUSED."


async def test_the_term_goes_on_when_the_verdict_fails(monkeypatch: pytest.MonkeyPatch):
    around = Around(Cluster())
    calls: list[int] = []
    done = asyncio.Event()

    def failing() -> list[Problem]:
        calls.append(1)
        if len(calls) == 2:
            done.set()
        raise ValueError("a fault")

    monkeypatch.setattr(module, "_EVERY", 0.0)
    monkeypatch.setattr(around.verdicts, "problems", failing)
    task = asyncio.create_task(around.verdicts.run())
    await asyncio.wait_for(done.wait(), 60.0)
    assert not task.done()
    task.cancel()
