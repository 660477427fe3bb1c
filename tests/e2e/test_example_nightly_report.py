"""examples/nightly_report: deployed twice, with a backfill of two days, on a local cluster."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

from examples.nightly_report.report import day_before, report
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.fake_scheduler import wait_until
from tests.support.local import running

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "nightly_report"


def test_the_day_follows_from_the_nominal_instant(tmp_path: Path) -> None:
    assert day_before("2026-03-01T01:30:00Z") == dt.date(2026, 2, 28)
    (tmp_path / "2026-02-28.csv").write_text("tea,2\ncoffee,3\ntea,5\n")
    made = report(tmp_path, dt.date(2026, 2, 28))
    assert made == {"day": "2026-02-28", "total": 10, "products": {"tea": 7, "coffee": 3}}
    assert report(tmp_path, dt.date(2026, 3, 1))["total"] == 0


def test_it_is_deployed_and_reports_the_last_two_days(tmp_path: Path) -> None:
    data, reports = tmp_path / "data", tmp_path / "reports"
    data.mkdir()
    now = dt.datetime.now(dt.UTC)
    # Of two nights back: the ticks are at half past one.
    nights = [now - dt.timedelta(days=days) for days in (0, 1, 2)]
    days = [str((night - dt.timedelta(days=1)).date()) for night in nights]
    for day in days:
        (data / f"{day}.csv").write_text("tea,2\ncoffee,1\n")
    plan = LocalPlan(data_dir=tmp_path / "cluster", nodes=1, secure=tls.ON)
    with running(plan) as cluster:
        environment = {**os.environ, "QUORATE_DATA_DIR": cluster.data_dir}

        def deploy(*more: str) -> str:
            done = subprocess.run(
                [sys.executable, EXAMPLE / "deploy.py", data, reports, *more],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        assert "nightly-report created\nnext: " in deploy()
        said = deploy("--last", "2")
        assert "nightly-report is up to date" in said
        assert "2 reports of the past are to be made" in said
        wait_until(lambda: len(list(reports.glob("*.json"))) == 2, 30.0)
    made = [json.loads(file.read_text()) for file in sorted(reports.glob("*.json"))]
    assert all(one["total"] == 3 for one in made), made
    assert {one["day"] for one in made} <= set(days)
