"""What a cluster at work tells Prometheus: every documented series, and promtool's opinion.

One real cluster for the file: it runs tasks that succeed, fail and are tried again, answers REST,
live updates and a service, and loses its leader.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from websockets.sync.client import ClientConnection, connect

import quorate
from quorate.client.errors import TaskFailed
from quorate.client.transport.discovery import LocalCluster, LocalProcess
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.forked import run
from tests.support.local import running
from tools.docs.documented_metrics import EVERYWHERE, Scrape, documented, missing
from tools.gateway_http import ask, headers_of, https_context
from tools.promtool import find_promtool

ROOT = Path(__file__).resolve().parents[2]
OBSERVABILITY = ROOT / "k8s" / "observability"
HELLO = ROOT / "examples" / "hello_service.py"
NAME = re.compile(r"\b(?:quorate|process|python_gc)_[a-z0-9_]+\b")
ROLES = ("scheduler", "node", "gateway")


def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        threading.Event().wait(0.05)


def get(address: str, path: str, *, accept: str = "") -> tuple[int, str]:
    request = urllib.request.Request(f"http://{address}{path}", headers={"Accept": accept})
    try:
        with closing(urllib.request.urlopen(request, timeout=60)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class AtWork:
    """The cluster, and what it was asked to do."""

    def __init__(self, local: LocalCluster) -> None:
        self.local = local

    def processes(self, role: str) -> list[LocalProcess]:
        return [one for one in self.local.processes if one.role == role]

    def scrapes(self, role: str) -> list[Scrape]:
        return [Scrape.of(one.health) for one in self.processes(role)]

    def status(self, path: str) -> int:
        """Of a GET at the gateway."""
        try:
            with ask(self.local, path.lstrip("/")) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def live(self) -> ClientConnection:
        """A client of /v1/live."""
        url = self.local.dashboard.replace("http", "ws", 1) + "v1/live"
        context, headers = https_context(self.local.tls), headers_of(self.local)
        return connect(url, ssl=context, additional_headers=headers)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtWork]:
    folder = tmp_path_factory.mktemp("metrics") / "cluster"
    plan = LocalPlan(data_dir=folder, nodes=2, slots=2, gateway=True, secure=tls.ON)
    with running(plan) as local:
        at_work = AtWork(local)
        _work(at_work, folder)
        yield at_work


def _work(at_work: AtWork, folder: Path) -> None:
    """Something for every part of the cluster to count."""
    with quorate.Client(data_dir=folder) as client:
        assert client.command(["true"]).result(timeout=60) is not None
        broken = client.options(retries=1).command(["false"])
        with pytest.raises(TaskFailed):
            broken.result(timeout=60)
    assert at_work.status("/v1/queues/default") == 200
    assert at_work.status("/v1/tasks/none-such") >= 400
    flags = ("--data-dir", str(folder), "--health-http", "/healthz")
    created = run("quorate", "service", "create", "hello", *flags, "--", sys.executable, str(HELLO))
    assert created.code == 0, created.err
    until(lambda: _answers(at_work.local), "the service answers")


def _answers(local: LocalCluster) -> bool:
    try:
        ask(local, "", service="hello").close()
    except urllib.error.HTTPError as error:
        error.close()
        return False
    return True


def test_every_documented_series_is_there_and_every_series_is_documented(cluster: AtWork) -> None:
    promised = documented()
    everywhere = promised[EVERYWHERE]
    with cluster.live():
        scrapes = {role: cluster.scrapes(role) for role in ROLES}
    assert missing(promised, scrapes) == []
    for role, found in scrapes.items():
        known = {_family(metric) for metric in promised[role] | everywhere}
        for scrape in found:
            families = {_family(name) for name in scrape.names if name.startswith("quorate_")}
            assert families <= known, f"{role}: not documented"


def test_the_leader_counts_what_was_done(cluster: AtWork) -> None:
    scrapes = cluster.scrapes("scheduler")
    (leader,) = [one for one in scrapes if one.value("quorate_leader") == 1]
    (standby,) = [one for one in scrapes if one.value("quorate_leader") == 0]
    assert leader.value("quorate_tasks_finished_total", state="succeeded") == 1
    assert leader.value("quorate_tasks_finished_total", state="failed") == 1
    assert leader.value("quorate_tasks_retried_total") == 1
    # Two of the commands and one of the service.
    assert leader.value("quorate_tasks_created_total") == 3
    assert leader.value("quorate_attempts_assigned_total") == 4
    assert leader.value("quorate_dispatch_seconds_count") == 3
    assert leader.value("quorate_task_run_seconds_count") == 3
    assert leader.value("quorate_submit_seconds_count") == 2
    assert 0 < leader.value("quorate_submit_seconds_sum") < 60
    assert leader.value("quorate_queue_tasks", queue="default", state="succeeded") == 1
    assert leader.value("quorate_nodes", state="ready") == 2
    assert leader.value("quorate_nodes_slots") == 4
    assert leader.value("quorate_journal_batch_records_count") > 3
    assert leader.value("quorate_etcd_database_bytes") > 0
    # Depths come from one process, so that sums are right.
    assert not standby.has("quorate_queue_tasks")
    assert standby.value("quorate_epoch") == leader.value("quorate_epoch") > 0
    assert standby.value("quorate_tasks_in_memory") == leader.value("quorate_tasks_in_memory")


def test_agents_and_gateway_count_what_was_done(cluster: AtWork) -> None:
    agents = cluster.scrapes("node")
    outcomes = Counter(
        {
            outcome: sum(
                agent.value("quorate_agent_attempts_ended_total", outcome=outcome)
                for agent in agents
            )
            for outcome in ("succeeded", "failed", "returned")
        }
    )
    # A program that ends with another code than 0 has failed.
    assert outcomes == {"succeeded": 1, "failed": 2, "returned": 0}
    assert sum(agent.value("quorate_agent_attempts", state="replica") for agent in agents) == 1
    assert all(agent.value("quorate_agent_slots") == 2 for agent in agents)
    assert all(agent.value("quorate_agent_session") == 1 for agent in agents)
    assert all(0 <= agent.value("quorate_lease_keepalive_age_seconds") < 3 for agent in agents)
    with cluster.live():
        (gateway,) = cluster.scrapes("gateway")
    assert gateway.value("quorate_gateway_live_connections") == 1
    assert (
        gateway.value("quorate_gateway_requests_total", route="/v1/queues/{name}", code="200") == 1
    )
    assert gateway.value("quorate_gateway_request_seconds_count", route="/v1/queues/{name}") == 1
    assert gateway.value("quorate_proxy_requests_total", service="hello", code="2xx") == 1
    assert gateway.value("quorate_proxy_instances", service="hello", state="healthy") == 1


def test_promtool_has_nothing_to_say_about_any_process(cluster: AtWork) -> None:
    promtool = find_promtool()
    for role in ROLES:
        for scrape in cluster.scrapes(role):
            done = subprocess.run(
                [promtool, "check", "metrics"],
                input=scrape.text, capture_output=True, text=True, check=False, timeout=30,
            )  # fmt: skip
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_openmetrics_is_served_to_who_asks_for_it(cluster: AtWork) -> None:
    address = cluster.processes("scheduler")[0].health
    accept = "application/openmetrics-text; version=1.0.0"
    assert get(address, "/metrics", accept=accept)[1].endswith("# EOF\n")


def test_dashboard_and_alerts_name_only_metrics_that_exist(cluster: AtWork) -> None:
    scraped = {
        name for role in ROLES for s in cluster.scrapes(role) for name in s.names | s.families
    }
    dashboard = json.loads((OBSERVABILITY / "dashboard.json").read_text())
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
    ]
    expressions += [one["query"]["query"] for one in dashboard["templating"]["list"][1:]]
    expressions += [one["expr"] for one in dashboard["annotations"]["list"]]
    assert len(expressions) > 40
    groups = yaml.safe_load((OBSERVABILITY / "alerts.yaml").read_text())["groups"]
    expressions += [rule["expr"] for group in groups for rule in group["rules"]]
    used = {name for expression in expressions for name in NAME.findall(expression)}
    assert used - scraped == set()


def test_a_failover_is_seen_and_counted(cluster: AtWork) -> None:
    """The last of the file: the killed leader's counters begin anew."""
    schedulers = cluster.processes("scheduler")
    leader = next(one for one in schedulers if Scrape.of(one.health).value("quorate_leader") == 1)
    (standby,) = [one for one in schedulers if one is not leader]
    epoch = Scrape.of(standby.health).value("quorate_epoch")
    assert Scrape.of(standby.health).value("quorate_failovers_total") == 0
    os.kill(leader.pid, signal.SIGKILL)
    until(lambda: Scrape.of(standby.health).value("quorate_leader") == 1, "the standby leads")
    after = Scrape.of(standby.health)
    assert after.value("quorate_failovers_total") == 1
    assert after.value("quorate_epoch") > epoch
    until(lambda: get(standby.health, "/readyz")[0] == 200, "the new leader is ready")


def _family(name: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", name)
