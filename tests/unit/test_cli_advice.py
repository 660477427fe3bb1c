"""What the command line says beyond the result: defaults, advice, why a task waits."""

import threading
from typing import Any

import pytest
import typer

from quorate.cli.app import application, run
from quorate.cli.output import progress, render
from quorate.cli.output.waiting import needs, why_pending
from quorate.cli.tasks import waits
from quorate.cli.tasks.ending import _follow
from quorate.v1 import node_pb2, queue_pb2, scheduler_pb2, task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer

READY = node_pb2.NODE_STATE_READY
QUEUE = queue_pb2.Queue(name="default")


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def quorate(cluster, monkeypatch, tmp_path, capfdbinary):
    monkeypatch.setenv("QUORATE_ADDRESS", FakeServer(cluster).address)
    monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments):
        code = run(list(arguments))
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


@pytest.mark.parametrize(
    ("command", "default"),
    [
        ("up", "[default: cores / nodes]"),
        ("up", "[default: free ones]"),
        ("map", "[default: chosen by how long items take]"),
        ("status", "$QUORATE_ADDRESS"),
        ("status", "$QUORATE_DATA_DIR"),
    ],
)
def test_help_names_defaults_in_words(quorate, command, default):
    # Brackets are markup to the one who prints it, unless they are escaped.
    _, out, _ = quorate(command, "--help")
    assert default in " ".join(out.replace("│", " ").split())


def test_the_help_of_a_change_names_no_defaults(quorate):
    words = " ".join(quorate("update", "--help")[1].replace("│", " ").split())
    assert "Maximum run time of --set-up, in seconds." in words
    assert "[default: all three]" in words
    for default in ("60", "none", "that of the queue"):
        assert f"[default: {default}]" not in words


def test_no_help_has_brackets_that_would_vanish():
    commands = [typer.main.get_command(application())]
    helps = []
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        helps += [getattr(option, "help", None) or "" for option in command.params]
    assert any("\\[default: " in text for text in helps)
    assert [text for text in helps if " [default: " in text] == []


def test_a_map_that_fails_names_the_task_and_shows_the_traceback(quorate, cluster, tmp_path):
    items = tmp_path / "items"
    items.write_text("-1\n")
    code, _, err = quorate("map", "math:sqrt", "--items", str(items), "--json-items")
    [job] = cluster.jobs
    task_id = f"{job}.0"
    assert code == 1
    assert f"task {task_id} failed: ValueError: math domain error" in err
    assert "Traceback" in err
    assert f"quorate logs {task_id}" in err


def test_a_missing_file_of_items_is_said_once(quorate):
    _, _, err = quorate("map", "math:sqrt", "--items", "/nowhere/items")
    assert "--items /nowhere/items: No such file or directory" in err
    assert "Errno" not in err


def test_a_program_that_is_not_there_is_answered_with_the_shell(quorate):
    code, _, err = quorate("submit", "--wait", "--", "echo hello")
    assert code == 1
    assert "sh -c 'echo hello'" in err
    assert "Its output" not in err
    # One word is a name, and no line of shell.
    _, _, err = quorate("submit", "--wait", "--", "no-such-program")
    assert "installed on the nodes" in err
    assert "sh -c" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("math.sqrt", "16"), "did you mean 'math:sqrt'?"),
        (("pow", "2", "10"), "one JSON list, such as '[2, 10]'"),
        (("math:sqrt", "foo"), """a string is written '"foo"'"""),
        (("math:sqrt", "[1,"), "are not JSON: "),
        (("math:sqrt", "-1"), "'[-1]'"),
    ],
)
def test_a_mistaken_argument_of_call_says_how_it_is_written(quorate, cluster, words, said):
    code, out, err = quorate("call", *words)
    assert (code, out) == (2, "")
    assert said in err.splitlines()[0]
    assert not cluster.tasks


def test_a_missing_argument_is_answered_with_an_example(quorate):
    for command, example in (
        ("call", "quorate call math:sqrt 16"),
        ("submit", "quorate submit --wait -- echo hello"),
    ):
        code, _, err = quorate(command)
        assert code == 2
        assert f"Example: {example}" in err.splitlines()


def test_a_wait_that_ends_early_says_why_the_task_has_not_started(quorate, cluster):
    cluster.hold.clear()
    code, _, err = quorate("call", "--wait-timeout", "0.1", "--memory", "1G", "math:sqrt", "16")
    assert code == 6
    assert "Waiting: no ready node has 1 GiB of memory" in err
    [id] = cluster.tasks
    code, _, err = quorate("logs", id)
    assert code == 3
    assert err.splitlines() == [
        f"quorate: task {id} has not started: it is PENDING",
        "Waiting: no ready node has 1 GiB of memory",
        f"Show its output when it starts: quorate logs -f {id}",
    ]
    code, _, err = quorate("wait", "--timeout", "0.1", id, id)
    assert code == 6
    assert f"2 of 2 tasks not finished after 0.1 s: {id}, {id}" in err
    cluster.hold.set()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("submit", "--wait-timeout", "5", "--", "true"), "--wait-timeout needs --wait"),
        (
            ("call", "--no-wait", "--wait-timeout", "5", "math:sqrt", "4"),
            "--wait-timeout and --no-wait exclude each other",
        ),
        (("submit", "--delay", "1h", "--", "true"), "'--delay': must be a number\n"),
        (
            ("submit", "--priority", "high", "--", "true"),
            "'--priority': must be a number from -1000 to 1000\n",
        ),
    ],
)
def test_an_option_that_would_have_no_effect_is_a_mistake(quorate, cluster, words, said):
    code, _, err = quorate(*words)
    assert code == 2
    assert said in err
    assert not cluster.tasks


def test_a_map_of_strings_says_how_numbers_are_given(quorate, tmp_path):
    items = tmp_path / "items"
    items.write_text("1\n2\n")
    code, _, err = quorate("map", "math:sqrt", "--items", str(items))
    assert code == 1
    assert "line 1 of the items" in err
    assert "did you mean --json-items?" in err


def test_a_pending_task_says_what_it_waits_for(quorate, cluster):
    cluster.hold.clear()
    _, task_id, _ = quorate("submit", "--resource", "gpu=2", "--memory", "1G", "--", "true")
    code, out, _ = quorate("task", task_id.strip())
    assert code == 0
    assert "1 GiB of memory, 2 gpu" in out
    assert "no ready node has 1 GiB of memory, 2 gpu" in out


@pytest.mark.parametrize("command", ["submit", "wait", "call", "map", "logs"])
def test_a_command_that_waits_long_says_what_for(quorate, cluster, monkeypatch, tmp_path, command):
    items = tmp_path / "items"
    said = render.hint

    def hint(text):
        said(text)
        cluster.hold.set()

    monkeypatch.setattr(waits, "_SOON", 0.05)
    monkeypatch.setattr(waits, "hint", hint)
    monkeypatch.setattr(progress, "hint", hint)
    # Should nothing be said, the test goes on all the same.
    late = threading.Timer(30.0, cluster.hold.set)
    late.start()
    cluster.hold.clear()
    words: tuple[str, ...] = ("submit", "--memory", "1G", "--wait", "--", "true")
    if command in ("wait", "logs"):
        _, task_id, _ = quorate("submit", "--memory", "1G", "--", "true")
        words = ("wait", task_id.strip()) if command == "wait" else ("logs", "-f", task_id.strip())
    elif command == "call":
        words = ("call", "--memory", "1G", "math:sqrt", "16")
    elif command == "map":
        items.write_text("16\n")
        words = ("map", "--memory", "1G", "--json-items", "--items", str(items), "math:sqrt")
    code, _, err = quorate(*words)
    late.cancel()
    assert code == 0
    assert "Waiting: no ready node has 1 GiB of memory" in err


def test_the_way_to_see_more_keeps_what_was_asked_for(quorate):
    for _ in range(2):
        quorate("submit", "--wait", "--", "true")
    _, _, err = quorate("tasks", "-q", "default", "-s", "succeeded", "-n", "1")
    assert "quorate tasks --queue default --state succeeded --limit 10" in err


class TestWhyPending:
    wanted = task_pb2.Resources(cpu=2, memory=1024, counters={"gpu": 1})

    def why(self, *nodes, wanted=wanted, queue=QUEUE):
        return why_pending(wanted, queue, nodes)

    def node(self, state=READY, **capacity):
        return node_pb2.Node(name="n", state=state, capacity=task_pb2.Resources(**capacity))

    def test_it_fits(self):
        assert self.why(self.node(cpu=2, memory=1024, counters={"gpu": 1})) == "for a free slot"

    @pytest.mark.parametrize(
        "capacity",
        [
            {"cpu": 1.9, "memory": 1024, "counters": {"gpu": 1}},
            {"cpu": 2, "memory": 1023, "counters": {"gpu": 1}},
            {"cpu": 2, "memory": 1024},
        ],
    )
    def test_it_fits_nowhere(self, capacity):
        assert self.why(self.node(**capacity)).startswith("no ready node has 2 cores, 1 KiB")

    def test_no_node_is_ready(self):
        cordoned = self.node(node_pb2.NODE_STATE_CORDONED, cpu=9)
        assert self.why(cordoned, wanted=task_pb2.Resources()).startswith("no node is ready")

    def test_the_only_node_that_fits_cannot_write(self):
        full = self.node(node_pb2.NODE_STATE_UNWRITABLE, cpu=9, memory=4096, counters={"gpu": 1})
        full.stats.disk_error = "No space left on device"
        why = "n cannot write to its disk (No space left on device) and takes no work"
        assert self.why(full) == f"no node is ready: {why}"
        small = self.node(cpu=1)
        assert self.why(small, full).startswith("no ready node has 2 cores, ")
        assert self.why(small, full).endswith(f"1 gpu: {why}")
        assert self.why(small, full, wanted=task_pb2.Resources(cpu=1)) == "for a free slot"

    def test_the_queue_is_paused(self):
        paused = queue_pb2.Queue(name="q", paused=True)
        assert "quorate queue resume q" in self.why(queue=paused)

    def test_nothing_but_a_slot_is_nothing(self):
        assert needs(task_pb2.Resources()) == []


class _Retried:
    """A handle whose task fails in its first attempt and succeeds in its second."""

    def __init__(self):
        self.attempt, self.looks = 1, 0

    def logs(self, follow, *, attempt, tail):
        assert follow
        data = b"try %d\n" % self.attempt
        yield scheduler_pb2.LogChunk(stream=scheduler_pb2.LOG_STREAM_STDOUT, data=data)

    def task(self):
        state = task_pb2.TASK_STATE_RUNNING if self.attempt == 1 else task_pb2.TASK_STATE_SUCCEEDED
        return task_pb2.Task(id="t", state=state, attempt=self.attempt)

    def wait(self, timeout):
        self.looks += 1
        if self.looks == 1:
            raise TimeoutError
        self.attempt = 2
        return self.task()


def test_waiting_shows_the_output_of_every_attempt(capfdbinary):
    handle: Any = _Retried()
    _follow(handle)
    out, err = capfdbinary.readouterr()
    assert out == b"try 1\ntry 2\n"
    assert b"Attempt 2:" in err
