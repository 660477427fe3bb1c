"""Marks last as long as somebody asks for the number, and are what all who ask agree on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from scheduler.autoscaling.ask import Ask, parse
from scheduler.autoscaling.scale_down import ASKED_WITHIN, MAX_ASKS, ScaleDown
from scheduler.autoscaling.surplus import LONGEST
from scheduler.core.model import events as e
from scheduler.core.model.state import State
from scheduler.engine.driver import Driver
from tests.support.core import Cluster
from tests.support.core_log import Log

ASK = parse({"idleSeconds": "60", "leavingSeconds": "15"})


@dataclass
class Drives:
    """A driver around the pure cluster, as far as `ScaleDown` needs one."""

    cluster: Cluster
    rooms: list[None] = field(default_factory=list)

    @property
    def state(self) -> State:
        return self.cluster.state

    @property
    def clock(self) -> Drives:
        return self

    def now(self) -> float:
        return self.cluster.now

    async def room(self) -> None:
        self.rooms.append(None)

    def handle(self, events: list[Any]) -> None:
        for event in events:
            self.cluster.step(event)


def term(cluster: Cluster) -> ScaleDown:
    return ScaleDown(cast("Driver", Drives(cluster)))


def leaving(c: Cluster) -> list[str]:
    return sorted(c.state.scaling_down)


async def asked(c: Cluster, scale_down: ScaleDown, seconds: float, ask: Ask = ASK) -> int:
    """Ask every 15 s, as a HorizontalPodAutoscaler does, for so long; the last answer."""
    end, wanted = c.now + seconds, -1
    while c.now <= end:
        wanted = await scale_down.wanted(ask)
        c.advance(15.0)
    return wanted


async def test_nobody_is_marked_before_somebody_asks():
    c = Cluster()
    c.node("n1")
    scale_down = term(c)
    c.advance(10_000.0)
    scale_down.look()
    assert leaving(c) == []


async def test_the_number_falls_in_two_steps():
    c = Cluster()
    c.node("n1")
    c.node("n2", credit=1)
    task = c.submit()
    busy = c.place_of(task)
    scale_down = term(c)
    assert await scale_down.wanted(ASK) == 2
    c.advance(60.0)
    assert (await scale_down.wanted(ASK), len(leaving(c))) == (2, 1)
    assert busy not in leaving(c)
    c.advance(14.0)
    assert await scale_down.wanted(ASK) == 2
    c.advance(1.0)
    assert await scale_down.wanted(ASK) == 1


async def test_the_answer_after_marks_were_taken_back_is_of_what_is_then():
    c = Cluster()
    one = c.node("n1", credit=1)
    c.submit()
    two = c.node("n2", credit=1)
    scale_down = term(c)
    await asked(c, scale_down, 120.0)
    assert (leaving(c), await scale_down.wanted(ASK)) == ([two.name], 1)
    c.submit()
    assert (leaving(c), await scale_down.wanted(ASK)) == ([], 2)
    assert (len(one.has), len(two.has)) == (1, 1)


async def test_marks_of_a_trigger_that_asks_no_longer_are_taken_back():
    c = Cluster()
    c.node("n1")
    scale_down = term(c)
    await asked(c, scale_down, 90.0)
    assert leaving(c) == ["n1"]
    c.advance(ASKED_WITHIN - 20.0)
    scale_down.look()
    assert leaving(c) == ["n1"]
    c.advance(21.0)
    scale_down.look()
    assert leaving(c) == []


async def test_a_new_leader_keeps_marks_until_it_could_have_been_asked():
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1")
    await asked(c, term(c), 90.0)
    c.lead(log.followed())
    scale_down = term(c)
    scale_down.look()
    assert leaving(c) == ["n1"]
    assert await scale_down.wanted(ASK) == 0
    c.advance(ASKED_WITHIN + 1.0)
    # The one trigger is forgotten and the term is not young any more.
    scale_down.look()
    assert leaving(c) == []
    assert n.leaving == [True, False]


async def test_a_new_leader_that_nobody_asks_takes_the_marks_back():
    log = Log()
    c = Cluster(log=log)
    c.node("n1")
    await asked(c, term(c), 90.0)
    c.lead(log.followed())
    assert leaving(c) == ["n1"]
    scale_down = term(c)
    c.advance(ASKED_WITHIN + 1.0)
    scale_down.look()
    assert leaving(c) == []


async def test_a_node_that_nobody_ends_is_given_up_once():
    c = Cluster()
    n = c.node("n1")
    scale_down = term(c)
    assert await asked(c, scale_down, 60.0 + LONGEST + 3_000.0) == 0
    # Ready again, counted out all the same, and not marked a second time.
    assert n.leaving == [True, False]
    n.succeed(c.submit())
    assert await asked(c, scale_down, 90.0) == 0
    assert n.leaving == [True, False, True]


async def test_triggers_of_the_same_nodes_decide_together():
    c = Cluster()
    for number in range(3):
        c.node(f"n{number}")
    scale_down = term(c)
    keeps_two = parse({"idleSeconds": "60", "minNodes": "2"})
    await scale_down.wanted(keeps_two)
    await asked(c, scale_down, 90.0)
    assert len(leaving(c)) == 1
    await scale_down.wanted(keeps_two)
    assert len(leaving(c)) == 1


async def test_of_too_many_triggers_those_that_asked_longest_ago_are_forgotten():
    c = Cluster()
    c.node("n1")
    c.advance(100.0)
    scale_down = term(c)
    keeps_all = parse({"minNodes": "1"})
    await scale_down.wanted(keeps_all)
    for number in range(MAX_ASKS - 1):
        await scale_down.wanted(parse({"maxNodes": str(number + 5)}))
    assert leaving(c) == []
    await scale_down.wanted(ASK)
    assert leaving(c) == ["n1"]


async def test_an_answer_waits_for_room():
    class Full(Drives):
        async def room(self) -> None:
            raise RuntimeError("deposed")

    c = Cluster()
    c.node("n1")
    c.advance(100.0)
    with pytest.raises(RuntimeError, match="deposed"):
        await ScaleDown(cast("Driver", Full(c))).wanted(ASK)
    assert c.step(e.TimersDue()).writes == []
    assert leaving(c) == []
