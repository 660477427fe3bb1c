"""What a role may not do is not offered: on a task's own page, and in the other views."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from playwright.sync_api import expect

from quorate.v1 import (
    scheduler_pb2,
    scheduler_pb2_grpc,
    service_pb2,
    service_pb2_grpc,
    task_pb2,
)
from tests.support.auth import Locked, open_channel
from tests.support.dashboard import Look

OpenPage = Callable[..., Look]

# The buttons with words, and those of a row, of each view for each role.
TASK: Final = {
    "viewer": [],
    "operator": ["Change", "Pause", "Cancel"],
    "submitter": ["Change", "Pause", "Cancel"],
}
QUEUES: Final = {
    "viewer": ([], []),
    "submitter": ([], []),
    "operator": (
        ["Pause tasks", "Create queue"],
        ["Settings of mail", "Pause mail", "Delete mail"],
    ),
}
NODES: Final = {
    "viewer": [],
    "operator": ["Cordon n1: no new work", "Drain n1: empty it"],
}
SERVICES: Final = {"viewer": [], "operator": [], "admin": ["Scale", ""]}
DEAD: Final = {"viewer": ["Refresh"], "operator": ["Refresh", "Retry all"]}


def seen(open_page: OpenPage, guarded: Locked, role: str, view: str) -> Look:
    address, token = f"https://{guarded.gateway}/", guarded.make_token(role)
    look = open_page(view, address=address, token=token, ignore_https_errors=True)
    expect(look.page.locator(".view h1")).to_be_visible()
    return look


def titles(look: Look, row: str, names: list[str]) -> None:
    """The buttons with icons in the row's last column."""
    expect(look.card(row)).to_be_visible()
    buttons = look.card(row).locator(".actions").get_by_role("button")
    expect(buttons).to_have_count(len(names))
    for name in names:
        expect(look.card(row).get_by_role("button", name=name, exact=True)).to_be_visible()


def test_a_tasks_page_offers_what_the_role_may_do(open_page: OpenPage, guarded: Locked) -> None:
    with open_channel(guarded, guarded.schedulers[0], "admin:alice") as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
        spec.not_before.FromSeconds(int(time.time()) + 86_400)
        request = scheduler_pb2.CreateTaskRequest(queue="mail", spec=spec)
        task = stub.CreateTask(request, timeout=60).task.id
        for role, names in TASK.items():
            look = seen(open_page, guarded, role, f"tasks/{task}")
            title = look.page.locator(".view .title").get_by_role("button")
            expect(title).to_have_text(names)
        stub.CancelTask(scheduler_pb2.CancelTaskRequest(id=task), timeout=20)
        stub.DeleteTask(scheduler_pb2.DeleteTaskRequest(id=task), timeout=20)


def test_queues_nodes_and_services_offer_what_the_role_may_do(
    open_page: OpenPage, guarded: Locked
) -> None:
    for role, (words, icons) in QUEUES.items():
        look = seen(open_page, guarded, role, "queues")
        expect(look.page.locator(".view .title").get_by_role("button")).to_have_text(words)
        titles(look, "mail", icons)
    for role, icons in NODES.items():
        look = seen(open_page, guarded, role, "nodes/n1")
        titles(look, "n1", icons)
        taint = look.button("Add a taint to n1")
        expect(taint).to_have_count(1 if icons else 0)
    with open_channel(guarded, guarded.schedulers[0], "admin:alice") as channel:
        services = service_pb2_grpc.ServiceRegistryStub(channel)
        command = task_pb2.CommandWork(argv=["sleep", "60"])
        service = service_pb2.Service(
            name="web", spec=service_pb2.ServiceSpec(command=command, replicas=0)
        )
        services.CreateService(service_pb2.CreateServiceRequest(service=service), timeout=20)
        for role, names in SERVICES.items():
            look = seen(open_page, guarded, role, "services")
            panel = look.page.locator(".service")
            expect(panel).to_have_count(1)
            expect(panel.locator(".actions").get_by_role("button")).to_have_text(names)
            create = look.page.locator("[data-create]").get_by_role("button")
            expect(create).to_have_count(1 if role == "admin" else 0)
        services.DeleteService(service_pb2.DeleteServiceRequest(name="web"), timeout=20)


def test_dead_letters_offer_what_the_role_may_do(open_page: OpenPage, guarded: Locked) -> None:
    with open_channel(guarded, guarded.schedulers[0], "admin:alice") as channel:
        stub = scheduler_pb2_grpc.SchedulerStub(channel)
        spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["false"]))
        request = scheduler_pb2.CreateTaskRequest(queue="mail", spec=spec)
        task = stub.CreateTask(request, timeout=60).task.id
        stub.WaitTask(scheduler_pb2.WaitTaskRequest(id=task), timeout=20)
        for role, names in DEAD.items():
            look = seen(open_page, guarded, role, "dead")
            table = look.page.get_by_role("table", name="Dead letters")
            expect(table.get_by_title("Show the tasks")).to_have_count(1)
            retry = table.get_by_title("Retry the group")
            expect(retry).to_have_count(1 if role == "operator" else 0)
            expect(look.page.locator(".view .title").get_by_role("button")).to_have_text(names)
        stub.DeleteTask(scheduler_pb2.DeleteTaskRequest(id=task), timeout=20)
