"""Exchanges in the dashboard: their bindings as a table and a drawing, and messages for a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look
from tools.gateway_http import ask_json

OpenPage = Callable[..., Look]


@pytest.fixture
def shelves(cluster: LocalCluster) -> Iterator[None]:
    """Two message queues without bindings; exchanges that a test made are deleted."""
    for name in ("shelf-a", "shelf-b"):
        body = {"messageQueue": {"name": name, "spec": {"type": "MESSAGE_QUEUE_TYPE_QUEUE"}}}
        ask_json(cluster, "v1/messageQueues", body)
    yield
    for name in ("shelf-a", "shelf-b"):
        ask_json(cluster, f"v1/messageQueues/{name}", method="DELETE")
    for one in ask_json(cluster, "v1/exchanges?pageSize=1000")["exchanges"]:
        if one["name"].startswith("drawn"):
            ask_json(cluster, f"v1/exchanges/{one['name']}", method="DELETE")


def bind(look: Look, kind: str, name: str, key: str = "") -> None:
    look.button("Bind").click()
    look.dialog().locator("[name=to]").select_option(kind)
    look.dialog().get_by_label("Name").fill(name)
    look.dialog().get_by_label("Routing key").fill(key)
    look.dialog().get_by_role("button", name="Bind").click()


def send(look: Look, key: str) -> None:
    look.button("Publish message").click()
    look.dialog().get_by_label("Routing key").fill(key)
    look.dialog().get_by_label("Body").fill("hello")
    look.dialog().get_by_role("button", name="Publish message").click()


def test_an_exchange_is_created_bound_drawn_tried_and_deleted(
    open_page: OpenPage, cluster: LocalCluster, shelves: None
) -> None:
    ask_json(cluster, "v1/exchanges", {"exchange": {"name": "drawn-all", "type": 2}})
    look = open_page("messages")
    look.button("Exchanges").click()
    expect(look.card("amq.direct")).to_contain_text("predeclared")
    expect(look.card("amq.direct").get_by_role("button")).to_have_count(0)
    look.button("Create exchange").click()
    look.dialog().get_by_label("Name").fill("drawn")
    look.dialog().get_by_label("Type").select_option("topic")
    look.dialog().get_by_label("Alternate exchange").fill("drawn-all")
    look.dialog().get_by_role("button", name="Create exchange").click()
    expect(look.page.get_by_role("heading", name="drawn", level=1)).to_be_visible()
    expect(look.page.get_by_text("Nothing is bound to it")).to_be_visible()

    bind(look, "a message queue or stream", "nowhere", "order.*")
    expect(look.field("Name")).to_contain_text("'nowhere' does not exist")
    look.page.keyboard.press("Escape")
    bind(look, "a message queue or stream", "shelf-a", "order.*")
    look.told("shelf-a was bound to drawn.")
    bind(look, "an exchange", "drawn-all", "order.#")
    drawing = look.page.get_by_role("group", name="Where messages of drawn go")
    expect(
        drawing.get_by_role("link", name="shelf-a, message queue, from drawn: order.*")
    ).to_be_visible()
    expect(drawing.get_by_role("link", name="drawn-all, exchange, from drawn")).to_be_visible()
    expect(drawing.locator("path.line")).to_have_count(3)
    expect(drawing.locator("path.line.dashed")).to_have_count(1)
    # What is bound to an exchange behind it is drawn, too.
    binding = {"source": "drawn-all", "messageQueue": "shelf-b"}
    ask_json(cluster, "v1/bindings", {"binding": binding})
    expect(
        drawing.get_by_role("link", name="shelf-b, message queue, from drawn-all")
    ).to_be_visible()
    table = look.page.get_by_role("table", name="Bindings")
    expect(table.locator("tbody")).to_have_count(2)

    send(look, "order.new")
    expect(look.page.get_by_text("durable in 2 message queues: shelf-a, shelf-b")).to_be_visible()
    ask_json(cluster, "v1/bindings:delete", {"binding": binding})
    send(look, "parcel.new")
    expect(look.dialog().get_by_role("alert")).to_contain_text("The message is unroutable")
    expect(look.dialog().get_by_label("Routing key")).to_have_value("parcel.new")
    look.page.keyboard.press("Escape")

    look.page.get_by_role("link", name="drawn-all, exchange, from drawn").click()
    sources = look.page.get_by_role("table", name="Bound to other exchanges")
    expect(sources).to_contain_text("order.#")
    sources.get_by_role("link", name="drawn", exact=True).click()
    table.get_by_role("button", name="Unbind shelf-a").click()
    expect(look.dialog()).to_contain_text("with the routing key order.*")
    look.dialog().get_by_role("button", name="Unbind").click()
    look.told("shelf-a was unbound from drawn.")
    expect(table.locator("tbody")).to_have_count(1)

    look.button("Delete").click()
    expect(look.dialog()).to_contain_text("1 binding will be deleted, too")
    look.dialog().get_by_role("button", name="Delete exchange").click()
    look.told("The exchange drawn was deleted.")
    expect(look.card("drawn-all").locator('[data-label="Bindings"]')).to_have_text("0")
    expect(look.card("drawn")).to_have_count(0)


def test_what_is_too_large_to_draw_is_a_table(
    open_page: OpenPage, cluster: LocalCluster, shelves: None
) -> None:
    ask_json(cluster, "v1/exchanges", {"exchange": {"name": "drawn-large", "type": 1}})
    for key in range(61):
        binding = {"source": "drawn-large", "messageQueue": "shelf-a", "routingKey": f"k{key}"}
        ask_json(cluster, "v1/bindings", {"binding": binding})
    look = open_page("messages/exchanges%2Fdrawn-large")
    expect(look.page.get_by_text("Too large to draw")).to_be_visible()
    expect(look.page.get_by_role("table", name="Bindings").locator("tbody")).to_have_count(61)
    look.go("messages/queues%2Fshelf-a")
    expect(look.page.get_by_role("table", name="Bindings").locator("tbody")).to_have_count(61)


def test_a_task_queue_is_bound_drawn_and_says_what_messages_become(
    open_page: OpenPage, cluster: LocalCluster, shelves: None
) -> None:
    ask_json(cluster, "v1/exchanges", {"exchange": {"name": "drawn-work", "type": 3}})
    ask_json(cluster, "v1/queues", {"queue": {"name": "drawn-tasks"}})
    template = {"template": {"command": {"argv": ["sha256sum", "-"]}}}
    look = open_page("messages/exchanges/drawn-work")
    bind(look, "a task queue", "drawn-tasks", "photo.*")
    expect(look.field("Name")).to_contain_text("has no message template")
    look.page.keyboard.press("Escape")
    ask_json(cluster, "v1/queues/drawn-tasks:setMessageTemplate", template)
    bind(look, "a task queue", "drawn-tasks", "photo.*")
    look.told("drawn-tasks was bound to drawn-work.")
    drawing = look.page.get_by_role("group", name="Where messages of drawn-work go")
    box = drawing.get_by_role("link", name="drawn-tasks, task queue, from drawn-work: photo.*")
    expect(box).to_be_visible()
    send(look, "photo.cat")
    expect(look.page.get_by_text("It became a task in: drawn-tasks")).to_be_visible()
    look.go("queues")
    look.button("Messages of drawn-tasks").click()
    expect(look.dialog()).to_contain_text("sha256sum -")
    expect(look.dialog().get_by_role("table", name="Bindings")).to_contain_text("photo.*")
    look.page.keyboard.press("Escape")
    # Of another virtual host, which the address names.
    ask_json(cluster, "v1/virtualHosts", {"name": "drawn-host"})
    there = {"virtualHost": "drawn-host"}
    elsewhere = {**there, "source": "amq.fanout", "taskQueue": "drawn-tasks"}
    ask_json(cluster, "v1/bindings", {"binding": elsewhere})
    try:
        look.button("Messages of drawn-tasks").click()
        expect(look.dialog().get_by_role("table", name="Bindings")).to_contain_text("drawn-work")
        look.dialog().get_by_label("Virtual host").select_option("drawn-host")
        expect(look.dialog().get_by_role("table", name="Bindings")).to_contain_text("amq.fanout")
        look.page.reload()
        expect(look.dialog().get_by_role("table", name="Bindings")).to_contain_text("amq.fanout")
        look.page.keyboard.press("Escape")
        expect(look.dialog()).to_have_count(0)
    finally:
        ask_json(cluster, "v1/bindings:delete", {"binding": elsewhere})
        ask_json(cluster, "v1/virtualHosts/drawn-host", method="DELETE")
    ask_json(cluster, "v1/exchanges/drawn-work", method="DELETE")
    # It may run meanwhile.
    (task,) = ask_json(cluster, "v1/tasks?queue=drawn-tasks")["tasks"]
    ask_json(cluster, f"v1/tasks/{task['id']}:wait?timeout=60s")
    ask_json(cluster, f"v1/tasks/{task['id']}", method="DELETE")
    ask_json(cluster, "v1/queues/drawn-tasks", method="DELETE")
