"""Graphs in the dashboard: the drawing, its states as they change, the table, and actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def task(
    name: str, script: str, *after: str, on: str = "ON_SUCCESS", **more: Any
) -> dict[str, Any]:
    condition = f"DEPENDENCY_CONDITION_{on}"
    return {
        "name": name,
        "task": {"command": {"argv": ["sh", "-c", script]}},
        "dependsOn": [{"task": other, "condition": condition, **more} for other in after],
    }


def graph(cluster: LocalCluster, name: str, tasks: list[dict[str, Any]]) -> str:
    body = {"spec": {"name": name, "graph": {"tasks": tasks}}}
    return str(ask_json(cluster, "v1/queues/default/jobs", body)["job"]["id"])


def remove(cluster: LocalCluster, job: str) -> None:
    ask_json(cluster, f"v1/jobs/{job}:wait?timeout=20s")
    ask_json(cluster, f"v1/jobs/{job}", method="DELETE")


@pytest.fixture
def held(cluster: LocalCluster, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A graph whose middle waits until a file is there; then it fails."""
    gate = tmp_path / "gate"
    wait = f"until test -e {gate}; do sleep 0.05; done; test -e {gate}.good"
    job = graph(
        cluster,
        "harvest",
        [
            task("pick", "true"),
            task("press", wait, "pick"),
            task("bottle", "true", "press"),
            task("tell", "true", "press", on="ON_FAILURE"),
            task("sweep", "true", "bottle", on="ALWAYS", cleanup=True),
        ],
    )
    yield job, gate
    gate.touch()
    remove(cluster, job)


def test_a_graph_is_drawn_and_follows_its_tasks(
    open_page: OpenPage, held: tuple[str, Path]
) -> None:
    job, gate = held
    look = open_page(f"jobs/{job}")
    drawing = look.page.get_by_role("group", name="Graph of tasks")
    expect(drawing.get_by_role("link")).to_have_count(5)
    expect(drawing.get_by_role("link", name="pick, succeeded")).to_be_visible()
    expect(drawing.get_by_role("link", name="press, running, after pick")).to_be_visible()
    expect(drawing.get_by_role("link", name="bottle, blocked, waits for press")).to_be_visible()
    expect(drawing.locator("text", has_text="on failure")).to_be_visible()
    expect(drawing.locator("path.line.dashed")).to_have_count(1)
    expect(look.page.locator(".legend")).to_contain_text("blocked 3")
    expect(look.page.get_by_role("img", name="Subtasks by index")).to_have_count(0)
    look.page.evaluate(AXE.read_text())
    assert look.page.evaluate(RUN_AXE) == []
    gate.touch()
    expect(drawing.get_by_role("link", name="press, failed, after pick")).to_be_visible()
    expect(drawing.get_by_role("link", name="bottle, skipped, press is failed")).to_be_visible()
    expect(drawing.get_by_role("link", name="tell, succeeded")).to_be_visible()
    expect(look.page.locator(".title .badge")).to_have_text("failed")
    gate.with_name(f"{gate.name}.good").touch()
    look.button("Retry").click()
    look.told("What failed of harvest runs again.")
    expect(drawing.get_by_role("link", name="bottle, succeeded")).to_be_visible()
    expect(look.page.locator(".title .badge")).to_have_text("succeeded")
    # From a box to its task, and back to the job.
    drawing.get_by_role("link", name="bottle, succeeded").press("Enter")
    expect(look.page.get_by_role("heading", name="bottle", level=1)).to_be_visible()
    expect(look.button("Delete")).to_have_count(0)
    look.page.get_by_role("link", name="the graph").click()
    expect(look.page.get_by_role("heading", name="harvest", level=1)).to_be_visible()


def test_a_graph_is_paused_resumed_and_cancelled(
    open_page: OpenPage, held: tuple[str, Path]
) -> None:
    job, _ = held
    look = open_page(f"jobs/{job}")
    badge = look.page.locator(".title .badge")
    look.button("Pause").click()
    expect(badge).to_have_text("paused")
    look.button("Resume").click()
    expect(badge).to_have_text("active")
    look.button("Cancel").click()
    expect(look.dialog()).to_contain_text("tasks that are not finished are cancelled")
    look.dialog().get_by_role("button", name="Cancel job").click()
    expect(badge).to_have_text("cancelled")
    drawing = look.page.get_by_role("group", name="Graph of tasks")
    expect(drawing.get_by_role("link", name="press, cancelled")).to_be_visible()


def test_an_array_of_a_graph_is_drawn_with_what_is_done_of_it(
    open_page: OpenPage, cluster: LocalCluster, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    parts = task("parts", f"test $QUORATE_INDEX != 2 || until test -e {gate}; do sleep 0.05; done")
    checks = task("checks", "true", "parts", on="EACH")
    parts["array"] = checks["array"] = {"count": 3}
    job = graph(cluster, "arrays", [parts, checks, task("last", "true", "checks")])
    look = open_page(f"jobs/{job}")
    drawing = look.page.get_by_role("group", name="Graph of tasks")
    expect(drawing.get_by_role("link", name="parts, running, 2 of 3")).to_be_visible()
    expect(drawing.get_by_role("link", name="checks, running, 2 of 3")).to_be_visible()
    expect(drawing.locator("text", has_text="each")).to_be_visible()
    gate.touch()
    expect(drawing.get_by_role("link", name="checks, succeeded, 3 of 3")).to_be_visible()
    expect(look.page.locator(".title .badge")).to_have_text("succeeded")
    drawing.get_by_role("link", name="checks, succeeded").click()
    expect(look.page.get_by_role("heading", name="checks", level=1)).to_be_visible()
    expect(look.page.get_by_role("img", name="Subtasks by index")).to_be_visible()
    expect(look.button("Delete")).to_have_count(0)
    look.page.get_by_role("link", name="a graph").click()
    expect(look.page.get_by_role("heading", name="arrays", level=1)).to_be_visible()
    remove(cluster, job)


def test_a_large_graph_is_a_table_that_says_so(open_page: OpenPage, cluster: LocalCluster) -> None:
    tasks = [
        task(f"t{number}", "true", *([f"t{number - 1}"] if number else [])) for number in range(300)
    ]
    tasks[0]["task"]["command"]["argv"][2] = "false"
    job = graph(cluster, "long chain", tasks)
    ask_json(cluster, f"v1/jobs/{job}:wait?timeout=20s")
    look = open_page(f"jobs/{job}")
    expect(
        look.page.get_by_text("Too large to draw: 300 tasks and 299 dependencies.")
    ).to_be_visible()
    table = look.page.get_by_role("table", name="Tasks of the graph")
    expect(table.locator("tbody")).to_have_count(200)
    expect(look.page.get_by_text("and 100 more")).to_be_visible()
    expect(table.locator("tbody").first).to_contain_text("t0failed")
    states = look.page.get_by_role("group", name="State")
    states.get_by_role("button", name="failed").click()
    expect(table.locator("tbody")).to_have_count(1)
    states.get_by_role("button", name="skipped").click()
    look.page.get_by_label("Name of the task").fill("t299")
    expect(table.locator("tbody")).to_have_count(1)
    expect(table).to_contain_text("t298 is skipped")
    look.page.evaluate(AXE.read_text())
    assert look.page.evaluate(RUN_AXE) == []
    remove(cluster, job)


def test_on_a_phone_nothing_is_cut_off(open_page: OpenPage, held: tuple[str, Path]) -> None:
    job, _ = held
    look = open_page(f"jobs/{job}", viewport={"width": 360, "height": 740}, has_touch=True)
    expect(look.page.get_by_role("link", name="bottle, blocked")).to_be_attached()
    assert look.page.evaluate("document.documentElement.scrollWidth") <= 360
    look.button("Table").click()
    expect(look.page.get_by_role("table", name="Tasks of the graph")).to_be_visible()
    assert look.page.evaluate("document.documentElement.scrollWidth") <= 360
