"""What a hostile service leaves in a real browser never acts on the dashboard.

The service answers everything with headers for a whole origin, and its service worker would answer
for every page below its scope. A browser is asked: only it knows what its workers reach.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from quorate.client.transport.discovery import LocalCluster
from tests.support import tls
from tests.support.dashboard import status_of
from tests.support.fake_scheduler import wait_until
from tests.support.gateway import run_gateway
from tests.support.local import gateway_leaf
from tools.gateway_http import ask_json, token_of

NAME = "hostile"
STOLEN = "the page of a service worker"
WORKER = f"""
self.addEventListener("install", () => self.skipWaiting())
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()))
self.addEventListener("fetch", event => event.respondWith(
  new Response("{STOLEN}", {{ headers: {{ "Content-Type": "text/html" }} }})))
"""
ORIGIN_WIDE = {
    "Service-Worker-Allowed": "/",
    "Clear-Site-Data": '"storage"',
    "Alt-Svc": 'h2="127.0.0.1:9"; ma=86400; persist=1',
    "Strict-Transport-Security": "max-age=86400; includeSubDomains",
    "Origin-Agent-Cluster": "?1",
    "Accept-CH": "Sec-CH-UA-Model",
}
REGISTER = """async ([script, scope]) => {
  try {
    const options = scope ? { scope } : {}
    await navigator.serviceWorker.register(script, options)
    await navigator.serviceWorker.ready
    return "registered"
  } catch (error) { return `${error.name}: ${error.message}` }
}"""
REGISTRATIONS = "async () => (await navigator.serviceWorker.getRegistrations()).length"


class Hostile(BaseHTTPRequestHandler):
    """An instance of the service."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        script = self.path.endswith(".js")
        body = (WORKER if script else "<title>hostile</title>the service's page").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if script else "text/html")
        self.send_header("Content-Length", str(len(body)))
        for name, value in ORIGIN_WIDE.items():
            # With its script, it would end the service's own worker.
            if not (script and name == "Clear-Site-Data"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not into the test's output."""


@pytest.fixture
def hostile(cluster: LocalCluster) -> Iterator[None]:
    """The service, for as long as nobody deletes it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        ask_json(cluster, "v1/services", {"service": {"name": NAME, "spec": {}}})
        address = f"127.0.0.1:{server.server_address[1]}"
        instance = {"id": "one", "address": address, "state": 2}
        ask_json(cluster, f"v1/services/{NAME}/instances", {"instance": instance, "ttl": "300s"})
        yield
    finally:
        delete(cluster)
        server.shutdown()
        thread.join()
        server.server_close()


def delete(cluster: LocalCluster) -> None:
    """The service goes, if it is there, and every trace of it in the cluster."""
    if status_of(cluster, f"v1/services/{NAME}") != 404:
        ask_json(cluster, f"v1/services/{NAME}", method="DELETE")
        wait_until(lambda: status_of(cluster, f"v1/services/{NAME}") == 404, 10)


@pytest.fixture
def profile(browser: Browser, cluster: LocalCluster) -> Iterator[BrowserContext]:
    """One user's browser: it keeps what a service leaves in it."""
    context = browser.new_context(ignore_https_errors=tls.ON)
    if token := token_of(cluster):
        # Also read by the service's pages where they share the origin: not what this is about.
        context.add_init_script(f"sessionStorage.setItem('quorate.token', '{token}')")
    yield context
    context.close()


def visit(page: Page, address: str) -> None:
    """Once the gateway has learned of the service."""

    def shown() -> bool:
        page.goto(address)
        return page.title() == "hostile"

    wait_until(shown, 10)


def expect_dashboard(page: Page, address: str) -> None:
    """Twice: a service worker takes over the next page, not the one that it was installed by."""
    for _ in range(2):
        page.goto(f"{address}#/queues")
        expect(page.get_by_role("heading", name="Queues", exact=True)).to_be_visible()
        expect(page.get_by_test_id("status")).to_contain_text("leads")
        assert page.evaluate("navigator.serviceWorker.controller") is None


def test_at_a_path_no_service_worker_is_installed_and_nothing_reaches_the_origin(
    cluster: LocalCluster, hostile: None, profile: BrowserContext
) -> None:
    with run_gateway(cluster.addresses, "--service-paths", leaf=gateway_leaf(cluster)) as gateway:
        dashboard = f"{gateway.url}/"
        page = profile.new_page()
        expect_dashboard(page, dashboard)
        page.evaluate("localStorage.setItem('kept', 'yes')")
        path = f"{dashboard}services/{NAME}/"
        visit(page, path)
        for scope in ("", "/", f"/services/{NAME}/"):
            refused = page.evaluate(REGISTER, ["worker.js", scope])
            assert "403" in refused, refused
        # Nor is one of the dashboard's own scripts made a worker by the page beside it.
        refused = page.evaluate(REGISTER, ["/theme.js", "/"])
        assert "403" in refused, refused
        assert page.evaluate(REGISTRATIONS) == 0
        names = page.evaluate("async () => [...(await fetch('page')).headers.keys()]")
        assert "content-type" in names
        assert not {*names} & {name.lower() for name in ORIGIN_WIDE}
        assert page.evaluate("localStorage.getItem('kept')") == "yes"
        delete(cluster)
        expect_dashboard(page, dashboard)
        assert page.evaluate(REGISTRATIONS) == 0


@pytest.mark.skipif(tls.ON, reason="browsers take no service worker from an unknown CA")
def test_on_an_origin_of_its_own_a_service_worker_does_not_reach_the_dashboard(
    cluster: LocalCluster, hostile: None, profile: BrowserContext
) -> None:
    page = profile.new_page()
    dashboard = cluster.dashboard
    port = dashboard.rstrip("/").rpartition(":")[2]
    scheme = dashboard.partition(":")[0]
    dashboards = [f"{scheme}://{host}:{port}/" for host in ("127.0.0.1", "localhost")]
    for address in dashboards:
        expect_dashboard(page, address)
        page.evaluate("localStorage.setItem('kept', 'yes')")
    own = f"{scheme}://{NAME}.localhost:{port}/"
    visit(page, own)
    # Refused by the browser itself: a scope is below the origin of its script.
    assert page.evaluate(REGISTER, ["worker.js", dashboards[1]]).startswith("SecurityError")
    # Its own pages are the service's business.
    assert page.evaluate(REGISTER, ["worker.js", "/"]) == "registered"
    page.goto(own)
    expect(page.get_by_text(STOLEN)).to_be_visible()
    # The path leads to the service's own origin, and so does a script below it.
    page.goto(dashboards[1])
    refused = page.evaluate(REGISTER, [f"/services/{NAME}/worker.js", "/"])
    assert refused.startswith("SecurityError"), refused
    delete(cluster)
    for address in dashboards:
        expect_dashboard(page, address)
        assert page.evaluate(REGISTRATIONS) == 0
        assert page.evaluate("localStorage.getItem('kept')") == "yes"
    # What it was allowed to keep is its own.
    page.goto(own)
    expect(page.get_by_text(STOLEN)).to_be_visible()


def test_a_cookie_of_a_service_is_not_sent_to_the_dashboard(
    cluster: LocalCluster, hostile: None, profile: BrowserContext
) -> None:
    """Enough of them would be a head too large for every request."""
    port = cluster.dashboard.rstrip("/").rpartition(":")[2]
    scheme = cluster.dashboard.partition(":")[0]
    page = profile.new_page()
    visit(page, f"{scheme}://{NAME}.localhost:{port}/")
    page.evaluate(
        """() => { for (const domain of ["", "; domain=localhost", "; domain=127.0.0.1"])
          document.cookie = `bomb=1; path=/${domain}` }"""
    )
    assert [one["domain"] for one in profile.cookies()] == [f"{NAME}.localhost"]
