"""The examples of a rate-limited API and of a web back end, as a reader runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from examples.rate_limited_api.weather_api import Api
from quorate.client.transport.discovery import LocalCluster
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.examples import Run, runner
from tests.support.local import running

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    data = tmp_path_factory.mktemp("examples") / "data"
    with running(LocalPlan(data_dir=data, schedulers=1, nodes=2, slots=2, secure=tls.ON)) as local:
        yield local


@pytest.fixture
def run(cluster: LocalCluster, tmp_path: Path) -> Run:
    return runner(cluster, tmp_path)


def test_no_call_of_a_limited_api_is_refused_and_tenants_share_it(run: Run) -> None:
    assert run("-m", "quorate", "limit", "create", "weather-api", "--rate", "40/s").returncode == 0
    assert run("-m", "quorate", "queue", "create", "weather").returncode == 0
    # In one second at most the rate, the burst of 0.1 s, and one call of each of the 4 slots: that
    # none is refused does not depend on how fast this machine is.
    api = Api(per_second=48)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    script = CHECKOUT / "examples" / "rate_limited_api" / "forecasts.py"
    calls = {"big": 45, "small": 8, "tiny": 8}
    words = [word for tenant, count in calls.items() for word in ("--calls", f"{tenant}={count}")]
    try:
        done = run(script, f"http://127.0.0.1:{api.server_port}", *words)
    finally:
        api.shutdown()
        api.server_close()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "answers with status 429: 0" in done.stdout
    assert "of the first 24" in done.stdout
    order = api.tenants
    assert len(order) == sum(calls.values())
    # In the order of submission none of the others would be among the first 45.
    assert sum(tenant != "big" for tenant in order[:45]) >= 8, order


def test_an_api_refuses_what_is_above_its_rate() -> None:
    with Api(per_second=2) as api:
        assert [api.accepts("a") for _ in range(4)] == [True, True, False, False]
        assert api.refused == 2


@pytest.fixture(scope="module")
def web(cluster: LocalCluster) -> Iterator[httpx.Client]:
    argv = ("uvicorn", "--factory", "examples.web_back_end.backend:application", "--port", "0")
    process = subprocess.Popen(
        [sys.executable, "-m", *argv],
        cwd=CHECKOUT,
        env={**os.environ, "QUORATE_DATA_DIR": cluster.data_dir},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        ready = (re.search(r"running on (http://\S+)", line) for line in process.stderr)
        address = next(found[1] for found in ready if found)
        with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_report_is_started_followed_and_read(web: httpx.Client) -> None:
    assert "How many primes?" in web.get("/").text
    started = web.post("/reports", json={"first": 1, "last": 2_000})
    assert started.status_code == 202
    address = started.headers["Location"]
    events = web.get(f"{address}/events").text.split("\n\n")
    last = json.loads(events[-2].removeprefix("data: "))
    assert last == {
        "state": "SUCCEEDED",
        "finished": True,
        "done": 2_000,
        "total": 2_000,
        "share": 1.0,
        "primes": 303,
    }
    assert web.get(address).json() == last


def test_a_report_is_cancelled(web: httpx.Client, run: Run) -> None:
    assert run("-m", "quorate", "queue", "pause", "default").returncode == 0
    try:
        address = web.post("/reports", json={"first": 1, "last": 50}).headers["Location"]
        assert web.get(address).json()["state"] == "ACTIVE"
        assert web.delete(address).json()["state"] == "CANCELLED"
    finally:
        assert run("-m", "quorate", "queue", "resume", "default").returncode == 0


def test_a_repeated_start_is_the_same_report(web: httpx.Client) -> None:
    again = [
        web.post("/reports", json={"first": 1, "last": 3}, headers={"Idempotency-Key": "click-1"})
        for _ in range(2)
    ]
    assert again[0].json() == again[1].json()


@pytest.mark.parametrize("body", ["", "[]", '{"first": 1}', '{"first": 5, "last": 1}'])
def test_what_is_no_report_is_refused(web: httpx.Client, body: str) -> None:
    assert web.post("/reports", content=body).status_code == 400


def test_an_unknown_report_is_not_found(web: httpx.Client) -> None:
    answer = web.get(f"/reports/{'0' * 32}")
    assert answer.status_code == 404
    assert answer.json()["error"]
