"""The metrics that docs/observability.md promises, and whether running processes keep the promise.

    documented()   the document's tables: which metrics a scheduler, a node agent, a gateway has
    Scrape         what one process's `/metrics` says now
    missing(...)   what is promised and was not seen

The demo and the tests of a cluster at work look through this one pair of eyes. No state. A document
without its tables, or a port that does not answer, raises: neither is a promise kept.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

DOCS = Path(__file__).resolve().parents[2] / "docs" / "observability.md"
EVERYWHERE = "every process"
# Headings of the document, and the roles of `cluster.json`.
ROLES = {
    "Scheduler": "scheduler",
    "Node agent": "node",
    "Gateway": "gateway",
    "Every process": EVERYWHERE,
}
_ROW = re.compile(r"\| `(quorate_[a-z0-9_]+)` \|")
# In a row: of such a metric the family is promised, and its series once there is something to show.
_NO_SERIES_YET = "no series until"
_TYPE = re.compile(r"^# TYPE (\S+) ", re.MULTILINE)
_TIMEOUT = 10.0


def documented(text: str | None = None) -> dict[str, frozenset[str]]:
    """The metrics of each role, and those of `EVERYWHERE`.

    Args:
        text: of the document; None: as it is in the checkout.

    Raises:
        ValueError: the document does not have one table for each role.
    """
    found: dict[str, set[str]] = {}
    heading = ""
    for line in (DOCS.read_text() if text is None else text).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif match := _ROW.match(line):
            found.setdefault(heading, set()).add(match[1])
    if found.keys() != ROLES.keys():
        raise ValueError(f"tables of metrics below {sorted(found)}, not {sorted(ROLES)}")
    return {ROLES[heading]: frozenset(metrics) for heading, metrics in found.items()}


class Scrape:
    """One process's metrics, parsed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]
        self.names = {sample.name for sample in self.samples}
        self.families = set(_TYPE.findall(text))

    @classmethod
    def of(cls, health: str) -> Scrape:
        """Ask a process at its health port, `host:port`. Raises OSError when it does not answer."""
        url = f"http://{health}/metrics"
        with closing(urllib.request.urlopen(url, timeout=_TIMEOUT)) as answer:
            return cls(answer.read().decode())

    def value(self, name: str, **labels: str) -> float:
        """The sum of a metric's series with these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def has(self, metric: str) -> bool:
        """Whether a documented metric shows up; a histogram does by its parts."""
        return metric in self.names or {f"{metric}_bucket", f"{metric}_count"} <= self.names


def without_series() -> frozenset[str]:
    """The documented metrics that have no series until somebody sets what they show."""
    lines = DOCS.read_text().splitlines()
    rows = [match[1] for line in lines if _NO_SERIES_YET in line and (match := _ROW.match(line))]
    return frozenset(rows)


def missing(
    promised: Mapping[str, frozenset[str]], scrapes: Mapping[str, Sequence[Scrape]]
) -> list[str]:
    """`role: metric` of each promised metric that no process of its role shows, sorted.

    One process of a role is enough, since only the leader tells of queues and etcd; what every
    process has, each has to show.
    """
    may_be_empty = without_series()
    lacking = [
        f"{role}: {metric}"
        for role, metrics in promised.items()
        if role != EVERYWHERE
        for metric in metrics
        if not any(
            scrape.has(metric) or (metric in may_be_empty and metric in scrape.families)
            for scrape in scrapes.get(role, ())
        )
    ]
    lacking += {
        f"{role}: {metric}"
        for role, found in scrapes.items()
        for metric in promised[EVERYWHERE]
        if not all(
            scrape.has(metric) or (metric in may_be_empty and metric in scrape.families)
            for scrape in found
        )
    }
    return sorted(lacking)
