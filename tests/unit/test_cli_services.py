"""`quorate service ...` against a registry in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

from quorate.cli.app import run
from quorate.cli.output.work import work_text
from quorate.runtime.errors import QuorateError, already_exists, not_found, to_status
from quorate.v1 import service_pb2 as pb
from quorate.v1 import service_pb2_grpc, task_pb2

Quorate = Callable[..., tuple[int, str, str]]


class FakeRegistry(service_pb2_grpc.ServiceRegistryServicer):
    """Services as they were last asked for; one page holds one service."""

    def __init__(self) -> None:
        self.services: dict[str, pb.Service] = {}
        self.updates: list[pb.UpdateServiceRequest] = []
        self.registered: list[pb.RegisterInstanceRequest] = []
        self.deregistered: list[str] = []
        self.renewed = Event()

    @contextmanager
    def serving(self, context: Any) -> Iterator[None]:
        try:
            yield
        except QuorateError as error:
            status = to_status(error).SerializeToString()
            context.set_trailing_metadata((("grpc-status-details-bin", status),))
            context.abort(error.code, error.message)

    def find(self, name: str) -> pb.Service:
        if name not in self.services:
            raise not_found("service", name)
        return self.services[name]

    def CreateService(self, request: Any, context: Any) -> Any:
        with self.serving(context):
            name = request.service.name
            if name in self.services:
                raise already_exists("service", name)
            assert request.request_id
            self.services[name] = request.service
            return pb.CreateServiceResponse(service=request.service)

    def GetService(self, request: Any, context: Any) -> Any:
        with self.serving(context):
            return pb.GetServiceResponse(service=self.find(request.name))

    def ListServices(self, request: Any, context: Any) -> Any:
        names = sorted(self.services)
        place = int(request.page_token or 0)
        token = str(place + 1) if place + 1 < len(names) else ""
        found = [self.services[name] for name in names[place : place + 1]]
        return pb.ListServicesResponse(services=found, next_page_token=token)

    def UpdateService(self, request: Any, context: Any) -> Any:
        with self.serving(context):
            self.find(request.service.name)
            assert request.request_id
            self.updates.append(request)
            return pb.UpdateServiceResponse(service=request.service)

    def DeleteService(self, request: Any, context: Any) -> Any:
        with self.serving(context):
            self.find(request.name)
            del self.services[request.name]
            return pb.DeleteServiceResponse()

    def RegisterInstance(self, request: Any, context: Any) -> Any:
        with self.serving(context):
            self.find(request.instance.service)
            self.registered.append(request)
            if len(self.registered) >= 3:
                self.renewed.set()
            return pb.RegisterInstanceResponse(instance=request.instance)

    def DeregisterInstance(self, request: Any, context: Any) -> Any:
        with self.serving(context):
            self.find(request.service)
            self.deregistered.append(request.id)
            return pb.DeregisterInstanceResponse()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRegistry]:
    registry = FakeRegistry()
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        service_pb2_grpc.add_ServiceRegistryServicer_to_server(registry, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        monkeypatch.setenv("QUORATE_ADDRESS", f"127.0.0.1:{port}")
        monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path / "none"))
        monkeypatch.setenv("NO_COLOR", "1")
        yield registry
        server.stop(None).wait()


@pytest.fixture
def quorate(registry: FakeRegistry, capfdbinary: pytest.CaptureFixture[bytes]) -> Quorate:
    """Runs one command line: (exit code, standard output, standard error)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["service", *arguments])
        sys.stderr.flush()
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


def with_instances(name: str = "web") -> pb.Service:
    service = pb.Service(name=name, generation=2, ready=1, updated=2)
    service.spec.replicas = 2
    service.spec.command.argv.extend(["python", "web.py"])
    service.spec.health.http_path = "/healthz"
    service.create_time.GetCurrentTime()
    for place, state in enumerate((pb.INSTANCE_STATE_HEALTHY, pb.INSTANCE_STATE_STARTING)):
        service.instances.add(
            service=name,
            id=f"id{place}",
            address=f"127.0.0.1:400{place}",
            state=state,
            node="n1",
            generation=2,
        )
    return service


# -- reading -----------------------------------------------------------------------------------


def test_an_empty_list_says_what_to_do_next(quorate: Quorate):
    code, out, err = quorate("list")
    assert (code, out) == (0, "")
    assert "quorate service create" in err
    assert json.loads(quorate("list", "--json")[1]) == []


def test_the_list_goes_through_all_pages(quorate: Quorate, registry: FakeRegistry):
    for name in ("web", "api"):
        registry.services[name] = with_instances(name)
    registry.services["out"] = pb.Service(name="out", ready=3)
    code, out, _ = quorate("list")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert [row[:2] for row in rows[1:]] == [["api", "1/2"], ["out", "3"], ["web", "1/2"]]
    assert [s["name"] for s in json.loads(quorate("list", "--json")[1])] == ["api", "out", "web"]


def test_show_has_a_table_of_instances(quorate: Quorate, registry: FakeRegistry):
    registry.services["web"] = with_instances()
    code, out, _ = quorate("show", "web")
    assert code == 0
    assert "python web.py" in out
    assert "GET /healthz" in out
    assert ["id0", "HEALTHY", "127.0.0.1:4000", "n1", "2", "1", "-"] in [
        line.split() for line in out.splitlines()
    ]
    document = json.loads(quorate("show", "web", "--json")[1])
    assert [i["state"] for i in document["instances"]] == [
        "INSTANCE_STATE_HEALTHY",
        "INSTANCE_STATE_STARTING",
    ]


def test_show_of_a_service_without_instances(quorate: Quorate, registry: FakeRegistry):
    registry.services["web"] = pb.Service(name="web")
    code, out, err = quorate("show", "web")
    assert code == 0
    assert "outside processes" in out
    assert "no instances" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "nope"),
        ("scale", "nope", "2"),
        ("update", "nope", "-n", "1"),
        ("delete", "nope"),
        ("register", "nope", "a", "h:1"),
        ("deregister", "nope", "a"),
    ],
)
def test_what_does_not_exist_is_one_sentence_and_exit_code_3(
    quorate: Quorate, arguments: tuple[str, ...]
):
    code, out, err = quorate(*arguments)
    assert (code, out) == (3, "")
    assert "nope" in err
    assert len(err.strip().splitlines()) == 1


def test_a_task_that_is_a_replica_says_so():
    work = task_pb2.ServiceWork(service="web", command=task_pb2.CommandWork(argv=["a", "b c"]))
    spec = task_pb2.TaskSpec(service=work)
    assert work_text(spec) == "a 'b c' (a replica of service web)"


# -- writing -----------------------------------------------------------------------------------


def test_create_passes_everything_on(quorate: Quorate, registry: FakeRegistry):
    code, out, _ = quorate(
        *("create", "web", "--replicas", "3", "--env", "A=b=c", "--cwd", "/srv", "--cpu", "0.5"),
        *("--memory", "64M", "--resource", "gpu=1", "--label", "tier=front"),
        *("--health-http", "/healthz", "--health-interval", "0.5", "--health-timeout", "2"),
        *("--start-grace", "5", "--drain-grace", "1.5", "--max-surge", "2"),
        *("--max-unavailable", "1", "--balancing", "consistent-hash", "--hash-on", "cookie:sid"),
        *("--host", "a.test", "--host", "b.test", "--", "python", "web.py", "--port", "1"),
    )
    assert (code, out) == (0, "web created\n")
    spec = registry.services["web"].spec
    assert list(spec.command.argv) == ["python", "web.py", "--port", "1"]
    assert (dict(spec.command.env), spec.command.cwd) == ({"A": "b=c"}, "/srv")
    assert (spec.replicas, spec.max_surge, spec.max_unavailable) == (3, 2, 1)
    assert (spec.resources.cpu, spec.resources.memory) == (0.5, 64 * 1024**2)
    assert dict(spec.resources.counters) == {"gpu": 1}
    assert dict(spec.labels) == {"tier": "front"}
    health = spec.health
    assert health.http_path == "/healthz"
    assert health.interval.ToMilliseconds() == 500
    assert (health.timeout.seconds, health.start_grace.seconds) == (2, 5)
    assert spec.drain_grace.ToMilliseconds() == 1500
    assert spec.proxy.balancing == pb.BALANCING_CONSISTENT_HASH
    assert spec.proxy.hash_on.cookie == "sid"
    assert list(spec.proxy.hosts) == ["a.test", "b.test"]


def test_create_runs_one_replica_unless_told_otherwise(quorate: Quorate, registry: FakeRegistry):
    quorate("create", "web", "--", "web")
    quorate("create", "none", "-n", "0", "--", "web")
    quorate("create", "out", "--health-tcp")
    assert registry.services["web"].spec.replicas == 1
    assert registry.services["none"].spec.replicas == 0
    outside = registry.services["out"]
    assert outside.HasField("spec")
    assert (outside.spec.HasField("command"), outside.spec.replicas) == (False, 0)


def test_a_name_that_is_taken_is_refused(quorate: Quorate):
    quorate("create", "web", "--", "web")
    code, _, err = quorate("create", "web", "--", "web")
    assert code == 5
    assert "web" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "web", "--health-http", "/", "--health-tcp", "--", "web"),
        ("create", "web", "--label", "a", "--", "web"),
        ("create", "web", "--memory", "much", "--", "web"),
        ("create", "web", "--env", "A=b"),
        ("create", "web", "--balancing", "best", "--", "web"),
        ("create", "web", "--hash-on", "moon", "--", "web"),
        ("create", "web", "--hash-on", "header:", "--", "web"),
        ("create", "web", "--replicas", "99999999999", "--", "web"),
        ("create", "web", "--drain-grace", "inf", "--", "web"),
        ("create", "web", "--drain-grace", "nan", "--", "web"),
        ("update", "web"),
        ("scale", "web", "-1"),
        ("scale", "web", "many"),
        ("register", "web", "a", "h:1", "--ttl", "0"),
    ],
)
def test_a_wrong_command_line_changes_nothing(
    quorate: Quorate, registry: FakeRegistry, arguments: tuple[str, ...]
):
    code, _, err = quorate(*arguments)
    assert code == 2
    assert "Traceback" not in err
    assert not registry.services
    assert not registry.updates
    assert not registry.registered


def test_update_changes_only_what_is_given(quorate: Quorate, registry: FakeRegistry):
    quorate("create", "web", "--", "web")
    assert quorate("update", "web", "--health-grpc", "", "--", "web", "2")[:2] == (
        0,
        "web updated\n",
    )
    quorate("update", "web", "--balancing", "round-robin", "--label", "a=b", "--cpu", "1")
    first, second = registry.updates
    assert list(first.update_mask.paths) == ["spec.command", "spec.health.grpc_service"]
    assert list(first.service.spec.command.argv) == ["web", "2"]
    assert list(second.update_mask.paths) == [
        "spec.resources.cpu",
        "spec.labels",
        "spec.proxy.balancing",
    ]


def test_scale_changes_the_replicas_alone(quorate: Quorate, registry: FakeRegistry):
    quorate("create", "web", "--", "web")
    assert quorate("scale", "web", "5")[:2] == (0, "web scaled to 5\n")
    [update] = registry.updates
    assert list(update.update_mask.paths) == ["spec.replicas"]
    assert update.service.spec.replicas == 5


def test_wait_is_over_when_all_are_healthy_or_the_time_is(quorate: Quorate, registry: FakeRegistry):
    registry.services["web"] = with_instances()
    code, _, err = quorate("scale", "web", "2", "--wait", "--wait-timeout", "0")
    assert code == 6
    assert "1 of 2 replicas healthy after 0 s" in err
    registry.services["web"].instances[1].state = pb.INSTANCE_STATE_HEALTHY
    assert quorate("scale", "web", "2", "--wait")[0] == 0


@pytest.mark.parametrize(
    "words", [("create", "web", "--", "web"), ("scale", "web", "2"), ("update", "web", "-n", "2")]
)
def test_a_time_to_wait_needs_wait(quorate: Quorate, registry: FakeRegistry, words: list[str]):
    registry.services["web"] = with_instances()
    before = registry.services["web"].SerializeToString()
    code, _, err = quorate(*words[:2], "--wait-timeout", "5", *words[2:])
    assert code == 2
    assert "--wait-timeout needs --wait" in err
    assert registry.services["web"].SerializeToString() == before


def test_delete(quorate: Quorate, registry: FakeRegistry):
    quorate("create", "web", "--", "web")
    assert quorate("delete", "web")[:2] == (0, "web deleted\n")
    assert not registry.services


# -- outside processes -------------------------------------------------------------------------


def test_register_once(quorate: Quorate, registry: FakeRegistry):
    quorate("create", "out")
    code, out, _ = quorate(
        *("register", "out", "a", "h:80", "--ttl", "30", "--weight", "7", "--label", "zone=b")
    )
    assert (code, out) == (0, "a registered at h:80\n")
    [request] = registry.registered
    instance = request.instance
    assert (instance.service, instance.id, instance.address) == ("out", "a", "h:80")
    assert (instance.weight, dict(instance.labels), request.ttl.seconds) == (7, {"zone": "b"}, 30)
    assert quorate("deregister", "out", "a")[:2] == (0, "a deregistered\n")
    assert registry.deregistered == ["a"]


def test_hold_renews_until_ctrl_c_and_takes_it_off(registry: FakeRegistry):
    registry.services["out"] = pb.Service(name="out")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "quorate", "service"),
            *("register", "out", "a", "h:80", "--ttl", "0.06", "--hold"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert registry.renewed.wait(20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == ["a registered at h:80", "a deregistered"]
    assert registry.deregistered == ["a"]


def test_options_before_the_command_are_taken_too(
    registry: FakeRegistry, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    address = os.environ["QUORATE_ADDRESS"]
    monkeypatch.delenv("QUORATE_ADDRESS")
    assert run(["--address", address, "service", "list", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == []
