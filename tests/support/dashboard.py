"""What the dashboard's browser tests say often."""

from __future__ import annotations

import json
import re
import urllib.error
from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

from quorate.client.transport.discovery import LocalCluster
from tests.support import forked
from tools.gateway_http import ask, ask_json


class Look:
    """A page that shows the dashboard of a cluster, and what went wrong with it."""

    def __init__(self, page: Page, cluster: LocalCluster, address: str) -> None:
        self.page = page
        self.cluster = cluster
        self.address = address
        self.faults: list[str] = []
        self.outages_expected = False
        """The gateway or the leader is killed: failed requests are no fault."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._on_request)

    def go(self, view: str) -> None:
        """To a view, as a link does."""
        self.page.evaluate("hash => { location.hash = hash }", f"#/{view}")

    def button(self, name: str) -> Locator:
        """By its exact name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def dialog(self) -> Locator:
        """The open one."""
        return self.page.get_by_role("dialog")

    def field(self, label: str) -> Locator:
        """Of the open dialog, with what is wrong with it."""
        # Of a select, the label's text goes on with that of its options.
        labelled = self.page.get_by_label(re.compile(f"^{re.escape(label)}"))
        return self.dialog().locator(".field").filter(has=labelled)

    def row(self, name: str) -> Locator:
        """Of the list of tasks, by the task's name."""
        link = self.page.get_by_role("link", name=name, exact=True)
        return self.page.locator(".task-row").filter(has=link)

    def card(self, name: str) -> Locator:
        """Of a table, by what it is about."""
        return self.page.locator(f'tbody[data-name="{name}"]')

    def told(self, text: str) -> None:
        """A message in the corner says so."""
        expect(self.page.locator(".toast").filter(has_text=text)).to_be_visible()

    def settled(self) -> None:
        """Connected, with a leader."""
        expect(self.page.get_by_test_id("status")).to_contain_text("leads")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        # The browser reports each answer of failure, also those that the page makes a sentence of.
        answered = message.text.startswith("Failed to load resource")
        if not answered and not self.outages_expected:
            self.faults.append(message.text)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.address, "blob:")):
            self.faults.append(f"asked {request.url}")


def status_of(cluster: LocalCluster, path: str) -> int:
    """The HTTP status of a GET."""
    try:
        with ask(cluster, path) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def submit(cluster: LocalCluster, *argv: str, queue: str = "default", **spec: Any) -> str:
    """A command's task; its id."""
    body = {"spec": {"command": {"argv": argv}, **spec}}
    return str(ask_json(cluster, f"v1/queues/{queue}/tasks", body)["task"]["id"])


def python(
    cluster: LocalCluster, entrypoint: str, arguments: Any, *, queue: str = "default", **spec: Any
) -> str:
    """A function's task; its id."""
    work = {"entrypoint": entrypoint, "json": json.dumps(arguments)}
    body = {"spec": {"python": work, **spec}}
    return str(ask_json(cluster, f"v1/queues/{queue}/tasks", body)["task"]["id"])


def quorate(cluster: LocalCluster, *arguments: str) -> str:
    """A command line on the cluster; what it printed."""
    command, *rest = arguments
    done = forked.run("quorate", command, "--data-dir", cluster.data_dir, *rest, NO_COLOR="1")
    assert done.code == 0, done
    return done.out.strip()
