"""A node that cannot write to its disk is shown as such, with the reason, until it can."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from quorate.client.transport.discovery import LocalCluster
from tests.support.dashboard import quorate
from tests.support.small_disk import mend, spoil
from tools.gateway_http import ask_json

# It writes every ten seconds to find out, and waits for a while until it believes that it can.
PATIENCE = 40_000


def test_a_node_that_cannot_write_says_so_and_why(open_page, cluster: LocalCluster) -> None:
    look = open_page("nodes/n2")
    node = look.card("n2")
    expect(node).to_contain_text("ready")
    data = Path(cluster.data_dir) / "n2"
    spoil(data)
    try:
        expect(node.locator(".badge")).to_have_text("unwritable", timeout=PATIENCE)
        why = "Cannot write to its disk, takes no work: Is a directory"
        expect(node.get_by_title(why)).to_have_count(1)
        expect(node).to_contain_text("Cannot write: Is a directory. It takes no work until it can.")
        # An operator may close it all the same; there is nothing to open.
        expect(look.button("Cordon n2: no new work")).to_be_visible()
        expect(look.card("n1")).to_contain_text("ready")
        look.go("overview")
        tile = look.page.locator(".tile").filter(has_text="Nodes ready")
        expect(tile.locator(".value")).to_have_text("1")
        shown = ask_json(cluster, "v1/nodes/n2")["node"]
        assert shown["state"] == "NODE_STATE_UNWRITABLE"
        assert shown["stats"]["diskError"] == "Is a directory"
        assert "UNWRITABLE" in quorate(cluster, "nodes")
    finally:
        mend(data)
    look.go("nodes/n2")
    expect(node.locator(".badge")).to_have_text("ready", timeout=PATIENCE)
    expect(node).not_to_contain_text("Cannot write")
