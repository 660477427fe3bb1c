"""A real cluster with its gateway, and real headless Chromium looking at it.

Every page fails its test when it logs an error, throws, is refused something by the browser
(Content-Security-Policy), or asks anybody but the gateway for anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from quorate.client.transport.discovery import LocalCluster
from quorate.etcd.server.launcher import EtcdProcess
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.auth import Locked, locked
from tests.support.dashboard import Look
from tests.support.local import running
from tests.support.needs import need_dashboard
from tests.support.tls import etcd_options
from tools.dashboard.browser import browser as started_browser
from tools.gateway_http import token_of

DESK = {"width": 1280, "height": 800}
# A machine under load takes its time; this only guards against hanging.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Two schedulers, two nodes, a gateway: for all of these tests, which keep apart by names."""
    need_dashboard()
    data = tmp_path_factory.mktemp("dashboard") / "data"
    plan = LocalPlan(data_dir=data, nodes=2, slots=4, gateway=True, secure=tls.ON)
    with running(plan) as started:
        yield started


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """A cluster that asks its callers who they are."""
    folder = tmp_path_factory.mktemp("guarded")
    etcd = EtcdProcess(folder / "etcd", **etcd_options())
    # The browser has this thread's event loop.
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(lambda: asyncio.run(etcd.start())).result()
        try:
            with locked(etcd.endpoint, folder) as cluster:
                yield cluster
        finally:
            elsewhere.submit(lambda: asyncio.run(etcd.kill())).result()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all of these tests. No asyncio beside it: see `tools.dashboard.browser`."""
    with started_browser() as started:
        yield started


@pytest.fixture
def open_page(browser: Browser, cluster: LocalCluster) -> Iterator[Callable[..., Look]]:
    """Opens pages, each in a profile of its own: `open_page("tasks", color_scheme="dark")`."""
    contexts: list[BrowserContext] = []
    looks: list[Look] = []

    def open_one(
        view: str = "overview", *, address: str = "", token: str | None = None, **options: object
    ) -> Look:
        # The browser does not know the CA of a cluster with TLS; other tests are about that.
        given = {"viewport": DESK, "ignore_https_errors": tls.ON, **options}
        context = browser.new_context(**given)  # type: ignore[arg-type]
        contexts.append(context)
        # Who is asked for a token has signed in; other tests are about that.
        if shown := token_of(cluster) if token is None else token:
            context.add_init_script(f"sessionStorage.setItem('quorate.token', '{shown}')")
        page: Page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        look = Look(page, cluster, address or cluster.dashboard)
        looks.append(look)
        page.goto(f"{look.address}#/{view}")
        return look

    yield open_one
    for context in contexts:
        context.close()
    for look in looks:
        assert not look.faults


@pytest.fixture
def look(open_page: Callable[..., Look]) -> Look:
    """A page on a desk, at the overview."""
    return open_page()
