"""The command line against a scheduler in this process: output, JSON, exit codes, sentences."""

import base64
import json

import pytest

from quorate.v1 import task_pb2
from tests.support.command_line import command_line
from tests.support.fake_scheduler import FakeCluster


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def quorate(cluster, monkeypatch, tmp_path, capfdbinary):
    return command_line(cluster, monkeypatch, tmp_path, capfdbinary)


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


def test_submit_and_call_take_hooks(quorate, cluster):
    hooks = ("--set-up", "mkdir -p 'a b'", "--clean-up", "m.sub:f", "--clean-up-timeout", "5")
    assert quorate("submit", *hooks, "--", "ls")[0] == 0
    assert quorate("call", "--no-wait", *hooks, "math:sqrt", "4")[0] == 0
    for task in cluster.tasks.values():
        assert list(task.spec.hooks.setup.argv) == ["mkdir", "-p", "a b"]
        assert task.spec.hooks.cleanup.entrypoint == "m.sub:f"
        assert task.spec.hooks.cleanup.timeout.seconds == 5
    for wrong, said in (
        (("--set-up", "echo 'a"), "--set-up"),
        (("--set-up", " "), "has no program"),
        (("--clean-up-timeout", "5"), "needs --clean-up"),
    ):
        code, _, err = quorate("submit", *wrong, "--", "ls")
        assert code == 2
        assert said in err


def test_submit_wait_shows_the_output_and_the_exit_code_of_failure(quorate):
    assert quorate("submit", "--wait", "--", "echo", "hello")[:2] == (0, "hello\n")
    code, _, err = quorate("submit", "--wait", "--", "sh", "-c", "echo oops >&2; exit 3")
    assert code == 3
    assert err.startswith("oops\n")
    assert "EXIT_CODE" in err
    # The output was shown.
    assert "quorate logs" not in err
    assert "quorate task " in err


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
    for end in (first[-8:], first[-6:], f"\u2026{first[-8:]}", f"...{first[-8:]}"):
        assert quorate("task", end)[1].split()[:2] == ["Task", first]
    other = first[:-1] + ("0" if first[-1] != "0" else "1")
    cluster.tasks[other] = task_pb2.Task(id=other, state=task_pb2.TASK_STATE_RUNNING)
    code, _, err = quorate("cancel", first[:20])
    assert code == 2
    assert "is part of 2 ids" in err
    assert "its last 8 characters" in err
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
        ("1", "returned"),
        ("2", "EXIT_CODE"),
        ("3-5", "returned"),
        ("6", "assigned"),
    ]
    assert "Returned: the node returned the task without starting it." in quorate("task", id)[2]


def test_attempts_that_are_not_stored_any_more_are_not_called_returned(quorate, cluster):
    id = "01a22851d09c7000893655b6968f0722"
    task = task_pb2.Task(id=id, state=task_pb2.TASK_STATE_FAILED, attempt=12, failures=10)
    for number in range(3, 13):
        task.attempts.add(number=number, node="n2").error.type = "EXIT_CODE"
    cluster.tasks[id] = task
    _, out, err = quorate("task", id)
    assert "returned" not in out
    assert "Returned:" not in err
    assert [line.split()[0] for line in out.splitlines() if "not stored" in line] == ["1-2"]
    assert "Not stored: attempts older than the last 10" in err
    assert "10 failed attempts" in out
    assert "since" not in out
    assert "lost node" not in out


def test_after_a_retry_by_hand_it_says_since_when_failures_count(quorate, cluster):
    id = "01a22851d09c7000893655b6968f0722"
    task = task_pb2.Task(id=id, state=task_pb2.TASK_STATE_FAILED, attempt=3, failures=1)
    errors = (
        (1, "EXIT_CODE", "exited with code 3"),
        (2, "SIGNAL", "ended by SIGKILL"),
        (3, "ValueError", "no such letter"),
    )
    for number, kind, message in errors:
        task.attempts.add(number=number, node="n2").error.MergeFrom(
            task_pb2.TaskError(type=kind, message=message)
        )
    task.attempts[0].start_time.FromMilliseconds(1_000)
    cluster.tasks[id] = task
    _, out, _ = quorate("task", id)
    assert "1 failed attempt since the last retry by hand" in out
    assert "First started" in out
    rows = [line.rstrip().split("  ") for line in out.splitlines() if " n2 " in line]
    outcomes = [row[-1].strip() for row in rows]
    assert outcomes == ["exited with code 3", "ended by SIGKILL", "ValueError"]


def test_assigned_tasks_are_found_by_the_state_that_is_shown(quorate, cluster):
    ids = [f"01a22851d09c7000893655b6968f072{number}" for number in range(3)]
    for id in ids[:2]:
        cluster.tasks[id] = task_pb2.Task(id=id, state=task_pb2.TASK_STATE_RUNNING, attempt=1)
    cluster.tasks[ids[0]].attempts.add(number=1, node="n1").start_time.GetCurrentTime()
    cluster.tasks[ids[1]].attempts.add(number=1, node="n1")
    cluster.tasks[ids[2]] = task_pb2.Task(id=ids[2], state=task_pb2.TASK_STATE_SUCCEEDED)

    def found(*states):
        words = [word for state in states for word in ("--state", state)]
        return {task["id"] for task in json.loads(quorate("tasks", "--json", *words)[1])}

    assert found("assigned") == {ids[1]}
    assert found("ASSIGNED", "succeeded") == {ids[1], ids[2]}
    assert found("assigned", "running") == found("running") == {ids[0], ids[1]}
    code, _, err = quorate("tasks", "--state", "runing")
    assert code == 2
    assert "did you mean running?" in err


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
    assert "s1, for " in out
    assert "epoch" not in out
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
