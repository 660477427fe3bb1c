"""The command line about jobs, against a scheduler in this process."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from quorate.cli.jobs import show, waiting
from quorate.client.client import Client
from quorate.v1 import job_pb2, task_pb2
from tests.support.command_line import Quorate, fake_client, fake_cluster, fake_quorate
from tests.support.fake_scheduler import FakeCluster, only

cluster = fake_cluster
quorate = fake_quorate
client = fake_client


def half(number: int) -> float:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number / 2


def test_an_array_of_indexes_is_one_job(quorate: Quorate, cluster: FakeCluster) -> None:
    code, out, _ = quorate("submit", "--array", "1-9:2%3", "--", "test", "{index}", "-lt", "10")
    job = only(cluster)
    assert (code, out) == (0, f"{job.id}\n")
    assert (job.spec.count, job.spec.first_index, job.spec.index_step) == (5, 1, 2)
    assert job.spec.max_parallel == 3
    assert quorate("job", "wait", job.id)[0] == 0
    assert quorate("job", "results", job.id)[1].splitlines()[0] == "1\tSUCCEEDED"


def test_each_line_of_a_file_is_a_subtask(
    quorate: Quorate, cluster: FakeCluster, tmp_path: Path
) -> None:
    (tmp_path / "lines").write_text("a 0\nb 1\n\n")
    argv = ("--", "test", "{}", "=", "a {index}")
    options = ("--each-line", str(tmp_path / "lines"), "--max-parallel", "2", "--wait")
    code, _, err = quorate("submit", *options, "--max-failures", "5", *argv)
    job = only(cluster)
    assert code == 1
    assert (job.count, job.spec.max_failures) == (3, 5)
    assert f"job {job.id} is FAILED: 1 succeeded, 2 failed" in err
    assert f"quorate job retry {job.id}" in err
    assert quorate("job", "subtasks", job.id)[1] == "SUCCEEDED 0\nFAILED 1-2\n"
    document = json.loads(quorate("submit", *options, "--json", *argv)[1])
    assert document["counts"] == {"succeeded": "1", "failed": "2"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--array", "10"), "--array: '10' is not FIRST-LAST[:STEP][%PARALLEL]"),
        (("--array", "1,3,7"), "write them into a file for --each-line"),
        (("--array", "9-1"), "--array: the last index 1 is below the first, 9"),
        (("--array", "1-9:0"), "--array: the step must be 1 or more"),
        (("--array", "1-9%0"), "--array: the number behind % must be 1 or more"),
        (("--array", "1-10000001"), "--array: 10,000,001 indexes; a job has at most 10,000,000"),
        (("--array", "1-9", "--each-line", "-"), "--each-line: give either"),
        (("--array", "1-9%2", "--max-parallel", "3"), "--max-parallel: --array has a %"),
        (("--array", "1-9", "--times", "2"), "--times: is for tasks"),
        (("--array", "1-9", "--delay", "2"), "--delay: is for tasks"),
        (("--each-line", "-", "--stdin", "-"), "--stdin: standard input has the lines"),
        (("--each-line", "/no/such/file"), "--each-line /no/such/file: No such file"),
        (("--max-parallel", "2"), "--max-parallel: needs --array or --each-line"),
        (("--max-failures", "0"), "--max-failures: needs --array, --each-line or --graph"),
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


def test_jobs_are_listed_newest_first(
    quorate: Quorate, cluster: FakeCluster, client: Client
) -> None:
    code, out, err = quorate("jobs")
    assert (code, out) == (0, "")
    assert "quorate submit --array 1-10 --wait -- echo {index}" in err
    for number in range(3):
        client.array(abs, range(1_500), name=f"job-{number}").wait(60)
    lines = quorate("jobs", "--limit", "2")[1].splitlines()
    assert len(lines) == 3
    assert lines[0].split() == [
        *("ID", "NAME", "QUEUE", "STATE", "FINISHED", "FAILED", "AGE", "RAN"),
    ]
    assert lines[1].split()[1:8] == ["job-2", "default", "SUCCEEDED", "1,500", "of", "1,500", "0"]
    assert "There are more. Show them with: quorate jobs" in quorate("jobs", "--limit", "2")[2]
    assert len(json.loads(quorate("jobs", "--state", "succeeded", "--json")[1])) == 3
    assert quorate("jobs", "--state", "paused")[2].strip() == "No such jobs."
    assert quorate("jobs", "--state", "done")[0] == 2


def test_one_job_shows_its_counts_and_its_errors(quorate: Quorate, client: Client) -> None:
    job = client.array(half, range(10), first_index=1, max_parallel=4, max_failures=9)
    job.wait(60)
    code, out, err = quorate("job", job.id)
    assert code == 0
    text = " ".join(out.split())
    assert "State FAILED" in text
    assert "Subtasks 10, indexes 1 to 10" in text
    assert "10 of 10 (100 %)" in text
    assert "5 succeeded, 5 failed" in text
    assert "Limits 4 at once, ends after 10 failures" in text
    assert "5 ValueError 2 .. 10 1 is odd" in text
    assert f"quorate job retry {job.id}" in err
    assert quorate("job", "show", job.id[-8:])[1].split() == out.split()
    assert quorate("job", "errors", job.id)[1].split()[4:7] == ["5", "ValueError", "2"]
    assert json.loads(quorate("job", job.id, "--json")[1])["counts"]["failed"] == "5"
    [group] = json.loads(quorate("job", "errors", job.id, "--json")[1])
    assert group["firstIndex"] == "2"


def test_results_are_json_lines_and_pickles_stay_closed(quorate: Quorate, client: Client) -> None:
    job = client.array("math:sqrt", [4, -1, 9], as_json=True, first_index=1)
    job.wait(60)
    assert quorate("job", "results", job.id)[1] == "1\t2.0\n2\tFAILED\n3\t3.0\n"
    lines = quorate("job", "results", "--follow", "--json", job.id)[1].splitlines()
    assert [json.loads(line) for line in lines] == [
        {"index": 1, "state": "SUCCEEDED", "value": 2.0},
        {"index": 2, "state": "FAILED"},
        {"index": 3, "state": "SUCCEEDED", "value": 3.0},
    ]
    assert quorate("job", "results", job.id, "--index", "3") == (0, "3\t3.0\n", "")
    code, out, err = quorate("job", "results", job.id, "--index", "2")
    assert (code, out) == (1, "2\tFAILED\n")
    assert f"quorate: {job.id}.2 failed: ValueError: math domain error" in err
    assert quorate("job", "results", job.id, "--index", "4")[0] == 2
    assert quorate("job", "results", job.id, "--index", "2", "-f")[0] == 2
    pickled = client.array(str, [1])
    assert quorate("job", "results", "-f", pickled.id)[1].startswith("0\ta pickle of ")
    [line] = quorate("job", "results", "-f", "--json", pickled.id)[1].splitlines()
    assert set(json.loads(line)) == {"index", "state", "pickle"}


def test_a_job_is_paused_resumed_cancelled_retried_and_deleted(
    quorate: Quorate, cluster: FakeCluster, client: Client
) -> None:
    cluster.hold.clear()
    job = client.array(abs, [1, 2])
    assert quorate("job", "pause", job.id) == (0, f"{job.id} paused\n", "")
    assert quorate("job", "resume", job.id)[1] == f"{job.id} resumed\n"
    code, _, err = quorate("job", "delete", job.id)
    assert code == 5
    assert "quorate job wait ID" in err
    code, _, err = quorate("job", "wait", job.id, "--timeout", "0.01")
    assert (code, f"job {job.id} is still ACTIVE" in err) == (6, True)
    assert quorate("job", "cancel", job.id)[1] == f"{job.id} cancelled\n"
    assert quorate("job", "wait", job.id)[0] == 1
    cluster.hold.set()
    assert quorate("job", "retry", job.id)[1] == f"{job.id} will run what failed again\n"
    assert quorate("job", "wait", job.id)[0] == 0
    code, _, err = quorate("job", "cancel", job.id)
    assert (code, "is finished already (SUCCEEDED)" in err) == (5, True)
    assert quorate("job", "delete", job.id, "0123456789abcdef")[0] == 3
    assert quorate("job", job.id)[0] == 3


def test_a_wait_says_why_nothing_starts(
    quorate: Quorate, cluster: FakeCluster, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_SOON", 0.0)
    cluster.hold.clear()
    job = client.array(abs, [1, 2])
    cluster.jobs[job.id].job.ClearField("start_time")
    quorate("queue", "pause", "default")
    _, _, err = quorate("job", "wait", job.id, "--timeout", "0.3")
    assert "Waiting: queue default is paused; resume it with: quorate queue resume default" in err
    job.pause()
    _, _, err = quorate("job", "wait", job.id, "--timeout", "0.3")
    assert f"Waiting: the job is paused; resume it with: quorate job resume {job.id}" in err
    job.cancel()
    cluster.hold.set()


def test_an_open_array_is_closed(quorate: Quorate, client: Client) -> None:
    job = client.array(abs, open=True)
    assert "ACTIVE (open)" in quorate("job", job.id)[1]
    assert quorate("job", "close", job.id)[1] == f"{job.id} closed\n"
    assert quorate("job", "wait", job.id)[0] == 0


def test_an_id_that_is_too_short_or_unknown_is_a_mistake(quorate: Quorate, client: Client) -> None:
    client.array(abs, [1])
    code, _, err = quorate("job", "abc")
    assert (code, '"abc" is too short; give 6 or more' in err) == (2, True)
    code, _, err = quorate("job", "0badc0de")
    assert (code, "see 'quorate jobs'" in err) == (3, True)


def test_tables_fit_into_80_columns() -> None:
    job = job_pb2.Job(
        id="0" * 32,
        queue="a-long-name-of-a-queue",
        state=job_pb2.JOB_STATE_ACTIVE,
        count=10_000_000,
        open=True,
    )
    job.spec.name = "a job with a long name " * 3
    job.counts.failed = 9_999_999
    job.start_time.FromSeconds(int(time.time()) - 100)
    job.create_time.FromSeconds(int(time.time()) - 100)
    group = job_pb2.JobErrorGroup(
        type="package.module.LongNameOfAnError",
        message="something is wrong with # " * 8,
        count=9_999_999,
        last_index=9_999_999,
    )
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(show.table_of([job, job]))
        console.print(show.errors_table([group]))
        console.print(show.details_of(job))
    plain = capture.get()
    assert all(len(line) <= 80 for line in plain.splitlines())
    assert "…00000000" in plain
    assert "9,999,999" in plain


def test_a_group_of_errors_has_a_real_message():
    group = job_pb2.JobErrorGroup(type="EXIT_CODE", message="exited with code #", count=7)
    group.example.MergeFrom(task_pb2.TaskError(type="EXIT_CODE", message="exited with code 3"))
    console = Console(width=80, color_system=None)
    texts = []
    for group.count in (7, 1):
        with console.capture() as capture:
            console.print(show.errors_table([group]))
        texts.append(capture.get())
    assert "exited with code 3 (numbers may differ)" in texts[0]
    assert "exited with code 3" in texts[1]
    assert "differ" not in texts[1]


@pytest.mark.parametrize(
    ("seconds", "state", "text"),
    [
        (
            10,
            job_pb2.JOB_STATE_ACTIVE,
            "10 subtasks/s, each ran 20 µs on average, about 1 min 30 s left",
        ),
        (10, job_pb2.JOB_STATE_PAUSED, "10 subtasks/s, each ran 20 µs on average"),
        (0.05, job_pb2.JOB_STATE_SUCCEEDED, "2,000 subtasks/s, each ran 20 µs on average"),
    ],
)
def test_speed_is_written_for_people(seconds: float, state: job_pb2.JobState, text: str) -> None:
    job = job_pb2.Job(state=state, count=1_000)
    job.counts.succeeded = 100
    job.start_time.FromNanoseconds(1)
    job.finish_time.FromNanoseconds(1 + int(seconds * 1e9))
    job.average_duration.FromMicroseconds(20)
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(show.details_of(job))
    line = next(line for line in capture.get().splitlines() if line.startswith("Speed"))
    assert line.removeprefix("Speed").strip() == text


def test_ranges_name_their_step() -> None:
    ranges = [
        job_pb2.SubtaskRange(
            state=job_pb2.SUBTASK_STATE_FAILED, first_index=1, last_index=5, count=3
        ),
        job_pb2.SubtaskRange(
            state=job_pb2.SUBTASK_STATE_FAILED, first_index=9, last_index=9, count=1
        ),
    ]
    assert show.ranges_text(ranges, 2) == {"FAILED": "1-5:2,9"}
    assert show.ranges_text(ranges, 1) == {"FAILED": "1-5,9"}


def test_a_job_is_changed(quorate: Quorate, cluster: FakeCluster, client: Client) -> None:
    job = client.array("tests.unit.test_cli_jobs:half", open=True)
    words = ("--name", "halves", "--label", "a=b", "--priority", "3", "--max-parallel", "4")
    code, out, _ = quorate("job", "update", job.id, *words, "--max-failures", "5")
    assert (code, out) == (0, f"{job.id} updated\n")
    spec = only(cluster).spec
    assert (spec.name, dict(spec.labels), spec.template.priority) == ("halves", {"a": "b"}, 3)
    assert (spec.max_parallel, spec.max_failures) == (4, 5)
    assert quorate("job", "update", job.id, "--max-failures", "-1")[0] == 0
    assert not only(cluster).spec.HasField("max_failures")
    code, _, err = quorate("job", "update", job.id)
    assert code == 2
    assert "--max-parallel" in err
    job.update(max_parallel=None)
    assert only(cluster).spec.max_parallel == 0


def test_the_result_of_a_reduce_is_printed(quorate: Quorate, client: Client) -> None:
    job = client.map_reduce("builtins:abs", [-1, -5], "builtins:max", as_json=True)
    code, out, _ = quorate("job", "wait", job.id)
    assert (code, out) == (0, "5\n")
    assert quorate("job", "result", job.id)[:2] == (0, "5\n")
    shown = quorate("job", job.id)[1]
    assert "builtins:max" in shown
    assert "1 succeeded" in shown
    pickled = client.map_reduce(abs, [-1], sum)
    pickled.wait(60)
    code, out, err = quorate("job", "result", pickled.id)
    assert (code, out[:12]) == (0, "a pickle of "), err


def test_a_failed_reduce_is_shown_with_its_error(quorate: Quorate, client: Client) -> None:
    job = client.map_reduce("builtins:abs", [], "builtins:max", as_json=True)
    code, out, err = quorate("job", "wait", job.id)
    assert (code, out) == (1, "")
    plain = client.array(abs, [1])
    plain.wait(60)
    code, _, err = quorate("job", "result", plain.id)
    assert code != 0
    assert "has no reduce" in err


def test_the_phase_of_a_job_says_where_its_reduces_are() -> None:
    job = job_pb2.Job(state=job_pb2.JOB_STATE_ACTIVE, count=1_000)
    job.counts.succeeded = 1_000
    job.reduce.level, job.reduce.levels = 2, 3
    assert show.state_line(job) == "ACTIVE (reducing, level 2 of 3)"
    job.reduce.levels = job.reduce.level = 1
    assert show.state_line(job) == "ACTIVE (reducing)"
    job.state = job_pb2.JOB_STATE_SUCCEEDED
    assert show.state_line(job) == "SUCCEEDED"


def test_results_of_a_job_that_runs_are_those_that_are_there(
    quorate: Quorate, cluster: FakeCluster, client: Client
) -> None:
    cluster.hold.clear()
    job = client.map_reduce("builtins:abs", [-1, -5], "builtins:max", as_json=True)
    # As a scheduler says it from the start.
    [running] = cluster.jobs.values()
    running.job.reduce.levels = 1
    code, out, err = quorate("job", "result", job.id)
    assert (code, out) == (5, "")
    assert f"job {job.id} is " in err
    assert "wait for it" in err
    code, out, _ = quorate("job", "results", job.id)
    assert "\t5" not in out
    cluster.hold.set()
    assert quorate("job", "wait", job.id)[:2] == (0, "5\n")
