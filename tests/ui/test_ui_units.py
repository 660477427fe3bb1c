"""Runs the dashboard's own unit tests (vitest, beside this file): pure logic, no browser."""

import subprocess

import pytest

from tests.support.needs import need_dashboard
from tools.dashboard import build_ui


@pytest.fixture(scope="module", autouse=True)
def built():
    """The tool chain is installed by the build."""
    need_dashboard()


def test_the_dashboards_unit_tests_pass():
    npm, environment = build_ui.npm()
    done = subprocess.run(
        [*npm, "test", "--silent"],
        cwd=build_ui.SOURCE,
        env={**environment, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_browser_loads_is_small():
    assert 0 < build_ui.loaded_bytes() <= build_ui.MOST_BYTES
