"""The alert rules by themselves: promtool's opinion, their own tests, and their documentation."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tools.promtool import find_promtool

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "k8s" / "observability"
DOCS = ROOT / "docs" / "observability.md"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yaml"),
        ("test", "rules", "alerts-test.yaml"),
        ("test", "rules", "alerts-test-days.yaml"),
        ("test", "rules", "alerts-test-rates.yaml"),
    ],
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    promtool = find_promtool()
    done = subprocess.run(
        [promtool, *arguments],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_to_do_and_no_other_is_documented() -> None:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    documented = re.findall(r"^\| `(Quorate\w+)` \|", DOCS.read_text(), re.MULTILINE)
    assert sorted(rule["alert"] for rule in rules) == sorted(documented)
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}


def test_every_runbook_is_a_section_of_a_page_that_exists() -> None:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 25
    for rule in rules:
        url = rule["annotations"]["runbook_url"]
        page, _, section = url.removeprefix("https://docs.example.com/quorate/").partition("#")
        text = (ROOT / "docs" / page.replace(".html", ".md")).read_text()
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        # As Markdown makes an anchor of a heading of one word.
        assert section in {heading.lower() for heading in headings}, url
        assert section == rule["alert"].lower()


def test_every_alert_is_of_one_cluster() -> None:
    """Each expression has the label `cluster` left, or adds nothing up that would lose it."""
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        for added in re.findall(r"\b(?:sum|max|min|count|group)\b([^(]*\()", rule["expr"]):
            assert added.lstrip().startswith("by (") or added.startswith(" by"), rule["alert"]
        for labels in re.findall(r"\bby \(([^)]*)\)", rule["expr"]):
            assert "cluster" in labels.split(", "), rule["alert"]
