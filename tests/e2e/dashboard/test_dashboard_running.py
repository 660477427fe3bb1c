"""A program that runs: its progress, a pause and a signal in the dashboard."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import Look, submit
from tools.gateway_http import ask_json

PROGRAM = """
echo '40% epoch 4 of 10' >&$QUORATE_PROGRESS_FD
trap 'echo 80% epoch 8 >&$QUORATE_PROGRESS_FD' USR1
trap 'exit 0' USR2
while :; do sleep 0.1; done
"""


def test_a_running_program_says_how_far_it_is_and_takes_orders(
    open_page: Callable[..., Look], cluster: LocalCluster
) -> None:
    task = submit(cluster, "sh", "-c", PROGRAM, name="trains")
    look = open_page(f"tasks/{task}")
    look.settled()
    progress = look.page.get_by_test_id("progress")
    expect(progress).to_contain_text("40 % epoch 4 of 10")

    look.button("Signal").click()
    look.dialog().get_by_label("Signal").select_option("USR1")
    look.dialog().get_by_role("button", name="Send", exact=True).click()
    look.told("SIGUSR1 is on its way to trains.")
    expect(progress).to_contain_text("80 % epoch 8")

    look.button("Pause").click()
    look.told("trains is suspended.")
    expect(look.page.locator(".title .badge")).to_contain_text("suspended")
    assert ask_json(cluster, f"v1/tasks/{task}")["task"]["suspended"]
    look.button("Resume").click()
    expect(look.page.locator(".title .badge")).to_contain_text("running")

    listed = open_page("tasks")
    listed.settled()
    row = listed.page.locator(f"[data-id='{task}']")
    expect(row.locator(".progress")).to_contain_text("80 % epoch 8")
    ask_json(cluster, f"v1/tasks/{task}:signal", {"signal": "TASK_SIGNAL_USR2"})
    expect(row.locator(".badge")).to_contain_text("succeeded")
