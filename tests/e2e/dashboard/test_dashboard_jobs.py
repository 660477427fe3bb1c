"""Jobs in the dashboard: the list, one job with its strip and errors, and what can be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look
from tools.dashboard.build_ui import SOURCE
from tools.gateway_http import ask_json

OpenPage = Callable[..., Look]
AXE = SOURCE / "node_modules" / "axe-core" / "axe.min.js"
RUN_AXE = """
async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa"]})).violations
  .flatMap(({id, nodes}) => nodes.map(node => `${id}: ${node.html} ${node.failureSummary}`))
"""


def array(cluster: LocalCluster, template: dict[str, Any], count: int, **spec: Any) -> str:
    body = {"spec": {"template": template, "count": str(count), **spec}}
    return str(ask_json(cluster, "v1/queues/default/jobs", body)["job"]["id"])


def remove(cluster: LocalCluster, job: str) -> None:
    ask_json(cluster, f"v1/jobs/{job}:wait?timeout=20s")
    ask_json(cluster, f"v1/jobs/{job}", method="DELETE")


@pytest.fixture
def failed(cluster: LocalCluster):
    """Of 300 subtasks one failed: the logarithm of 0."""
    python = {"entrypoint": "math:log", "json": json.dumps({"args": [], "kwargs": {}})}
    job = array(cluster, {"python": python, "name": "logarithms"}, 300, name="logarithms")
    ask_json(cluster, f"v1/jobs/{job}:wait?timeout=20s")
    yield job
    remove(cluster, job)


def test_a_job_is_found_and_shows_what_failed(look: Look, failed: str) -> None:
    look.settled()
    look.page.keyboard.press("g")
    look.page.keyboard.press("b")
    expect(look.page.get_by_role("heading", name="Jobs", level=1)).to_be_visible()
    row = look.card(failed)
    expect(row).to_contain_text("300 of 300")
    expect(row.locator('[data-label="State"]')).to_have_text("failed")
    expect(row.locator('[data-label="Failed"]')).to_have_text("1")
    look.page.get_by_role("link", name="logarithms").click()
    expect(look.page.get_by_role("heading", name="logarithms", level=1)).to_be_visible()
    strip = look.page.get_by_role("img", name="Subtasks by index: 299 succeeded, 1 failed")
    expect(strip.locator("i")).to_have_count(200)
    expect(strip.locator("i.has-failed")).to_have_count(1)
    expect(strip.locator("i.has-failed")).to_have_attribute("title", "0: 1 failed")
    error = look.page.get_by_role("table", name="Errors")
    expect(error).to_contain_text("ValueError")
    expect(look.page.locator(".facts").first).to_contain_text("300, indexes 0 to 299")
    look.page.evaluate(AXE.read_text())
    assert look.page.evaluate(RUN_AXE) == []
    look.go("jobs")
    expect(look.page.get_by_role("heading", name="Jobs", level=1)).to_be_visible()
    look.page.mouse.move(0, 0)
    assert look.page.evaluate(RUN_AXE) == []


def test_a_subtask_has_a_page_with_its_output_and_why_it_ended(
    open_page: OpenPage, cluster: LocalCluster
) -> None:
    script = "echo this is {index}; test {index} != 3"
    job = array(cluster, {"command": {"argv": ["sh", "-c", script]}, "name": "rows"}, 5)
    ask_json(cluster, f"v1/jobs/{job}:wait?timeout=20s")
    look = open_page(f"jobs/{job}")
    look.page.get_by_role("table", name="Errors").get_by_role("link", name="3").click()
    expect(look.page.locator(".title .badge")).to_have_text("failed")
    expect(look.page.locator(".log")).to_contain_text("this is 3")
    expect(look.page.locator(".log")).not_to_contain_text("this is 2")
    look.page.get_by_role("link", name="Job", exact=True).click()
    look.page.get_by_role("spinbutton", name="Subtask").fill("4")
    look.button("Open").click()
    expect(look.page.locator(".title .badge")).to_have_text("succeeded")
    expect(look.page.locator(".log")).to_contain_text("this is 4")
    remove(cluster, job)


def test_one_subtask_is_cancelled_and_retried(
    open_page: OpenPage, cluster: LocalCluster, tmp_path: Path
) -> None:
    mended = tmp_path / "mended"
    script = f"test -e {mended} || test {{index}} != 3 || sleep 600"
    job = array(cluster, {"command": {"argv": ["sh", "-c", script]}, "name": "rows"}, 5)
    look = open_page(f"tasks/{job}.3")
    badge = look.page.locator(".title .badge")
    look.button("Cancel").click()
    look.told("Subtask 3 is being ended.")
    expect(badge).to_have_text("cancelled")
    look.page.get_by_role("link", name="Job", exact=True).click()
    expect(badge).to_have_text("failed")
    expect(look.page.locator(".error-line")).to_have_text("1 subtask cancelled by a caller")
    mended.touch()
    look.page.get_by_role("spinbutton", name="Subtask").fill("3")
    look.button("Retry this subtask").click()
    look.told("Subtask 3 is tried again.")
    expect(badge).to_have_text("succeeded")
    look.page.get_by_role("spinbutton", name="Subtask").fill("3")
    look.button("Cancel this subtask").click()
    look.told("already SUCCEEDED")
    remove(cluster, job)


def test_a_job_is_paused_resumed_cancelled_retried_and_deleted(
    open_page: OpenPage, cluster: LocalCluster
) -> None:
    template = {"command": {"argv": ["sh", "-c", "sleep 0.2; test -e /no/such"]}, "name": "slow"}
    job = array(cluster, template, 5_000, name="slow", maxParallel="2")
    look = open_page(f"jobs/{job}")
    expect(look.page.get_by_role("heading", name="slow", level=1)).to_be_visible()
    badge = look.page.locator(".title .badge")
    look.button("Change").click()
    look.page.get_by_label("Name").fill("slower")
    look.page.get_by_label("At once").fill("1")
    look.page.get_by_role("dialog").get_by_role("button", name="Change").click()
    look.told("slow was changed.")
    expect(look.page.get_by_role("heading", name="slower", level=1)).to_be_visible()
    assert ask_json(cluster, f"v1/jobs/{job}")["job"]["spec"]["maxParallel"] == "1"
    look.button("Change").click()
    look.page.get_by_label("Name").fill("slow")
    look.page.get_by_role("dialog").get_by_role("button", name="Change").click()
    look.told("slower was changed.")
    look.button("Pause").click()
    look.told("slow is paused: nothing new starts.")
    expect(badge).to_have_text("paused")
    look.button("Resume").click()
    look.told("slow goes on.")
    expect(badge).to_have_text("active")
    expect(look.page.get_by_role("table", name="Errors")).to_contain_text("EXIT_CODE")
    look.button("Cancel").click()
    expect(look.dialog()).to_contain_text("that are not finished are cancelled")
    look.dialog().get_by_role("button", name="Cancel job").click()
    look.told("slow is being cancelled.")
    expect(badge).to_have_text("cancelled")
    look.button("Retry").click()
    look.told("What failed of slow runs again.")
    expect(badge).to_have_text("active")
    look.go("jobs?state=active")
    look.button("Cancel slow").click()
    look.dialog().get_by_role("button", name="Cancel job").click()
    expect(look.card(job)).to_have_count(0)
    look.page.get_by_role("group", name="State").get_by_role("button", name="Cancelled").click()
    look.button("Delete slow").click()
    look.dialog().get_by_role("button", name="Delete").click()
    look.told("slow was deleted.")
    expect(look.card(job)).to_have_count(0)


def test_a_job_that_there_is_not(open_page: OpenPage) -> None:
    look = open_page("jobs/0badc0de0badc0de0badc0de0badc0de")
    expect(look.page.locator(".empty")).to_contain_text("There is no such job")


def test_on_a_phone_nothing_is_cut_off(open_page: OpenPage, failed: str) -> None:
    look = open_page("jobs", viewport={"width": 390, "height": 844}, has_touch=True)
    for view in ("jobs", f"jobs/{failed}"):
        look.go(view)
        expect(look.page.get_by_text("logarithms").first).to_be_visible()
        assert look.page.evaluate("document.documentElement.scrollWidth") <= 390, view


def test_a_job_shows_the_levels_of_its_reduce(open_page: OpenPage, cluster: LocalCluster) -> None:
    def python(name: str) -> dict[str, Any]:
        return {"python": {"entrypoint": name, "json": json.dumps({"args": [], "kwargs": {}})}}

    reduce = {"template": python("builtins:sum"), "fanIn": "4"}
    job = array(cluster, python("builtins:abs"), 10, name="sums", reduce=reduce)
    ask_json(cluster, f"v1/jobs/{job}:wait?timeout=20s")
    look = open_page(f"jobs/{job}")
    levels = look.page.get_by_role("table", name="Levels")
    expect(levels.get_by_role("row")).to_have_count(3)
    expect(levels).to_contain_text("3 of 3")
    expect(look.page.get_by_label("Result", exact=True)).to_have_text("45")
    look.page.mouse.move(0, 0)
    look.page.evaluate(AXE.read_text())
    assert look.page.evaluate(RUN_AXE) == []
    levels.get_by_role("link", name="1 of 2").click()
    expect(look.page.locator(".subtitle")).to_contain_text("part of another job")
    expect(look.page.get_by_role("button", name="Delete")).to_have_count(0)
    look.page.get_by_role("link", name="another job").click()
    expect(levels).to_be_visible()
    remove(cluster, job)
