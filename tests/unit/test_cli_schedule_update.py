"""`quorate schedule update` changes what is given of a schedule's runs, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from quorate.client.client import Client
from quorate.client.schedules.methods import Schedules
from quorate.v1 import job_pb2, schedule_pb2, task_pb2
from tests.support.command_line import command_line
from tests.support.fake_scheduler import FakeCluster, FakeServer

Quorate = Callable[..., tuple[int, str, str]]
UPDATE = ("schedule", "update", "s")


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def quorate(cluster: FakeCluster, monkeypatch, tmp_path, capfdbinary) -> Quorate:
    return command_line(cluster, monkeypatch, tmp_path, capfdbinary)


@pytest.fixture
def create(quorate: Quorate) -> Callable[..., None]:
    """Creates the schedule `s`; options, then `--`, then the program."""

    def call(*words: str) -> None:
        code, _, err = quorate("schedule", "create", "s", "--every", "60", *words)
        assert code == 0, err

    return call


def spec_of(cluster: FakeCluster) -> schedule_pb2.ScheduleSpec:
    return cluster.schedules["s"].spec


def changed(quorate: Quorate, cluster: FakeCluster, *words: str) -> task_pb2.TaskSpec:
    """The task of a run after an update."""
    code, out, err = quorate(*UPDATE, *words)
    assert (code, out) == (0, "s changed\n"), err
    return spec_of(cluster).task


OPTIONS = (
    *("--name", "nightly", "--priority", "3", "--retries", "2", "--timeout", "9", "--cpu", "2"),
    *("--start-deadline", "30", "--label", "app=web", "--memory", "1G", "--resource", "gpu=1"),
    *("--limit-key", "k", "--limit", "licence", "--fairness-key", "f", "--ordering-key", "o"),
    *("--unique-key", "u", "--on-conflict", "replace", "--where", "zone=a", "--tolerate", "gpu"),
    *("--near", "app=db", "--apart", "app=batch", "--distinct", "app", "--spread", "zone"),
    *("--set-up", "true", "--set-up-timeout", "5", "--clean-up", "m:f", "--env", "A=1"),
    *("--secret", "PW=file:pw"),
)


def test_options_that_are_given_are_those_of_a_new_schedule(
    quorate: Quorate, cluster: FakeCluster, create: Callable[..., None]
) -> None:
    create(*OPTIONS, "--", "echo", "hello")
    wanted = cluster.schedules.pop("s").spec
    create("--", "echo", "hello")
    assert spec_of(cluster) != wanted
    assert changed(quorate, cluster, *OPTIONS) == wanted.task
    assert spec_of(cluster) == wanted


def test_options_that_are_left_out_stay_and_empty_ones_are_removed(
    quorate: Quorate, cluster: FakeCluster, create: Callable[..., None]
) -> None:
    create(*OPTIONS, "--", "/bin/echo", "hello")
    before = task_pb2.TaskSpec()
    before.CopyFrom(spec_of(cluster).task)
    task = changed(quorate, cluster, "--retries", "7")
    before.retry.max_attempts = 8
    assert task == before
    task = changed(quorate, cluster, "--prefer", "disk=ssd", "--", "ls", "-l")
    assert [(rule.label, rule.preferred) for rule in task.placement.nodes] == [("disk", True)]
    assert list(task.command.argv) == ["ls", "-l"]
    for one in (task, before):
        one.placement.ClearField("nodes")
        one.command.ClearField("argv")
    assert task == before
    empty = (
        *("--name", "", "--priority", "0", "--retries", "0", "--timeout", "0", "--cpu", "0"),
        *("--start-deadline", "0", "--label", "", "--memory", "0", "--resource", ""),
        *("--limit-key", "", "--limit", "", "--fairness-key", "", "--ordering-key", ""),
        *("--unique-key", "", "--where", "", "--tolerate", "", "--near", "", "--apart", ""),
        *("--distinct", "", "--spread", "", "--set-up", "", "--clean-up", "", "--env", ""),
        *("--secret", ""),
    )
    create_words = ("--", "true")
    task = changed(quorate, cluster, *empty, *create_words)
    assert task == task_pb2.TaskSpec(
        name="true", command={"argv": ["true"]}, retry={"max_attempts": 1}
    )


def test_the_program_may_become_a_function_and_its_arguments_change_alone(
    quorate: Quorate, cluster: FakeCluster, create: Callable[..., None]
) -> None:
    create("--env", "A=1", "--secret", "PW=file:pw", "--retries", "2", "--", "echo")
    code, _, err = quorate(*UPDATE, "--call", "math:hypot")
    assert (code, "--call: a function has no A of the program; add --env ''" in err) == (2, True)
    task = changed(quorate, cluster, "--call", "math:hypot", "--env", "", "--arguments", "[3, 4]")
    assert (task.name, task.python.entrypoint, task.python.json) == ("hypot", "math:hypot", "[3,4]")
    assert (task.python.secrets["PW"].file, task.retry.max_attempts) == ("pw", 3)
    task = changed(quorate, cluster, "--arguments", "[5, 12]")
    assert (task.python.entrypoint, json.loads(task.python.json)) == ("math:hypot", [5, 12])
    code, _, err = quorate(*UPDATE, "--env", "A=1")
    assert (code, "--env: is for programs" in err) == (2, True)
    task = changed(quorate, cluster, "--", "ls")
    assert (task.name, task.command.secrets["PW"].file) == ("ls", "pw")
    code, _, err = quorate(*UPDATE, "--arguments", "[1]")
    assert (code, "--arguments: needs --call" in err) == (2, True)


def test_runs_become_jobs_and_tasks_again(
    quorate: Quorate, cluster: FakeCluster, create: Callable[..., None], tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("a\nb\n")
    create("--retries", "2", "--", "echo", "{}")
    task = task_pb2.TaskSpec()
    task.CopyFrom(spec_of(cluster).task)
    changed(quorate, cluster, "--each-line", str(lines), "--max-parallel", "1")
    job = spec_of(cluster).job
    assert job == job_pb2.JobSpec(template=task, items=[b"a", b"b"], max_parallel=1)
    reduce = ("--reduce", "builtins:len", "--fan-in", "5")
    changed(quorate, cluster, "--array", "10-30:10%2", *reduce, "--retries", "4", "--near", "a=b")
    job = spec_of(cluster).job
    assert (job.count, job.first_index, job.index_step, job.max_parallel) == (3, 10, 10, 2)
    assert (list(job.items), job.reduce.fan_in) == ([], 5)
    for template in (job.template, job.reduce.template):
        assert template.retry.max_attempts == 5
        assert template.placement.near[0].label == "a"
    assert job.reduce.template.python.entrypoint == "builtins:len"
    assert not job.reduce.template.HasField("command")
    changed(quorate, cluster, "--reduce-args", "[7]", "--max-failures", "1", "--memory", "1M")
    job = spec_of(cluster).job
    assert json.loads(job.reduce.template.python.json)["args"] == [7]
    assert (job.max_failures, job.count, job.reduce.template.resources.memory) == (1, 3, 1 << 20)
    changed(quorate, cluster, "--reduce", "")
    assert not spec_of(cluster).job.HasField("reduce")
    changed(quorate, cluster, "--array", "")
    assert spec_of(cluster).WhichOneof("work") == "task"
    assert list(spec_of(cluster).task.command.argv) == ["echo", "{}"]
    assert spec_of(cluster).task.retry.max_attempts == 5


def test_subtasks_of_a_function_get_json_and_keep_their_form(
    quorate: Quorate, cluster: FakeCluster, create: Callable[..., None], tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("1\n[2]\n")
    words = ("--each-line", str(lines), "--json-items")
    create(*words, "--call", "builtins:repr", "--reduce", "builtins:len", "--max-parallel", "3")
    job = spec_of(cluster).job
    assert (list(job.items), job.max_parallel) == ([b"1", b"[2]"], 3)
    assert json.loads(job.template.python.json) == {"args": [], "kwargs": {}}
    assert job.reduce.template.python.entrypoint == "builtins:len"
    code, _, err = quorate(*UPDATE, "--", "echo", "{}")
    assert (code, "-- COMMAND: reads items in another form" in err) == (2, True)
    changed(quorate, cluster, "--each-line", str(lines), "--", "echo", "{}")
    assert list(spec_of(cluster).job.items) == [b"1", b"[2]"]
    code, _, err = quorate(*UPDATE, *words)
    assert (code, "--json-items: is for functions" in err) == (2, True)


@pytest.mark.parametrize(
    ("runs", "words", "said"),
    [
        ((), (), "nothing to change; give an option"),
        ((), ("--max-parallel", "2"), "--max-parallel: is for jobs, and the runs are tasks"),
        ((), ("--reduce", "m:f"), "--reduce: is for jobs, and the runs are tasks"),
        ((), ("--max-failures", "0"), "--max-failures: is for jobs, and the runs are tasks"),
        ((), ("--array", "1-3", "--each-line", "/dev/null"), "--each-line: give either"),
        ((), ("--array", "1-3", "--fan-in", "3"), "--fan-in: needs --reduce"),
        ((), ("--array", "1-3", "--unique-key", "k"), "--unique-key: is for tasks; a job has"),
        ((), ("--on-conflict", "replace"), "--on-conflict: needs --unique-key"),
        (
            (),
            ("--unique-key", "k", "--on-conflict", "return"),
            "--on-conflict: return makes no sense for a schedule",
        ),
        ((), ("--open",), "--open: makes no sense for a schedule"),
        ((), ("--close-after-idle", "5"), "--close-after-idle: is for open jobs"),
        ((), ("--delay", "5"), "--delay: is for one task; a schedule says when"),
        ((), ("--json-items",), "--json-items: needs --each-line"),
        ((), ("--set-up-timeout", "5"), "--set-up-timeout needs --set-up"),
        ((), ("--where", "=="), "where: '==' is not a rule"),
        (("--array", "1-3"), ("--distinct", "app"), "--distinct: is for tasks; a node runs many"),
        (("--array", "1-3"), ("--array", "", "--max-failures", "1"), "--max-failures: is for jobs"),
        (("--array", "1-3"), ("--reduce-args", "[1]"), "--reduce-args: needs --reduce"),
    ],
)
def test_a_mistake_names_its_option_and_changes_nothing(
    quorate: Quorate,
    cluster: FakeCluster,
    create: Callable[..., None],
    runs: tuple[str, ...],
    words: tuple[str, ...],
    said: str,
) -> None:
    create(*runs, "--", "true")
    code, out, err = quorate(*UPDATE, *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert cluster.schedules["s"].etag == "1"


def test_a_graph_is_changed_by_its_file(
    quorate: Quorate, cluster: FakeCluster, create: Callable[..., None], tmp_path: Path
) -> None:
    file = tmp_path / "graph.toml"
    file.write_text('queue = "other"\n[tasks.a]\ncommand = ["true"]\n')
    graph = ("--graph", str(file))
    for command in (("schedule", "create", "x", "--every", "60"), UPDATE):
        code, _, err = quorate(*command, *graph, "--near", "a=b")
        assert (code, "--near: goes not together with --graph" in err) == (2, True)
        code, _, err = quorate(*command, *graph, "--", "true")
        assert (code, "-- COMMAND: goes not together with --graph" in err) == (2, True)
    create("--retries", "2", "--", "true")
    changed(quorate, cluster, *graph)
    assert spec_of(cluster).queue == "other"
    assert [task.name for task in spec_of(cluster).job.graph.tasks] == ["a"]
    for words, named in (
        (("--retries", "3"), "--retries"),
        (("--array", "1-2"), "--array"),
        (("--", "true"), "-- COMMAND"),
    ):
        code, _, err = quorate(*UPDATE, *words)
        assert (code, f"{named}: is not for graphs" in err) == (2, True)
    changed(quorate, cluster, "--cron", "@daily", "--queue", "default")
    assert (spec_of(cluster).cron, spec_of(cluster).queue) == ("@daily", "default")


def test_a_change_by_somebody_else_meanwhile_is_not_lost(
    quorate: Quorate,
    cluster: FakeCluster,
    create: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create("--", "true")
    with Client(FakeServer(cluster).address) as other:
        read = Schedules.get
        theirs = ["first", "second"]

        def slowly(schedules, name):
            found = read(schedules, name)
            if theirs:
                other.schedules.update(name, cron="@hourly", max_runs=len(theirs))
                theirs.pop()
            return found

        monkeypatch.setattr(Schedules, "get", slowly)
        assert changed(quorate, cluster, "--retries", "2").retry.max_attempts == 3
    assert (spec_of(cluster).cron, spec_of(cluster).max_runs) == ("@hourly", 1)
    assert theirs == []
    cluster.refuse("UpdateSchedule", *[grpc.StatusCode.ABORTED] * 8)
    code, _, err = quorate(*UPDATE, "--retries", "5")
    assert (code, err) == (5, "quorate: ordered by the test\n")
    assert spec_of(cluster).task.retry.max_attempts == 3


def test_items_that_a_schedule_cannot_store_are_refused_while_they_are_read(
    quorate: Quorate, cluster: FakeCluster, create: Callable[..., None], tmp_path: Path
) -> None:
    create("--", "true")
    lines = tmp_path / "lines"
    for text in (("x" * 9_000 + "\n") * 8, "\n" * 40_000):
        lines.write_text(text)
        for command in (("schedule", "create", "x", "--every", "60"), UPDATE):
            code, _, err = quorate(*command, "--each-line", str(lines), "--", "echo", "{}")
            assert (code, "--each-line: over 65,536 bytes" in err) == (2, True), err
    assert list(cluster.schedules) == ["s"]


def test_a_number_of_subtasks_is_a_range_from_0(
    quorate: Quorate, cluster: FakeCluster, create: Callable[..., None]
) -> None:
    create("--array", "7", "--max-parallel", "2", "--", "true")
    job = spec_of(cluster).job
    assert (job.count, job.first_index, job.max_parallel) == (7, 0, 2)
    code, _, err = quorate(*UPDATE, "--array", "0")
    assert (code, "--array: '0' is not FIRST-LAST" in err) == (2, True)
