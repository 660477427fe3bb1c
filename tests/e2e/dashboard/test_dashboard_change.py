"""A task that waits is changed in the dashboard: priority, labels, start."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look, submit
from tools.gateway_http import ask_json


def test_a_waiting_task_is_changed(open_page: Callable[..., Look], cluster: LocalCluster) -> None:
    ask_json(cluster, "v1/queues", {"queue": {"name": "changed"}})
    ask_json(cluster, "v1/queues/changed:pause", {})
    task = submit(cluster, "true", queue="changed", name="waits", labels={"team": "mail"})
    look = open_page(f"tasks/{task}")
    look.settled()
    look.button("Change").click()
    dialog = look.dialog()
    expect(dialog.get_by_label("Labels")).to_have_value("team=mail")
    dialog.get_by_label("Priority").fill("7")
    dialog.get_by_label("Start in").fill("1h")
    dialog.get_by_label("Labels").fill("team=web")
    dialog.get_by_role("button", name="Change", exact=True).click()
    look.told("waits was changed.")
    expect(look.page.locator("dd").filter(has_text="teamweb")).to_be_visible()
    found = ask_json(cluster, f"v1/tasks/{task}")["task"]
    assert found["state"] == "TASK_STATE_SCHEDULED"
    assert (found["spec"]["priority"], found["spec"]["labels"]) == (7, {"team": "web"})

    look.button("Change").click()
    dialog.get_by_text("Placement").click()
    dialog.get_by_label("Only on nodes with").fill("disk in ssd,nvme\n!gpu")
    dialog.get_by_label("Tolerates taints").fill("dedicated=ml")
    dialog.get_by_role("button", name="Change", exact=True).click()
    expect(look.page.locator("dd").filter(has_text="disk in ssd,nvme, !gpu")).to_be_visible()
    rules = ask_json(cluster, f"v1/tasks/{task}")["task"]["spec"]["placement"]
    assert [rule["label"] for rule in rules["nodes"]] == ["disk", "gpu"]
    assert rules["tolerations"] == [{"key": "dedicated", "value": "ml"}]

    ask_json(cluster, "v1/queues", {"queue": {"name": "elsewhere"}})
    ask_json(cluster, "v1/queues/elsewhere:pause", {})
    look.button("Change").click()
    dialog.get_by_label("Queue").select_option("elsewhere")
    dialog.get_by_label("May start now").check()
    dialog.get_by_role("button", name="Change", exact=True).click()
    expect(look.page.locator(".title .badge")).to_contain_text("pending")
    expect(look.page.locator(".subtitle")).to_contain_text("elsewhere")
    assert ask_json(cluster, f"v1/tasks/{task}")["task"]["queue"] == "elsewhere"
    ask_json(cluster, f"v1/tasks/{task}:cancel", {})
