"""The command line against a scheduler in this process: output, JSON, exit codes, sentences."""

import base64
import json
import os
import subprocess
import sys

import grpc
import pytest

from quorate.cli.app import run
from quorate.v1 import task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def quorate(cluster, monkeypatch, tmp_path, capfdbinary):
    """Runs one command line: (exit code, standard output, standard error)."""
    monkeypatch.setenv("QUORATE_ADDRESS", FakeServer(cluster).address)
    monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments):
        code = run(list(arguments))
        sys.stderr.flush()
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


def test_an_empty_list_says_what_to_do_next(quorate):
    code, out, err = quorate("tasks")
    assert (code, out) == (0, "")
    assert "quorate submit --wait -- echo hello" in err
    assert json.loads(quorate("tasks", "--json")[1]) == []


def test_submit_prints_the_id_and_nothing_else(quorate, cluster):
    code, out, _ = quorate("submit", "--", "echo", "hello")
    assert code == 0
    assert out.strip() in cluster.tasks


def test_submit_takes_a_command_without_dashes(quorate, cluster):
    quorate("submit", "--priority", "3", "ls", "-l", "--wait")
    [task] = cluster.tasks.values()
    assert list(task.spec.command.argv) == ["ls", "-l", "--wait"]
    assert task.spec.priority == 3


def test_submit_and_call_name_secrets_and_do_not_repeat_a_mistaken_one(quorate, cluster):
    assert quorate("submit", "--secret", "PW=file:db/pw", "--", "ls")[0] == 0
    assert quorate("call", "--no-wait", "--secret", "PW=env:TOKEN", "math:sqrt", "4")[0] == 0
    program, called = sorted(cluster.tasks.values(), key=lambda task: task.spec.HasField("python"))
    assert program.spec.command.secrets["PW"].file == "db/pw"
    assert called.spec.python.secrets["PW"].env == "TOKEN"
    code, _, err = quorate("submit", "--secret", "PW=hunter2", "--", "ls")
    assert code == 2
    assert "PW: must be file:NAME" in err
    assert "hunter2" not in err


def test_submit_wait_shows_the_output_and_the_exit_code_of_failure(quorate):
    assert quorate("submit", "--wait", "--", "echo", "hello")[:2] == (0, "hello\n")
    code, _, err = quorate("submit", "--wait", "--", "sh", "-c", "echo oops >&2; exit 3")
    assert code == 3
    assert err.startswith("oops\n")
    assert "EXIT_CODE" in err
    assert "quorate logs" in err


@pytest.mark.parametrize("more", [(), ("--json",), ("--wait-timeout", "20")])
def test_submit_wait_exits_as_the_program_did(quorate, more):
    words = ("submit", "--wait", *more, "--", "sh", "-c")
    assert quorate(*words, "exit 7")[0] == 7
    assert quorate(*words, "exit 255")[0] == 255
    assert quorate(*words, "kill -TERM $$")[0] == 128 + 15
    assert quorate("submit", "--wait", *more, "--", "/no/such/program")[0] == 1


def test_a_task_is_found_by_the_beginning_of_its_id(quorate, cluster):
    first = quorate("submit", "--", "true")[1].strip()
    assert quorate("task", first[:20])[1].split()[:2] == ["Task", first]
    assert quorate("wait", first[:20].upper())[:2] == (0, f"{first} SUCCEEDED\n")
    assert quorate("wait", f" {first.upper()}\n")[:2] == (0, f"{first} SUCCEEDED\n")
    other = first[:-1] + ("0" if first[-1] != "0" else "1")
    cluster.tasks[other] = task_pb2.Task(id=other, state=task_pb2.TASK_STATE_RUNNING)
    code, _, err = quorate("cancel", first[:20])
    assert code == 2
    assert "is the beginning of 2 ids" in err
    assert first in err
    assert other in err
    assert quorate("logs", "f" * 12)[0] == 3
    code, _, err = quorate("task", first[:5])
    assert code == 2
    assert "6 or more characters" in err


def test_attempts_that_were_returned_are_not_shown_as_failures(quorate, cluster):
    id = "01a22851d09c7000893655b6968f0722"
    task = task_pb2.Task(id=id, state=task_pb2.TASK_STATE_RUNNING, attempt=6, failures=1)
    task.attempts.add(number=2, node="n2").error.type = "EXIT_CODE"
    task.attempts.add(number=6, node="n1")
    cluster.tasks[id] = task
    listed = quorate("tasks")[1].splitlines()
    assert "ATTEMPT" not in listed[0]
    assert listed[1].split()[:5] == [id, "-", "ASSIGNED", "1", "-"]
    rows = [line.split() for line in quorate("task", id)[1].splitlines() if line.startswith(" ")]
    assert [(row[0], row[-1]) for row in rows] == [
        ("1", "started"),
        ("2", "EXIT_CODE"),
        ("3-5", "started"),
        ("6", "assigned"),
    ]


def test_an_attempt_is_running_once_it_has_started(quorate, cluster):
    id = "01a22851d09c7000893655b6968f0722"
    task = task_pb2.Task(id=id, state=task_pb2.TASK_STATE_RUNNING, attempt=1)
    task.attempts.add(number=1, node="n1").start_time.GetCurrentTime()
    cluster.tasks[id] = task
    assert quorate("tasks")[1].splitlines()[1].split()[2] == "RUNNING"
    assert quorate("task", id)[1].splitlines()[-1].split()[-1] == "running"


def test_a_name_with_a_line_break_or_markup_stays_in_its_row(quorate):
    id = quorate("submit", "--name", "a\nb\t[red]c", "--", "true")[1].strip()
    [_, row] = quorate("tasks")[1].splitlines()
    assert row.split()[:2] == [id, "a\u21b5b\u21b5[red]c"]
    assert "Name      a\u21b5b\u21b5[red]c" in quorate("task", id)[1]


def test_submit_passes_every_option_on(quorate, cluster, tmp_path):
    stdin = tmp_path / "in"
    stdin.write_bytes(b"data")
    quorate(
        *("submit", "--name", "n", "--retries", "2", "--timeout", "5", "--label", "a=b"),
        *("--cpu", "0.5", "--memory", "2M", "--resource", "gpu=1", "--env", "X=y=z"),
        *("--cwd", "/tmp", "--stdin", str(stdin), "--", "cat"),
    )
    [task] = cluster.tasks.values()
    spec = task.spec
    assert (spec.name, spec.retry.max_attempts, spec.timeout.seconds) == ("n", 3, 5)
    assert (dict(spec.labels), dict(spec.command.env)) == ({"a": "b"}, {"X": "y=z"})
    assert (spec.resources.cpu, spec.resources.memory) == (0.5, 2 * 1024**2)
    assert dict(spec.resources.counters) == {"gpu": 1}
    assert (spec.command.cwd, spec.command.stdin) == ("/tmp", b"data")


def test_submit_wait_with_a_time_shows_the_output_too(quorate):
    arguments = ("submit", "--wait", "--wait-timeout", "20", "--", "echo", "hello")
    assert quorate(*arguments) == (0, "hello\n", "")


def test_submit_many_shows_what_each_wrote_in_one_piece(quorate, cluster):
    words = ("submit", "--times", "5", "--wait")
    assert quorate(*words, "--", "printf", "a\nb\n") == (0, "a\nb\n" * 5, "")
    code, out, err = quorate(*words, "--", "sh", "-c", "echo out; echo oops >&2; exit 3")
    assert (code, out) == (1, "out\n" * 5)
    assert err.startswith("oops\n" * 5)
    assert "5 of 5 tasks did not succeed" in err
    code, out, _ = quorate(*words, "--json", "--", "echo", "hello")
    assert (code, len(json.loads(out))) == (0, 5)


def test_json_of_a_finished_task_has_its_output(quorate, monkeypatch):
    words = ("submit", "--wait", "--json")
    code, out, _ = quorate(*words, "--", "sh", "-c", "printf 'a\\377'; echo b >&2; exit 3")
    document = json.loads(out)
    assert (code, document["stdout"], document["stderr"]) == (3, "a\ufffd", "b\n")
    assert document["error"]["code"] == 3
    assert "outputCut" not in document
    documents = json.loads(quorate(*words, "--times", "2", "--", "echo", "c")[1])
    assert [one["stdout"] for one in documents] == ["c\n", "c\n"]
    monkeypatch.setattr("quorate.cli.tasks.ending._MOST_OUTPUT", 4)
    document = json.loads(quorate(*words, "--", "echo", "123456")[1])
    assert (document["stdout"], document["outputCut"]) == ("456\n", True)


def test_logs_are_json_a_line_a_piece(quorate):
    program = ("printf", "out\n\\377")
    _, out, _ = quorate("submit", "--wait", "--json", "--", *program)
    task_id = json.loads(out)["id"]
    for more in ((), ("--follow",)):
        code, out, err = quorate("logs", "--json", *more, task_id)
        assert (code, err) == (0, "")
        pieces = [json.loads(line) for line in out.splitlines()]
        assert {piece["stream"] for piece in pieces} == {"LOG_STREAM_STDOUT"}
        read = b""
        for piece in pieces:
            assert int(piece.get("offset", 0)) == len(read)
            read += base64.b64decode(piece["data"])
        assert read == b"out\n\xff"
    _, out, _ = quorate("submit", "--wait", "--json", "--", "sh", "-c", "echo oops >&2")
    _, out, _ = quorate("logs", "--json", json.loads(out)["id"])
    assert json.loads(out)["stream"] == "LOG_STREAM_STDERR"
    # Nothing written is no line: what people are told then is no JSON.
    _, out, _ = quorate("submit", "--wait", "--json", "--", "true")
    assert quorate("logs", "--json", json.loads(out)["id"]) == (0, "", "")


@pytest.mark.parametrize(
    "command",
    [
        *(["tasks"], ["task"], ["logs"], ["queues"], ["nodes"], ["status"], ["audit"], ["doctor"]),
        *(["service", "list"], ["service", "show"], ["tokens", "list"], ["etcd", "status"]),
    ],
    ids=" ".join,
)
def test_every_command_that_reads_has_json(quorate, command):
    code, out, _ = quorate(*command, "--help")
    assert code == 0
    assert "--json" in out


def test_submit_many_goes_on_when_an_output_cannot_be_read(quorate, cluster):
    cluster.faults["LogChunk"] = [grpc.StatusCode.NOT_FOUND]
    code, out, err = quorate("submit", "--times", "3", "--wait", "--", "echo", "hello")
    assert (code, out) == (0, "hello\n" * 2)
    assert err.startswith("The output of ")
    assert "cannot be read" in err


def test_submit_many_and_wait_for_all(quorate, cluster):
    assert quorate("submit", "--times", "30", "--wait", "--", "true")[0] == 0
    assert len(cluster.tasks) == 30
    code, _, err = quorate("submit", "--times", "3", "--wait", "--", "false")
    assert code == 1
    assert "3 of 3 tasks did not succeed" in err
    cluster.hold.clear()
    arguments = ("submit", "--times", "2", "--wait", "--wait-timeout", "0.05", "--", "true")
    assert quorate(*arguments)[0] == 6


@pytest.mark.parametrize(
    ("given", "printed"),
    [("[3, 4]", "5.0"), ('{"args": [3], "kwargs": {}}', "3.0"), ("-5", "5.0")],
)
def test_call_prints_the_result_as_json(quorate, given, printed):
    assert quorate("call", "math:hypot", "--", given)[:2] == (0, printed + "\n")


def test_call_reports_what_the_function_raised(quorate):
    code, out, err = quorate("call", "math:sqrt", "[-1]")
    assert (code, out) == (1, "")
    assert "ValueError: math domain error" in err


def test_call_without_waiting_prints_the_id(quorate, cluster):
    _, out, _ = quorate("call", "--no-wait", "math:sqrt", "[4]")
    assert out.strip() in cluster.tasks


def test_map_prints_a_result_a_line_in_order(quorate, tmp_path):
    items = tmp_path / "items"
    items.write_text("1\n4\n9\n")
    code, out, _ = quorate("map", "math:sqrt", "--items", str(items), "--json-items")
    assert (code, out) == (0, "1.0\n2.0\n3.0\n")
    _, out, _ = quorate("map", "builtins:len", "--items", str(items), "--unordered")
    assert sorted(out.split()) == ["1", "1", "1"]


def test_map_reports_an_item_that_failed(quorate, tmp_path):
    items = tmp_path / "items"
    items.write_text("-1\n")
    code, _, err = quorate("map", "math:sqrt", "--items", str(items), "--json-items")
    assert code == 1
    assert "math domain error" in err
    items.write_text("{\n")
    code, _, err = quorate("map", "math:sqrt", "--items", str(items), "--json-items")
    assert code == 2
    assert "line 1" in err


def test_task_shows_everything_about_one(quorate):
    _, out, _ = quorate("submit", "--wait", "--json", "--", "echo", "hi there")
    task_id = json.loads(out)["id"]
    _, out, _ = quorate("task", task_id)
    assert "SUCCEEDED" in out
    assert "echo 'hi there'" in out
    document = json.loads(quorate("task", task_id, "--json")[1])
    assert document["state"] == "TASK_STATE_SUCCEEDED"
    assert document["spec"]["command"]["argv"] == ["echo", "hi there"]
    assert quorate("logs", task_id)[1] == "hi there\n"


def test_tasks_are_listed_filtered_and_cut_off(quorate):
    for argv in (["true"], ["false"], ["true"]):
        quorate("submit", "--wait", "--", *argv)
    _, out, _ = quorate("tasks")
    assert out.count("SUCCEEDED") == 2
    assert json.loads(quorate("tasks", "--state", "failed", "--json")[1])[0]["state"] == (
        "TASK_STATE_FAILED"
    )
    _, out, err = quorate("tasks", "-n", "1")
    assert out.count("true") == 1
    assert "There are more" in err
    assert [
        task["spec"]["command"]["argv"]
        for task in json.loads(quorate("tasks", "--search", "fal", "--json")[1])
    ] == [["false"]]
    _, _, err = quorate("tasks", "--search", "tr", "-n", "1")
    assert "quorate tasks --search tr --limit 10" in err
    code, _, err = quorate("tasks", "--search", "nothing")
    assert (code, err) == (0, "No such tasks.\n")
    code, _, err = quorate("tasks", "--state", "lost")
    assert code == 2
    assert "cancelled" in err


def test_cancel_and_retry_go_through_all_ids_and_report_the_gravest(quorate, cluster):
    cluster.hold.clear()
    ids = [quorate("submit", "--", "true")[1].strip() for _ in range(2)]
    code, out, err = quorate("cancel", ids[0], "nope", ids[1])
    assert code == 3
    assert out == f"{ids[0]} cancelled\n{ids[1]} cancelled\n"
    assert "'nope' does not exist" in err
    cluster.hold.set()
    assert quorate("retry", ids[0])[0] == 0
    assert quorate("wait", ids[0])[:2] == (0, f"{ids[0]} SUCCEEDED\n")
    assert quorate("cancel", ids[0])[0] == 5
    assert quorate("retry", ids[0])[0] == 5


def test_queues_are_made_paused_resumed_and_deleted(quorate, cluster):
    create = ("queue", "create", "mail", "--placement", "round-robin", "--keep-age", "60")
    assert quorate(*create)[:2] == (0, "mail created\n")
    assert cluster.queues["mail"].retention.age.seconds == 60
    code, _, err = quorate(*create)
    assert code == 5
    assert "already exists" in err
    assert quorate("queue", "pause", "mail")[0] == 0
    assert "mail (paused)" in quorate("queues")[1]
    assert quorate("queue", "resume", "mail")[0] == 0
    assert not cluster.queues["mail"].paused
    names = [queue["name"] for queue in json.loads(quorate("queues", "--json")[1])]
    assert names == ["default", "mail"]
    assert quorate("queue", "delete", "mail")[0] == 0
    assert quorate("queue", "pause", "mail")[0] == 3


def test_nodes_are_listed_cordoned_and_drained(quorate):
    assert "READY" in quorate("nodes")[1]
    assert quorate("cordon", "n1")[:2] == (0, "n1 CORDONED\n")
    assert json.loads(quorate("nodes", "--json")[1])[0]["state"] == "NODE_STATE_CORDONED"
    assert quorate("uncordon", "n1")[:2] == (0, "n1 READY\n")
    assert quorate("drain", "n1", "--wait")[:2] == (0, "n1 DRAINED\n")
    code, _, err = quorate("drain", "n9")
    assert code == 3
    assert err == "quorate: node 'n9' does not exist; see 'quorate nodes'\n"


def test_status_shows_leader_and_queues(quorate):
    _, out, _ = quorate("status")
    assert "s1, epoch 7" in out
    assert "default" in out
    document = json.loads(quorate("status", "--json")[1])
    assert document["epoch"] == "7"
    assert document["schedulers"][0]["leader"] is True
    assert document["local"] is None
    leader, node, *_ = document["processes"]
    assert (leader["name"], leader["role"], leader["leader"]) == ("s1", "leader", True)
    assert leader["address"] == document["schedulers"][0]["address"]
    assert (node["name"], node["role"], node["leader"]) == ("n1", "node", False)
    assert node["state"] == "ready"
    # It runs elsewhere.
    assert (node["pid"], node["restarts"]) == (None, None)


def test_options_may_come_before_the_command(quorate, cluster):
    address = cluster.servers[0].address
    assert quorate("--address", address, "tasks")[0] == 0
    assert quorate(f"--address={address}", "queue", "pause", "default")[0] == 0


def test_nobody_answers(quorate):
    code, out, err = quorate("tasks", "--address", "127.0.0.1:1", "--retry-for", "0.1")
    assert (code, out) == (4, "")
    # Beside what gRPC may log of servers that earlier tests ended.
    [sentence] = [line for line in err.splitlines() if "chttp2_transport" not in line]
    assert "127.0.0.1:1" in sentence


def test_no_cluster_at_all(quorate, monkeypatch):
    monkeypatch.delenv("QUORATE_ADDRESS")
    code, _, err = quorate("status")
    assert code == 4
    assert "quorate up" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bogus",), "bogus"),
        (("tasks", "--bogus"), "--bogus"),
        (("task",), "ID"),
        (("submit",), "COMMAND"),
        (("submit", "--", ""), "argv"),
        (("submit", "--timeout", "-1", "--", "true"), "timeout"),
        (("submit", "--timeout", "1e400", "--", "true"), "timeout"),
        (("submit", "--label", "x", "--", "true"), "KEY=VALUE"),
        (("submit", "--memory", "lots", "--", "true"), "--memory"),
        (("submit", "--stdin", "/does/not/exist", "--", "cat"), "/does/not/exist"),
        (("call", "math"), "module:function"),
        (("call", "math:sqrt", "{"), "JSON"),
        (("map", "math:sqrt", "--items", "/does/not/exist"), "/does/not/exist"),
        (("tasks", "--address", "nonsense"), "nonsense"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_and_a_sentence(quorate, cluster, arguments, said):
    code, out, err = quorate(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not cluster.tasks


def test_a_rejection_by_the_cluster_is_exit_code_5(quorate, cluster):
    cluster.refuse("CreateTask", grpc.StatusCode.RESOURCE_EXHAUSTED)
    code, _, err = quorate("submit", "--", "true")
    assert (code, err) == (5, "quorate: ordered by the test\n")


def test_our_own_bug_is_a_sentence_too(quorate, monkeypatch):
    monkeypatch.setattr("quorate.client.client.Client.tasks", lambda *a, **k: 1 / 0)
    code, _, err = quorate("tasks")
    assert (code, err) == (1, "quorate: division by zero\n")


def test_ctrl_c_is_exit_code_130(quorate, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("quorate.client.client.Client.tasks", interrupt)
    assert quorate("tasks")[0] == 130


def test_help_and_version(quorate):
    assert quorate("--version")[1].startswith("quorate 0.")
    code, out, _ = quorate()
    assert code == 0
    assert "submit" in out
    for command in ("up", "submit", "map", "queue"):
        assert quorate(command, "--help")[0] == 0


def test_results_of_a_map_are_not_mixed_with_the_progress_on_the_terminal(quorate, tmp_path):
    """Standard error is a terminal, standard output is not: results must not go to the former."""
    items = tmp_path / "items"
    items.write_text("4\n9\n")
    terminal, stderr = os.openpty()
    with (tmp_path / "out").open("wb") as stdout:
        subprocess.run(
            [
                *(sys.executable, "-m", "quorate", "map", "math:sqrt"),
                *("--items", str(items), "--json-items"),
            ],
            stdout=stdout,
            stderr=stderr,
            check=True,
            timeout=60,
            env={**os.environ, "TERM": "xterm"},
        )
    os.close(stderr)
    shown = b""
    while piece := _read(terminal):
        shown += piece
    os.close(terminal)
    assert (tmp_path / "out").read_text() == "2.0\n3.0\n"
    assert b"items" in shown
    assert b"3.0" not in shown


def _read(terminal):
    """What the terminal was sent; empty at its end, which Linux reports as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


@pytest.mark.parametrize(
    "words", [("task",), ("wait",), ("queue", "create"), ("cordon",), ("tasks", "--search")]
)
def test_words_that_are_not_utf8_are_named(quorate, words):
    code, _, err = quorate(*words, os.fsdecode(b"caf\xe9"))
    assert (code, "caf\\xe9" in err or "caf\\udce9" in err) == (2, True)
