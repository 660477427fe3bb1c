"""Brings the schedule `nightly-report` to the cluster, or changes it to what is said here.

    quorate up
    python examples/nightly_report/deploy.py DATA REPORTS
    python examples/nightly_report/deploy.py DATA REPORTS --last 7

It may be repeated with every deployment. `--last` also runs the reports of the last days, one
after the other (a backfill).
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path

import quorate
from quorate.errors import QuorateError

NAME = "nightly-report"
PROGRAM = Path(__file__).resolve().with_name("report.py")


def deploy(client: quorate.Client, data: Path, reports: Path) -> None:
    """Create the schedule, or change it."""
    schedules = client.options(retries=2, timeout=600).schedules
    command = [sys.executable, str(PROGRAM), str(data), str(reports)]
    when: quorate.ScheduleArgs = {
        "cron": "30 1 * * *",
        "time_zone": "UTC",
        # A report that is not ready by noon is of no use any more.
        "catch_up_window": dt.timedelta(hours=10),
        "pause_on_failure": True,
    }
    try:
        schedules.create(NAME, command, **when)
        print(f"{NAME} created")
    except QuorateError as error:
        if error.reason != "SCHEDULE_ALREADY_EXISTS":
            raise
        schedules.update(NAME, command, **when)
        print(f"{NAME} is up to date")


def main() -> None:
    """Read the command line, deploy, and say when it runs next."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("reports", type=Path)
    parser.add_argument("--last", type=int, default=0, metavar="DAYS")
    options = parser.parse_args()
    with quorate.Client() as client:
        deploy(client, options.data.absolute(), options.reports.absolute())
        schedule = client.schedules.get(NAME)
        print(f"next: {schedule.next_ticks[0].ToJsonString()}")
        if options.last:
            start = dt.datetime.now(dt.UTC) - dt.timedelta(days=options.last)
            print(f"{client.schedules.backfill(NAME, start)} reports of the past are to be made")


if __name__ == "__main__":
    main()
