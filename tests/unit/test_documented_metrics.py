"""Documented metrics against scraped ones: what is missing is named, and fails the demo."""

from __future__ import annotations

import pytest

from examples.demo import Findings, Outage, verdict
from tools.docs.documented_metrics import EVERYWHERE, Scrape, documented, missing

TABLES = """
### Scheduler
| `quorate_leader` | gauge | | leads |
| `quorate_submit_seconds` | histogram | | time |
### Node agent
| `quorate_agent_slots` | gauge | | slots |
### Gateway
| `quorate_proxy_retries_total` | counter | service | tries |
### Every process
| `quorate_build_info` | gauge | component | 1 |
"""
INFO = 'quorate_build_info{component="x"} 1\n'
LEADER = Scrape(
    f"{INFO}# TYPE quorate_submit_seconds histogram\n"
    'quorate_leader 1\nquorate_submit_seconds_bucket{le="+Inf"} 2\n'
    "quorate_submit_seconds_count 2\nquorate_submit_seconds_sum 1\n"
)
STANDBY = Scrape(f"{INFO}quorate_leader 0\n")
NODE = Scrape(f"{INFO}quorate_agent_slots 2\n")
GATEWAY = Scrape(f'{INFO}quorate_proxy_retries_total{{service="a"}} 0\n')
COMPLETE = {"scheduler": [STANDBY, LEADER], "node": [NODE], "gateway": [GATEWAY]}


def test_what_one_process_of_a_role_tells_is_there() -> None:
    assert missing(documented(TABLES), COMPLETE) == []


@pytest.mark.parametrize(
    ("changed", "lacking"),
    [
        ({"scheduler": [STANDBY]}, ["scheduler: quorate_submit_seconds"]),
        # A metric that is declared but has no series yet is not there.
        (
            {"gateway": [Scrape(f"{INFO}# TYPE quorate_proxy_retries_total counter\n")]},
            ["gateway: quorate_proxy_retries_total"],
        ),
        # What every process has, the others of its role do not excuse.
        (
            {"scheduler": [LEADER, Scrape("quorate_leader 0\n")]},
            ["scheduler: quorate_build_info"],
        ),
        ({"node": []}, ["node: quorate_agent_slots"]),
    ],
)
def test_what_is_missing_is_named(changed: dict[str, list[Scrape]], lacking: list[str]) -> None:
    assert missing(documented(TABLES), COMPLETE | changed) == lacking


def test_a_document_without_a_table_of_each_role_is_an_error() -> None:
    with pytest.raises(ValueError, match="Node agent"):
        documented(TABLES.replace("### Gateway", "### Gateways"))


def test_the_document_of_the_checkout_has_its_tables() -> None:
    promised = documented()
    assert "quorate_build_info" in promised[EVERYWHERE]
    assert sum(map(len, promised.values())) > 60


@pytest.mark.parametrize(("lacking", "code"), [([], 0), (["node: quorate_agent_slots"], 1)])
def test_the_demo_fails_when_a_metric_is_missing(
    lacking: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = Findings(outage=Outage(1, 2), metrics=60, metrics_missing=lacking)
    assert verdict(findings) == code
    assert all(metric in capsys.readouterr().out for metric in lacking)
