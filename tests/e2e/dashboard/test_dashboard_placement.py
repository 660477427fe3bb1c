"""Placement in the dashboard: rules of a task, taints of a node, pauses of tasks that match."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look
from tools.gateway_http import ask_json

OpenPage = Callable[..., Look]


def test_a_node_gets_a_taint_and_loses_it(open_page: OpenPage, cluster: LocalCluster) -> None:
    name = ask_json(cluster, "v1/nodes")["nodes"][0]["name"]
    look = open_page(f"nodes/{name}")
    look.settled()
    look.button(f"Add a taint to {name}").click()
    look.dialog().get_by_label("Taint").fill("a b")
    look.dialog().get_by_role("button", name="Add taint").click()
    expect(look.dialog()).to_contain_text("is not KEY or KEY=VALUE")
    look.dialog().get_by_label("Taint").fill("dedicated=ml")
    look.dialog().get_by_role("button", name="Add taint").click()
    remove = look.button(f"Remove the taint dedicated=ml from {name}")
    expect(remove).to_be_visible()
    spec = {
        "command": {"argv": ["true"]},
        "placement": {"nodes": [{"label": "node", "values": [name]}]},
    }
    task = ask_json(cluster, "v1/queues/default/tasks", {"spec": spec})["task"]["id"]
    why = ask_json(cluster, f"v1/tasks/{task}:explain")["explanation"]
    assert {one["node"]: one["filter"] for one in why["nodes"]}[name] == "NODE_FILTER_TAINT"
    remove.click()
    expect(remove).to_have_count(0)
    look = open_page(f"tasks/{task}")
    expect(look.page.get_by_text(f"node = {name}")).to_be_visible()


def test_tasks_are_paused_by_a_label_and_go_on(open_page: OpenPage, cluster: LocalCluster) -> None:
    look = open_page("queues")
    look.settled()
    look.button("Pause tasks").click()
    look.dialog().get_by_label("Name").fill("outage")
    look.dialog().get_by_label("Labels").fill("app=billing")
    look.dialog().get_by_label("Reason").fill("vendor is down")
    look.dialog().get_by_role("button", name="Pause tasks").click()
    expect(look.card("outage")).to_contain_text("vendor is down")
    spec = {"command": {"argv": ["true"]}, "labels": {"app": "billing"}}
    task = ask_json(cluster, "v1/queues/default/tasks", {"spec": spec})["task"]["id"]
    why = ask_json(cluster, f"v1/tasks/{task}:explain")["explanation"]
    assert why["sentence"].startswith("waits until pause 'outage'"), why
    look.button("End outage").click()
    expect(look.card("outage")).to_have_count(0)
    ask_json(cluster, f"v1/tasks/{task}:wait")
