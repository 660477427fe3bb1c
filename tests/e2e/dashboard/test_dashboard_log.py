"""A log of 200 MB in a browser: its end at once, its beginning, a line of it; one as a file."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.dashboard import submit
from tools.dashboard.build_ui import SOURCE
from tools.gateway_http import ask_json

LINES = 25_000_000
AXE = SOURCE / "node_modules" / "axe-core" / "axe.min.js"
VIOLATIONS = """
async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa"]})).violations
  .map(({id, nodes}) => id + ": " + nodes.map(node => node.target.join(" ")).join(", "))
"""


def wrote(cluster, script, name):
    """A task that has run this."""
    task = submit(cluster, "sh", "-c", script, name=name)
    assert ask_json(cluster, f"v1/tasks/{task}:wait")["task"]["state"] == "TASK_STATE_SUCCEEDED"
    return task


@pytest.fixture(scope="module")
def large(cluster):
    """A task that wrote it."""
    return wrote(cluster, f"seq {LINES}; echo last words >&2", "large")


def test_the_end_the_beginning_and_a_line_of_a_large_log_are_reachable(open_page, large):
    look = open_page(f"tasks/{large}")
    page = look.page
    log = page.get_by_role("log")
    lines = log.locator(".line")
    expect(lines.last).to_have_text("last words")
    expect(lines.nth(999)).to_have_text("25000000")
    expect(lines).to_have_count(1_001)
    note = page.locator(".log-cut").first
    expect(note).to_contain_text("24,999,000 earlier lines are not shown.")
    look.button("Load earlier lines").click()
    expect(lines).to_have_count(2_001)
    expect(lines.first).to_have_text("24998001")
    expect(note).to_contain_text("24,998,000 earlier lines")
    look.button("Show the beginning").click()
    expect(lines.first).to_have_text("1")
    expect(lines).to_have_count(1_001)
    expect(note).to_contain_text("This is a part of the log.")
    look.button("Show the end").click()
    expect(lines.nth(999)).to_have_text("25000000")

    look.button("Search in the log").click()
    page.get_by_label("Text to look for in the log").fill("17654321")
    page.keyboard.press("Enter")
    matches = page.locator(".log-search .matches li")
    expect(matches).to_have_count(1)
    expect(page.locator(".log-search [role=status]")).to_have_text(
        re.compile(r"1 line with this text in \d+ MiB\.")
    )
    matches.get_by_role("button").click()
    expect(lines.first).to_have_text("17654221")
    expect(lines.nth(100)).to_have_text("17654321")
    page.get_by_label("Text to look for in the log").fill("no such line")
    page.keyboard.press("Enter")
    expect(page.locator(".log-search [role=status]")).to_contain_text("No line with this text")
    page.evaluate(AXE.read_text())
    assert page.evaluate(VIOLATIONS) == []


def test_a_log_is_downloaded_whole(open_page, cluster):
    task = wrote(cluster, "seq 200000; echo end >&2", "saved")
    look = open_page(f"tasks/{task}")
    expect(look.page.get_by_role("log").locator(".line").last).to_have_text("end")
    with look.page.expect_download() as saving:
        look.button("Download the log").click()
    assert saving.value.suggested_filename == f"{task}.1.log"
    text = saving.value.path().read_text()
    assert sorted(text.split()) == sorted([*map(str, range(1, 200_001)), "end"])
