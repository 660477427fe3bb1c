"""Takes pictures of every view of the dashboard: `make screenshots`.

Starts a cluster of its own that asks for tokens, gives it work of several kinds, opens the
dashboard in headless Chromium, and writes `docs/screenshots/<view>[-dark][-phone].png`. They are
for looking at; git ignores all but those that the documentation shows.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import itertools
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from quorate.client.transport.discovery import LocalCluster
from quorate.local import background
from quorate.local.plan import LocalPlan
from tools.dashboard.browser import browser
from tools.gateway_http import ask, ask_json, token_of
from tools.provision.place import Missing

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "docs" / "screenshots"
_DESK = ViewportSize(width=1440, height=900)
_PHONE = ViewportSize(width=390, height=844)
# Milliseconds after which a view shows its data, and charts in new colours are drawn.
_SETTLED = 1_200
# A graph: the shell command of each task, and the names of those before it with their conditions.
_GRAPH = (
    ("extract-orders", "true", ()),
    ("extract-users", "true", ()),
    ("extract-clicks", "false", ()),
    ("clean-orders", "true", (("extract-orders", "ON_SUCCESS"),)),
    ("clean-users", "sleep 900", (("extract-users", "ON_SUCCESS"),)),
    ("clean-clicks", "true", (("extract-clicks", "ON_SUCCESS"),)),
    ("merge", "true", (("clean-orders", "ON_SUCCESS"), ("clean-users", "ON_SUCCESS"))),
    ("report", "true", (("merge", "ON_SUCCESS"),)),
    ("alert-on-call", "true", (("extract-clicks", "ON_FAILURE"),)),
    ("drop-staging-tables", "true", (("merge", "ALWAYS"), ("clean-clicks", "ALWAYS"))),
)


def main() -> int:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=75.0, help="of work before the pictures")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with running_cluster() as cluster, work(cluster), browser() as chromium:
        take_sign_in(chromium, cluster, options.folder)
        page = new_page(chromium)
        page.add_init_script(f"sessionStorage.setItem('quorate.token', '{token_of(cluster)}')")
        page.goto(cluster.dashboard)
        page.wait_for_timeout(options.seconds * 1000)
        change_something(cluster)
        take_all(page, cluster, options.folder)
        take_graph(page, cluster, options.folder)
    print(f"{len(list(options.folder.glob('*.png')))} pictures in {options.folder}")
    return 0


@contextlib.contextmanager
def running_cluster() -> Iterator[LocalCluster]:
    """A cluster with a gateway, in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="quorate-screenshots-") as folder:
        data = Path(folder) / "data"
        plan = LocalPlan(
            data_dir=data, cluster="production", nodes=4, slots=4, gateway=True, secure=True
        )
        try:
            yield background.start(plan)
        finally:
            background.stop(data)


@contextlib.contextmanager
def work(cluster: LocalCluster) -> Iterator[None]:
    """Tasks of several kinds and a service with requests, until the block ends."""
    over = threading.Event()
    ask_json(cluster, "v1/queues", {"queue": {"name": "mail", "placement": 2}})
    ask_json(cluster, "v1/queues", {"queue": {"name": "reports"}})
    ask_json(cluster, "v1/queues", {"queue": {"name": "thumbnails", "placement": 3}})
    ask_json(cluster, "v1/queues", {"queue": {"name": "video"}})
    ask_json(cluster, "v1/queues/video:pause", {})
    declare_messages(cluster)
    argv = [sys.executable, "-m", "tools.dashboard.showcase"]
    spec = {
        "command": {"argv": argv, "cwd": str(CHECKOUT)},
        "replicas": 3,
        "health": {"httpPath": "/"},
    }
    ask_json(cluster, "v1/services", {"service": {"name": "shop", "spec": spec}})
    arguments = json.dumps({"args": [], "kwargs": {}})
    python = {"entrypoint": "tools.dashboard.showcase:send_mail", "json": arguments}
    for name, count in (("newsletter", 2_000), ("invoices", 20_000)):
        template = {"python": python, "name": name}
        job = {"spec": {"template": template, "count": str(count), "maxParallel": "2"}}
        ask_json(cluster, "v1/queues/default/jobs", job)
    threads = [
        threading.Thread(target=_submit, args=(cluster, over), name="submit"),
        threading.Thread(target=_visit, args=(cluster, over), name="visit"),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def declare_messages(cluster: LocalCluster) -> None:
    """A topic exchange with a fanout exchange behind it, message queues, a stream, and messages."""
    for name, kind in (("orders", "TOPIC"), ("notifications", "FANOUT")):
        exchange = {"name": name, "type": f"EXCHANGE_TYPE_{kind}"}
        ask_json(cluster, "v1/exchanges", {"exchange": exchange})
    for name, kind, key in (
        ("invoices", "QUEUE", "order.*.paid"),
        ("order-log", "STREAM", "order.#"),
        ("letters", "QUEUE", ""),
        ("texts", "QUEUE", ""),
    ):
        queue = {"name": name, "spec": {"type": f"MESSAGE_QUEUE_TYPE_{kind}"}}
        ask_json(cluster, "v1/messageQueues", {"messageQueue": queue})
        source = "orders" if key else "notifications"
        binding = {"source": source, "messageQueue": name, "routingKey": key}
        ask_json(cluster, "v1/bindings", {"binding": binding})
    behind = {"source": "orders", "exchange": "notifications", "routingKey": "order.*.shipped"}
    ask_json(cluster, "v1/bindings", {"binding": behind})
    body = base64.b64encode(b'{"order": 4711, "customer": "Ada Lovelace"}').decode()
    publications = [
        {"message": {"exchange": "orders", "routingKey": f"order.{number}.{what}", "body": body}}
        for number in range(20)
        for what in ("paid", "shipped")
    ]
    ask_json(cluster, "v1/messages:publish", {"publications": publications})


def _submit(cluster: LocalCluster, over: threading.Event) -> None:
    def submit(queue: str, *specs: dict[str, object]) -> None:
        ask_json(cluster, f"v1/queues/{queue}/tasks:batchCreate", {"specs": specs})

    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    backup = call("send_mail", 1, name="nightly-backup", notBefore=later)
    submit("default", backup, backup)
    for number in itertools.count():
        mails = range(number * 100, number * 100 + burst(number))
        labels = {"campaign": "spring"}
        submit("mail", *(call("send_mail", n, name="send-mail", labels=labels) for n in mails))
        pictures = range(number * 10, number * 10 + 3)
        submit("thumbnails", *(call("render_thumbnail", n, name="thumbnail") for n in pictures))
        if number % 14 == 0:
            report = call(
                "quarterly_report",
                24 + number // 14 % 2,
                name="quarterly-report",
                labels={"team": "finance", "quarter": "Q3"},
                retry={"maxAttempts": 2, "initialBackoff": "2s"},
                timeout="120s",
            )
            submit("reports", report)
            submit("video", call("render_thumbnail", number, name="transcode"))
        if over.wait(0.5):
            return


def call(function: str, argument: int, **options: object) -> dict[str, object]:
    """The TaskSpec of a call of one of `tools.dashboard.showcase`'s functions."""
    python = {"entrypoint": f"tools.dashboard.showcase:{function}", "json": json.dumps([argument])}
    return {"python": python, **options}


def burst(number: int) -> int:
    """Mails of one half second: a slow wave, and many at once now and then."""
    return 6 + number % 20 // 4 + (60 if number % 48 == 30 else 0)


def _visit(cluster: LocalCluster, over: threading.Event) -> None:
    while not over.wait(0.02):
        # Before its replicas are up there is nobody to answer.
        with (
            contextlib.suppress(OSError),
            ask(cluster, "", service="shop", timeout=5) as answer,
        ):
            answer.read()


def newest(cluster: LocalCluster, state: str) -> str:
    """The newest report in a state; empty when there is none."""
    query = f"v1/tasks?queue=reports&states=TASK_STATE_{state}&pageSize=1"
    tasks = ask_json(cluster, query).get("tasks", [])
    return str(tasks[0]["id"]) if tasks else ""


def newest_job(cluster: LocalCluster) -> str:
    """The newest job; empty when there is none."""
    jobs = ask_json(cluster, "v1/jobs?pageSize=1").get("jobs", [])
    return str(jobs[0]["id"]) if jobs else ""


def create_graph(cluster: LocalCluster) -> str:
    """A graph that is half done; its id."""
    tasks = [
        {
            "name": name,
            "task": {"command": {"argv": ["sh", "-c", script]}},
            "dependsOn": [
                {
                    "task": other,
                    "condition": f"DEPENDENCY_CONDITION_{condition}",
                    "cleanup": condition == "ALWAYS",
                }
                for other, condition in after
            ],
        }
        for name, script, after in _GRAPH
    ]
    body = {"spec": {"name": "nightly-report", "graph": {"tasks": tasks}}}
    return str(ask_json(cluster, "v1/queues/default/jobs", body)["job"]["id"])


def take_graph(page: Page, cluster: LocalCluster, folder: Path) -> None:
    """The drawing alone, light, for the documentation."""
    job = create_graph(cluster)
    page.emulate_media(color_scheme="light")
    page.goto(f"{cluster.dashboard}#/jobs/{job}")
    page.get_by_role("link", name="clean-clicks, skipped").wait_for()
    page.get_by_role("link", name="alert-on-call, succeeded").wait_for()
    page.wait_for_timeout(_SETTLED)
    page.locator("section.panel", has_text="Drawing").screenshot(path=folder / "graph.png")


def change_something(cluster: LocalCluster) -> None:
    """What somebody on duty does: for the audit log."""
    ask_json(cluster, "v1/nodes/n4:cordon", {})
    ask_json(cluster, "v1/nodes/n4:uncordon", {})
    scaled = {"name": "shop", "spec": {"replicas": 4}}
    ask_json(cluster, "v1/services/shop?updateMask=spec.replicas", scaled, method="PATCH")
    if failed := newest(cluster, "FAILED"):
        ask_json(cluster, f"v1/tasks/{failed}:retry", {})


def new_page(chromium: Browser) -> Page:
    """On a desk, in a profile of its own; it need not know the cluster's CA."""
    return chromium.new_page(viewport=_DESK, ignore_https_errors=True)


def take_sign_in(chromium: Browser, cluster: LocalCluster, folder: Path) -> None:
    """What somebody sees who has shown no token yet."""
    page = new_page(chromium)
    page.goto(cluster.dashboard)
    page.get_by_role("form", name="Sign in").wait_for()
    for size, suffix in ((_DESK, ""), (_PHONE, "-phone")):
        page.set_viewport_size(size)
        take_both(page, folder, "sign-in", suffix)
    page.close()


def take_both(page: Page, folder: Path, name: str, suffix: str = "") -> None:
    """As it is now, light and dark; on a phone all of its length."""
    for dark in ("", "-dark"):
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.wait_for_timeout(_SETTLED)
        page.screenshot(path=folder / f"{name}{dark}{suffix}.png", full_page=bool(suffix))


def take_all(page: Page, cluster: LocalCluster, folder: Path) -> None:
    """Every view, light and dark, on a desk and a phone."""
    failed = newest(cluster, "FAILED") or newest(cluster, "SUCCEEDED")
    views = {
        "overview": "overview",
        "queues": "queues",
        "tasks": "tasks",
        "tasks-failed": "tasks?state=failed",
        "task": "",  # One that runs by then.
        "task-failed": f"tasks/{failed}",
        "jobs": "jobs",
        "job": f"jobs/{newest_job(cluster)}",
        "messages": "messages",
        "message-queue": "messages/queues%2Finvoices",
        "exchange": "messages/exchanges%2Forders",
        "nodes": "nodes/n1",
        "services": "services",
        "quotas": "quotas",
        "audit": "audit",
    }
    for size, suffix in ((_DESK, ""), (_PHONE, "-phone")):
        page.set_viewport_size(size)
        for name, address in views.items():
            if name == "task":
                address = f"tasks/{newest(cluster, 'RUNNING') or failed}"
            page.evaluate("hash => { location.hash = hash }", f"#/{address}")
            take_both(page, folder, name, suffix)
    page.set_viewport_size(_DESK)
    page.evaluate("() => { location.hash = '#/tasks' }")
    page.get_by_role("button", name="Submit task").click()
    take_both(page, folder, "submit")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as error:
        sys.exit(f"screenshots: {error}")
