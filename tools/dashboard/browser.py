"""Chromium, driven by Playwright: for the dashboard's tests, pictures and benchmarks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

from tools.provision import chromium as provided
from tools.provision import driver

_ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


def chromium() -> str:
    """The program. Raises `tools.provision.place.Missing` when there is none."""
    return provided.find()


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser. Raises as `chromium` does.

    While it is open this thread has a running event loop: no `asyncio.run` beside it.
    """
    program = chromium()
    driver.make_it_run()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=_ARGUMENTS, headless=True
        )
        try:
            yield started
        finally:
            started.close()
