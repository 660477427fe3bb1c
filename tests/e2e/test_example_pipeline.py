"""The pipeline of the examples, and graphs from the command line, on a real cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.client.transport.discovery import LocalCluster
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.examples import Run, runner
from tests.support.local import running

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = CHECKOUT / "examples" / "pipeline" / "pipeline.py"

ETL = """
name = "etl"

[tasks.two]
function = "operator:add"
args = [1, 1]

[tasks.eight]
function = "builtins:pow"
kwargs = { exp = 3 }
inputs = { base = "two" }

[tasks.check]
command = ["sh", "-c", "test $NUMBER = 8"]
inputs = { NUMBER = "eight" }

[tasks.alert]
command = ["true"]
after = { task = "check", on = "failure" }
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    data = tmp_path_factory.mktemp("pipeline") / "data"
    with running(LocalPlan(data_dir=data, schedulers=1, nodes=2, slots=2, secure=tls.ON)) as local:
        yield local


@pytest.fixture
def run(cluster: LocalCluster, tmp_path: Path) -> Run:
    return runner(cluster, tmp_path)


def test_the_words_of_a_text_are_counted_in_parts(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("The more,\nthe merrier: the end.\n" * 7)
    done = run(SCRIPT, text, tmp_path / "words", "--parts", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "complain was skipped" in done.stdout
    assert "42 words; the most frequent: the, end, merrier" in done.stdout
    lines = (tmp_path / "words").read_text().splitlines()
    assert lines == ["21\tthe", "7\tend", "7\tmerrier", "7\tmore"]
    assert not (tmp_path / "words.parts").exists()


def test_a_text_that_is_not_there_is_complained_about(run: Run, tmp_path: Path) -> None:
    done = run(SCRIPT, tmp_path / "none", tmp_path / "words")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "could not be split" in done.stderr
    assert "merge was skipped" in done.stdout
    assert not (tmp_path / "words").exists()


def test_a_graph_of_a_file_is_submitted_and_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "etl.toml").write_text(ETL)
    done = run("-m", "quorate", "submit", "--graph", "etl.toml", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    assert job["counts"] == {"succeeded": "3", "skipped": "1"}
    shown = run("-m", "quorate", "job", job["id"]).stdout
    assert "3 succeeded, 1 skipped" in shown
    assert "check, which is SUCCEEDED" in shown
    results = run("-m", "quorate", "job", "results", job["id"]).stdout
    assert results == "two\t2\neight\t8\ncheck\tSUCCEEDED\nalert\tSKIPPED\n"
    assert (
        run("-m", "quorate", "job", "tasks", job["id"], "--state", "skipped").stdout.count("\n")
        == 2
    )
    assert "etl" in run("-m", "quorate", "jobs").stdout


def test_a_graph_that_fails_says_which_task(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(ETL.replace("= 8", "= 9"))
    done = run("-m", "quorate", "submit", "--graph", "bad.toml", "--wait", "--name", "again")
    assert done.returncode == 1, done.stdout
    assert '"check" failed: EXIT_CODE' in done.stderr
    assert "quorate job retry" in done.stderr


def test_the_schedulers_refusal_names_the_task(run: Run, tmp_path: Path) -> None:
    (tmp_path / "loop.toml").write_text(ETL + '\n[tasks.loop]\ncommand = ["x"]\nafter = "loop"')
    done = run("-m", "quorate", "submit", "--graph", "loop.toml")
    assert done.returncode == 2, done.stderr
    assert 'loop.toml: task "loop": after: tasks wait for each other' in done.stderr
    for option, words in (("--retries", "3"), ("--cwd", "/tmp")):
        done = run("-m", "quorate", "submit", "--graph", "loop.toml", option, words)
        assert f"{option}: is for one command; set it for each task in the file" in done.stderr


def test_a_blocked_task_says_what_it_waits_for(run: Run, tmp_path: Path) -> None:
    text = (
        '[tasks.slow]\ncommand = ["sleep", "60"]\n[tasks.next]\ncommand = ["true"]\nafter = "slow"'
    )
    (tmp_path / "slow.toml").write_text(text)
    job = run("-m", "quorate", "submit", "--graph", "slow.toml", "--name", "slow").stdout.strip()
    [blocked] = json.loads(run("-m", "quorate", "tasks", "--state", "blocked", "--json").stdout)
    listed = run("-m", "quorate", "tasks", "--job", job[-8:], "--json").stdout
    assert {task["graphTask"] for task in json.loads(listed)} == {"slow", "next"}
    shown = run("-m", "quorate", "task", blocked["id"]).stdout
    assert f'{job}, where it is "next"' in shown
    assert "Waiting" in shown
    assert '"slow"' in shown
    assert run("-m", "quorate", "job", "cancel", job).returncode == 0
    assert run("-m", "quorate", "job", "wait", job).returncode == 1
