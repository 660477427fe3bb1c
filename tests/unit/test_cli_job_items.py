"""The command line about map-reduce and open jobs, against a scheduler in this process."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from quorate.cli.exits import REFUSED
from quorate.client.client import Client
from quorate.v1 import job_pb2
from tests.support.command_line import Quorate, fake_client, fake_cluster, fake_quorate
from tests.support.fake_jobs import FakeJob
from tests.support.fake_scheduler import FakeCluster, only

cluster = fake_cluster
quorate = fake_quorate
client = fake_client


def test_a_reduce_of_calls_prints_the_result(
    quorate: Quorate, cluster: FakeCluster, tmp_path: Path
) -> None:
    (tmp_path / "words").write_text("one\nthree\n")
    words = ("--each-line", str(tmp_path / "words"))
    code, out, err = quorate("call", *words, "--reduce", "builtins:sum", "builtins:len")
    assert (code, out) == (0, "8\n"), err
    job = only(cluster)
    assert json.loads(job.spec.template.python.json) == {"args": [], "kwargs": {}}
    assert job.spec.reduce.template.python.entrypoint == "builtins:sum"
    options = ("--retries", "2", "--fan-in", "10", "--reduce-args", "[100]", "--no-wait")
    code, out, _ = quorate(
        "call", "--array", "1-3", "--reduce", "builtins:sum", *options, "builtins:pow", "[2]"
    )
    job = cluster.jobs[out.strip()].job
    assert (code, job.spec.reduce.fan_in) == (0, 10)
    assert job.spec.reduce.template.retry.max_attempts == 3
    assert json.loads(quorate("job", "wait", "--json", job.id)[1])["result"] == {"json": "114"}


def test_calls_without_a_reduce_print_their_results(
    quorate: Quorate, cluster: FakeCluster, tmp_path: Path
) -> None:
    (tmp_path / "numbers").write_text("4\n-9\n")
    items = ("--each-line", str(tmp_path / "numbers"), "--json-items")
    code, out, _ = quorate("call", *items, "builtins:abs")
    assert (code, out) == (0, "0\t4\n1\t9\n")
    code, out, err = quorate("call", "--each-line", str(tmp_path / "numbers"), "builtins:abs")
    assert (code, out) == (1, "")
    assert "TypeError" in err


def test_a_reduce_follows_programs(quorate: Quorate, cluster: FakeCluster) -> None:
    argv = ("--wait", "--reduce", "builtins:len", "--", "test", "{index}", "!=", "9")
    assert quorate("submit", "--array", "1-3", *argv)[:2] == (0, "3\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--reduce", "builtins:sum"), "--reduce: needs --array or --each-line"),
        (("--array", "1-3", "--fan-in", "5"), "--fan-in: needs --reduce"),
        (("--array", "1-3", "--reduce-args", "[1]"), "--reduce-args: needs --reduce"),
        (("--array", "1-3", "--reduce", "m:f", "--fan-in", "1"), "fan_in: 1 must be 2 to"),
        (
            ("--array", "1-3", "--reduce", "m:f", "--reduce-args", "[1"),
            "the arguments are not JSON",
        ),
        (("--array", "1-3", "--open"), "--open: an open job gets its subtasks by items"),
        (("--open", "--wait"), "--wait: an open job waits for items"),
        (("--close-after-idle", "5"), "--close-after-idle: needs --open"),
        (("--array", "1-3", "--close-after-idle", "5"), "--close-after-idle: needs --open"),
        (("--max-failure-share", "0.5"), "--max-failure-share: needs --array or --each-line"),
    ],
)
def test_a_mistake_names_its_option(
    quorate: Quorate, cluster: FakeCluster, options: tuple[str, ...], message: str
) -> None:
    code, out, err = quorate("submit", *options, "--", "true")
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert cluster.jobs == {}
    assert cluster.tasks == {}


def test_items_are_appended_to_an_open_job(
    quorate: Quorate, cluster: FakeCluster, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("a\nb\n")
    idle = ("--close-after-idle", "60", "--max-failure-share", "0.5")
    code, out, _ = quorate("submit", "--open", *idle, "--each-line", str(lines), "--", "echo", "{}")
    job_id = out.strip()
    job = cluster.jobs[job_id].job
    assert (code, job.open, job.spec.close_after_idle.seconds) == (0, True, 60)
    assert job.spec.max_failure_share == 0.5
    assert quorate("job", "append", job_id, "c", "d")[:2] == (0, f"{job_id} has 4 items\n")
    # The whole file again: what the job has of it is left out.
    lines.write_text("a\nb\nc\nd\ne\n")
    again = ("job", "append", job_id, "--each-line", str(lines), "--first-position", "0", "--json")
    assert json.loads(quorate(*again)[1]) == {"id": job_id, "count": 5}
    assert json.loads(quorate(*again)[1]) == {"id": job_id, "count": 5}
    assert cluster.jobs[job_id].items == [b"a", b"b", b"c", b"d", b"e"]
    code, _, err = quorate("job", "append", job_id, "x", "--first-position", "9")
    assert code == REFUSED
    assert f"leaves a gap: job {job_id} has 5 items" in err
    assert quorate("job", "close", job_id)[0] == 0
    code, _, err = quorate("job", "append", job_id, "x")
    assert code == REFUSED
    assert "is finished" in err


def test_another_program_appends_at_the_same_time(
    quorate: Quorate, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = quorate("submit", "--open", "--", "true", "{}")[1].strip()
    found = cluster.jobs[job_id]
    # Theirs came between the look at the job and the call.
    shown, theirs = FakeJob.shown, [b"x"]

    def look(job: FakeJob) -> job_pb2.Job:
        view = shown(job)
        while theirs:
            job.items.append(theirs.pop())
            job.states.append(job_pb2.SUBTASK_STATE_SUCCEEDED)
            job.appenders.append("theirs")
        return view

    monkeypatch.setattr(FakeJob, "shown", look)
    assert quorate("job", "append", job_id, "x", "y")[:2] == (0, f"{job_id} has 3 items\n")
    assert found.items == [b"x", b"x", b"y"]
    theirs.append(b"z")
    code, _, err = quorate("job", "append", job_id, "--first-position", "3", "w")
    assert code == REFUSED
    assert f"another program has appended items to job {job_id}" in err
    assert found.items == [b"x", b"x", b"y", b"z"]


def test_json_items_and_texts_reach_a_function(
    quorate: Quorate, cluster: FakeCluster, client: Client
) -> None:
    job_id = quorate("call", "--open", "builtins:repr")[1].strip()
    assert quorate("job", "append", job_id, "7")[0] == 0
    assert quorate("job", "append", job_id, "7", "--json-items")[0] == 0
    code, _, err = quorate("job", "append", job_id, "7", "x", "--json-items")
    assert code == 2
    assert "line 4 of the items is not JSON" in err
    assert quorate("job", "append", job_id)[0] == 2
    assert cluster.jobs[job_id].items == [b'"7"', b"7"]


def test_lines_are_sent_as_they_come(
    quorate: Quorate, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = quorate("submit", "--open", "--", "true", "{}")[1].strip()
    found = cluster.jobs[job_id]
    read, write = os.pipe()

    def slowly() -> None:
        with open(write, "w", buffering=1) as pipe, cluster.lock:
            for number in range(3):
                pipe.write(f"{number}\n")
                assert cluster.lock.wait_for(lambda: len(found.items) > number, 10)  # noqa: B023

    writer = threading.Thread(target=slowly)
    with open(read) as source:
        monkeypatch.setattr("sys.stdin", source)
        writer.start()
        assert quorate("job", "append", job_id, "--each-line", "-")[0] == 0
    writer.join()
    assert found.items == [b"0", b"1", b"2"]


def test_a_pipe_is_read_once(quorate: Quorate, cluster: FakeCluster, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for command in (
        ("submit", "--each-line", str(pipe), "--", "true", "{}"),
        ("map", "--items", str(pipe), "--quiet", "builtins:len"),
    ):
        writer = threading.Thread(target=pipe.write_text, args=("one\nthree\n",))
        writer.start()
        code, out, err = quorate(*command)
        writer.join()
        assert code == 0, err
    assert out == "3\n5\n"
    assert next(iter(cluster.jobs.values())).items == [b"one", b"three"]
    code, _, err = quorate("submit", "--each-line", str(tmp_path), "--", "true", "{}")
    assert code == 2
    assert "is not a file that can be read" in " ".join(err.split())


def test_a_job_is_changed_in_all_its_limits(
    quorate: Quorate, cluster: FakeCluster, client: Client
) -> None:
    job = client.array(abs, open=True)
    options = ("--max-failure-share", "0.25", "--close-after-idle", "30")
    assert quorate("job", "update", job.id, *options)[0] == 0
    spec = cluster.jobs[job.id].job.spec
    assert (spec.max_failure_share, spec.close_after_idle.seconds) == (0.25, 30)
    zero = ("--max-failure-share", "0", "--close-after-idle", "0")
    assert quorate("job", "update", job.id, *zero)[0] == 0
    spec = cluster.jobs[job.id].job.spec
    assert (spec.max_failure_share, spec.HasField("close_after_idle")) == (0, False)
