"""A report on one day's sales: the program that the schedule runs.

    QUORATE_SCHEDULED_TIME=2026-11-30T01:30:00Z python report.py DATA REPORTS

Reads `DATA/<day>.csv` (lines of `product,amount`) of the day before the nominal instant, and writes
`REPORTS/<day>.json`. The day follows from the nominal instant, not from the clock: a run that is
late, or a backfill, reports the right day. Running it twice gives the same file.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import sys
from collections import Counter
from pathlib import Path


def day_before(scheduled: str) -> dt.date:
    """The day that a run for this instant reports."""
    return (dt.datetime.fromisoformat(scheduled) - dt.timedelta(days=1)).date()


def report(data: Path, day: dt.date) -> dict[str, object]:
    """What was sold on a day; nothing when there is no file of it."""
    sold: Counter[str] = Counter()
    file = data / f"{day}.csv"
    if file.exists():
        with file.open(newline="") as lines:
            for product, amount in csv.reader(lines):
                sold[product] += int(amount)
    return {"day": str(day), "total": sold.total(), "products": dict(sold.most_common())}


def main(data: str, reports: str) -> None:
    """Write the report of the day before the scheduled time."""
    day = day_before(os.environ["QUORATE_SCHEDULED_TIME"])
    made = report(Path(data), day)
    target = Path(reports) / f"{day}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: an attempt may be cut off, and is then repeated.
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(made, indent=2) + "\n")
    part.replace(target)
    print(f"{target}: {made['total']} sold")


if __name__ == "__main__":
    main(*sys.argv[1:])
