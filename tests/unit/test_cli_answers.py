"""What commands say of tasks that did not start, of paused queues and of ids of the other kind."""

import grpc
import pytest

from quorate.cli.exits import code_of
from quorate.runtime.errors import QuorateError, not_found
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


def test_a_program_that_does_not_exist_never_started(quorate, cluster):
    id = "01a22851d09c7000893655b6968f0722"
    task = task_pb2.Task(id=id, state=task_pb2.TASK_STATE_FAILED, attempt=1, failures=1)
    attempt = task.attempts.add(number=1, node="n1")
    attempt.error.MergeFrom(task_pb2.TaskError(type="NOT_STARTED", message="/x: no such program"))
    for stamp in (attempt.assign_time, attempt.start_time, attempt.finish_time):
        stamp.FromSeconds(1_000)
    cluster.tasks[id] = task
    cluster.explanation.task.CopyFrom(task)
    assert quorate("tasks")[1].splitlines()[1].split()[-2:] == ["-", "n1"]
    _, out, err = quorate("task", id)
    assert "logs" not in err
    assert f"Run it again: quorate retry {id}" in err
    assert "Started" not in out
    assert out.splitlines()[-1].split()[-3:] == ["-", "-", "NOT_STARTED"]
    row = quorate("explain", id)[1].splitlines()[-1].split()
    assert row[:3] == ["1", "n1", "-"]


def test_a_task_that_ran_says_where_its_output_is(quorate, cluster):
    id = "01a22851d09c7000893655b6968f0722"
    task = task_pb2.Task(id=id, state=task_pb2.TASK_STATE_RUNNING, attempt=1)
    attempt = task.attempts.add(number=1, node="n1")
    attempt.assign_time.FromSeconds(1_000)
    cluster.tasks[id] = task
    assert "quorate" not in quorate("task", id)[2]
    attempt.start_time.FromSeconds(1_000)
    _, _, err = quorate("task", id)
    assert f"See its output: quorate logs {id}" in err
    assert "retry" not in err


def test_a_task_of_a_paused_queue_says_so_in_the_list(quorate, cluster):
    for id, queue in (("a" * 32, "default"), ("b" * 32, "other")):
        cluster.tasks[id] = task_pb2.Task(id=id, queue=queue, state=task_pb2.TASK_STATE_PENDING)
    cluster.queues["default"].paused = True
    rows = {line.split()[0]: line for line in quorate("tasks")[1].splitlines()[1:]}
    assert "PENDING (queue paused)" in rows["a" * 32]
    assert "paused" not in rows["b" * 32]


def test_the_id_of_a_job_is_not_taken_for_that_of_a_task_and_vice_versa(quorate, cluster):
    job = quorate("submit", "--array", "1-2", "--", "true")[1].strip()
    task = "01a22851d09c7000893655b6968f0722"
    cluster.tasks[task] = task_pb2.Task(id=task, state=task_pb2.TASK_STATE_SUCCEEDED)
    for command in ("task", "explain", "cancel", "logs"):
        for id in (job, job[-8:]):
            code, _, err = quorate(command, id)
            assert code == 3
            assert f"{job} is a job, not a task; see: quorate job {job}" in err
    for words in (("job",), ("job", "cancel"), ("job", "errors")):
        for id in (task, task[-8:]):
            code, _, err = quorate(*words, id)
            assert code == 3
            assert f"{task} is a task, not a job; see: quorate task {task}" in err


def test_a_limit_that_does_not_exist_has_one_exit_code():
    error = QuorateError(grpc.StatusCode.FAILED_PRECONDITION, "LIMIT_NOT_FOUND", "no such limit")
    assert code_of(error) == code_of(not_found("limit", "nope")) == 3


def test_a_help_has_one_default_of_an_option(quorate):
    out = " ".join(quorate("queue", "create", "--help")[1].split())
    assert out.count("--burst ") == 1
    assert "[default: 0]" not in out
