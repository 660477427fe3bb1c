"""What happens elsewhere is on the page without a reload; outages are said, and pass."""

import os
import re
import signal
from pathlib import Path

from playwright.sync_api import expect

from quorate.client.transport.discovery import owner_of, read_local_cluster
from tests.support.dashboard import quorate, submit
from tests.support.fake_scheduler import wait_until
from tools.gateway_http import ask_json

# Milliseconds.
OUTAGE = 20_000


def process(look, name):
    """As cluster.json has it now."""
    found = read_local_cluster(Path(look.cluster.data_dir))
    assert found is not None
    return next(one for one in found.processes if one.name == name)


def leader(look):
    cluster = ask_json(look.cluster, "v1/cluster")["cluster"]
    return next(one["name"] for one in cluster["schedulers"] if one.get("leader")), cluster


def gated(look, name, gate):
    """A command by the command line that runs until the file `gate` is there."""
    script = f"echo began; until [ -e {gate} ]; do sleep 0.02; done; echo ended"
    return quorate(look.cluster, "submit", "--name", name, "--", "sh", "-c", script)


def test_a_task_of_the_command_line_appears_progresses_and_finishes(open_page, tmp_path):
    look = open_page("tasks")
    look.settled()
    look.page.evaluate("window.loadedOnce = true")
    gated(look, "from-afar", tmp_path / "gate")
    row = look.row("from-afar")
    expect(row).to_be_visible()
    expect(row).to_contain_text("assigned")
    # That an attempt has started is on record when it has lived for a second.
    expect(row).to_contain_text("running")
    look.page.get_by_role("link", name="from-afar", exact=True).click()
    log = look.page.get_by_role("log")
    expect(log).to_have_text("began")
    look.page.go_back()
    expect(row).to_contain_text("running")
    (tmp_path / "gate").touch()
    expect(row).to_contain_text("succeeded")
    assert look.page.evaluate("window.loadedOnce")


def test_a_killed_leader_is_told_and_the_page_goes_on(open_page, tmp_path):
    look = open_page("tasks")
    look.outages_expected = True
    look.settled()
    gated(look, "outlives-a-leader", tmp_path / "gate")
    row = look.row("outlives-a-leader")
    expect(row).to_contain_text("running")
    name, cluster = leader(look)
    os.kill(process(look, name).pid, signal.SIGKILL)
    said = look.page.locator(".toast, .banner").filter(has_text="lead")
    expect(said.first).to_be_visible(timeout=OUTAGE)
    look.told("leads now (epoch")
    wait_until(lambda: leader(look)[1]["epoch"] != cluster["epoch"], 20)
    (tmp_path / "gate").touch()
    expect(row).to_contain_text("succeeded", timeout=OUTAGE)
    submit(look.cluster, "true", name="after-the-leader")
    expect(look.row("after-the-leader")).to_contain_text("succeeded", timeout=OUTAGE)
    expect(look.page.locator(".banner")).to_have_count(0, timeout=OUTAGE)


def test_without_any_leader_the_last_state_stays_under_a_banner(open_page):
    look = open_page("tasks")
    look.outages_expected = True
    look.settled()
    submit(look.cluster, "true", name="seen-before")
    expect(look.row("seen-before")).to_contain_text("succeeded")
    stopped = [process(look, name).pid for name in ("s1", "s2")]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        expect(look.page.locator(".banner")).to_contain_text("Leader lost", timeout=OUTAGE)
        expect(look.page.get_by_test_id("status")).to_contain_text("no leader")
        expect(look.row("seen-before")).to_be_visible()
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    expect(look.page.locator(".banner")).to_have_count(0, timeout=OUTAGE)
    quorate(look.cluster, "submit", "--name", "seen-after", "--", "true")
    expect(look.row("seen-after")).to_be_visible(timeout=OUTAGE)


def test_a_killed_gateway_is_told_and_nothing_is_missed(open_page, tmp_path):
    look = open_page("tasks")
    look.outages_expected = True
    look.settled()
    gated(look, "outlives-a-gateway", tmp_path / "gate")
    row = look.row("outlives-a-gateway")
    expect(row).to_contain_text("running")
    before = process(look, "gateway").pid
    supervisor = owner_of(Path(look.cluster.data_dir))
    # It stays away until the page has said so: else it may be back before anybody looks.
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(before, signal.SIGKILL)
        expect(look.page.locator(".banner")).to_contain_text("Connection lost", timeout=30_000)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    expect(row).to_be_visible()
    (tmp_path / "gate").touch()
    quorate(look.cluster, "submit", "--name", "meanwhile", "--wait", "--", "true")
    expect(row).to_contain_text("succeeded", timeout=OUTAGE)
    expect(look.row("meanwhile")).to_contain_text("succeeded", timeout=OUTAGE)
    expect(look.page.locator(".banner")).to_have_count(0, timeout=OUTAGE)
    assert process(look, "gateway").pid != before


def test_nodes_are_recorded_also_where_no_view_shows_them(open_page):
    look = open_page("queues")
    look.settled()
    # The history as a reload would find it: its newest seconds know how busy the nodes were.
    seconds = """() => {
        dispatchEvent(new Event("pagehide"));
        const {columns} = JSON.parse(sessionStorage.getItem("quorate.history"));
        return (new Map(columns).get("node.n1") ?? []).filter(busy => busy !== null).length;
    }"""
    wait_until(lambda: look.page.evaluate(seconds) >= 2, 10)


def test_a_log_shows_when_each_line_was_written(open_page, tmp_path):
    look = open_page("tasks")
    look.settled()
    gate = tmp_path / "gate"
    script = f"echo first; until [ -e {gate} ]; do sleep 0.02; done; echo second >&2; echo third"
    task = quorate(look.cluster, "submit", "--name", "timed", "--", "sh", "-c", script)
    look.go(f"tasks/{task}")
    log = look.page.get_by_role("log")
    lines = log.locator(".line")
    expect(lines).to_have_text(["first"])
    toggle = look.button("Show when lines were written")
    expect(toggle).to_have_attribute("aria-pressed", "false")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    clock = r"\d\d:\d\d:\d\d\.\d{3}"
    expect(lines).to_have_text([re.compile(f"^{clock}first$")])
    first = log.locator("time").first.get_attribute("datetime")
    gate.touch()
    # As it is written, and read again after the end: in the order of writing, both outputs.
    shown = [re.compile(f"^{clock}{text}$") for text in ("first", "second", "third")]
    expect(lines).to_have_text(shown)
    expect(look.page.locator(".title")).to_contain_text("succeeded")
    look.page.reload()
    look.button("Show when lines were written").click()
    expect(lines).to_have_text(shown)
    times = [one.get_attribute("datetime") for one in log.locator("time").all()]
    assert times[0] == first
    assert times == sorted(times)
    assert times[0] != times[1]
    look.button("Show when lines were written").click()
    expect(lines).to_have_text(["first", "second", "third"])


def test_a_task_that_fits_no_node_says_what_it_waits_for(open_page):
    look = open_page("tasks")
    task = quorate(look.cluster, "submit", "--name", "large", "--memory", "900G", "--", "true")
    look.go(f"tasks/{task}")
    facts = look.page.locator(".facts").first
    expect(facts).to_contain_text("No node has 900 GiB of memory")
    look.button("Cancel").click()
    expect(look.page.locator(".title")).to_contain_text("cancelled")
    expect(facts).not_to_contain_text("900 GiB")
