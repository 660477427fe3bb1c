"""Options of tasks are the same for each command that creates tasks; where one makes no sense, the
command says why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer

from quorate.cli.app import application
from quorate.v1 import placement_pb2, queue_pb2, task_pb2
from tests.support.command_line import command_line
from tests.support.fake_scheduler import FakeCluster

Quorate = Callable[..., tuple[int, str, str]]

PLACING = (
    *("--where", "zone=a", "--prefer", "disk=ssd", "--tolerate", "gpu", "--near", "app=db"),
    *("--apart", "app=batch", "--distinct", "app", "--label", "app=web", "--spread", "zone"),
)
UNIQUE = ("--unique-key", "report", "--on-conflict", "replace", "--unique-for", "60")


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def quorate(cluster: FakeCluster, monkeypatch, tmp_path, capfdbinary) -> Quorate:
    return command_line(cluster, monkeypatch, tmp_path, capfdbinary)


def is_placed(spec: task_pb2.TaskSpec) -> bool:
    """Whether it has the rules of PLACING."""
    rules = placement_pb2.PlacementRules(
        near=[{"label": "app", "value": "db"}],
        apart=[{"label": "app", "value": "batch"}],
        distinct=["app"],
        tolerations=[{"key": "gpu"}],
        strategy=queue_pb2.PLACEMENT_STRATEGY_SPREAD,
        spread="zone",
    )
    for label, value, preferred in (("zone", "a", False), ("disk", "ssd", True)):
        operator = placement_pb2.LABEL_OPERATOR_IN
        rules.nodes.add(label=label, values=[value], operator=operator, preferred=preferred)
    return spec.placement == rules


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "--", "true"),
        ("call", "math:sqrt", "4"),
        ("schedule", "create", "s", "--every", "60", "--", "true"),
        ("schedule", "create", "s", "--every", "60", "--call", "math:sqrt"),
    ],
    ids=["submit", "call", "schedule", "schedule-call"],
)
def test_a_task_has_the_same_options_whatever_command_creates_it(
    quorate: Quorate, cluster: FakeCluster, words: tuple[str, ...]
) -> None:
    place = 2 if words[0] == "schedule" else 1
    more = ("--no-wait",) if words[0] == "call" else ()
    code, _, err = quorate(*words[:place], *more, *PLACING, *UNIQUE, *words[place:])
    assert code == 0, err
    [spec] = [task.spec for task in cluster.tasks.values()] or [cluster.schedules["s"].spec.task]
    assert is_placed(spec)
    assert spec.unique.key == "report"
    assert spec.unique.on_conflict == task_pb2.UNIQUE_CONFLICT_REPLACE
    assert spec.unique.window.seconds == 60


def test_the_tasks_of_a_map_have_rules_about_other_tasks(
    quorate: Quorate, cluster: FakeCluster, tmp_path: Any
) -> None:
    items = tmp_path / "items"
    items.write_text("4\n9\n")
    words = ("map", "--items", str(items), "--json-items", "--quiet", *PLACING, "math:sqrt")
    assert quorate(*words)[:2] == (0, "2.0\n3.0\n")
    assert cluster.tasks
    assert all(is_placed(task.spec) for task in cluster.tasks.values())


@pytest.mark.parametrize(
    "options",
    [("--unique-key", "k"), ("--on-conflict", "reject"), ("--unique-for", "5")],
    ids=lambda options: options[0],
)
def test_a_map_says_why_it_has_no_unique_key(
    quorate: Quorate, cluster: FakeCluster, options: tuple[str, ...]
) -> None:
    code, out, err = quorate("map", "--items", "-", *options, "math:sqrt")
    assert (code, out) == (2, "")
    assert f"{options[0]}: is for one task; a map creates many" in err
    assert (cluster.tasks, cluster.jobs) == ({}, {})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--unique-key", "k"), "--unique-key: is for tasks; a job has many subtasks"),
        (("--distinct", "app"), "--distinct: is for tasks; a node runs many subtasks"),
        (("--ordering-key", "k"), "--ordering-key: is for tasks; the subtasks of a job cannot"),
        (("--start-deadline", "5"), "--start-deadline: is for tasks"),
        (("--set-up", "true"), "--set-up: is for tasks"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_job_says_which_options_are_for_tasks(
    quorate: Quorate, cluster: FakeCluster, options: tuple[str, ...], said: str
) -> None:
    for words in (
        ("submit", "--array", "1-3", *options, "--", "true"),
        ("call", "--array", "1-3", *options, "math:sqrt"),
        *[("schedule", "create", "s", "--every", "60", "--array", "1-3", *options, "--", "true")],
    ):
        code, out, err = quorate(*words)
        assert (code, out) == (2, ""), words
        assert said in err, words
    assert (cluster.tasks, cluster.jobs, cluster.schedules) == ({}, {}, {})


def test_subtasks_and_reduces_have_limits_and_keys(quorate: Quorate, cluster: FakeCluster) -> None:
    limits = ("--limit", "a", "--limit", "b", "--limit-key", "k", "--fairness-key", "gold")
    for words in (
        ("submit", "--array", "1-3", *limits, "--", "true"),
        ("call", "--array", "1-3", *limits, "--reduce", "math:fsum", "math:sqrt"),
    ):
        code, out, err = quorate(*words)
        assert code == 0, err
        job = list(cluster.jobs.values())[-1].job
        templates = [job.spec.template]
        if job.spec.HasField("reduce"):
            templates.append(job.spec.reduce.template)
        for template in templates:
            found = list(template.limits), template.limit_key, template.fairness_key
            assert found == (["a", "b"], "k", "gold")
    code, out, _ = quorate("job", job.id)
    assert "shared limit a, shared limit b, limit key k, fairness key gold" in " ".join(out.split())


def test_subtasks_have_rules_about_nodes_and_other_tasks(
    quorate: Quorate, cluster: FakeCluster
) -> None:
    rules = ("--prefer", "disk=ssd", "--near", "app=db", "--apart", "app=batch", "--spread", "zone")
    assert quorate("submit", "--array", "1-3", *rules, "--", "true")[0] == 0
    assert quorate("call", "--no-wait", "--array", "1-3", *rules, "math:sqrt")[0] == 0
    for job in cluster.jobs.values():
        placement = job.job.spec.template.placement
        assert [rule.value for rule in (*placement.near, *placement.apart)] == ["db", "batch"]
        assert (placement.nodes[0].preferred, placement.spread) == (True, "zone")


def test_a_call_has_a_unique_key_and_prints_the_result(
    quorate: Quorate, cluster: FakeCluster
) -> None:
    assert quorate("call", "--unique-key", "k", "math:sqrt", "16")[:2] == (0, "4.0\n")
    [task] = cluster.tasks.values()
    assert task.spec.unique == task_pb2.UniqueKey(key="k")
    code, _, err = quorate("call", "--on-conflict", "replace", "math:sqrt", "16")
    assert (code, "--on-conflict: needs --unique-key" in err) == (2, True)
    code, _, err = quorate("submit", "--times", "2", "--unique-key", "k", "--", "true")
    assert (code, "--unique-key: is for one task" in err) == (2, True)


def _command(*names: str) -> Any:
    command: Any = typer.main.get_command(application())
    for name in names:
        command = command.commands[name]
    return command


@pytest.mark.parametrize(
    "names",
    [("submit",), ("call",), ("map",), ("schedule", "create"), ("schedule", "update")],
    ids=" ".join,
)
def test_help_fits_80_columns_and_has_the_shared_options_in_panels(
    quorate: Quorate, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = quorate(*names, "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for panel in ("Execution", "Limits and keys", "Placement"):
        assert f"─ {panel} ─" in out
    for option in ("--prefer", "--near", "--apart", "--distinct", "--spread"):
        assert option in out
    assert ("--unique-key" in out) == (names != ("map",))
    # A schedule waits for nothing, and its jobs get no further items.
    assert ("--open" in out) == (names[0] in ("submit", "call"))


def test_an_option_is_declared_once_for_all_commands() -> None:
    """The same words, but that a change has no default."""
    commands = [
        _command("submit"),
        _command("call"),
        _command("map"),
        _command("schedule", "create"),
    ]
    change = {one.name: one for one in _command("schedule", "update").params}
    helps: dict[str, set[str]] = {}
    for command in commands:
        for one in command.params:
            if one.rich_help_panel in ("Execution", "Limits and keys", "Placement", "Hooks"):
                helps.setdefault(one.name, set()).add(one.help)
                if command is commands[-1] and not one.hidden:
                    assert change[one.name].help == one.help.split(" \\[default:")[0]
                    assert change[one.name].default is None
    assert len(helps) > 25
    assert {name: words for name, words in helps.items() if len(words) > 1} == {}


def test_json_of_a_created_schedule_has_its_task(quorate: Quorate) -> None:
    words = ("schedule", "create", "s", "--every", "60", "--json", *PLACING, "--", "true")
    code, out, _ = quorate(*words)
    assert code == 0
    assert json.loads(out)["spec"]["task"]["placement"]["spread"] == "zone"
