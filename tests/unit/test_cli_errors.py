"""What the command line says when something is wrong, its help, and what a terminal shows."""

import os
import subprocess
import sys

import grpc
import pytest

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


@pytest.mark.parametrize(
    ("word", "instead"), [("show", "quorate task ID"), ("ls", "quorate tasks")]
)
def test_a_command_of_other_tools_gets_a_hint(quorate, word, instead):
    code, _, err = quorate(word, "x")
    assert code == 2
    assert f"No such command '{word}'; use '{instead}'" in err
    # Only where it would be the command itself.
    assert "; use" not in quorate("queue", word)[2]


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
