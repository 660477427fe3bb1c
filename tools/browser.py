"""The system's Chromium, driven by Playwright: for the dashboard's tests and pictures."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

_ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


def chromium() -> str:
    """The program. Raises SystemExit when there is none."""
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if name and (found := shutil.which(name)):
            return found
    raise SystemExit("no Chromium: install the Debian package chromium, or set CHROMIUM to one")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser.

    While it is open this thread has a running event loop: no `asyncio.run` beside it.
    """
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium(), args=_ARGUMENTS, headless=True
        )
        try:
            yield started
        finally:
            started.close()
