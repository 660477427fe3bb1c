"""`quorate service show`: what is checked, and why replicas do not run."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from quorate.cli.services import show as service_show
from quorate.client.tracking.outcome import state_of
from quorate.runtime.errors import QuorateError, not_found
from quorate.v1 import service_pb2 as pb
from quorate.v1 import task_pb2
from quorate.v1.task_pb2 import HealthCheck


class Tasks:
    """As a Client that knows these replicas, or that answers with an error."""

    def __init__(self, *tasks: task_pb2.Task, error: QuorateError | None = None) -> None:
        self._tasks = tasks
        self._error = error
        self.asked: list[str] = []

    def tasks(
        self, *, queue: str, states: tuple[str, ...], page_size: int
    ) -> Iterator[task_pb2.Task]:
        self.asked.append(queue)
        assert page_size == 1_000
        if self._error is not None:
            raise self._error
        wanted = [state_of(name) for name in states]
        yield from (task for task in self._tasks if task.state in wanted)


def replica(number: int, service: str = "web", failures: int = 3) -> task_pb2.Task:
    task = task_pb2.Task(id=f"id{number}", queue="services", attempt=failures, failures=failures)
    task.spec.service.service = service
    task.state = task_pb2.TASK_STATE_SCHEDULED if failures else task_pb2.TASK_STATE_PENDING
    if failures:
        task.error.type = "EXIT_CODE"
        task.error.message = "exited with code 1"
        task.schedule_time.GetCurrentTime()
    return task


def web(replicas: int = 2) -> pb.Service:
    service = pb.Service(name="web")
    service.spec.replicas = replicas
    service.spec.command.argv.append("web.py")
    return service


def shown(capsys: pytest.CaptureFixture[str], client: Tasks, service: pb.Service) -> list[str]:
    """The lines of both outputs, blanks between columns as one."""
    service_show.show(client, service)  # type: ignore[arg-type]
    out, err = capsys.readouterr()
    return [" ".join(line.split()) for line in (out + err).splitlines()]


def test_replicas_that_fail_are_listed_with_error_and_attempts(capsys: pytest.CaptureFixture[str]):
    running = replica(5)
    running.state = task_pb2.TASK_STATE_RUNNING
    client = Tasks(replica(1, failures=0), replica(2, "other"), replica(3), replica(4), running)
    lines = shown(capsys, client, web())
    rows = [line for line in lines if line.startswith("id")]
    assert rows == [
        "id3 SCHEDULED 3 in 0 ms EXIT_CODE: exited with code 1",
        "id4 SCHEDULED 3 in 0 ms EXIT_CODE: exited with code 1",
        "id1 PENDING 0 when a node has room -",
    ]
    assert "Output of a replica that ended: quorate logs id3" in lines
    assert "It has no instances now." not in lines


def test_many_are_cut_and_counted(capsys: pytest.CaptureFixture[str]):
    lines = shown(capsys, Tasks(*(replica(n) for n in range(14))), web(14))
    assert sum(line.startswith("id") for line in lines) == 10
    assert "4 more replicas not running." in lines


def test_tasks_are_not_asked_for_when_all_replicas_are_there(capsys: pytest.CaptureFixture[str]):
    service = web(1)
    service.instances.add(id="a", node="n1", address="h:1", state=pb.INSTANCE_STATE_STARTING)
    client = Tasks(replica(1))
    assert any(line.startswith("a STARTING h:1 n1") for line in shown(capsys, client, service))
    assert client.asked == []
    # One more is wanted, and the instance is told as before.
    service.spec.replicas = 2
    lines = shown(capsys, client, service)
    assert any(line.startswith("a STARTING h:1 n1") for line in lines)
    assert any(line.startswith("id1 SCHEDULED") for line in lines)


def test_before_the_first_replica_there_is_no_queue_of_them(capsys: pytest.CaptureFixture[str]):
    client = Tasks(error=not_found("queue", "services"))
    assert "It has no instances now." in shown(capsys, client, web())
    broken = Tasks(error=QuorateError(grpc.StatusCode.UNAVAILABLE, "NO_LEADER", "no leader"))
    with pytest.raises(QuorateError, match="no leader"):
        shown(capsys, broken, web())


@pytest.mark.parametrize(
    ("command", "health", "told"),
    [
        (True, None, "TCP connect"),
        (True, HealthCheck(http_path="/healthz"), "GET /healthz"),
        (False, HealthCheck(http_path="/healthz"), "GET /healthz, by each gateway"),
        (False, HealthCheck(tcp=True), "TCP connect, by each gateway"),
        (False, None, "-"),
        (False, HealthCheck(grpc_service="web"), "gRPC web, by each gateway"),
    ],
)
def test_the_check_is_told_of_outside_processes_too(
    capsys: pytest.CaptureFixture[str], command: bool, health: HealthCheck | None, told: str
):
    service = web(0) if command else pb.Service(name="web")
    if health is not None:
        service.spec.health.CopyFrom(health)
    lines = shown(capsys, Tasks(), service)
    [line] = [line for line in lines if line.startswith("Health check")]
    assert line.removeprefix("Health check ").startswith(told)
    # What gateways found is not known here, and nothing is claimed of it.
    assert ("Ready 0 registered" in lines) is not command
