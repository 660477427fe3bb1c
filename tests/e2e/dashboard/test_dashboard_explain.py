"""The page of a task says why it waits, and what it waits for next."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look, quorate, submit
from tools.gateway_http import ask_json


def test_why_a_task_waits(open_page: Callable[..., Look], cluster: LocalCluster) -> None:
    ask_json(cluster, "v1/queues", {"queue": {"name": "why"}})
    ask_json(cluster, "v1/queues/why:pause", {"reason": "deploy"})
    task = submit(cluster, "true", queue="why", name="waits")
    look = open_page(f"tasks/{task}")
    look.settled()
    why = look.page.get_by_test_id("explanation")
    expect(why).to_contain_text("Waits until queue 'why' is resumed")
    expect(why).to_contain_text("(deploy)")
    ask_json(cluster, "v1/queues/why:resume", {})
    expect(why).to_contain_text("Attempt 1 succeeded on node n")


def test_where_it_stands_and_what_nodes_say_are_the_words_of_the_command(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    ask_json(cluster, "v1/limits", {"limit": {"name": "why-seats", "maxRunning": "1"}})
    limits = ["why-seats"]
    first = submit(cluster, "sleep", "600", limits=limits)
    second = submit(cluster, "true", limits=limits)
    try:
        look = open_page(f"tasks/{second}")
        said = quorate(cluster, "explain", second)
        why = look.page.locator(".explain")
        for words in ("Position among the tasks ", "Apart from that, could a node take it?"):
            [line] = [one for one in said.splitlines() if one.startswith(words)]
            expect(why).to_contain_text(line)
        expect(why.get_by_label("Nodes").locator("li").first).to_contain_text("yes: ")
    finally:
        for task in (second, first):
            ask_json(cluster, f"v1/tasks/{task}:cancel", {})
