"""A task that waits for another takes no slot, and the dashboard says where it is."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

import quorate
from quorate.client.transport.discovery import LocalCluster
from tests.support.nested import wait_until_there


def test_a_node_with_a_waiting_task_says_so(
    open_page, cluster: LocalCluster, tmp_path: Path
) -> None:
    look = open_page("nodes")
    expect(look.card("n1")).to_contain_text("ready")
    with quorate.Client(data_dir=cluster.data_dir) as client:
        handle = client.submit(wait_until_there, str(tmp_path / "go"))
        try:
            slots = look.page.locator("tbody").filter(has_text="of 4, 1 wait")
            expect(slots).to_have_count(1)
            expect(look.page.get_by_title("use no slot")).to_have_count(1)
            look.page.goto(look.page.url.replace("#/nodes", "#/overview"))
            expect(look.page.locator("body")).to_contain_text("of 8 slots, 1 wait")
        finally:
            (tmp_path / "go").touch()
            handle.result(30)
