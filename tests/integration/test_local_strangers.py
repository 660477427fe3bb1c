"""A plain `quorate up` serves its own user's programs, and neither another user nor a web page.

Every port that listens is found by looking at the cluster's processes, so that a new one cannot be
forgotten here. The page is one of another origin in a real browser; another user is a process with
another uid, which only root can start.
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import stat
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from playwright.sync_api import Browser, sync_playwright

from quorate import Client
from quorate.client.transport.discovery import LocalCluster, owner_of
from quorate.local.plan import LocalPlan
from quorate.v1 import scheduler_pb2, scheduler_pb2_grpc
from tests.support import local as locals_
from tests.support.stranger import Stranger, stranger
from tools.dashboard.browser import chromium
from tools.gateway_http import ask_json


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("strangers") / "cluster"
    with locals_.running(LocalPlan(data_dir=folder, nodes=1, slots=2, gateway=True)) as running:
        yield running


def ports_of(cluster: LocalCluster) -> dict[int, str]:
    """Every TCP port that a process of the cluster, or a child of one, listens on: whose it is."""
    found: dict[int, str] = {}
    for process in cluster.processes:
        mother = psutil.Process(process.pid)
        for one in (mother, *mother.children(recursive=True)):
            try:
                connections = one.net_connections("tcp")
            except psutil.AccessDenied:
                # A process that starts others hides from all but root.
                assert os.geteuid() != 0
                continue
            for connection in connections:
                if connection.status == psutil.CONN_LISTEN:
                    found[connection.laddr[1]] = process.role
    return found


def expected_ports(cluster: LocalCluster) -> dict[int, str]:
    """What cluster.json says of them."""
    said = {p.address: p.role for p in cluster.processes if p.role != "etcd"}
    said |= {p.health: "health" for p in cluster.processes if p.health}
    return {int(address.rpartition(":")[2]): role for address, role in said.items()}


def nothing_happened(cluster: LocalCluster) -> None:
    """No task and no queue but those that were there."""
    assert not ask_json(cluster, "v1/tasks").get("tasks")
    assert [q["name"] for q in ask_json(cluster, "v1/queues")["queues"]] == ["default"]


def test_the_ports_are_those_that_cluster_json_names_and_etcd_has_none(
    cluster: LocalCluster,
) -> None:
    found, expected = ports_of(cluster).keys(), expected_ports(cluster).keys()
    assert found <= expected
    if os.geteuid() == 0:
        assert found == expected
    (etcd,) = (one.address for one in cluster.processes if one.role == "etcd")
    assert etcd.startswith("unix:/")
    folder = Path(etcd.removeprefix("unix:")).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(cluster.data_dir).stat().st_mode) == 0o700


def test_plain_stubs_and_curl_of_the_same_user_need_nothing(cluster: LocalCluster) -> None:
    for address in cluster.addresses:
        with grpc.insecure_channel(address) as channel:
            stub = scheduler_pb2_grpc.SchedulerStub(channel)
            assert stub.GetCluster(scheduler_pb2.GetClusterRequest(), timeout=10).cluster.nodes == 1
    with urllib.request.urlopen(f"{cluster.dashboard}v1/cluster", timeout=60) as answer:
        assert json.load(answer)["cluster"]["nodes"] == 1
    for process in cluster.processes:
        if process.health:
            url = f"http://{process.health}/metrics"
            with urllib.request.urlopen(url, timeout=60) as answer:
                assert answer.status == 200


# -- a page of another origin, in the browser of the cluster's own user


class _Evil(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>evil</title><body></body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def evil() -> Iterator[str]:
    """The origin of a page that wishes us ill."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Evil)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://evil.example:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium for which every name is this machine: as after DNS rebinding."""
    arguments = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync"
    ).split()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium(),
            args=[*arguments, "--host-resolver-rules=MAP * 127.0.0.1"],
            headless=True,
        )
        try:
            yield started
        finally:
            started.close()


# Each way in which a page can send something without asking first, and each in which it can read.
_ATTACK = """
async ([port, path, body]) => {
  const url = `http://127.0.0.1:${port}${path}`
  const soon = () => AbortSignal.timeout(3000)
  const tried = {}
  const note = async (name, act) => {
    try { tried[name] = await act() } catch (error) { tried[name] = 'refused' }
  }
  await note('no-cors', async () => {
    await fetch(url, {method: 'POST', mode: 'no-cors', body, signal: soon()})
    return 'sent'
  })
  await note('beacon', async () => String(navigator.sendBeacon(url, body)))
  await note('read', async () => (await fetch(url, {signal: soon()})).text())
  await note('post', async () => (await fetch(url, {
    method: 'POST', body, signal: soon(), headers: {'Content-Type': 'application/json'},
  })).text())
  await note('socket', () => new Promise((good, bad) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/live`, ['quorate.v1'])
    socket.onopen = () => good('open')
    socket.onerror = () => bad(new Error('refused'))
    setTimeout(() => bad(new Error('late')), 3000)
  }))
  await note('form', () => new Promise(good => {
    const frame = document.createElement('iframe')
    frame.name = `frame${port}`
    document.body.append(frame)
    const form = document.createElement('form')
    Object.assign(form, {action: url, method: 'POST', enctype: 'text/plain', target: frame.name})
    const field = document.createElement('input')
    field.name = body.slice(0, -1) + ', "x": "'
    field.value = '"}'
    form.append(field)
    document.body.append(form)
    frame.onload = () => good('sent')
    form.submit()
    setTimeout(() => good('sent'), 1000)
  }))
  return tried
}
"""
_TASK = json.dumps({"spec": {"command": {"argv": ["true"]}}})


def test_a_page_of_another_origin_changes_nothing_and_reads_nothing(
    cluster: LocalCluster, browser: Browser, evil: str
) -> None:
    page = browser.new_page()
    page.goto(evil)
    for port, role in expected_ports(cluster).items():
        for path in ("/v1/queues/default/tasks", "/v3/kv/put"):
            tried = page.evaluate(_ATTACK, [port, path, _TASK])
            for way in ("read", "post", "socket"):
                assert tried[way] == "refused", (role, path, way, tried)
    page.close()
    nothing_happened(cluster)


def test_a_page_whose_name_is_resolved_anew_to_this_machine_reads_nothing(
    cluster: LocalCluster, browser: Browser
) -> None:
    for port, role in expected_ports(cluster).items():
        for path in ("/v1/cluster", "/metrics", "/livez", "/"):
            page = browser.new_page()
            try:
                answer = page.goto(f"http://evil.example:{port}{path}", timeout=10_000)
                assert answer is not None
                assert answer.status == 421, (role, path, answer.status)
            except Exception as error:
                # gRPC's ports do not speak HTTP/1.1 at all.
                if role not in ("scheduler", "node") or isinstance(error, AssertionError):
                    raise
            page.close()


def test_the_users_own_browser_opens_the_dashboard_as_it_is(
    cluster: LocalCluster, browser: Browser
) -> None:
    page = browser.new_page()
    answer = page.goto(cluster.dashboard)
    assert answer is not None
    assert answer.status == 200
    assert page.evaluate("fetch('/v1/cluster').then(answer => answer.status)") == 200
    page.close()


# -- another user of this machine


if os.geteuid() == 0:
    # Only root can be somebody else; what a process of another uid gets is the same for all.

    @pytest.fixture(scope="module")
    def other() -> Iterator[Stranger]:
        with stranger() as started:
            yield started

    def test_another_user_is_answered_by_no_port(cluster: LocalCluster, other: Stranger) -> None:
        for port, role in expected_ports(cluster).items():
            if role in ("scheduler", "node"):
                for method in ("CreateTask", "WatchTasks", "Session", "ReadLogs"):
                    said = other.ask("grpc", port=port, method=method)
                    served = (method in ("CreateTask", "WatchTasks")) is (role == "scheduler")
                    wanted = ("PERMISSION_DENIED",) if served else ("UNIMPLEMENTED", "PERMISSION")
                    assert said.startswith(wanted), (role, method, said)
                continue
            for path in ("/", "/v1/cluster", "/metrics", "/livez", "/services/x/"):
                request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
                said = other.ask("http", port=port, text=request)
                assert said.startswith("HTTP/1.1 403 "), (role, path, said)
        nothing_happened(cluster)

    def test_another_user_who_hangs_up_at_once_does_not_pass_for_root(
        cluster: LocalCluster, other: Stranger
    ) -> None:
        """A socket that nobody holds any more is uid 0's, as the kernel lists it."""
        port = next(p for p, role in expected_ports(cluster).items() if role == "gateway")
        request = (
            "POST /v1/queues/default/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(_TASK)}\r\n\r\n{_TASK}"
        )
        for _ in range(50):
            other.ask("http", port=port, text=request, hang_up=True)
        nothing_happened(cluster)

    def test_another_user_reaches_neither_etcd_nor_the_data(
        cluster: LocalCluster, other: Stranger
    ) -> None:
        (etcd,) = (one.address for one in cluster.processes if one.role == "etcd")
        assert other.ask("unix", path=etcd.removeprefix("unix:")) == "Permission denied"
        for name in ("cluster.json", "logs/s1.log", "etcd/member", "n1"):
            assert other.ask("read", path=f"{cluster.data_dir}/{name}") == "Permission denied"

    def test_another_user_cannot_take_the_place_of_a_process_that_is_being_restarted(
        cluster: LocalCluster, other: Stranger
    ) -> None:
        """Who listens there would get the programs' arguments, and make up their results."""
        victim = next(one for one in cluster.processes if one.name == "s2")
        port = int(victim.address.rpartition(":")[2])
        os.kill(cluster.supervisor, signal.SIGSTOP)
        try:
            os.kill(victim.pid, signal.SIGKILL)
            while port in ports_of_all():
                time.sleep(0.01)
            for option in ("", "SO_REUSEADDR", "SO_REUSEPORT"):
                assert other.ask("bind", port=port, option=option) == "Address already in use"
        finally:
            os.kill(cluster.supervisor, signal.SIGCONT)

    def ports_of_all() -> set[int]:
        """Every TCP port of this machine that is listened on."""
        listening: set[int] = set()
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr:
                listening.add(one.laddr.port)
        return listening


def test_a_data_dir_of_before_is_taken_over_and_closed(tmp_path: Path) -> None:
    """Its etcd had a port: the same data is served by a socket now, with the same member."""
    folder = tmp_path / "cluster"
    folder.mkdir(mode=0o755)
    plan = LocalPlan(data_dir=folder, schedulers=1, nodes=1, slots=1)
    for _ in range(2):
        with locals_.running(plan) as running:
            assert owner_of(folder) == running.supervisor
            with Client(data_dir=folder) as client:
                assert client.command(["true"]).result(30) == 0
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
