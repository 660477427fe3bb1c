"""Graphs on the command line: files that describe them, and how they look in 80 columns."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from quorate.cli.graphs import show
from quorate.cli.graphs.file import GraphFile, graph_of
from quorate.cli.jobs.show import details_of, table_of
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import job_pb2, task_pb2

ETL = b"""
name = "etl"
queue = "night"
max_failures = 2
labels = { team = "data" }

[defaults]
retries = 3
timeout = 60

[tasks.extract]
command = ["./extract", "--day", 31]
env = { DAY = "31" }
memory = "2G"
where = "disk=ssd"

[tasks.load]
function = "warehouse:load"
args = [1, "two"]
kwargs = { full = true }
inputs = { rows = "extract" }
retries = 0

[tasks.alert]
command = ["mail"]
after = ["load", { task = "extract", on = "failure" }]

[tasks.tidy-up]
command = ["rm"]
after = { task = "load", on = "always", cleanup = true }
"""


def graph(text: str, name: str = "g.toml") -> GraphFile:
    return graph_of(name, text.encode(), 0.0)


def test_a_task_of_a_file_has_hooks() -> None:
    found = graph(
        """
        [tasks.a]
        command = ["true"]
        set_up = ["sh", "-c", "mkdir x"]
        clean_up = "m:f"
        clean_up_timeout = 5
        """
    )
    hooks = found.spec.graph.tasks[0].task.hooks
    assert list(hooks.setup.argv) == ["sh", "-c", "mkdir x"]
    assert (hooks.cleanup.entrypoint, hooks.cleanup.timeout.seconds) == ("m:f", 5)
    with pytest.raises(QuorateError, match=r"set_up.*must be a list of strings"):
        graph('[tasks.a]\ncommand = ["true"]\nset_up = "mkdir x"')


def test_a_task_of_a_file_has_a_unique_key() -> None:
    found = graph(
        """
        [tasks.a]
        command = ["true"]
        unique_key = "daily"
        unique_rejects = true
        unique_for = 60
        """
    )
    unique = found.spec.graph.tasks[0].task.unique
    assert (unique.key, unique.on_conflict) == ("daily", task_pb2.UNIQUE_CONFLICT_REJECT)
    assert unique.window.seconds == 60
    with pytest.raises(QuorateError, match=r'task "a": unique_key: .* needs unique_rejects or'):
        graph('[tasks.a]\ncommand = ["true"]\nunique_key = "daily"')


def test_a_file_has_the_whole_graph() -> None:
    found = graph_of("etl.toml", ETL, 0.0)
    spec = found.spec
    assert (found.queue, spec.name, spec.max_failures, dict(spec.labels)) == (
        *("night", "etl", 2),
        {"team": "data"},
    )
    extract, load, alert, tidy = spec.graph.tasks
    assert [task.name for task in spec.graph.tasks] == ["extract", "load", "alert", "tidy-up"]
    assert list(extract.task.command.argv) == ["./extract", "--day", "31"]
    assert dict(extract.task.command.env) == {"DAY": "31"}
    assert (extract.task.name, extract.task.retry.max_attempts) == ("extract", 4)
    assert extract.task.resources.memory == 2 << 30
    assert extract.task.HasField("placement")
    assert load.task.timeout.seconds == 60
    assert load.task.retry.max_attempts == 0
    assert load.task.python.entrypoint == "warehouse:load"
    assert json.loads(load.task.python.json) == {"args": [1, "two"], "kwargs": {"full": True}}
    assert dict(load.inputs) == {"rows": "extract"}
    assert [(one.task, one.condition) for one in alert.depends_on] == [
        ("load", job_pb2.DEPENDENCY_CONDITION_ON_SUCCESS),
        ("extract", job_pb2.DEPENDENCY_CONDITION_ON_FAILURE),
    ]
    [edge] = tidy.depends_on
    assert (edge.condition, edge.cleanup) == (job_pb2.DEPENDENCY_CONDITION_ALWAYS, True)


def test_json_has_the_same_names() -> None:
    text = '{"tasks": {"a": {"command": ["true"]}, "b": {"command": ["true"], "after": "a"}}}'
    tasks = graph(text, "g.json").spec.graph.tasks
    assert [(task.name, [one.task for one in task.depends_on]) for task in tasks] == [
        ("a", []),
        ("b", ["a"]),
    ]
    assert graph(text, "standard input").spec.graph.tasks == tasks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tasks.a", "g.toml: is not TOML or JSON: "),
        ("name = 1", "g.toml: name: must be a string, not 1"),
        ("nam = 1", 'g.toml: nam: there is no such field (did you mean "name"?)'),
        ('name = "x"', "g.toml: tasks: is required: a table for each task, by its name"),
        ("tasks = []", "g.toml: tasks: must be a table of names and values, not []"),
        ("max_failures = -1\n[tasks.a]", "g.toml: max_failures: must be 0 or more"),
        ("[defaults]\nretries = 'x'\n[tasks.a]", "g.toml: defaults: retries: must be a whole"),
        ("[tasks]\na = 1", 'g.toml: task "a": must be a table of fields, not 1'),
        ("[tasks.a]", 'g.toml: task "a": needs either a command or a function'),
        ("[tasks.a]\ncommand = 'ls'", 'task "a": command: must be a list of strings; for a line'),
        ("[tasks.a]\ncommand = [true]", 'task "a": command: must be a list of strings; true is'),
        ("[tasks.a]\ncommand = []", 'task "a": command: must be a list of strings, not []'),
        ("[tasks.a]\ncommand = ['ls']\nargs = [1]", 'task "a": args: does not go with a command'),
        ("[tasks.a]\nfunction = 'm:f'\ncwd = '/'", 'task "a": cwd: does not go with a function'),
        ("[tasks.a]\nfunction = 'math'", 'g.toml: task "a": '),
        ("[tasks.a]\nfunction = 'm:f'\nargs = [2026-01-01]", 'task "a": function: Object of type'),
        (
            "[tasks.a]\ncommand = ['ls']\nretires = 3",
            "retires: there is no such field (did you mean",
        ),
        ("[tasks.a]\ncommand = ['ls']\ntimeout = -1", 'task "a": timeout: -1 must be a finite'),
        ("[tasks.a]\ncommand = ['ls']\nmemory = 'x'", 'task "a": memory: must be a size such as'),
        ("[tasks.a]\ncommand = ['ls']\nlabels = {a = 1}", 'task "a": labels: a: must be a string'),
        ("[tasks.a]\ncommand = ['ls']\nafter = 'b'", 'task "a": after: the graph has no task "b"'),
        ("[tasks.a]\ncommand = ['ls']\nafter = {on = 'x'}", 'task "a": after: task: is required'),
        (
            "[tasks.a]\ncommand = ['ls']\nafter = ['a', {task = 'a', on = 'x'}]",
            "task \"a\": after[1]: on: must be success, failure, always, each; it is 'x'",
        ),
        (
            "[tasks.a]\ncommand = ['ls']\ninputs = {N = 'aa'}",
            'task "a": inputs: N: the graph has no task "aa" (did you mean "a"?)',
        ),
    ],
)
def test_a_mistake_names_the_task_and_the_field(text: str, message: str) -> None:
    with pytest.raises(QuorateError) as caught:
        graph(text)
    assert message in caught.value.message


def test_a_name_that_is_there_twice_is_a_mistake() -> None:
    with pytest.raises(QuorateError, match='"a" is there twice'):
        graph('{"tasks": {"a": {"command": ["x"]}, "a": {}}}', "g.json")


def test_a_refusal_of_the_scheduler_names_the_task() -> None:
    found = graph_of("etl.toml", ETL, 0.0)
    error = invalid("spec.graph.tasks[1].task.priority", "9999 is not within -1000 and 1000")
    assert found.explained(error).message == (
        'etl.toml: task "load": priority: 9999 is not within -1000 and 1000'
    )
    other = invalid("queue", "is required")
    assert found.explained(other) is other


def node(name: str, state: str, *after: int, **others: object) -> job_pb2.GraphNode:
    made = job_pb2.GraphNode(name=name, task_id=f"{len(name):032x}", **others)  # type: ignore[arg-type]
    made.state = task_pb2.TaskState.Value(f"TASK_STATE_{state}")  # type: ignore[assignment]
    for place in after:
        made.depends_on.add(node=place)
    return made


def test_a_blocked_task_names_what_it_waits_for_and_a_skipped_one_why() -> None:
    nodes = [
        node("done", "SUCCEEDED"),
        node("bad", "FAILED"),
        *(node(f"run-{number}", "RUNNING") for number in range(5)),
        node("merge", "BLOCKED", 0, 2, 3),
        node("many", "BLOCKED", 2, 3, 4, 5, 6),
        node("late", "BLOCKED", 7),
        node("off", "CANCELLED", 0, 1, skipped=True),
        node("later", "CANCELLED", 10, skipped=True),
    ]
    nodes[9].depends_on[0].condition = job_pb2.DEPENDENCY_CONDITION_ALWAYS
    nodes[8].depends_on[0].condition = job_pb2.DEPENDENCY_CONDITION_ON_FAILURE
    shown = {one.name: show.waits_for(one, nodes) for one in nodes}
    assert shown["done"] == "-"
    assert shown["merge"] == "run-0, run-1"
    assert shown["many"] == "run-0 (to fail), run-1, run-2, 2 more"
    assert shown["late"] == "merge (to end)"
    assert shown["off"] == "bad, which is FAILED"
    assert shown["later"] == "off, which is SKIPPED"
    # The other way about: it had to fail, and did not.
    nodes[10].depends_on[0].condition = job_pb2.DEPENDENCY_CONDITION_ON_FAILURE
    assert show.waits_for(nodes[10], nodes) == "done, which is SUCCEEDED"
    assert show.state_of(nodes[10]) == "SKIPPED"


def test_of_a_large_graph_those_are_shown_that_need_attention() -> None:
    nodes = [node(f"t{number}", "SUCCEEDED") for number in range(100)]
    nodes[50] = node("bad", "FAILED")
    nodes[70:] = [node(f"b{number}", "BLOCKED", 50) for number in range(30)]
    nodes[80] = node("run", "RUNNING")
    shown = show.chosen(nodes)
    assert [one.name for one in shown][:3] == ["bad", "run", "b0"]
    assert len(shown) == 31
    assert show.rest_of(shown, nodes) == "69 succeeded"
    assert show.chosen(nodes, ("SUCCEEDED",), len(nodes))[0].name == "t0"
    assert show.counted(nodes) == "1 failed, 1 running, 29 blocked, 69 succeeded"
    assert show.chosen(nodes[:40]) == nodes[:40]


def test_graphs_fit_into_80_columns() -> None:
    long = "a-long-name-of-a-task-" * 5
    nodes = [node(long, "RUNNING", node="a-long-name-of-a-node")]
    nodes += [node(f"{long}{number}", "BLOCKED", 0, 0, 0, 0, cleanup=True) for number in range(3)]
    job = job_pb2.Job(id="0" * 32, queue="q" * 40, state=job_pb2.JOB_STATE_ACTIVE, count=4)
    job.spec.graph.SetInParent()
    job.counts.blocked, job.counts.running, job.counts.skipped = 3, 1, 0
    job.counts.succeeded = 6
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(show.table_of(nodes, nodes))
        console.print(table_of([job]))
        console.print(details_of(job))
    plain = capture.get()
    assert all(len(line) <= 80 for line in plain.splitlines())
    # Six more than it was created with.
    assert "4, a graph; 6 added" in plain
    assert "6 of 10 (60 %)" in plain
    assert "3 blocked, 1 running, 6 succeeded" in plain
    assert "(graph)" in plain


def test_a_file_has_arrays() -> None:
    found = graph(
        "[tasks.a]\nfunction = 'm:f'\nitems = [1, 'x']\nmax_parallel = 2\n"
        "[tasks.b]\ncommand = ['echo', '{index}']\ncount = 2\nfirst_index = 1\n"
        "after = {task = 'a', on = 'each'}\n"
    ).spec.graph.tasks
    assert list(found[0].array.items) == [b"1", b'"x"']
    assert found[0].array.max_parallel == 2
    assert (found[1].array.count, found[1].array.first_index) == (2, 1)
    assert found[1].depends_on[0].condition == job_pb2.DEPENDENCY_CONDITION_EACH


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("max_parallel = 2", "max_parallel: is for arrays: give either count or items, too"),
        ("count = 2\nitems = ['a']", "is for arrays: give either count or items, too"),
        ("count = -99999999999999999999", "count: -99999999999999999999 is out of range"),
        ("items = [[1]]", "items: "),
        ("items = 'abc'", "items: must be a list"),
    ],
)
def test_a_mistake_in_an_array_is_named(fields: str, message: str) -> None:
    with pytest.raises(QuorateError) as caught:
        graph(f"[tasks.a]\ncommand = ['ls']\n{fields}")
    assert message in caught.value.message


def test_arrays_of_a_graph_show_how_far_they_are() -> None:
    counts = job_pb2.JobCounts(succeeded=3, failed=1)
    node = job_pb2.GraphNode(
        name="b", job_id="f" * 32, count=10, counts=counts, state=task_pb2.TASK_STATE_RUNNING
    )
    assert (show.done_of(node), show.id_of(node)) == (" [4/10]", "f" * 32)
    assert show.why_failed(node) == "1 of 10 subtasks failed"
    node.counts.failed, node.counts.cancelled = 0, 2
    assert show.why_failed(node) == "2 subtasks skipped"
    assert show.done_of(job_pb2.GraphNode(name="a", task_id="e" * 32)) == ""
