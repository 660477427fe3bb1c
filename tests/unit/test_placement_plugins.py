"""Filters and scores of other packages: what they see, and what their failures come to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from quorate import placement
from scheduler.core.model.plugins import Plugins
from scheduler.engine import plugins as engine
from tests.support.core import Cluster
from tests.support.core_placement import placed

HERE = __name__


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


def thorough(task: placement.Task, node: placement.Node) -> float:
    CLOCK.now += 0.03
    return 1.0


def only_ssd(task: placement.Task, node: placement.Node) -> bool | str:
    return node.labels.get("disk") == "ssd" or f"{task.labels['app']} wants a fast disk"


def broken(task: placement.Task, node: placement.Node) -> bool:
    raise OSError("no\nsuch table")


def endless(task: placement.Task, node: placement.Node) -> bool:
    while True:
        try:
            while True:
                pass
        except Exception:  # noqa: BLE001 - what a careless plug-in does
            pass


def wrong(task: placement.Task, node: placement.Node) -> Any:
    return None


def more_cores(task: placement.Task, node: placement.Node) -> float:
    return node.cpu - node.cpu_taken


def not_finite(task: placement.Task, node: placement.Node) -> float:
    return float("nan")


def load(*names: str, clock: Callable[[], float] = time.monotonic) -> tuple[Plugins, Counter]:
    failures: Counter[tuple[str, str]] = Counter()
    plugins = engine.load_plugins(
        lambda name, why: failures.update([(name, why)]),
        lambda group: [EntryPoint(name, f"{HERE}:{name}", group) for name in names],
        clock,
    )
    return plugins, failures


def world() -> tuple[Any, Any]:
    c = Cluster()
    c.placing = False
    c.node("n1", labels={"disk": "hdd"}, cpu=8.0)
    task = c.submit(placed({"app": "db"}, cpu=2.0))
    return c.row(task), c.state.nodes["n1"]  # type: ignore[index]


def test_a_filter_sees_the_task_and_the_node_and_says_why():
    plugins, failures = load("only_ssd")
    row, node = world()
    assert plugins.filters["only_ssd"](row, node) == "db wants a fast disk"
    node.labels["disk"] = "ssd"
    assert plugins.filters["only_ssd"](row, node) == ""
    assert not failures


def test_a_score_is_a_number():
    plugins, _ = load("more_cores")
    assert plugins.scores["more_cores"](*world()) == 8.0


@pytest.mark.parametrize(
    ("name", "why", "words"),
    [
        ("broken", "raised", "it failed with OSError: no such table"),
        ("wrong", "answer", "it answered None, not True, False or a text"),
        ("missing", "raised", "it failed with RuntimeError: it could not be loaded: Attribute"),
        ("endless", "slow", "it took longer than 20 ms"),
    ],
)
def test_a_filter_that_fails_refuses_the_node_and_is_counted(name: str, why: str, words: str):
    plugins, failures = load(name)
    assert plugins.filters[name](*world()).startswith(words)
    assert failures[name, why] == 1


@pytest.mark.parametrize("name", ["broken", "wrong", "missing", "endless", "not_finite"])
def test_a_score_that_fails_is_0(name: str):
    plugins, failures = load(name)
    assert plugins.scores[name](*world()) == 0.0
    assert failures


def test_a_slow_one_is_not_asked_again_in_the_same_second():
    clock = Clock()
    plugins, failures = load("endless", clock=clock)
    row, node = world()
    ask = plugins.filters["endless"]
    ask(row, node)
    assert ask(row, node) == "it has used its 100 ms of this second"
    assert failures == {("endless", "slow"): 1, ("endless", "busy"): 1}
    clock.now += 1.0
    assert ask(row, node) == "it took longer than 20 ms"


def test_quick_calls_together_have_a_share_of_each_second():
    plugins, failures = load("thorough", clock=CLOCK)
    row, node = world()
    ask = plugins.scores["thorough"]
    assert [ask(row, node) for _ in range(6)] == [1.0] * 4 + [0.0] * 2
    assert failures == {("thorough", "busy"): 2}
    CLOCK.now += 1.0
    assert ask(row, node) == 1.0


def test_the_timer_of_a_call_is_gone_when_it_is_over():
    plugins, _ = load("more_cores")
    plugins.scores["more_cores"](*world())
    # Longer than a call may take: an alarm that was left would end the test.
    end = time.monotonic() + 2 * engine.CALL_SECONDS
    while time.monotonic() < end:
        pass


def test_packages_that_are_installed_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "our_rules.py").write_text("def no(task, node):\n    return 'never'\n")
    info = tmp_path / "our_rules-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-rules\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[quorate.placement_filters]\nno = our_rules:no\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins = engine.load_plugins(lambda name, why: None)
    assert plugins.filters["no"](*world()) == "never"
