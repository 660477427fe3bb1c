"""The verdict: which problems it names, and that it is well where there are none."""

from __future__ import annotations

import pytest

from scheduler.core.model import events as e
from scheduler.core.model.state import State
from scheduler.core.values import Needs
from scheduler.core.verdict import verdict as module
from scheduler.core.verdict.facts import Facts, Member
from scheduler.core.verdict.problems import Code, Problem, Severity
from scheduler.core.verdict.rising import Rising
from scheduler.core.verdict.verdict import STALLED_AFTER, verdict
from tests.support.core import Cluster
from tests.support.core_specs import START, spec

WELL = Facts(
    schedulers=2,
    etcd_members=(Member("e1:2379", "3.5.28"), Member("e2:2379", "3.6.9")),
    etcd_in_use=10,
    etcd_quota=100,
    clock_offset=0.1,
    certificates={"server": START + 15 * 86_400.0},
    last_backup=START - 3600.0,
)


def found(c: Cluster, facts: Facts = WELL, rising: Rising | None = None) -> list[Problem]:
    return verdict(c.state, facts, rising or Rising(), c.now)


def codes(problems: list[Problem]) -> list[Code]:
    return [one.code for one in problems]


def test_all_is_well():
    c = Cluster()
    c.node("n1")
    c.submit()
    assert found(c) == []


def test_what_is_not_known_is_no_problem():
    assert verdict(State(), Facts(), Rising(), START) == []


def test_a_lost_node_with_when_and_why():
    c = Cluster()
    c.node("n2")
    n = c.node("n1")
    c.submit()
    c.submit()
    c.step(e.NodeLost(n.name, n.instance, "its process is gone"))
    (one,) = found(c)
    assert (one.code, one.kind, one.name, one.since) == (Code.NODE_LOST, "node", "n1", START)
    assert one.sentence.startswith("Node n1 is lost: its process is gone.")


def test_tasks_that_fit_no_node_say_what_is_missing_once_a_queue():
    c = Cluster()
    c.node("n1")
    first = c.submit(spec(counters={"gpu": 1}))
    c.submit(spec(counters={"gpu": 2}))
    (one,) = found(c)
    assert (one.code, one.kind, one.name) == (Code.TASKS_UNPLACEABLE, "task", first)
    assert one.sentence.startswith("Tasks of queue default fit no node: no node has 1 gpu")
    assert one.queue == "default"


def test_a_busy_node_is_no_problem():
    c = Cluster()
    c.node("n1", credit=1)
    for _ in range(5):
        c.submit()
    assert found(c) == []


def test_tasks_wait_and_no_node_takes_work():
    c = Cluster()
    c.submit()
    (one,) = found(c)
    assert (one.code, one.severity) == (Code.NO_NODES, Severity.ERROR)


def test_a_paused_queue_in_which_tasks_wait():
    c = Cluster()
    c.node("n1")
    c.pause()
    assert found(c) == []
    c.submit()
    (one,) = found(c)
    assert (one.code, one.kind, one.name) == (Code.QUEUE_PAUSED, "queue", "default")
    assert one.sentence == "Queue default is paused, and 1 task waits."
    c.pause(paused=False)
    assert found(c) == []


def test_a_queue_that_stands_still():
    c = Cluster()
    c.node("n1", credit=0)
    c.submit()
    c.now += STALLED_AFTER - 1
    assert found(c, WELL._replace(last_backup=c.now)) == []
    c.now += 62
    (one,) = found(c, WELL._replace(last_backup=c.now))
    assert (one.code, one.since) == (Code.QUEUE_STALLED, START)
    assert "has been due for 16 minutes" in one.sentence


@pytest.mark.parametrize(
    ("facts", "code", "severity", "words"),
    [
        ({"schedulers": 1}, Code.NO_STANDBY, Severity.WARNING, "no standby"),
        (
            {"etcd_members": (Member("e1:2379", ""),)},
            Code.ETCD_MEMBER_UNHEALTHY,
            Severity.ERROR,
            "e1:2379 does not answer",
        ),
        ({"etcd_members": (Member("e", "3.4.23"),)}, Code.ETCD_OLD, Severity.NOTE, "3.4.23"),
        ({"etcd_members": (Member("e", "3.5.1"),)}, Code.ETCD_OLD, Severity.ERROR, "lose"),
        ({"etcd_in_use": 71}, Code.ETCD_SPACE, Severity.WARNING, "used to 71%"),
        ({"etcd_in_use": 81}, Code.ETCD_SPACE, Severity.ERROR, "are refused"),
        ({"etcd_no_space": True}, Code.ETCD_SPACE, Severity.ERROR, "refuses writes"),
        ({"clock_offset": -6.0}, Code.CLOCKS_APART, Severity.WARNING, "6 s behind"),
        (
            {"certificates": {"server": START + 13.5 * 86_400.0}},
            Code.CERTIFICATE_EXPIRES,
            Severity.WARNING,
            "for server expires in 13 days",
        ),
        (
            {"certificates": {"ca": START - 1.0}},
            Code.CERTIFICATE_EXPIRES,
            Severity.ERROR,
            "has expired",
        ),
        (
            {"certificates": {"ca": 0.0}},
            Code.CERTIFICATE_EXPIRES,
            Severity.ERROR,
            "cannot be read",
        ),
        ({"last_backup": 0.0}, Code.BACKUP_OLD, Severity.NOTE, "never backed up"),
        (
            {"last_backup": START - 27 * 3600.0},
            Code.BACKUP_OLD,
            Severity.WARNING,
            "27 hours old",
        ),
    ],
)
def test_what_is_beside_the_log(facts, code: Code, severity: Severity, words: str):
    (one,) = found(Cluster(), WELL._replace(**facts))
    assert (one.code, one.severity, one.kind) == (code, severity, "cluster")
    assert words in one.sentence
    assert one.sentence.endswith(".")


def test_dead_letters_that_become_more_and_then_no_longer():
    c = Cluster()
    rising = Rising()
    n = c.node("n1", credit=10)
    rising.look(c.state, c.now)
    for _ in range(5):
        n.fail(c.submit(spec(attempts=1)))
    rising.look(c.state, c.now)
    (one,) = found(c, rising=rising)
    assert (one.code, one.kind, one.name) == (Code.DEAD_LETTERS_RISING, "dead", "default")
    assert "5 tasks failed for good" in one.sentence
    for minute in range(17):
        rising.look(c.state, c.now + 60.0 * minute)
    assert found(c, rising=rising) == []


def test_the_worst_comes_first_and_many_alike_are_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EACH", 2)
    c = Cluster()
    for number in range(4):
        n = c.node(f"n{number}", announces_end=True)
        c.step(e.NodeLeaseEnded(n.name, n.instance))
    problems = list(module.shortened(found(c, WELL._replace(etcd_no_space=True))))
    assert codes(problems) == [Code.ETCD_SPACE, *[Code.NODE_LOST] * 3]
    assert problems[-1].sentence == "2 more problems of the kind NODE_LOST."


def test_it_looks_at_a_bounded_number_of_kinds_of_tasks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "KINDS_TIMES_NODES", 0)
    looked: list[Needs] = []

    def counted(state: State, needs: Needs, rules: object) -> str:
        looked.append(needs)
        return ""

    monkeypatch.setattr(module, "why_unplaceable", counted)
    c = Cluster()
    c.node("n1", credit=0)
    for cores in range(12):
        c.submit(spec(cpu=cores / 8 + 0.125))
    found(c)
    assert len(looked) == 4
