"""The page itself: for everybody (axe), on a phone, below a path, in the theme that was chosen."""

import subprocess
import sys

import pytest
from playwright.sync_api import expect

from quorate.local.child import die_with_parent
from tests.support.dashboard import Look, python, submit
from tests.support.fake_scheduler import wait_until
from tests.support.local import gateway_leaf
from tests.support.tls import gateway_flags
from tools.dashboard.build_ui import SOURCE
from tools.gateway_http import ask_json

VIEWS = (
    *("overview", "queues", "tasks", "dead", "jobs", "schedules/shaped", "nodes/n1"),
    *("services", "limits", "quotas", "audit", "messages", "messages?show=exchanges"),
    *("messages/queues%2Fshaped", "messages/exchanges%2Fshaped"),
)
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
AXE = SOURCE / "node_modules" / "axe-core" / "axe.min.js"
RUN_AXE = """
async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa"]})).violations
  .flatMap(({id, nodes}) => nodes.map(node => `${id}: ${node.html} ${node.failureSummary}`))
"""


@pytest.fixture(scope="module")
def failed(cluster):
    """A task that failed with a traceback, one that failed with a log; the audit log has links."""
    ask_json(cluster, "v1/queues", {"queue": {"name": "audited"}})
    job = {"template": {"command": {"argv": ["true"]}}, "count": "3", "name": "shape"}
    ask_json(cluster, "v1/queues/audited/jobs", {"spec": job})
    spec = {"cron": "@yearly", "task": {"command": {"argv": ["true"]}}}
    ask_json(cluster, "v1/schedules", {"schedule": {"name": "shaped", "spec": spec}})
    ask_json(cluster, "v1/schedules/shaped:run", {})
    queue = {"name": "shaped", "spec": {"type": "MESSAGE_QUEUE_TYPE_QUEUE"}}
    ask_json(cluster, "v1/messageQueues", {"messageQueue": queue})
    exchange = {"name": "shaped", "type": "EXCHANGE_TYPE_TOPIC"}
    ask_json(cluster, "v1/exchanges", {"exchange": exchange})
    binding = {"source": "shaped", "messageQueue": "shaped", "routingKey": "order.*"}
    ask_json(cluster, "v1/bindings", {"binding": binding})
    message = {"exchange": "shaped", "routingKey": "order.new", "body": "aGVsbG8="}
    ask_json(cluster, "v1/messages:publish", {"publications": [{"message": message}]})
    submit(cluster, "sh", "-c", "printf '\\033[33myellow\\033[0m\\n'; exit 3", name="exits")
    return python(cluster, "json:loads", ["{bad"], name="raises")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible(open_page, failed, scheme):
    look = open_page(color_scheme=scheme)
    look.settled()
    look.page.evaluate(AXE.read_text())
    for view in (*VIEWS, f"tasks/{failed}"):
        look.go(view)
        expect(look.page.locator("h1")).to_be_visible()
        expect(look.page.locator(".loading")).to_have_count(0)
        assert look.page.evaluate(RUN_AXE) == [], view
    look.go("tasks")
    look.button("Submit task").click()
    look.dialog().get_by_text("More options").click()
    look.dialog().get_by_text("Keys and limits").click()
    # What is wrong with a field, too.
    look.dialog().get_by_label("Command line").fill("true")
    look.dialog().get_by_label("Shared limits").fill("Not A Name")
    look.dialog().get_by_role("button", name="Submit", exact=True).click()
    expect(look.dialog().get_by_role("alert")).to_be_visible()
    assert look.page.evaluate(RUN_AXE) == []
    look.page.keyboard.press("Escape")
    for view, button, seen in (
        (f"tasks/{failed}", "Retry with changes", "Function"),
        ("schedules", "Run past ticks of shaped", "of the past would run"),
        ("schedules", "Change when shaped fires", "Blackouts and clock changes"),
        ("messages", "Create message queue", "Highest priority"),
        ("messages/exchanges%2Fshaped", "Publish message", "Content type"),
    ):
        look.go(view)
        look.button(button).click()
        expect(look.dialog().get_by_text(seen).first).to_be_visible()
        assert look.page.evaluate(RUN_AXE) == [], button
        look.page.keyboard.press("Escape")


def test_on_a_phone_nothing_is_cut_off_and_the_menu_opens(open_page, failed):
    look = open_page(**PHONE)
    page = look.page
    for view in (*VIEWS, f"tasks/{failed}"):
        look.go(view)
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator(".loading")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
    links = page.get_by_role("navigation").get_by_role("link", name="Nodes")
    expect(links).to_be_hidden()
    page.get_by_role("button", name="Open the menu").click()
    links.click()
    expect(page.get_by_role("heading", name="Nodes", level=1)).to_be_visible()
    expect(links).to_be_hidden()


def test_the_theme_follows_the_system_until_one_is_chosen(open_page):
    look = open_page(color_scheme="dark")
    page = look.page
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    look.button("Theme: system").click()
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    expect(look.button("Theme: light")).to_be_visible()
    assert page.evaluate(background) == light
    look.button("Theme: light").click()
    page.emulate_media(color_scheme="light")
    assert page.evaluate(background) == dark
    look.button("Theme: dark").click()
    assert page.evaluate(background) == light


@pytest.mark.parametrize("slash", ["", "/"])
def test_it_works_below_a_path(open_page, cluster, slash):
    argv = [sys.executable, "-m", "gateway", "--listen", "127.0.0.1:0", "--root-path", "/a/b"]
    argv += gateway_flags(gateway_leaf(cluster))
    argv += ["--schedulers", ",".join(cluster.addresses)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, preexec_fn=die_with_parent) as gateway:
        try:
            assert gateway.stdout is not None
            ready = gateway.stdout.readline().decode().split()
            address = next(word for word in ready if word.startswith("address=")).split("=")[1]
            scheme = "http" if cluster.tls is None else "https"
            look: Look = open_page("tasks", address=f"{scheme}://{address}/a/b{slash}")
            look.settled()
            name = f"below-a-path{len(slash)}"
            submit(cluster, "true", name=name)
            expect(look.row(name)).to_be_visible()
            look.page.get_by_role("link", name=name, exact=True).click()
            expect(look.page.get_by_role("heading", name=name)).to_be_visible()
            # The gateway goes before the page, which may try to reach it again.
            look.outages_expected = True
        finally:
            gateway.kill()


CUT = """
() => [...document.querySelectorAll(".scroll-x")].map(panel => {
  const {left, right} = panel.getBoundingClientRect();
  const cut = [...panel.querySelectorAll(".actions .button")].filter(button => {
    const box = button.getBoundingClientRect();
    return box.left < left || box.right > right;
  });
  return {
    table: panel.querySelector("table").ariaLabel,
    buttons: panel.querySelectorAll(".actions .button").length,
    beyond: panel.scrollWidth - panel.clientWidth,
    cut: cut.map(button => button.title),
  };
})
"""
TABLES = {
    "overview": ["Recent failures"],
    "schedules": ["Schedules"],
    "queues": ["Queues"],
    "jobs": ["Jobs"],
    "nodes": ["Nodes"],
    "quotas": ["Quotas"],
    "messages": ["Message queues"],
    "messages?show=exchanges": ["Exchanges"],
    "messages/exchanges%2Fshaped": ["Bindings"],
    "messages/queues%2Fshaped": ["Bindings"],
    "audit": ["Audit log"],
}


@pytest.mark.parametrize("width", [1440, 1280, 1024, 800])
def test_tables_fit_and_their_buttons_are_in_sight(open_page, failed, width):
    look = open_page(viewport={"width": width, "height": 800})
    ask_json(look.cluster, "v1/queues/audited:pause", {})
    for view, tables in TABLES.items():
        look.go(view)
        expect(look.page.locator(".table")).to_have_count(len(tables))
        seen = look.page.evaluate(CUT)
        assert [one["table"] for one in seen] == tables
        for one in seen:
            assert one["cut"] == [], (view, one)
            assert one["buttons"] or view in ("overview", "audit"), view
            # A tablet held upright scrolls the rest of the row.
            assert one["beyond"] <= 0 or width < 1024, (view, one)


WRITES = """
(() => {
  const write = CanvasRenderingContext2D.prototype.fillText;
  window.written = [];
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...more) {
    const half = this.measureText(text).width / 2;
    // Of the axis of time, whose texts are centred at their instants.
    if (this.textAlign === "center") written.push(half);
    return write.call(this, text, x, y, ...more);
  };
})()
"""


def test_times_below_charts_are_written_in_full(open_page):
    look = open_page(**PHONE)
    look.page.add_init_script(WRITES)
    look.page.reload()
    wait_until(lambda: len(look.page.evaluate("written")) > 20, 10)
    # Instants move to the left by and by: also those at the very end must be whole.
    chart = look.page.evaluate(
        "() => { const {left, right} = document.querySelector('.u-over').getBoundingClientRect(); "
        "const canvas = document.querySelector('.chart canvas').getBoundingClientRect(); "
        "return [left - canvas.left, canvas.right - right]; }"
    )
    assert min(chart) >= max(look.page.evaluate("written"))


# How far the text of a row's name reaches over its buttons, in pixels.
OVER = """name => {
  const row = document.querySelector(`tbody[data-name="${name}"]`);
  const text = document.createRange();
  text.selectNodeContents(row.querySelector("strong"));
  const left = row.querySelector(".actions").getBoundingClientRect().left;
  return Math.max(...[...text.getClientRects()].map(({right}) => right)) - left;
}"""


@pytest.mark.parametrize("name", ["long-" * 9 + "name", "l" + "o" * 40 + "ng"])
def test_a_long_name_of_a_queue_is_not_over_its_buttons_on_a_phone(open_page, name):
    look = open_page("queues", viewport={"width": 390, "height": 844})
    ask_json(look.cluster, "v1/queues", {"queue": {"name": name}})
    expect(look.card(name)).to_be_visible()
    assert look.page.evaluate(OVER, name) <= 0
    ask_json(look.cluster, f"v1/queues/{name}", method="DELETE")
